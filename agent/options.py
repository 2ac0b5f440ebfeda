"""What an agent process is started with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`sweep`: id, project/id or entity/project/id. `dir`: our own local folder.
    `term_grace_s`: seconds between SIGTERM and SIGKILL for a run that should end."""

    sweep: str
    url: str
    api_key: str | None = None
    dir: str = ".sweepyard"
    term_grace_s: float = 10.0
    count: int | None = None
    program: str | None = None
