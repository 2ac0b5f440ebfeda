"""Why a run was not stopped, or not yet: what each rule says about how it stands."""

from __future__ import annotations

from typing import Any

import pytest

from sweepyard.schedulers.port import Curve, Rung
from sweepyard.schedulers.registry import make_scheduler
from sweepyard.tracking.records import Objective

LOSS = Objective(name="loss")


def curves(*values: list[float], ended: bool = False) -> dict[str, Curve]:
    found = {}
    for number, run in enumerate(values, 1):
        found[f"r{number}"] = curve = Curve(number=number, ended=ended)
        for value in run:
            curve.add(value)
    return found


def outlook(rule: Any, *values: list[float], ended: bool = False) -> tuple[str, tuple[Rung, ...]]:
    """What is said about the first run."""
    scheduler = make_scheduler(rule, LOSS, 0)
    assert scheduler is not None
    (found,) = scheduler.outlook("r1", curves(*values, ended=ended))
    return found.text, found.rungs


HYPERBAND = {"type": "hyperband", "min_iter": 3}
ASHA = {"type": "asha", "min_iter": 3}
MEDIAN = {"type": "median", "min_iter": 2, "min_peers": 2}
PATIENCE = {"type": "patience", "patience": 2}
THRESHOLD = {"type": "threshold", "at": 2, "value": 1.0}


@pytest.mark.parametrize(
    ("rule", "values", "ended", "words"),
    [
        (HYPERBAND, [[]], False, "it has no value yet; the first rung is at 3"),
        (HYPERBAND, [[1, 1]], False, "it is at 2; the next rung is at 3"),
        (HYPERBAND, [[1] * 4], False, "it is at 4; the next rung is at 9"),
        (HYPERBAND, [[1] * 4], True, "it ended at 4, before rung 9; the first run to get here"),
        (HYPERBAND, [[]], True, "it ended without a value"),
        ({**HYPERBAND, "reevaluate": True}, [[1] * 4], False, "judged again at each value"),
        ({"type": "hyperband", "max_iter": 9, "s": 1}, [[1] * 4], False, "it has passed the last rung, 3"),
        (ASHA, [[1, 1]], False, "it is at 2; the next rung is at 3"),
        ({**ASHA, "max_iter": 27, "brackets": 2}, [[1, 1]], False, "of 2: it is at 2"),
        (MEDIAN, [[1]], False, "judged from 2 on; it is at 1"),
        (MEDIAN, [[1, 1]], False, "0 ended runs came to 2, and it takes 2 to judge"),
        (MEDIAN, [[1, 2], [3, 3], [5, 5]], True, "its best 1, the median of 2 ended runs 4"),
        (PATIENCE, [[3, 1, 2]], False, "it has loss 1 since 2, and is at 3; stopped at 4 if that stays"),
        (PATIENCE, [[]], False, "it has no value yet"),
        (THRESHOLD, [[3]], False, "it is at 1; the next rung is at 2"),
        ({"type": "nan"}, [[3]], False, "its last value is a finite number"),
    ],
)
def test_what_a_rule_waits_for(rule: Any, values: list[list[float]], ended: bool, words: str) -> None:
    assert words in outlook(rule, *values, ended=ended)[0]


@pytest.mark.parametrize("rule", [HYPERBAND, ASHA], ids=["hyperband", "asha"])
def test_the_rungs_that_it_has_passed_and_the_next(rule: Any) -> None:
    _, rungs = outlook(rule, [9, 8, 7, 6], [1, 1, 1], [2, 2, 2], [3])
    first, second = rungs
    assert (first.at, first.value, first.peers) == (3, 7, 3)
    assert first.threshold == (1 if rule is ASHA else 2)
    assert second == Rung(9, None, None, 0)


def test_several_rules_are_told_one_by_one() -> None:
    scheduler = make_scheduler([HYPERBAND, {**PATIENCE, "nan": "stop"}], LOSS, 0)
    assert scheduler is not None
    assert [each.rule for each in scheduler.outlook("r1", curves([1]))] == ["nan", "hyperband", "patience"]
