from __future__ import annotations

import math
import random
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweepyard.errors import SpecError
from sweepyard.schedulers.hyperband import Hyperband
from sweepyard.schedulers.port import Curve
from sweepyard.schedulers.registry import make_scheduler
from sweepyard.tracking.records import Objective

LOSS = Objective(name="loss")
ACCURACY = Objective(name="val_accuracy", goal="maximize")


def curve(values, number=0):
    found = Curve(number=number)
    for value in values:
        found.add(value)
    return found


def rule(objective=LOSS, **spec):
    """W&B's rule, unless `reevaluate` says otherwise."""
    return Lists(make_scheduler({"type": "hyperband", "reevaluate": True, **spec}, objective))


class Lists:
    """A scheduler that is told of lists of values."""

    def __init__(self, scheduler):
        self._scheduler = scheduler
        self.rungs = scheduler.rungs

    def judge(self, run_id, lists):
        return self._scheduler.judge(run_id, {key: curve(values) for key, values in lists.items()})


def stopped(curves, objective=LOSS, **spec):
    scheduler = rule(objective, **({"min_iter": 3, "eta": 3} | spec))
    verdicts = {run_id: scheduler.judge(run_id, curves) for run_id in curves}
    return {run_id for run_id, verdict in verdicts.items() if verdict and verdict.action == "stop"}


@pytest.mark.parametrize(
    ("spec", "rungs"),
    [
        ({"min_iter": 3, "eta": 3}, [3, 9, 27, 81, 243]),
        ({"min_iter": 5}, [5, 15, 45, 135]),
        ({"max_iter": 27, "s": 2, "eta": 3}, [3, 9]),
        ({"max_iter": 81, "s": 3, "eta": 3}, [3, 9, 27]),
        ({"max_iter": 81, "s": 10, "eta": 3}, [1, 3, 9, 27]),
        ({"max_iter": 18, "s": 2.0, "eta": 3}, [2, 6]),
        ({"max_iter": 10, "s": 2, "eta": 3}, [1, 3]),
        ({"max_iter": 5, "s": 2, "eta": 2}, [1, 2]),
        ({"min_iter": 1, "eta": 1.5}, [1, 1, 2, 3, 5, 7]),
        ({"min_iter": 5, "max_iter": 27, "s": 2}, [3, 9]),
    ],
    ids=str,
)
def test_rungs_are_wandbs_bands(spec, rungs):
    found = rule(**spec).rungs

    assert list(found[: len(rungs)]) == rungs
    assert len(found) == len(rungs) or "max_iter" not in spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"max_iter": 2, "s": 2, "eta": 3}, "give no rung: lower eta"),
        ({"max_iter": 27, "s": 0}, "give no rung: raise s"),
        ({"min_iter": 3, "eta": 1}, r"early_terminate\.eta: must be above 1"),
        ({"max_iter": 27}, "needs min_iter, or both max_iter and s"),
    ],
    ids=str,
)
def test_a_rule_without_rungs_is_refused(spec, message):
    with pytest.raises(SpecError, match=message):
        rule(**spec)


def test_registry():
    assert make_scheduler(None, LOSS) is None
    with pytest.raises(SpecError, match=r"no rule 'envelope'\. Choose one of: hyperband"):
        make_scheduler({"type": "envelope"}, LOSS)


# The vectors of W&B's engine. Not-a-number never reaches a curve, so its case is a curve of two points.


@pytest.mark.parametrize(
    ("curves", "expected"),
    [
        ({"a": [5, 5, 5]}, set()),
        ({"a": [5, 5, 5], "b": [4, 4, 4]}, {"a"}),
        ({"a": [5] * 3, "b": [4] * 3, "c": [3] * 3}, {"a"}),
        ({run_id: [5, 5, 5] for run_id in "abcd"}, set()),
        ({"a": [5, 5, 5, 1, 1], "b": [4, 4, 4]}, {"a"}),
        ({"a": [5, 5], "b": [4, 4, 4]}, set()),
    ],
    ids=str,
)
def test_minimize(curves, expected):
    assert stopped(curves) == expected
    mirrored = {run_id: [-value for value in curve] for run_id, curve in curves.items()}
    assert stopped(mirrored, objective=ACCURACY) == expected


