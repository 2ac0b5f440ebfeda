from __future__ import annotations

import pytest

from sweepyard.search.auto import MANY_RUNS, choose
from sweepyard.search.port import Observation
from sweepyard.search.random import RandomSearcher
from sweepyard.search.registry import make_searcher
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

NUMBERS = {"x": {"min": 0.0, "max": 1.0}, "n": {"values": [1, 2, 4]}}
KINDS = NUMBERS | {"kind": {"values": ["a", "b"]}}
SWITCHED = NUMBERS | {"y": {"min": 0.0, "max": 1.0, "when": "x > 0.5"}}


@pytest.mark.parametrize(
    ("parameters", "runs", "scored", "method"),
    [
        (NUMBERS, 0, False, "sobol"),
        (KINDS, 5000, False, "sobol"),
        (NUMBERS, MANY_RUNS - 1, True, "bayes"),
        (KINDS, 0, True, "bayes"),
        (NUMBERS, MANY_RUNS, True, "cmaes"),
        (KINDS, MANY_RUNS, True, "tpe"),
        (SWITCHED, MANY_RUNS, True, "tpe"),
    ],
)
def test_the_choice(parameters, runs, scored, method):
    assert choose(Space.from_spec(parameters), runs, scored=scored)[0] == method


def test_it_asks_whom_it_chose_and_says_so():
    space, loss = Space.from_spec(NUMBERS), Objective(name="loss")
    points = [each.params for each in RandomSearcher(space, 0).suggest([], [], MANY_RUNS)]
    history = [Observation(number=i, params=params, value=params["x"]) for i, params in enumerate(points)]

    for runs, method in ((history[:20], "bayes"), (history, "cmaes")):
        (found,) = make_searcher("auto", space, loss, 3).suggest(runs, [], 1)
        (theirs,) = make_searcher(method, space, loss, 3).suggest(runs, [], 1)
        assert (found.params, found.detail) == (theirs.params, theirs.detail)
        assert found.reason.startswith(f"{theirs.reason} [auto: {method}, which ")
    assert make_searcher("auto", space, None, 3).suggest([], [], 1)[0].reason.endswith("no metric to learn from]")
