"""Sentences that several rules share."""

from __future__ import annotations

from sweepyard.tracking.records import Objective

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