def test_the_best_so_far_protects_if_not_strict():
    curves = {"a": [5, 5, 5, 1, 1], "b": [4, 4, 4]}

    assert stopped(curves, strict=False) == set()
    assert stopped({"a": [5, 5, 5, 4.5], "b": [4, 4, 4]}, strict=False) == {"a"}


def test_strict_is_the_default():
    assert stopped({"a": [5, 5, 5, 1], "b": [4, 4, 4]}, strict=True) == {"a"}
    assert stopped({"a": [5, 5, 5, 1], "b": [4, 4, 4]}) == {"a"}


def test_a_run_is_judged_again_until_the_next_rung():
    scheduler = rule(min_iter=3)
    curves = {"a": [5, 5, 5, 1]}
    assert scheduler.judge("a", curves) is None

    curves["b"] = [4, 4, 4]
    assert scheduler.judge("a", curves).action == "stop"
    assert scheduler.judge("a", curves | {"a": [5, 5, 5, 1, 1, 1, 1, 1, 1]}).action == "continue"


def test_after_the_last_rung_the_last_threshold_holds():
    curves = {"a": [5, 5, 5] * 30, "b": [4, 4, 4]}

    assert stopped(curves, max_iter=9, s=1) == {"a"}


def test_a_verdict_is_given_at_a_rung_and_not_between():
    scheduler = rule(min_iter=3)

    given_at = [n for n in range(31) if scheduler.judge("a", {"a": [1.0] * n})]

    assert given_at == [3, 9, 27]


def test_a_run_that_has_logged_nothing_is_not_judged():
    assert rule(min_iter=1).judge("a", {"b": [1.0]}) is None
    assert rule(min_iter=1).judge("a", {"a": [], "b": [1.0]}) is None


OUR_VECTORS = [
    ([[5] * 3], []),
    ([[5] * 3, [4] * 3], []),
    ([[4] * 3, [3] * 3, [5] * 3], [2]),
    ([[5] * 3, [4] * 3, [3] * 3], []),
    ([[5] * 3] * 4, []),
    ([[4] * 3, [3] * 3, [5, 5, 5, 1, 1]], []),
    ([[4] * 3, [3] * 3, [5, 5]], []),
]
"""Runs in the order in which they come to rung 3, and which of them we stop. The third is the first judged."""


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize(("lists", "expected"), OUR_VECTORS, ids=str)
def test_our_default_judges_a_run_once_and_only_among_enough_peers(lists, expected, maximize):
    scheduler = make_scheduler({"type": "hyperband", "min_iter": 3}, ACCURACY if maximize else LOSS)
    curves = {}
    for i, values in enumerate(lists):
        curves[i] = curve([-value for value in values] if maximize else values)

    gone = [
        i
        for i in curves
        if (verdict := scheduler.judge(i, dict(islice(curves.items(), i + 1)))) and verdict.action == "stop"
    ]

    assert gone == expected


def test_a_resource_of_the_users_own():
    scheduler = make_scheduler({"type": "hyperband", "min_iter": 3, "min_peers": 2}, LOSS)
    a, b = Curve(number=1), Curve(number=2)
    for position, value in [(0.5, 9.0), (1.0, 8.0), (3.5, 1.0), (3.5, 0.5), (2.0, 0.1)]:
        a.add(value, position)
    b.add(5.0, 1)
    b.add(2.0, 8)

    verdict = scheduler.judge("b", {"a": a, "b": b})

    assert a.positions == [0.5, 1.0, 3.5, 3.5, 3.5]
    assert a.index_at(3) == 2
    assert (verdict.action, verdict.rung, verdict.value, verdict.threshold) == ("stop", 3, 2.0, 1.0)
    assert scheduler.judge("a", {"a": a, "b": b}) is None  # it has been there before


