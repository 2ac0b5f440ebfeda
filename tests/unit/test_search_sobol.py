from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from sweepyard.search.port import Observation
from sweepyard.search.sobol import SobolSearcher
from sweepyard.search.space import Space

SQUARE = Space.from_spec({"x": {"min": 0.0, "max": 1.0}, "c": {"value": "c"}, "y": {"min": 0.0, "max": 1.0}})


def params(suggestions):
    return [suggestion.params for suggestion in suggestions]


def test_points_are_those_of_scipys_scrambled_sequence():
    found = SobolSearcher(SQUARE, seed=7).suggest([], [], 100)

    expected = qmc.Sobol(2, seed=np.random.default_rng(np.random.SeedSequence([7]))).random_base2(7)[:100]
    assert [(point["x"], point["y"]) for point in params(found)] == [tuple(row) for row in expected.tolist()]
    assert {point["c"] for point in params(found)} == {"c"}
    assert found[99].reason == "Sobol point 100 (seed 7)"


def test_a_sequence_depends_on_the_seed_and_goes_on_after_a_restart():
    points = params(SobolSearcher(SQUARE, seed=1).suggest([], [], 300))
    history = [Observation(number=i, params=point, value=None) for i, point in enumerate(points[:200])]

    assert params(SobolSearcher(SQUARE, seed=1).suggest(history, points[200:250], 50)) == points[250:]
    assert params(SobolSearcher(SQUARE, seed=2).suggest([], [], 300)) != points


def test_it_is_more_even_than_random():
    points = params(SobolSearcher(SQUARE, seed=3).suggest([], [], 256))

    cells = {(int(point["x"] * 16), int(point["y"] * 16)) for point in points}

    assert len(cells) == 256


@pytest.mark.parametrize("leaf", [{"value": 1}, {"values": ["only"]}])
def test_only_constants_are_one_point(leaf):
    assert len(SobolSearcher(Space.from_spec({"x": leaf}), seed=0).suggest([], [], 3)) == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99), st.randoms(use_true_random=False))
def test_a_finite_space_is_covered_without_repeats(a, b, seed, dice):
    space = Space.from_spec({"a": {"min": 0, "max": a}, "b": {"values": list(range(b))}})
    reused = SobolSearcher(space, seed)
    history, pending, proposed = [], [], []
    while True:
        n = dice.randint(1, 9)
        found = SobolSearcher(space, seed).suggest(history, pending, n)
        assert reused.suggest(history, pending, n) == found
        proposed += params(found)
        pending += params(found)
        if len(found) < n:
            break
        while pending and dice.random() < 0.6:
            point = pending.pop(dice.randrange(len(pending)))
            history.append(Observation(number=len(history), params=point, value=None))

    assert len({str(point) for point in proposed}) == len(proposed) == space.size()
