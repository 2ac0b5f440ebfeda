"""Sentences that several rules share."""

from __future__ import annotations

from collections.abc import Iterable

from sweepyard.schedulers.port import Curve
from sweepyard.tracking.records import Objective

NO_VALUE = "it has no value yet"

_SHARES: dict[float, str] = {2: "half", 3: "third", 4: "quarter", 5: "fifth"}


def compared(objective: Objective, *, worse: bool) -> str:
    """How a value stands to what it had to reach."""
    if worse:
        return "below" if objective.goal == "maximize" else "above"
    return "at or above" if objective.goal == "maximize" else "at or below"


def top(eta: float) -> str:
    """The share of runs that a rung lets through."""
    return f"top {_SHARES.get(eta, f'{100 / eta:.0f}%')}"


def too_few(peers: int, needed: int) -> str:
    """Why nobody was judged."""
    came = "the first run to get here" if peers == 1 else f"{peers} runs have come this far"
    return came if needed <= 1 else f"{came}, and it takes {needed} to judge"


def rungs_shown(rungs: Iterable[float], curve: Curve) -> list[float]:
    """Those that a run has passed and, unless it has ended, the next one."""
    shown: list[float] = []
    for rung in sorted(set(rungs)):
        if rung <= curve.resource or not curve.ended:
            shown.append(rung)
        if rung > curve.resource:
            break
    return shown


def way_to(rungs: Iterable[float], curve: Curve) -> str:
    """How far a run is from the next rung."""
    ahead = min((rung for rung in rungs if rung > curve.resource), default=None)
    if ahead is None:
        return f"it has passed the last rung, {max(rungs):g}"
    if not curve.values:
        return "it ended without a value" if curve.ended else f"{NO_VALUE}; the first rung is at {ahead:g}"
    if curve.ended:
        return f"it ended at {curve.resource:g}, before rung {ahead:g}"
    return f"it is at {curve.resource:g}; the next rung is at {ahead:g}"
