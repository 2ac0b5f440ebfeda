"""What every search method promises (`search/port.py`), asked of all of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweepyard.plain import to_plain
from sweepyard.search.inside import locate
from sweepyard.search.points import key_of
from sweepyard.search.port import Observation
from sweepyard.search.random import RandomSearcher
from sweepyard.search.registry import METHODS, make_searcher
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

LOSS = Objective(name="loss")
OPEN = [name for name in METHODS if name != "grid"]
"""The methods of spaces that cannot be counted."""

MIXED = Space.from_spec(
    {
        "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
        "units": {"distribution": "q_log_uniform_values", "min": 16, "max": 256, "q": 16},
        "layers": {"min": 1, "max": 4},
        "noise": {"distribution": "normal", "mu": 0, "sigma": 1},
        "act": {"values": ["relu", {"name": "gelu"}, None], "probabilities": [0.5, 0.25, 0.25]},
        "opt": {
            "parameters": {
                "name": {"values": ["adam", "sgd"]},
                "momentum": {"min": 0.0, "max": 0.9, "when": "opt.name == 'sgd'"},
            }
        },
        "kept": {"value": 7},
    },
    constraints=["units * layers <= 512"],
)
FINITE = Space.from_spec(
    {
        "a": {"min": 1, "max": 3},
        "b": {"values": ["x", "y", None]},
        "c": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.5, "when": "b == 'x'"},
    },
    constraints=["a < 3 or b != 'y'"],
)
POINTS = 14
"""Of `FINITE`."""


def score(params):
    return math.log10(params.get("lr", 0.1)) ** 2 + params.get("a", 0) + len(str(params.get("b"))) / 10


def drawn(space, count, seed=0):
    return [each.params for each in RandomSearcher(space, seed).suggest([], [], count)]


def ended(points, values):
    return [
        Observation(number=i, params=params, value=value, failed=value is None)
        for i, (params, value) in enumerate(zip(points, values, strict=True), 1)
    ]


def inside(space, suggestion):
    return space.nest(locate(space, suggestion.params)) == suggestion.params


@pytest.mark.parametrize("method", OPEN)
def test_a_fresh_searcher_and_a_used_one_agree_at_every_step(method):
    used = make_searcher(method, MIXED, LOSS, 11)
    history, pending = [], []
    for step in range(34):
        fresh = make_searcher(method, MIXED, LOSS, 11).suggest(history, pending, 1)
        assert used.suggest(history, pending, 1) == fresh
        assert inside(MIXED, fresh[0])
        assert fresh[0].reason
        assert to_plain(fresh[0].detail) == fresh[0].detail
        pending.append(fresh[0].params)
        if step % 5:
            params = pending.pop(step % len(pending))
            value = None if step % 7 == 0 else score(params)
            history.append(Observation(number=step, params=params, value=value, failed=value is None))
    keys = [key_of(MIXED.flatten(params)) for params in (*pending, *(run.params for run in history))]
    assert len(set(keys)) == 34
    other = make_searcher(method, MIXED, LOSS, 12).suggest(history, pending, 1)
    assert other != fresh
    assert used.suggest(history[:9], [], 1) == make_searcher(method, MIXED, LOSS, 11).suggest(history[:9], [], 1)


@pytest.mark.parametrize("method", METHODS)
def test_a_finite_space_is_covered_without_repeats_and_then_ends(method):
    searcher = make_searcher(method, FINITE, LOSS, 3)
    history, pending = [], []
    while found := searcher.suggest(history, pending, 2):
        assert make_searcher(method, FINITE, LOSS, 3).suggest(history, pending, 2) == found
        assert all(inside(FINITE, each) for each in found)
        pending += [each.params for each in found]
        for params in pending[:1]:
            pending.remove(params)
            history.append(Observation(number=len(history), params=params, value=score(params)))

    points = {key_of(FINITE.flatten(params)) for params in (*pending, *(run.params for run in history))}
    assert len(points) == len(history) + len(pending) == searcher.size() == POINTS
    assert searcher.suggest(history, pending, 3) == []


@pytest.mark.parametrize("method", OPEN)
def test_agents_that_ask_at_once_get_different_points(method):
    points = drawn(MIXED, 24)
    history = ended(points, [score(params) for params in points])
    searcher = make_searcher(method, MIXED, LOSS, 5)

    together = searcher.suggest(history, [], 8)

    assert len({key_of(MIXED.flatten(each.params)) for each in together}) == 8
    pending = [each.params for each in together[:7]]
    assert make_searcher(method, MIXED, LOSS, 5).suggest(history, pending, 1) == together[7:]


@pytest.mark.parametrize("method", OPEN)
@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_what_is_better_is_what_the_goal_says(method, goal):
    line = Space.from_spec({"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}})
    sign = 1.0 if goal == "minimize" else -1.0
    searcher = make_searcher(method, line, Objective(name="loss", goal=goal), 1)
    history = []
    for step in range(40):
        params = searcher.suggest(history, [], 1)[0].params
        value = sign * ((params["x"] - 0.8) ** 2 + (params["y"] - 0.3) ** 2)
        history.append(Observation(number=step, params=params, value=value))

    values = [abs(run.value) for run in history]
    late = np.mean(sorted(values[-10:])[:5])  # the others may explore still
    assert method in ("random", "sobol") or (late < 0.05 and min(values) < 0.01)


HOSTILE = {
    "all equal": [0.5] * 30,
    "one": [1.0],
    "all failed": [None] * 12,
    "huge": [1e300, -1e300] * 6,
    "jumps": [10.0**-i for i in range(20)],
    "tiny": [5e-324, 0.0, -0.0, 1e-310] * 4,
}


@pytest.mark.parametrize("method", OPEN)
@pytest.mark.parametrize("values", HOSTILE.values(), ids=HOSTILE)
def test_no_history_stops_it(method, values):
    history = ended(drawn(MIXED, len(values)), values)

    found = make_searcher(method, MIXED, LOSS, 2).suggest(history, drawn(MIXED, 2, seed=9), 2)

    assert all(inside(MIXED, each) for each in found)
    assert len(found) == 2


SPACES = {
    "two points": {"x": {"values": ["a", "b"]}},
    "one point": {"x": {"value": 1}},
    "300 columns": {f"x{i}": {"min": 0.0, "max": 1.0} for i in range(300)},
    "10,000 categories": {"x": {"values": [f"v{i}" for i in range(10_000)]}, "y": {"min": 0.0, "max": 1.0}},
    "endless steps": {"x": {"min": 1, "max": 10**12}, "y": {"distribution": "q_normal", "q": 5, "sigma": 1e6}},
}


@pytest.mark.parametrize("method", OPEN)
@pytest.mark.parametrize("parameters", SPACES.values(), ids=SPACES)
def test_no_space_stops_it(method, parameters):
    space = Space.from_spec(parameters)
    points = drawn(space, 20)
    history = ended(points, [float(len(repr(params)) % 7) for params in points])

    found = make_searcher(method, space, LOSS, 1).suggest(history, [], 2)

    left = math.inf if space.size() is None else space.size() - len(points)
    assert len(found) == min(2, left)
    assert all(inside(space, each) for each in found)


@pytest.mark.parametrize("method", OPEN)
def test_runs_of_another_space_break_nothing(method):
    foreign = {"lr": 1e-3, "units": 16, "layers": 9, "act": "sigmoid", "opt": {"name": 1}}
    history = [
        Observation(number=1, params=foreign, value=0.0),
        Observation(number=2, params={}, value=1.0),
        *ended(drawn(MIXED, 12), [1.0] * 12),
        Observation(number=3, params=drawn(MIXED, 1, seed=4)[0], value=0.1, source="another"),
    ]

    found = make_searcher(method, MIXED, LOSS, 1).suggest(history, [foreign], 1)

    assert inside(MIXED, found[0])


numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, 1.0, 1e300, -1e300])


@pytest.mark.parametrize("method", OPEN)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(numbers, max_size=25), st.integers(0, 3), st.integers(0, 2**32))
def test_any_history_gives_a_point_of_the_space(method, values, opened, seed):
    points = drawn(MIXED, len(values) + opened, seed)
    history = ended(points[: len(values)], values)

    found = make_searcher(method, MIXED, LOSS, seed).suggest(history, points[len(values) :], 1)

    assert inside(MIXED, found[0])
    assert make_searcher(method, MIXED, LOSS, seed).suggest(history, points[len(values) :], 1) == found
