"""Rules that look at one run alone: no improvement, too bad at some point, not a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweepyard.schedulers.hyperband import newly_at
from sweepyard.schedulers.port import Curve, Curves, Outlook, Rung, Verdict
from sweepyard.schedulers.wording import NO_VALUE, compared, way_to
from sweepyard.tracking.records import Objective


class Patience:
    """Stops a run that has not improved for `patience` of the resource.

    A value improves if it beats the best one before it by more than `min_delta`. Judged at each value from
    `min_iter` on.
    """

    def __init__(
        self, objective: Objective, *, patience: float, min_delta: float = 0.0, min_iter: float = 1
    ) -> None:
        self._objective = objective
        self._patience = patience
        self._margin = min_delta if objective.goal == "maximize" else -min_delta
        self._min_iter = min_iter

    @classmethod
    def from_spec(cls, rule: Mapping[str, Any], objective: Objective) -> Patience:
        keys = ("patience", "min_delta", "min_iter")
        return cls(objective, **{key: rule[key] for key in keys if key in rule})

    def judge(self, run_id: str, curves: Curves) -> Verdict | None:
        curve = curves.get(run_id)
        if curve is None or not curve.values or curve.resource < self._min_iter:
            return None
        best, since = self._last_improvement(curve)
        waited = curve.resource - since
        if waited < self._patience:
            return None
        return Verdict(
            action="stop",
            rule="patience",
            reason=f"at {curve.resource:g}: {self._objective.name} has not improved on {best:.4g} since {since:g},"
            f" for {waited:g} (patience {self._patience:g})",
            rung=curve.resource,
            value=curve.values[-1],
            threshold=best + self._margin,
        )

    def outlook(self, run_id: str, curves: Curves) -> list[Outlook]:
        curve = curves[run_id]
        if not curve.values:
            return [Outlook(rule="patience", text=NO_VALUE)]
        best, since = self._last_improvement(curve)
        text = f"it has {self._objective.name} {best:.4g} since {since:g}, and is at {curve.resource:g}"
        due = max(since + self._patience, self._min_iter)
        return [
            Outlook(rule="patience", text=text if curve.ended else f"{text}; stopped at {due:g} if that stays")
        ]

    def _last_improvement(self, curve: Curve) -> tuple[float, float]:
        """The best value, and where it was reached."""
        best, since = curve.values[0], curve.positions[0]
        for value, position in zip(curve.values, curve.positions, strict=True):
            if self._objective.better(value, best + self._margin):
                best, since = value, position
        return best, since


class Threshold:
    """Stops a run whose first value at resource `at` or later is worse than `value`."""

    def __init__(self, objective: Objective, *, at: float, value: float) -> None:
        self._objective = objective
        self._at = at
        self._value = value

    @classmethod
    def from_spec(cls, rule: Mapping[str, Any], objective: Objective) -> Threshold:
        return cls(objective, at=rule["at"], value=rule["value"])

    def judge(self, run_id: str, curves: Curves) -> Verdict | None:
        curve = curves.get(run_id)
        if curve is None or curve.resource < self._at or not newly_at(curve, self._at):
            return None
        value = curve.values[-1]
        worse = self._objective.better(self._value, value)
        verdict = compared(self._objective, worse=worse)
        return Verdict(
            action="stop" if worse else "continue",
            rule="threshold",
            reason=f"at {curve.resource:g}: {self._objective.name} {value:.4g} is {verdict} {self._value:g}",
            rung=curve.resource,
            value=value,
            threshold=self._value,
        )

    def outlook(self, run_id: str, curves: Curves) -> list[Outlook]:
        curve = curves[run_id]
        index = curve.index_at(self._at)
        value = None if index is None else curve.values[index]
        rung = Rung(self._at, value, self._value, sum(each.resource >= self._at for each in curves.values()))
        return [Outlook(rule="threshold", text=way_to([self._at], curve), rungs=(rung,))]


class NotFinite:
    """Stops a run that logs NaN or an infinity under the metric's name."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective

    def judge(self, run_id: str, curves: Curves) -> Verdict | None:
        curve = curves.get(run_id)
        if curve is None or not curve.broken:
            return None
        logged = f"{len(curve.values)} finite value{'' if len(curve.values) == 1 else 's'}"
        return Verdict(
            action="stop",
            rule="nan",
            reason=f"at {curve.resource:g}: {self._objective.name} is not a finite number, after {logged}",
            rung=curve.resource,
            value=None,
        )

    def outlook(self, run_id: str, curves: Curves) -> list[Outlook]:
        curve = curves[run_id]
        text = "its last value is not a finite number" if curve.broken else "its last value is a finite number"
        return [Outlook(rule="nan", text=text if curve.values or curve.broken else NO_VALUE)]
