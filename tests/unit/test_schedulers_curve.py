from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from sweepyard.schedulers.curve import CurveRule
from sweepyard.schedulers.foretelling import Foreteller, foretell, knots_of
from sweepyard.schedulers.likeness import coordinates, flattened, likeness
from sweepyard.schedulers.port import Curve
from sweepyard.schedulers.registry import make_scheduler
from sweepyard.tracking.records import Objective

LOSS = Objective(name="loss")
ACCURACY = Objective(name="accuracy", goal="maximize")
WHOLE = 30


def training(dice, number=0, epochs=WHOLE):
    """A noisy exponential on its way to a level; how fast has nothing to do with the level."""
    level, start, rate = dice.lognormal(0, 0.7), dice.uniform(3, 6), dice.uniform(0.1, 0.4)
    curve = Curve(number=number)
    for epoch in range(1, epochs + 1):
        curve.add(float(level + start * np.exp(-rate * epoch) + dice.normal(0, 0.02)))
    curve.ended = curve.finished = epochs == WHOLE
    return curve


def cut(curve, epochs):
    return Curve(
        number=curve.number,
        params=curve.params,
        values=curve.values[:epochs],
        positions=curve.positions[:epochs],
        ended=True,
    )


def whole_of(level, number):
    curve = Curve(number=number, params={"level": level})
    for value in (level + 2, level + 1, level + 0.5, level):
        curve.add(value)
    curve.ended = curve.finished = True
    return curve


def mirrored(curve):
    return Curve(
        number=curve.number,
        values=[-value for value in curve.values],
        positions=curve.positions,
        ended=curve.ended,
        finished=curve.finished,
    )


def test_knots_rise_to_the_end_of_a_run():
    assert knots_of(1).tolist() == [1]
    assert knots_of(9).tolist() == [1, 2, 3, 4, 5, 6, 7, 9]
    assert all(len(knots_of(horizon)) < 60 for horizon in (2.5, 52, 10**6))
    assert all((np.diff(knots_of(horizon)) > 0).all() for horizon in (1, 1.5, 2, 52, 10**6))


def test_ends_are_foretold_about_as_surely_as_they_are_said_to_be():
    dice = np.random.default_rng(1)
    inside, errors, naive = [], [], []
    for _ in range(20):
        whole = [training(dice) for _ in range(25)]
        short = [cut(curve, int(dice.integers(3, 15))) for curve in whole[15:]]
        foreteller = Foreteller([*whole[:15], *short], LOSS, WHOLE, learnt=15)
        means, stds = foreteller.ends(np.arange(15, 25))
        ends = foreteller.scale.forward(np.array([min(curve.values) for curve in whole[15:]]))
        inside += list(abs(ends - means) < 2 * stds)
        errors += list(abs(ends - means))
        naive += list(abs(ends - foreteller.scale.forward(np.array([min(curve.values) for curve in short]))))

    assert np.mean(inside) > 0.9
    assert np.mean(errors) < 0.6 * np.mean(naive)


def test_what_finished_is_certain_and_what_was_stopped_is_not():
    dice = np.random.default_rng(2)
    whole = [training(dice) for _ in range(12)]
    stopped = cut(whole[0], 4)

    told = foretell([*whole[1:], stopped], LOSS, WHOLE)

    assert [each.std for each in told[:-1]] == [0.0] * 11
    assert [each.value for each in told[:-1]] == [min(curve.values) for curve in whole[1:]]
    assert told[-1].std > 0
    assert told[-1].value < min(stopped.values)
    assert abs(told[-1].value - min(whole[0].values)) < min(stopped.values) - min(whole[0].values)


def test_a_run_that_finished_in_a_dry_run_is_seen_as_the_stopped_one_that_it_would_be():
    dice = np.random.default_rng(11)
    whole = [training(dice, n) for n in range(12)]

    told = foretell([*whole[1:], whole[0].until(4)], LOSS, WHOLE)[-1]

    assert told == foretell([*whole[1:], cut(whole[0], 4)], LOSS, WHOLE)[-1]
    assert told.std > 0


