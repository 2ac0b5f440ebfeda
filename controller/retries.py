"""When a run is tried again by itself: a pure function of the sweep's `retry` and of what became of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from sweepyard.tracking.records import Sweep, SweepState

Cause: TypeAlias = Literal["crashed", "failed", "preempted"]

STOPPED = "stop by the user"
"""Why a sweep is finishing when a person wants nothing to be started any more."""

MOST_AGENTS = 3
"""A run that was lost or failed on so many different agents is the likely cause itself."""


def refusal(sweep: Sweep, cause: Cause, failed_on: Sequence[str]) -> str:
    """Why a run whose attempt just ended by `cause` is not tried again by itself; empty if it is.

    `failed_on`: as in `Run`, with the attempt that just ended. A preempted run is never penalised: it comes back
    as often as its agents have to leave. An offer that vanished before anyone started it does not count as a
    retry either, but as an agent that nobody knows: whatever takes offers and dies is not fed for ever.
    """
    on, most = sweep.retry["on"], sweep.retry["max"]
    if sweep.state is SweepState.finishing and sweep.reason == STOPPED:
        return "the sweep was stopped"
    if cause not in on:
        return f"retry.on does not name {cause}"
    if cause == "preempted":
        return ""
    known = [agent_id for agent_id in failed_on if agent_id]
    different = len(set(known)) + len(failed_on) - len(known)
    if different >= MOST_AGENTS:
        return f"it failed on {different} different agents, so it may be the cause itself"
    if len(known) > most:
        return f"retry.max is {most}"
    return ""