def test_news_that_is_no_number_is_no_arrival():
    scheduler = make_scheduler({"type": "hyperband", "min_iter": 3}, LOSS)
    a = curve([1, 2, 3])
    a.broken = True

    assert scheduler.judge("a", {"a": a}) is None


def test_reasons():
    curves = {"a": [0.5, 0.71], "b": [0.5, 0.78], "c": [0.6, 0.2]}
    scheduler = rule(ACCURACY, min_iter=2)
    stop, go_on = scheduler.judge("c", curves), scheduler.judge("b", curves)
    alone = scheduler.judge("a", {"a": [0, 3]})
    lenient = rule(min_iter=2, eta=1.5, strict=False).judge("c", curves)

    among = "the threshold of 3 runs (top"
    assert stop.reason == f"rung 2: val_accuracy 0.2 is below 0.71, {among} third kept)"
    assert (stop.value, stop.threshold, stop.peers) == (0.2, 0.71, 3)
    assert go_on.reason == f"rung 2: val_accuracy 0.78 is at or above 0.71, {among} third kept)"
    assert alone.reason == "rung 2: val_accuracy 3, the first run to get here"
    assert (alone.threshold, alone.peers) == (None, 1)
    assert lenient.reason == f"rung 2: best loss 0.2 is at or below 0.78, {among} 67% kept)"


@settings(deadline=None)
@given(st.integers(1, 60), st.sampled_from([2, 3, 4, 5]), st.booleans(), st.randoms(use_true_random=False))
def test_survivors_are_one_more_than_the_share(n, eta, maximize, dice):
    values = [float(value) for value in dice.sample(range(1000), n)]
    objective = ACCURACY if maximize else LOSS
    curves = {str(i): [value] for i, value in enumerate(values)}

    gone = stopped(curves, objective=objective, min_iter=1, eta=eta)

    survivors = n // eta + 1
    best = sorted(values, reverse=maximize)[:survivors]
    assert {curves[run_id][0] for run_id in curves.keys() - gone} == set(best)


@settings(deadline=None)
@given(
    st.dictionaries(st.text("abc", min_size=1), st.lists(st.floats(-9, 9), max_size=12), min_size=1),
    st.sampled_from([1.5, 2, 3]),
    st.booleans(),
    st.booleans(),
)
def test_verdicts_hold_what_the_rule_says(curves, eta, strict, maximize):
    objective = ACCURACY if maximize else LOSS
    scheduler = Lists(Hyperband([2, 4, 8], objective, eta=eta, strict=strict, reevaluate=True))
    sign = -1 if maximize else 1
    for run_id, values in curves.items():
        verdict = scheduler.judge(run_id, curves)
        passed = [rung for rung in (2, 4, 8) if rung <= len(values)]
        if not passed:
            assert verdict is None
            continue
        losses = sorted(sign * other[passed[-1] - 1] for other in curves.values() if len(other) >= passed[-1])
        loss = sign * values[passed[-1] - 1] if strict else min(sign * value for value in values)
        if loss > losses[math.floor(len(losses) / eta)]:
            assert verdict.action == "stop"
            assert verdict.threshold == sign * losses[math.floor(len(losses) / eta)]
        else:
            assert (verdict is not None) == (len(values) == passed[-1])
            assert verdict is None or verdict.action == "continue"
        if verdict:
            assert (verdict.rule, verdict.rung, verdict.peers) == ("hyperband", passed[-1], len(losses))


def test_judging_costs_no_more_than_a_look_at_each_curve():
    class Counted(Curve):
        looks = 0

        def index_at(self, rung):
            Counted.looks += 1
            return super().index_at(rung)

    def looks(count):
        dice = random.Random(1)
        scheduler = make_scheduler({"type": "hyperband", "min_iter": 3, "reevaluate": True}, LOSS)
        curves = {str(i): Counted(number=i) for i in range(count)}
        for each in curves.values():
            for _ in range(50):
                each.add(dice.random())
        Counted.looks = 0
        scheduler.judge("7", curves)
        return Counted.looks

    assert 0 < looks(400) <= 2 * 400
    assert looks(4000) <= 10 * looks(400) + 10
