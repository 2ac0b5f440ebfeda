"""W&B's hyperband rule: asynchronous successive halving that only ever stops runs.

The promotion rule of Li et al. 2020 (ASHA, "A System for Massively Parallel Hyperparameter Tuning", Algorithm 2),
turned into a stopping rule: at a rung of `r` values, a run goes on while it is among the best 1/eta of all runs
that have come that far. W&B calls a rung a band.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from sweepyard.errors import Problem, SpecError
from sweepyard.schedulers.port import Curve, Curves, Outlook, Rung, Verdict
from sweepyard.schedulers.wording import compared, rungs_shown, too_few, top, way_to
from sweepyard.tracking.records import Objective

_MOST_RUNGS = 100


class Hyperband:
    """Stops a run whose value at its last rung is worse than the value that W&B's rank names.

    Of `n` runs with a value at that rung, `int(n / eta)` are better than the threshold; a run as good as the
    threshold goes on. A run is judged once, by the value with which it comes to a rung, and goes on there if fewer
    than `min_peers` runs (default: eta, rounded up) have come that far.

    `reevaluate` makes it W&B's rule: `min_peers` is 1 by default, so that of two runs the worse is stopped at
    once, and a run is judged again at each value that it logs, until the next rung, since newer runs may have
    moved the threshold.

    `rungs`: resources, ascending. `strict`: compare the value at the rung; otherwise the best so far.
    """

    def __init__(
        self,
        rungs: Sequence[float],
        objective: Objective,
        *,
        eta: float = 3,
        strict: bool = True,
        reevaluate: bool = False,
        min_peers: int | None = None,
    ) -> None:
        self.rungs = tuple(rungs)
        self._objective = objective
        self._eta = eta
        self._strict = strict
        self._reevaluate = reevaluate
        self._min_peers = min_peers or (1 if reevaluate else math.ceil(eta))

    @classmethod
    def from_spec(cls, rule: Mapping[str, Any], objective: Objective) -> Hyperband:
        """The rule that the `early_terminate` map of a sweep file asks for.

        Raises:
            SpecError: it gives no rung.
        """
        eta = rule.get("eta", 3)
        return cls(
            rungs_of(rule, eta),
            objective,
            eta=eta,
            strict=rule.get("strict", True),
            reevaluate=rule.get("reevaluate", False),
            min_peers=rule.get("min_peers"),
        )

    def judge(self, run_id: str, curves: Curves) -> Verdict | None:
        curve = curves.get(run_id)
        passed = bisect_right(self.rungs, curve.resource) if curve else 0
        if curve is None or not passed:
            return None
        rung = self.rungs[passed - 1]
        arrives = newly_at(curve, rung)
        if not arrives and not self._reevaluate:
            return None
        index = curve.index_at(rung)
        value = curve.values[index or 0] if self._strict else self._objective.best(curve.values)
        peers = values_at(rung, curves)
        threshold = self._threshold(peers)
        stop = len(peers) >= self._min_peers and self._objective.better(threshold, value)
        if not stop and not arrives:
            return None
        return Verdict(
            action="stop" if stop else "continue",
            rule="hyperband",
            reason=self._reason(rung, value, threshold, len(peers), stop=stop),
            rung=rung,
            value=value,
            threshold=threshold if len(peers) >= max(2, self._min_peers) else None,
            peers=len(peers),
        )

    def outlook(self, run_id: str, curves: Curves) -> list[Outlook]:
        curve = curves[run_id]
        rungs = [self._rung(at, curve, curves) for at in rungs_shown(self.rungs, curve)]
        again = "; between rungs it is judged again at each value" if self._reevaluate and not curve.ended else ""
        few = (
            f"; {too_few(rungs[-1].peers, self._min_peers)}" if rungs and rungs[-1].peers < self._min_peers else ""
        )
        return [Outlook(rule="hyperband", text=way_to(self.rungs, curve) + again + few, rungs=tuple(rungs))]

    def _rung(self, at: float, curve: Curve, curves: Curves) -> Rung:
        peers, index = values_at(at, curves), curve.index_at(at)
        enough = len(peers) >= max(2, self._min_peers)
        value = None if index is None else curve.values[index]
        return Rung(at, value, self._threshold(peers) if enough else None, len(peers))

    def _threshold(self, peers: Sequence[float]) -> float:
        best_first = sorted(peers, reverse=self._objective.goal == "maximize")
        return best_first[int((1 / self._eta) * len(best_first))]

    def _reason(self, rung: float, value: float, threshold: float, peers: int, *, stop: bool) -> str:
        name = self._objective.name if self._strict else f"best {self._objective.name}"
        story = f"rung {rung:g}: {name} {value:.4g}"
        if peers == 1 or peers < self._min_peers:
            return f"{story}, {too_few(peers, self._min_peers)}"
        verdict = compared(self._objective, worse=stop)
        return f"{story} is {verdict} {threshold:.4g}, the threshold of {peers} runs ({top(self._eta)} kept)"


def newly_at(curve: Curve, rung: float) -> bool:
    """Whether the newest value is the one with which the run came to `rung`."""
    return not curve.broken and (len(curve.positions) < 2 or curve.positions[-2] < rung)


def values_at(rung: float, curves: Curves) -> list[float]:
    """The value at `rung` of every run that has come that far."""
    return [curve.values[index] for curve in curves.values() if (index := curve.index_at(rung)) is not None]


def rungs_of(rule: Mapping[str, Any], eta: float) -> list[int]:
    """W&B's bands, ascending, equal ones kept. With both forms given, `max_iter` and `s` win.

    Raises:
        SpecError: there are none.
    """
    if not eta > 1:
        raise _problem("eta", f"must be above 1, not {eta!r}")
    if "max_iter" in rule and "s" in rule:
        most, brackets = rule["max_iter"], int(rule["s"])
        rungs = _down_from(most, brackets, eta)
        if not rungs:
            advice = "lower eta" if brackets > 0 else "raise s"
            raise _problem("max_iter", f"max_iter {most}, s {brackets} and eta {eta:g} give no rung: {advice}")
        return rungs
    if "min_iter" in rule:
        return _up_from(rule["min_iter"], eta)
    raise _problem("", "hyperband needs min_iter, or both max_iter and s")


def _down_from(most: float, brackets: int, eta: float) -> list[int]:
    rungs: list[int] = []
    while len(rungs) < brackets and (most := most / eta) >= 1:
        rungs.append(int(most))
    return rungs[::-1]


def _up_from(bottom: float, eta: float) -> list[int]:
    rungs = [int(bottom)]
    while len(rungs) < _MOST_RUNGS and rungs[-1] < 10**15:  # nobody logs more values than that
        rungs.append(int(bottom * eta ** len(rungs)))
    return rungs


def _problem(key: str, message: str) -> SpecError:
    return SpecError([Problem(path=".".join(filter(None, ("early_terminate", key))), message=message)])
