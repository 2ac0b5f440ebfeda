from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweepyard.search.points import key_of
from sweepyard.search.port import Observation
from sweepyard.search.random import RandomSearcher
from sweepyard.search.space import Space

MIXED = Space.from_spec(
    {
        "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
        "g": {"parameters": {"units": {"min": 16, "max": 64}, "act": {"values": ["relu", "tanh"]}}},
        "batch": {"distribution": "q_uniform", "min": 8, "max": 64, "q": 8},
    }
)


def key(space, params):
    return key_of(space.flatten(params))


def test_a_suggestion_depends_on_the_seed_and_its_number_alone():
    searcher = RandomSearcher(MIXED, seed=42)
    batch = searcher.suggest([], [], 4)
    history = [Observation(number=9, params=batch[1].params, value=1.0)]

    alone = RandomSearcher(MIXED, seed=42).suggest(history, [batch[0].params, batch[2].params], 1)

    assert alone == batch[3:]
    assert alone[0].reason == "random draw 4 (seed 42)"
    assert RandomSearcher(MIXED, seed=43).suggest([], [], 4) != batch


def test_draws_are_those_of_the_documented_seed_sequence():
    u = np.random.default_rng(np.random.SeedSequence([7, 0])).random(4)

    found = RandomSearcher(MIXED, seed=7).suggest([], [], 1)[0]

    assert found.params == MIXED.nest(MIXED.sample(u))


def test_draws_follow_the_distributions():
    points = [suggestion.params for suggestion in RandomSearcher(MIXED, seed=1).suggest([], [], 2000)]

    assert {type(point["lr"]) for point in points} == {float}
    assert {point["batch"] for point in points} == set(range(8, 65, 8))
    assert sum(point["g"]["act"] == "relu" for point in points) == pytest.approx(1000, abs=100)
    assert sum(point["lr"] < 1e-3 for point in points) == pytest.approx(1000, abs=100)


def test_what_is_nearly_impossible_still_comes_at_the_end():
    leaf = {"values": ["a", "b"], "probabilities": [1 - 1e-12, 1e-12]}
    space = Space.from_spec({"x": leaf, "y": {"min": 1, "max": 50}})

    points = [suggestion.params for suggestion in RandomSearcher(space, seed=3).suggest([], [], 101)]

    assert len({key(space, point) for point in points}) == len(points) == 100
    assert {point["x"] for point in points[:50]} == {"a"}
    rest = [point["y"] for point in points[50:]]
    assert rest != sorted(rest)


def test_runs_from_elsewhere_do_not_exhaust_a_space():
    space = Space.from_spec({"x": {"min": 1, "max": 3}})
    history = [Observation(number=i, params={"x": x}, value=None) for i, x in enumerate([1, 7, 8, 9])]

    found = RandomSearcher(space, seed=0).suggest(history, [], 5)

    assert sorted(suggestion.params["x"] for suggestion in found) == [2, 3]


def test_only_constants_are_one_point():
    searcher = RandomSearcher(Space.from_spec({"x": {"value": 1}}), seed=0)

    assert [suggestion.params for suggestion in searcher.suggest([], [], 3)] == [{"x": 1}]
    assert searcher.suggest([], [{"x": 1}], 1) == []


axis = st.one_of(
    st.lists(st.sampled_from([0, 1, 1.0, True, "1", None]), min_size=1, max_size=4).map(lambda v: {"values": v}),
    st.integers(1, 4).map(lambda n: {"min": 0, "max": n}),
    st.integers(3, 9).map(lambda n: {"distribution": "q_log_uniform_values", "min": 1, "max": n, "q": 2}),
    st.just({"values": ["a", "b", "c"], "probabilities": [0.9, 0.1, 0.0]}),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(axis, min_size=1, max_size=3), st.integers(0, 2**40), st.randoms(use_true_random=False))
def test_a_finite_space_is_covered_without_repeats(axes, seed, dice):
    space = Space.from_spec({f"p{i}": leaf for i, leaf in enumerate(axes)})
    reused = RandomSearcher(space, seed)
    history, pending, proposed = [], [], []
    while True:
        n = dice.randint(1, 4)
        found = RandomSearcher(space, seed).suggest(history, pending, n)
        assert reused.suggest(history, pending, n) == found
        proposed += [suggestion.params for suggestion in found]
        pending += [suggestion.params for suggestion in found]
        if len(found) < n:
            break
        while pending and dice.random() < 0.6:
            params = pending.pop(dice.randrange(len(pending)))
            history.append(Observation(number=len(history), params=params, value=None))

    assert len({key(space, point) for point in proposed}) == len(proposed) == space.size()