def test_what_was_told_of_a_run_changes_only_when_it_is_learnt_anew_from_a_tenth_more_runs():
    """To the last digit: a searcher learns everything anew from what changed."""
    dice = np.random.default_rng(14)
    curves = [training(dice, n) for n in range(200)]
    for curve in curves:
        curve.params = {"rate": float(dice.random()), "kind": str(dice.integers(4))}
    ended = [cut(curve, 5) if curve.number % 4 else curve for curve in curves]

    told = [foretell(ended[:n], LOSS, WHOLE) for n in range(150, 200)]

    anew = [n for n, (before, now) in enumerate(pairwise(told), 151) if now[: len(before)] != before]
    assert anew == [160, 170, 180, 190]


def test_before_anything_has_finished_little_is_known():
    dice = np.random.default_rng(3)
    early = [cut(training(dice), 3) for _ in range(6)]

    told = foretell(early, LOSS)

    spread = np.std([min(curve.values) for curve in early])
    assert np.mean([each.std for each in told]) > spread
    assert all(each.value <= min(curve.values) for each, curve in zip(told, early, strict=True))
    assert foretell([], LOSS) == []


@pytest.mark.parametrize(
    "values", [[1.0], [0.0, 0.0, 0.0], [1e300, 1e300], [1e-300, 2e-300], [-5.0, 1e12], [1e308, -1e308]], ids=str
)
def test_strange_curves_are_foretold_by_finite_numbers(values):
    told = foretell([Curve(number=i, values=values, positions=[2.0] * len(values)) for i in range(3)], LOSS, 10)

    assert np.isfinite(told).all()


def test_a_summary_of_the_users_own_may_become_worse():
    last = Objective(name="loss", summary="last")
    curves = [Curve(number=i) for i in range(8)]
    for i, curve in enumerate(curves):
        for epoch in range(10):
            curve.add(1.0 + i / 10 + 0.1 * epoch)
        curve.ended = curve.finished = True

    value, _ = foretell([*curves, cut(curves[0], 5)], last)[-1]

    assert 1.55 < value < 2.0  # it was 1.4 and ended at 1.9


@pytest.mark.parametrize("objective", [LOSS, ACCURACY], ids=["minimize", "maximize"])
def test_the_hopeless_are_stopped_and_the_leader_never(objective):
    dice = np.random.default_rng(4)
    whole = sorted((training(dice, n) for n in range(20)), key=lambda curve: min(curve.values))
    best, worst = whole[0], whole[-1]
    known = {str(n): curve for n, curve in enumerate(whole[1:-1])}
    curves = known | {"best": cut(best, 14), "worst": cut(worst, 14)}
    if objective is ACCURACY:
        curves = {key: mirrored(curve) for key, curve in curves.items()}
    rule = make_scheduler({"type": "curve", "probability": 0.05}, objective)

    spared, verdict = rule.judge("best", curves), rule.judge("worst", curves)

    assert spared.action == "continue"
    assert spared.reason.endswith("not below 5.0%; no run is foretold to end better")
    assert (verdict.action, verdict.rung, verdict.peers) == ("stop", 14, 20)
    assert verdict.probability < 0.05
    assert "its chance to beat" in verdict.reason
    assert f"{verdict.value:.4g}" in verdict.reason
    assert "its chance to beat" in rule.outlook("worst", curves)[0].text


def test_nobody_is_judged_before_enough_is_known():
    dice = np.random.default_rng(5)
    rule = CurveRule(LOSS)
    short = {str(n): cut(training(dice), 5) for n in range(20)}
    assert rule.judge("3", short) is None  # nobody knows how long a run is
    assert "how long a run is" in rule.outlook("3", short)[0].text

    assert CurveRule(LOSS, max_iter=WHOLE).judge("3", short) is None  # nobody has been further
    assert "it takes 5 runs" in CurveRule(LOSS, max_iter=WHOLE).outlook("3", short)[0].text
    whole = training(dice)
    assert (
        CurveRule(LOSS).outlook("whole", {"whole": whole})[0].text == "it has come to 30, the end of a whole run"
    )
    assert rule.judge("x", {"x": Curve(number=1)}) is None
    assert rule.outlook("x", {"x": Curve(number=1)})[0].text == "it has no value yet"


