"""Who pauses and who goes on, against slow and obvious readings of the papers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweepyard.plain import Params
from sweepyard.schedulers.population import Population
from sweepyard.schedulers.port import Curve, Turn
from sweepyard.schedulers.promotion import Promotion
from sweepyard.search.explore import perturbed
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

LOSS, ACC = Objective(name="loss"), Objective(name="acc", goal="maximize")


def curve(number: int, *values: float, paused: bool = True, ended: bool = False) -> Curve:
    found = Curve(number=number, params={"lr": number / 10}, paused=paused, ended=ended)
    for value in values:
        found.add(value)
    return found


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 10), min_size=1, max_size=12),
    eta=st.sampled_from([2, 3]),
    seed=st.integers(0, 99),
    goal=st.sampled_from([LOSS, ACC]),
)
def test_promotion_is_algorithm_2_of_asha(lengths: list[int], eta: int, seed: int, goal: Objective) -> None:
    dice = np.random.default_rng(seed)
    rungs = [eta**k for k in range(5)]
    curves = {
        f"r{n}": curve(n, *dice.integers(0, 5, length).astype(float).tolist(), paused=bool(dice.random() < 0.7))
        for n, length in enumerate(lengths)
    }
    expected = []
    for rung in reversed(rungs):
        here = [key for key, each in curves.items() if len(each.values) >= rung]
        sign = -1 if goal.goal == "maximize" else 1
        here.sort(key=lambda key: (sign * curves[key].values[rung - 1], curves[key].number))
        for key in here[: len(here) // eta]:
            if curves[key].paused and len(curves[key].values) < rung * eta:
                expected.append((key, rung))
    rule = Promotion(goal, min_iter=1, eta=eta)
    assert [(turn.run_id, turn.rung) for turn in rule.turns(curves) if turn.rung in rungs] == expected


def test_the_best_of_a_rung_is_not_paused() -> None:
    rule = Promotion(LOSS, min_iter=2, eta=2)
    curves = {"a": curve(1, 5, 4), "b": curve(2, 5, 3)}
    first, second = rule.judge("a", {"a": curves["a"]}), rule.judge("b", curves)
    assert first is not None
    assert (first.action, first.reason) == (
        "pause",
        "rung 2: loss 4, the first run to get here: too few for one to go on",
    )
    assert second is not None
    assert (second.action, second.reason) == (
        "continue",
        "rung 2: loss 3 is among the best 1 of 2 runs (top half goes on)",
    )
    assert rule.judge("b", {"b": curve(2, 5)}) is None


def population(**changes: float) -> Population:
    def explore(params: Params, _rng: np.random.Generator) -> Params:
        return {"lr": params["lr"] * 2}

    return Population(LOSS, 0, explore, **{"size": 4, "interval": 2, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("length", "start", "pauses"), [(1, 0, False), (2, 0, True), (3, 0, False), (1, 4, False)]
)
def test_a_member_pauses_after_each_interval(length: int, start: int, pauses: bool) -> None:
    one = Curve(number=1)
    for k in range(1, length + 1):
        one.add(1.0, start + k)
    assert (population().judge("a", {"a": one}) is not None) == pauses


def test_the_member_that_is_furthest_behind_goes_first_and_the_worst_makes_place() -> None:
    curves = {"a": curve(1, 9, 9, 1, 1), "b": curve(2, 9, 2), "c": curve(3, 9, 3), "d": curve(4, 9, 8, 7, 6)}
    turns = population().turns(curves)
    assert [(turn.run_id, turn.parent, turn.successor) for turn in turns] == [
        ("c", None, None),
        ("b", None, None),
        ("d", "a", {"lr": 0.2}),
        ("a", None, None),
    ]


def test_members_are_compared_where_both_have_been() -> None:
    curves = {"a": curve(1, 9, 7, 1, 1), "b": curve(2, 9, 6), "c": curve(3, 9, 8), "d": curve(4, 9, 5)}
    copy = curve(5)
    copy.add(0.5, 5)
    turns = population().turns(curves | {"copy": copy})
    assert [(turn.run_id, turn.parent, turn.peers) for turn in turns[:3]] == [
        ("c", "d", 4),  # a is ahead and was no better at 2; the copy has never been there
        ("b", None, 4),
        ("d", None, 4),
    ]


def test_nobody_goes_on_before_all_members_have_been_heard() -> None:
    three = {"a": curve(1, 9, 9), "b": curve(2, 9, 2), "c": curve(3, 9, 3)}
    assert population().turns(three) == []
    assert population().turns(three | {"d": curve(4, paused=False)}) == []
    assert len(population().turns(three | {"d": curve(4, paused=False, ended=True)})) == 3


def test_ended_members_are_neither_copied_nor_replaced() -> None:
    curves = {"a": curve(1, 0, 0, paused=False, ended=True), "b": curve(2, 9, 2), "c": curve(3, 9, 3)}
    turns: list[Turn] = population(size=3).turns(curves)
    assert [(turn.run_id, turn.parent) for turn in turns] == [("c", "b"), ("b", None)]


SPACE = Space.of(
    {
        "parameters": {
            "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0},
            "layers": {"distribution": "int_uniform", "min": 1, "max": 8},
            "kind": {"distribution": "categorical", "values": ["a", "b"]},
            "decay": {"distribution": "uniform", "min": 0.0, "max": 1.0, "when": "kind == 'a'"},
            "fixed": {"distribution": "constant", "value": 7},
        },
        "constraints": ["layers <= 6"],
    }
)


def test_points_near_a_point_are_points_of_the_space() -> None:
    params: Params = {"lr": 0.01, "layers": 3, "kind": "a", "decay": 0.5, "fixed": 7}
    near = [perturbed(SPACE, params, np.random.default_rng(n)) for n in range(200)]
    for point in near:
        values = SPACE.flatten(point)
        assert values is not None
        assert SPACE.allows(values)
        assert ("decay" in point) == (point["kind"] == "a")
    kept = [point["lr"] for point in near]
    assert sum(any(abs(lr - each) < 1e-9 for each in (0.008, 0.0125)) for lr in kept) > 100
    assert {2, 4} <= {point["layers"] for point in near}
    assert perturbed(SPACE, params, np.random.default_rng(5)) == near[5]


def test_a_point_outside_of_the_space_stays() -> None:
    assert perturbed(SPACE, {"lr": 0.01}, np.random.default_rng(0)) == {"lr": 0.01}


def test_a_member_at_the_end_of_its_training_neither_pauses_nor_is_copied() -> None:
    rule = population(size=2, max_iter=4, quantile=0.5)
    curves = {"a": curve(1, 9, 9, 1, 1), "b": curve(2, 9, 2), "c": curve(3, 9, 3)}
    assert rule.judge("a", curves) is None
    turns = [(turn.run_id, turn.parent) for turn in rule.turns(curves)]
    assert turns == [("c", "b"), ("b", None), ("a", None)]
