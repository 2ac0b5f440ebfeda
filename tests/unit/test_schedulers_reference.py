"""Each rule against a slow and obvious one, which reads the rows themselves, on random histories.

HISTORIES says how many for each rule; a test run has fewer. A history is a list of rows of a few runs, in the
order of arrival: values with ties, not-a-number, rows without the metric (gaps), resources that jump, repeat or
go back (late rows), runs that end.
"""

from __future__ import annotations

import math
import os
import random
from statistics import mean, median

import numpy as np
import pytest

from sweepyard.schedulers.foretelling import Foreteller
from sweepyard.schedulers.port import Curve
from sweepyard.schedulers.registry import make_scheduler
from sweepyard.tracking.records import Objective

HISTORIES = int(os.environ.get("HISTORIES", "1250"))
FORETOLD = int(os.environ.get("HISTORIES", "200"))
NAN = float("nan")
OFFSET = np.random.default_rng(np.random.SeedSequence([7])).random()


def a_history(dice):
    """Rows (run, value, resource); a value of None is a row without the metric, "end" the run's end."""
    counted, ended, rows = dice.random() < 0.5, set(), []
    at = [0.0] * 6
    for _ in range(dice.randint(5, 30)):
        run = dice.randrange(dice.randint(2, 6))
        if run in ended:
            continue
        what = dice.random()
        at[run] += dice.choice([0, 0.5, 1, 1, 1, 2, 5])
        resource = None if counted else at[run] - (2 if dice.random() < 0.1 else 0)
        value = NAN if what < 0.08 else None if what < 0.15 else "end" if what < 0.2 else float(dice.randint(0, 9))
        ended |= {run} if value == "end" else set()
        rows.append((run, value, resource))
    return rows


def seen(rows, run):
    """(position, value) of each finite value of a run."""
    found, far = [], 0.0
    for whose, value, resource in rows:
        if whose == run and isinstance(value, float) and not math.isnan(value):
            far = len(found) + 1 if resource is None else max(far, resource)
            found.append((far, value))
    return found


def first_at(points, rung):
    return next((value for position, value in points if position >= rung), None)


def came_to(points, rungs):
    """The last rung that the newest value has reached, if no value before it had."""
    passed = [rung for rung in rungs if rung <= points[-1][0]]
    earlier = [position for position, _ in points[:-1]]
    return passed[-1] if passed and all(position < passed[-1] for position in earlier) else None