def test_between_knots_and_at_the_end_nobody_is_judged():
    dice = np.random.default_rng(6)
    curves = {str(n): training(dice, n) for n in range(20)}
    bad = [99.0] * WHOLE
    judged = [
        epochs
        for epochs in range(1, WHOLE + 1)
        if CurveRule(LOSS).judge(
            "bad", curves | {"bad": Curve(number=99, values=bad[:epochs], positions=list(range(1, epochs + 1)))}
        )
    ]

    assert judged
    assert set(judged) <= set(knots_of(WHOLE)[:-1])


def test_auto_is_eager_among_few_runs_and_careful_among_many():
    dice = np.random.default_rng(7)
    stopped = {("curve", 8): 0, ("auto", 8): 0, ("curve", 80): 0, ("auto", 80): 0}
    for _ in range(4):
        whole = {str(n): training(dice, n) for n in range(80)}
        new = [cut(training(dice, 99), 5) for _ in range(10)]
        for kind, count in stopped:
            rule = make_scheduler({"type": kind, "max_iter": WHOLE}, LOSS)
            known = dict(list(whole.items())[:count])
            stopped[kind, count] += sum(rule.judge("new", known | {"new": each}).action == "stop" for each in new)

    assert stopped["auto", 8] > stopped["curve", 8]
    assert 0 < stopped["auto", 80] < stopped["curve", 80]


def test_auto_says_what_a_new_run_promises():
    dice = np.random.default_rng(8)
    known = {str(n): training(dice, n) for n in range(19)}
    bad = Curve(number=99, values=[50.0] * 5, positions=[1, 2, 3, 4, 5])

    verdict = make_scheduler({"type": "auto"}, LOSS).judge("bad", known | {"bad": bad})

    left = 1 - 5 / WHOLE
    assert verdict.reason.endswith(
        f"below the {left / 21:.1%} that a new one promises for the {left:.0%} of a run that this one still takes"
    )


def test_points_that_are_alike_go_on_alike():
    """Runs of kind "late" stand still until epoch 20 and then win."""
    dice = np.random.default_rng(9)

    def run(number, kind, epochs=WHOLE):
        values = [2 - 0.01 * k - (1.5 if kind == "late" and k > 20 else 0) for k in range(1, WHOLE + 1)]
        curve = Curve(number=number, params={"net": {"kind": kind}, "rate": dice.random()})
        for value in values[:epochs]:
            curve.add(value + dice.normal(0, 0.01))
        curve.ended, curve.finished = True, epochs == WHOLE
        return curve

    whole = [run(n, "late" if n % 3 == 0 else "flat") for n in range(15)]
    *_, late, flat = foretell([*whole, run(98, "late", 10), run(99, "flat", 10)], LOSS, WHOLE)

    assert late.value < 1.0 < 1.5 < flat.value


def test_points_are_compared_by_rank_or_by_being_the_same():
    points = [
        {"rate": 1e-5, "net": {"kind": "a", "wide": True}},
        {"rate": 1e-3, "net": {"kind": "b", "wide": True}},
        {"rate": 1e-1, "net": {"kind": "a"}},
        {"rate": None},
    ]
    squared = [flattened(each) | {"rate": each["rate"] and each["rate"] ** 2} for each in points]
    x = coordinates([flattened(each) for each in points])
    alike = likeness(x, x)

    assert np.allclose(np.diag(alike), 1.0)
    assert np.allclose(alike, alike.T)
    assert np.allclose(coordinates(squared), x)
    assert coordinates([{}, {}]).tolist() == [[0.0], [0.0]]
    assert coordinates([{"name": str(n)} for n in range(1000)]).shape[1] <= 10


def test_the_best_counts_however_long_ago_it_was():
    dice = np.random.default_rng(10)
    levels = [0.0, *dice.uniform(1, 2, 1100)]
    known = {str(n): whole_of(level, n) for n, level in enumerate(levels)}
    new = cut(whole_of(0.9, 2000), 2)

    verdict = CurveRule(LOSS, max_iter=4).judge("new", known | {"new": new})

    assert (verdict.threshold, verdict.peers) == (pytest.approx(0.0, abs=1e-6), 1102)
