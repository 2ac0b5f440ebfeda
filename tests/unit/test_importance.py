"""Importance of parameters, on functions of which it is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sweepyard.search.importance import LEAST_RUNS, importance, verdict
from sweepyard.search.random import RandomSearcher
from sweepyard.search.space import Space

UNIT = {name: {"min": 0.0, "max": 1.0} for name in ("a", "b", "c")}


def judged(parameters: dict[str, Any], loss: Callable[[dict[str, Any]], float | None], runs: int, seed: int = 0):
    space = Space.from_spec(parameters)
    points = [each.params for each in RandomSearcher(space, seed).suggest([], [], runs)]
    found = importance(space, [space.flatten(each) for each in points], [loss(each) for each in points])
    return {one.name: one for one in found}


@pytest.mark.parametrize("runs", [40, 200, 1000])
def test_what_matters_more_comes_first_and_what_does_not_is_told_from_it(runs: int) -> None:
    found = judged(UNIT, lambda p: (p["a"] - 0.3) ** 2 + 0.1 * (p["b"] - 0.7) ** 2, runs)
    assert next(iter(found)) == "a"
    assert found["a"].share > 0.6
    assert found["a"].chance < 0.01
    assert found["c"].share < 0.1
    assert sum(one.share for one in found.values()) == pytest.approx(1.0)


def test_a_parameter_without_effect_is_rarely_said_to_have_one() -> None:
    chances = [judged(UNIT, lambda p: (p["a"] - 0.3) ** 2, 30, seed)["c"].chance for seed in range(25)]
    assert np.mean([chance <= 0.1 for chance in chances]) < 0.3
    assert np.mean(chances) > 0.3


def test_a_category_counts_as_much_as_it_does() -> None:
    parameters = {"kind": {"values": ["x", "y", "z"]}, "also": {"values": ["u", "v"]}, "n": {"min": 1, "max": 8}}
    found = judged(parameters, lambda p: {"x": 0.0, "y": 1.0, "z": 2.0}[p["kind"]] + 0.01 * p["n"], 60)
    assert found["kind"].share > 0.7
    assert found["also"].chance > 0.1


def test_a_conditional_parameter_is_judged_by_the_runs_that_have_it() -> None:
    parameters = {
        "kind": {"values": ["x", "y"]},
        "inner": {"min": 0.0, "max": 1.0, "when": "kind == 'x'"},
        "idle": {"min": 0.0, "max": 1.0},
    }
    found = judged(parameters, lambda p: p["inner"] if p["kind"] == "x" else 0.5, 200)
    assert 70 < found["inner"].runs < 130
    assert found["inner"].chance < 0.01
    assert found["inner"].share > found["idle"].share


def test_few_runs_say_nothing_and_the_sentence_says_so() -> None:
    assert judged(UNIT, lambda p: p["a"], LEAST_RUNS - 1) == {}
    assert "too few" in verdict([], 9)
    assert judged(UNIT, lambda p: p["a"] if p["a"] > 0.5 else None, 3 * LEAST_RUNS) != {}


def test_equal_values_tell_nothing_apart() -> None:
    for one in judged(UNIT, lambda _: 1.0, 50).values():
        assert one.share <= 1.0
    quantised = {"a": {"min": 0.0, "max": 1.0}, "b": {"values": [1, 2, 4]}, "c": {"value": 3}}
    assert set(judged(quantised, lambda p: p["b"], 50)) == {"a", "b"}


def test_the_sentence_names_what_is_sure_and_what_is_not() -> None:
    found = judged(UNIT, lambda p: (p["a"] - 0.3) ** 2, 100)
    said = verdict(list(found.values()), 100)
    assert said.startswith("From 100 runs: what matters is a for sure")
    assert said.endswith("cannot be told from chance.")
