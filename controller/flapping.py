"""Agents on which nothing works: a pure rule on what became of their runs.

Runs that fail at once are mostly the code's own fault, and then they fail everywhere. They are their agent's fault
if those of other agents get further meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from sweepyard.bus.wire import AttemptRef, Ended, Report, Rows
from sweepyard.tracking.records import Outcome

QUICK_S = 60.0
"""A run that fails so soon after its start, without a report, never got going."""
MOST_FAILURES = 3


@dataclass(slots=True)
class _Past:
    """`failures`: runs in a row that never got going, the first `failing_since`; `spoke`: the last that did."""

    sweep_id: str
    failures: list[str] = field(default_factory=list)
    failing_since: float = 0.0
    spoke: AttemptRef | None = None
    spoke_at: float = float("-inf")


class Flapping:
    """What became of the last runs of each agent since this controller started."""

    def __init__(self) -> None:
        self._past: dict[str, _Past] = {}

    def take(self, report: Report, started_at: float | None, now: float) -> None:
        """A report that was taken in, of an attempt that began at `started_at`."""
        past = self._past.setdefault(report.agent, _Past(report.sweep))
        match report.body:
            case Rows(rows=[_, *_]):
                past.spoke, past.spoke_at = report.ref, now
                past.failures.clear()
            case Ended(outcome=Outcome.failed) if past.spoke != report.ref:
                if started_at is None or now - started_at > QUICK_S:
                    past.failures.clear()
                    return
                past.failing_since = past.failing_since if past.failures else now
                past.failures.append(report.run)
            case Ended(outcome=Outcome.finished):
                past.failures.clear()

    def found(self, sweep_id: str) -> dict[str, str]:
        """Agents of a sweep on which nothing works, with the reason."""
        return {
            agent_id: f"its last {len(past.failures)} runs failed within {QUICK_S:g} s of their start without a "
            "report, while runs of other agents got further"
            for agent_id, past in self._past.items()
            if past.sweep_id == sweep_id and len(past.failures) >= MOST_FAILURES and self._others_get_on(past)
        }

    def _others_get_on(self, past: _Past) -> bool:
        others = [each for each in self._past.values() if each.sweep_id == past.sweep_id and each is not past]
        return any(other.spoke_at >= past.failing_since for other in others)

    def take_failures(self, agents: Collection[str]) -> list[tuple[str, str]]:
        """The failures of some agents, as pairs of agent and run. They are told once."""
        pairs = [
            (agent_id, run) for agent_id in agents if agent_id in self._past for run in self._failures(agent_id)
        ]
        self.forget(agents)
        return pairs

    def forget(self, agents: Collection[str]) -> None:
        """Their failures do not count any more."""
        for agent_id in agents:
            if agent_id in self._past:
                self._failures(agent_id).clear()

    def _failures(self, agent_id: str) -> list[str]:
        return self._past[agent_id].failures
