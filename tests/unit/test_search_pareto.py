"""Pareto fronts and volumes, and searching with several objectives."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweepyard.search.pareto import front, hypervolume, losses
from sweepyard.search.port import Observation
from sweepyard.search.registry import searcher_of
from sweepyard.search.scalarised import WEIGHINGS
from sweepyard.tracking.records import Objective

LOSS, SPEED = Objective(name="loss"), Objective(name="speed", goal="maximize")
METRICS = [{"name": "loss", "goal": "minimize"}, {"name": "speed", "goal": "maximize"}]
SPEC = {
    "method": "bayes",
    "metrics": METRICS,
    "parameters": {"a": {"min": 0.0, "max": 1.0}, "b": {"min": 0.0, "max": 1.0}, "kind": {"values": ["x", "y"]}},
}


def test_a_front_holds_what_no_other_point_beats() -> None:
    values = [[1.0, 1.0], [2.0, 3.0], [2.0, 2.0], [3.0, 2.5], [0.5, None], [2.0, 3.0], [math.nan, 9.0]]
    assert front(losses(values, [LOSS, SPEED])) == [0, 1, 5]
    assert front(losses([], [LOSS, SPEED])) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=12))
def test_fronts_and_volumes_are_those_of_the_definition(points: list[tuple[int, ...]]) -> None:
    rows = np.array(points, dtype=float)
    beaten = {
        i
        for i, j in itertools.permutations(range(len(rows)), 2)
        if (rows[j] <= rows[i]).all() and (rows[j] < rows[i]).any()
    }
    assert set(front(rows)) == set(range(len(rows))) - beaten
    cells = itertools.product(range(5), repeat=3)
    covered = sum(any((row <= cell).all() for row in rows) for cell in cells)
    assert hypervolume(rows, [5.0, 5.0, 5.0]) == pytest.approx(covered)
    flat = len({cell for cell in itertools.product(range(5), repeat=2) if (rows[:, :2] <= cell).all(axis=1).any()})
    assert hypervolume(rows[:, :2], [5.0, 5.0]) == pytest.approx(flat)


def outcome(params: dict[str, Any]) -> tuple[float, float]:
    """A curve of trade-offs along `a`; `b` and `kind` only make things worse."""
    waste = abs(params["b"] - 0.5) + (params["kind"] == "y")
    return params["a"] ** 2 + waste, 1 - (1 - params["a"]) ** 2 - waste


def searched(method: str, runs: int, seed: int, spec: dict[str, Any] = SPEC) -> list[Observation]:
    searcher = searcher_of(spec, None, seed, method)
    history: list[Observation] = []
    for number in range(1, runs + 1):
        (found,) = searcher.suggest(history, [], 1)
        history.append(Observation(number=number, params=found.params, value=None, values=outcome(found.params)))
    return history


def volume(history: list[Observation]) -> float:
    return hypervolume(losses([run.values for run in history], [LOSS, SPEED]), [2.0, 1.0])


def test_learning_finds_more_of_the_front_than_chance() -> None:
    for seed in range(2):
        assert volume(searched("bayes", 30, seed)) > volume(searched("random", 90, seed))


def test_a_fresh_searcher_suggests_what_a_long_lived_one_does() -> None:
    searcher = searcher_of(SPEC, None, 3)
    history = searched("random", 12, 3)
    for known in range(10, 13):
        pending = [run.params for run in history[known:]]
        (found,) = searcher.suggest(history[:known], pending, 1)
        assert [found] == searcher_of(SPEC, None, 3).suggest(history[:known], pending, 1)
        assert sum(found.detail["weights"].values()) == pytest.approx(1.0, abs=1e-2)
        assert "weighed loss (loss" in found.reason


def test_runs_that_lack_a_value_do_no_harm() -> None:
    history = searched("random", 8, 1)
    history[2] = Observation(number=3, params=history[2].params, value=None, values=(0.5, None))
    history[5] = Observation(number=6, params=history[5].params, value=None, values=(None, None), failed=True)
    assert len(searcher_of(SPEC, None, 1).suggest(history, [], WEIGHINGS)) == WEIGHINGS
    nothing = [Observation(number=1, params=history[0].params, value=None, values=(None, None))] * 12
    assert len(searcher_of(SPEC, None, 1).suggest(nothing, [], 1)) == 1


@pytest.mark.parametrize("method", ["random", "sobol", "tpe", "cmaes", "auto"])
def test_any_method_takes_several_metrics(method: str) -> None:
    assert len(searched(method, 14, 0)) == 14
