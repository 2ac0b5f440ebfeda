"""Who did what: the entry that is stored with each change that somebody asks for."""

from __future__ import annotations

from typing import Any

from sweepyard.plain import printable
from sweepyard.tracking.records import Actor, AuditEntry, Role, Run, SpecVersion, Sweep
from sweepyard.wording import some

UNNAMED = Actor(name="this process", role=Role.admin)
"""Who calls the engine itself, not the API."""

MOST_NAMED = 20


def entry_of(by: Actor, verb: str, target: str, made: Any, now: float) -> AuditEntry:
    """That `by` did `verb` to `target`, and what came of it: `made` is the answer to the caller."""
    return AuditEntry.of(by, verb, target, now, _told(made))


def _told(made: Any) -> str:
    match made:
        case Sweep():
            return printable(f"{made.entity}/{made.project}")
        case Run():
            return f"run {made.number}"
        case SpecVersion():
            return f"version {made.version}: {made.text}"
        case [Run(), *_]:
            return f"runs {some([str(run.number) for run in made], MOST_NAMED)}"
        case str():
            return made
    return ""
