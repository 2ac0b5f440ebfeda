"""ASHA in its promotion form.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", Algorithm 2.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sweepyard.schedulers.asha import rungs_between
from sweepyard.schedulers.hyperband import newly_at
from sweepyard.schedulers.port import Curve, Curves, Outlook, Rung, Turn, Verdict
from sweepyard.schedulers.wording import compared, rungs_shown, top, way_to
from sweepyard.tracking.records import Objective


class Promotion:
    """Pauses a run at each rung until it is among the best 1/eta of those that have come there.

    Of `n` runs at a rung the best `int(n / eta)` go on, the earlier of equals first. One that is among them when
    it arrives is not paused. A free slot goes to a paused run of the highest rung before it goes to a new one;
    nobody is ever stopped. Rungs are min_iter * eta**k, below `max_iter` if that is given; a run beyond the last
    one goes to its own end.
    """

    members = None

    def __init__(
        self, objective: Objective, *, min_iter: int = 1, max_iter: int | None = None, eta: float = 3
    ) -> None:
        self.rungs = rungs_between(min_iter, eta, max_iter)
        self._objective = objective
        self._eta = eta

    @classmethod
    def from_spec(cls, rule: Mapping[str, Any], objective: Objective) -> Promotion:
        return cls(objective, **{key: rule[key] for key in ("min_iter", "max_iter", "eta") if key in rule})

    def judge(self, run_id: str, curves: Curves) -> Verdict | None:
        curve = curves.get(run_id)
        passed = bisect_right(self.rungs, curve.resource) if curve else 0
        if curve is None or not passed or not newly_at(curve, rung := self.rungs[passed - 1]):
            return None
        peers, best, threshold = self._at(rung, curves)
        goes_on = run_id in best
        return Verdict(
            action="continue" if goes_on else "pause",
            rule="asha",
            reason=self._reason(rung, curve, peers, len(best), goes_on=goes_on),
            rung=rung,
            value=curve.values[-1],
            threshold=threshold,
            peers=peers,
        )

    def turns(self, curves: Curves) -> list[Turn]:
        waits_at: dict[float, set[str]] = defaultdict(set)
        for key, each in curves.items():
            if each.paused and each.resource >= self.rungs[0]:
                waits_at[self.rungs[bisect_right(self.rungs, each.resource) - 1]].add(key)
        found: list[Turn] = []
        for rung, waiting in sorted(waits_at.items(), reverse=True):
            peers, best, threshold = self._at(rung, curves)
            for run_id in best:
                if run_id in waiting:
                    value = _value(curves[run_id], rung)
                    reason = self._reason(rung, curves[run_id], peers, len(best), goes_on=True)
                    found.append(
                        Turn(
                            run_id=run_id,
                            rule="asha",
                            reason=reason,
                            rung=rung,
                            value=value,
                            threshold=threshold,
                            peers=peers,
                        )
                    )
        return found

    def outlook(self, run_id: str, curves: Curves) -> list[Outlook]:
        curve = curves[run_id]
        rungs: list[Rung] = []
        for rung in rungs_shown(self.rungs, curve):
            peers, _, threshold = self._at(rung, curves)
            rungs.append(Rung(rung, _value(curve, rung), threshold, peers))
        text = way_to(self.rungs, curve)
        if curve.paused:
            passed = self.rungs[bisect_right(self.rungs, curve.resource) - 1]
            peers, best, _ = self._at(passed, curves)
            text = (
                f"paused at rung {passed:g}, where the best {len(best)} of {peers} runs go on ({top(self._eta)})"
            )
        return [Outlook(rule="asha", text=text, rungs=tuple(rungs))]

    def _at(self, rung: float, curves: Curves) -> tuple[int, list[str], float | None]:
        """How many runs have come to a rung, which of them go on, best first, and the worst value among these."""
        sign = -1 if self._objective.goal == "maximize" else 1
        here = [
            (sign * each.values[index], each.number, key)
            for key, each in curves.items()
            if (index := each.index_at(rung)) is not None
        ]
        best = sorted(here)[: int(len(here) / self._eta)]
        return len(here), [key for _, _, key in best], sign * best[-1][0] if best else None

    def _reason(self, rung: float, curve: Curve, peers: int, best: int, *, goes_on: bool) -> str:
        story = f"rung {rung:g}: {self._objective.name} {_value(curve, rung):.4g}"
        if not best:
            came = "the first run to get here" if peers == 1 else f"{peers} runs have come this far"
            return f"{story}, {came}: too few for one to go on"
        among = "is among" if goes_on else f"is {compared(self._objective, worse=True)}"
        return f"{story} {among} the best {best} of {peers} runs ({top(self._eta)} goes on)"


def _value(curve: Curve, rung: float) -> float | None:
    index = curve.index_at(rung)
    return None if index is None else curve.values[index]
