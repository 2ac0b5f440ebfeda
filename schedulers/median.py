"""The median stopping rule of Golovin et al. 2017, "Google Vizier", section 3.2.1."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, median
from typing import Any

from sweepyard.schedulers.port import Curves, Outlook, Verdict
from sweepyard.schedulers.wording import compared
from sweepyard.tracking.records import Objective


class Median:
    """Stops a run whose best value so far is worse than the median of what ended runs had on average by then.

    Judged at each value from `min_iter` on, against runs that have ended, in whatever way, and came as far; with
    fewer than `min_peers` of them nobody is stopped.
    """

    def __init__(self, objective: Objective, *, min_iter: float = 1, min_peers: int = 5) -> None:
        self._objective = objective
        self._min_iter = min_iter
        self._min_peers = min_peers

    @classmethod
    def from_spec(cls, rule: Mapping[str, Any], objective: Objective) -> Median:
        return cls(objective, **{key: rule[key] for key in ("min_iter", "min_peers") if key in rule})

    def judge(self, run_id: str, curves: Curves) -> Verdict | None:
        curve = curves.get(run_id)
        if curve is None or not curve.values or curve.resource < self._min_iter:
            return None
        averages = _averages(run_id, curves)
        if len(averages) < self._min_peers:
            return None
        best, middle = self._objective.best(curve.values), median(averages)
        if not self._objective.better(middle, best):
            return None
        name, worse = self._objective.name, compared(self._objective, worse=True)
        return Verdict(
            action="stop",
            rule="median",
            reason=f"at {curve.resource:g}: best {name} {best:.4g} is {worse} {middle:.4g}, the median of the"
            f" averages of {len(averages)} ended runs up to here",
            rung=curve.resource,
            value=best,
            threshold=middle,
            peers=len(averages) + 1,
        )

    def outlook(self, run_id: str, curves: Curves) -> list[Outlook]:
        curve = curves[run_id]
        if not curve.values or curve.resource < self._min_iter:
            ended = "it ended" if curve.ended else "it is"
            text = f"judged from {self._min_iter:g} on; {ended} at {curve.resource:g}"
        elif len(averages := _averages(run_id, curves)) < self._min_peers:
            text = (
                f"{len(averages)} ended runs came to {curve.resource:g}, and it takes {self._min_peers} to judge"
            )
        else:
            best, middle = self._objective.best(curve.values), median(averages)
            peers = f"the median of {len(averages)} ended runs {middle:.4g}"
            text = f"at {curve.resource:g}: its best {best:.4g}, {peers}"
        return [Outlook(rule="median", text=text)]


def _averages(run_id: str, curves: Curves) -> list[float]:
    """What each other run that has ended had on average when it was where this one is."""
    reached = curves[run_id].resource
    return [
        fmean(other.values[: index + 1])
        for key, other in curves.items()
        if key != run_id and other.ended and (index := other.index_at(reached)) is not None
    ]