class Slow:
    """Says for a loss whether the run of the newest row should stop. `rows`: all so far."""

    def __init__(self, spec):
        self.spec = spec

    def stops(self, rows):
        run, value, _ = rows[-1]
        points = seen(rows, run)
        everyone = {whose: seen(rows, whose) for whose in {row[0] for row in rows}}
        if math.isnan(value):
            if self.spec["type"] == "nan":
                return True
            if self.spec["type"] in ("threshold", "asha") or not self.spec.get("reevaluate", True) or not points:
                return False
        if self.spec["type"] == "nan":
            return False
        return getattr(self, self.spec["type"])(rows, run, points, everyone)

    def hyperband(self, rows, run, points, everyone):
        rungs = [self.spec["min_iter"] * self.spec["eta"] ** k for k in range(9)]
        again = self.spec["reevaluate"]
        passed = [rung for rung in rungs if rung <= points[-1][0]]
        rung = came_to(points, rungs) if not again else passed[-1] if passed else None
        if rung is None:
            return False
        peers = sorted(value for each in everyone.values() if (value := first_at(each, rung)) is not None)
        if len(peers) < (1 if again else self.spec["eta"]):
            return False
        mine = first_at(points, rung) if self.spec["strict"] else min(value for _, value in points)
        return mine > peers[int(1 / self.spec["eta"] * len(peers))]

    def asha(self, rows, run, points, everyone):
        rungs = [rung for k in range(9) if (rung := self.spec["eta"] ** k) < self.spec["max_iter"]]
        bracket = bracket_of(run, len(rungs), self.spec)
        rung = came_to(points, rungs)
        if rung is None or rung < self.spec["eta"] ** bracket:
            return False
        rivals = [each for whose, each in everyone.items() if bracket_of(whose, len(rungs), self.spec) == bracket]
        values = [value for each in rivals if (value := first_at(each, rung)) is not None]
        better = sum(value < first_at(points, rung) for value in values)
        return len(values) >= self.spec["eta"] and better >= max(1, len(values) // self.spec["eta"])

    def median(self, rows, run, points, everyone):
        here = points[-1][0]
        if here < self.spec["min_iter"]:
            return False
        averages = []
        for whose in everyone:
            if whose != run and any(row[:2] == (whose, "end") for row in rows):
                upto = []
                for position, value in everyone[whose]:
                    upto.append(value)
                    if position >= here:
                        averages.append(mean(upto))
                        break
        enough = len(averages) >= self.spec["min_peers"]
        return enough and min(value for _, value in points) > median(averages)

    def patience(self, rows, run, points, everyone):
        best, since = points[0][1], points[0][0]
        for position, value in points:
            if value < best - self.spec["min_delta"]:
                best, since = value, position
        here = points[-1][0]
        return here >= self.spec["min_iter"] and here - since >= self.spec["patience"]

    def threshold(self, rows, run, points, everyone):
        return came_to(points, [self.spec["at"]]) is not None and points[-1][1] > self.spec["value"]


def bracket_of(run, rungs, spec):
    """By the paper's shares, along the golden ratio."""
    if spec["brackets"] == 1:
        return 0
    eta = spec["eta"]
    weights = [eta**s / (s + 1) for s in range(rungs, rungs - spec["brackets"], -1)]
    place = (OFFSET + run * (5**0.5 - 1) / 2) % 1
    return next(
        i for i in range(len(weights)) if i == len(weights) - 1 or place < sum(weights[: i + 1]) / sum(weights)
    )


SPECS = {
    "hyperband": {"type": "hyperband", "min_iter": 1, "eta": 2, "strict": True, "reevaluate": False},
    "hyperband of W&B": {"type": "hyperband", "min_iter": 2, "eta": 3, "strict": True, "reevaluate": True},
    "lenient": {"type": "hyperband", "min_iter": 1, "eta": 2, "strict": False, "reevaluate": True},
    "asha": {"type": "asha", "eta": 2, "max_iter": 16, "brackets": 1},
    "brackets": {"type": "asha", "eta": 2, "max_iter": 8, "brackets": 3},
    "median": {"type": "median", "min_iter": 2, "min_peers": 1},
    "patience": {"type": "patience", "patience": 3, "min_delta": 1, "min_iter": 2},
    "threshold and nan": {"type": "threshold", "at": 3, "value": 5},
}


@pytest.mark.parametrize("name", SPECS)
def test_the_fast_rule_agrees_with_the_slow_one(name):
    dice = random.Random(name)
    spec = SPECS[name]
    stops = 0
    for i in range(HISTORIES):
        rows = a_history(dice)
        used = {"type": "nan"} if name == "threshold and nan" and i % 2 else spec
        slow, goal = Slow(used), ("minimize", "maximize")[i % 2]
        given = {**used, "value": -used["value"]} if goal == "maximize" and "value" in used else used
        fast = make_scheduler(given, Objective(name="loss", goal=goal), seed=7)
        curves = {}
        for n, (run, value, resource) in enumerate(rows):
            curve = curves.setdefault(run, Curve(number=run))
            if value == "end":
                curve.ended = True
            elif value is not None:
                if math.isnan(value):
                    curve.broken = True
                else:
                    curve.add(-value if goal == "maximize" else value, resource)
                verdict = fast.judge(run, curves)
                stop = verdict is not None and verdict.action == "stop"
                assert stop == slow.stops(rows[: n + 1]), (rows[: n + 1], verdict)
                stops += stop
    assert stops > HISTORIES / 20  # the histories do put the rule to the test


def slow_likeness(one, other, points):
    """Of two points: how far apart the ranks of their numbers are; other values are the same or not."""
    squares = 0.0
    for name in {name for point in points for name in point}:
        numbers = [point[name] for point in points if isinstance(point.get(name), float)]
        ranks, kinds = [], []
        for value in (one.get(name), other.get(name)):
            is_number = isinstance(value, float)
            below = sum(each < value for each in numbers) if is_number else 0
            same = sum(each == value for each in numbers) if is_number else 0
            ranks.append((below + same / 2) / len(numbers) if is_number else 0.5)
            kinds.append("number" if is_number else repr(value))
        squares += (ranks[0] - ranks[1]) ** 2 + (2 * 0.7**2 if kinds[0] != kinds[1] else 0.0)
    return math.exp(-squares / (2 * 0.3**2))


def knots_to(horizon):
    knots = [1]
    while max(knots[-1] + 1, math.floor(knots[-1] * 1.3)) < horizon:
        knots.append(max(knots[-1] + 1, math.floor(knots[-1] * 1.3)))
    return [*knots, horizon]


def slow_ends(curves, maximize, horizon):
    """Where each curve ends, scaled: (mean, deviation, value now). Losses, knots, links and runs one by one."""
    sign = -1 if maximize else 1
    knots = knots_to(horizon)
    bests = sorted(min(sign * value for value in curve.values) for curve in curves)
    spread = median(bests) - bests[0] or max(1e-100, 1e-6 * abs(bests[0]))

    def scaled(loss):
        away = (loss - bests[0]) / spread
        return math.log1p(4 * away) if away > 0 else 4 * away

    def states(curve):
        found = []
        for knot in knots:
            if not curve.finished and curve.resource < knot:
                break
            upto = [sign * v for v, at in zip(curve.values, curve.positions, strict=True) if at <= knot]
            found.append(scaled(min(upto) if upto else sign * curve.values[0]))
        return found

    every = [states(curve) for curve in curves]
    width = max(float(np.std([scaled(best) for best in bests])), 1e-3)
    weights = [math.sqrt(weight) for weight in (1, 1 / width**2, 4)]
    points = [curve.params for curve in curves]
    alike = [[slow_likeness(one, other, points) for other in points] for one in points]
    links = []
    for k in range(len(knots) - 1):
        passed = [n for n, each in enumerate(every) if len(each) > k + 1]
        rows = [[1.0, every[n][k], every[n][k - 1] - every[n][k] if k else 0.0] for n in passed]
        gained = [every[n][k] - every[n][k + 1] for n in passed]
        x = np.array(rows + np.diag(weights).tolist())
        found = np.linalg.lstsq(x, np.array([*gained, 0.0, 0.0, 0.7 * weights[2]]), rcond=None)[0]
        left = {n: y - float(np.dot(row, found)) for n, row, y in zip(passed, rows, gained, strict=True)}

        def likely(n, left=left):
            others = [other for other in left if other != n]
            return sum(alike[n][other] * left[other] for other in others) / (1 + sum(alike[n][o] for o in others))

        squares = sum((each - likely(n)) ** 2 for n, each in left.items())
        variance = (squares + (0.15 * width) ** 2) / (max(len(rows) - 2, 0) + 1)
        links.append((found, np.linalg.inv(x.T @ x), variance, likely))
    ends = []
    for n, (curve, each) in enumerate(zip(curves, every, strict=True)):
        now = scaled(min(sign * value for value in curve.values))
        if not each:
            ends.append((now, width, now))
            continue
        value, gain, cov = each[-1], each[-2] - each[-1] if len(each) > 1 else 0.0, np.zeros((2, 2))
        for found, inverse, variance, likely in links[len(each) - 1 :]:
            row = np.array([1.0, value, gain])
            noise = variance * (1 + row @ inverse @ row)
            turn = np.array([[1 - found[1], -found[2]], [found[1], found[2]]])
            gain = float(found @ row) + likely(n)
            value, cov = value - gain, turn @ cov @ turn.T + noise * np.array([[1, -1], [-1, 1]])
        ends.append((min(value, now), math.sqrt(cov[0, 0]), now))
    return ends


def slow_stops(curves, ends, me, horizon, probability):
    """What the rule decides about curve `me`; None where it is too close to tell by rounded numbers."""
    curve, now = curves[me], [mean_now for _, _, mean_now in ends]
    points = list(zip(curve.positions, curve.values, strict=True))
    knots = knots_to(horizon)
    if curve.resource >= horizon or came_to(points, knots) is None:
        return False
    ahead = [knot for knot in knots if knot > curve.resource]
    went = min(sum(each.finished or each.resource >= knot for each in curves) for knot in ahead)
    if went < (1 if probability is None else 5):
        return False
    mean, std, _ = ends[me]
    rivals = [ends[n][0] for n, each in enumerate(curves) if n != me and not each.ended]
    allowed = probability or (1 - curve.resource / horizon) / (len(curves) + 1)
    t = (min(now) - mean) / max(std, 1e-6)
    chance = 0.5 + 0.375 * t / math.sqrt(1 + t * t / 4) * (1 - t * t / (1 + t * t / 4) / 12)
    ahead_of_all = min([*now, *rivals]) - mean
    if abs(chance - allowed) < 1e-6 or abs(ahead_of_all) < 1e-6:
        return None
    return ahead_of_all < 0 and chance < allowed


def curves_of(dice):
    """Of up to 12 runs, at resources that jump and repeat, with values that are ties or far apart."""
    curves = []
    for number in range(dice.randint(1, 12)):
        params = {"rate": dice.random(), "kind": dice.choice("ab"), "size": dice.choice([None, 1.0, 2.0])}
        curve = Curve(number=number, params={k: v for k, v in params.items() if dice.random() < 0.9})
        for _ in range(dice.randint(1, 15)):
            value = float(dice.choice([dice.randint(0, 9), dice.gauss(0, 100)]))
            curve.add(value, curve.resource + dice.choice([0, 0.5, 1, 2]))
        curve.finished = dice.random() < 0.4
        curve.ended = curve.finished or dice.random() < 0.4
        curves.append(curve)
    return curves


def test_runs_end_where_the_slow_chain_ends_and_are_stopped_for_it():
    dice = random.Random("curve")
    stops = {"curve": 0, "auto": 0}
    for i in range(FORETOLD):
        objective = Objective(name="loss", goal=("minimize", "maximize")[i % 2])
        curves, horizon = curves_of(dice), dice.choice([3, 10, 25])

        means, stds = Foreteller(curves, objective, horizon).ends()

        slow = slow_ends(curves, i % 2 == 1, horizon)
        np.testing.assert_allclose(means, [mean for mean, _, _ in slow], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(stds, [std for _, std, _ in slow], rtol=1e-6, atol=1e-6)
        for kind in stops:
            fast = make_scheduler({"type": kind, "max_iter": horizon}, objective)
            for me in range(len(curves)):
                verdict = fast.judge(me, dict(enumerate(curves)))
                stop = verdict is not None and verdict.action == "stop"
                expected = slow_stops(curves, slow, me, horizon, 0.05 if kind == "curve" else None)
                assert expected in (None, stop), (kind, curves, me, verdict)
                stops[kind] += stop
    assert min(stops.values()) > FORETOLD / 20
