"""Where an agent and the training process that it started meet: a folder and a few environment variables.

    params.json    agent -> run    the chosen values
    stop           agent -> run    {"reason"}: the run should end
    spool.jsonl    run -> agent    one JSON line per fact, only ever appended to
    output.log     run -> agent    what the run prints
    reports.jsonl  agent -> next   what the agent has made of the spool, for who takes over from it (`journal`)

Standard library only: the training process imports it. Files that the user's code leaves in the folder stay.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARAMS = "params.json"
STOP = "stop"
SPOOL = "spool.jsonl"
OUTPUT = "output.log"
JOURNAL = "reports.jsonl"
ARGS = "args.json"
"""What `${args_json_file}` names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Which run a training process is. `attempt` 0: none, the code is being tried out by hand.

    `first_step`: where the steps of its history go on.
    """

    sweep_id: str | None = None
    id: str = "dry-run"
    number: int = 0
    name: str = "dry-run"
    attempt: int = 0
    project: str = ""
    entity: str = ""
    first_step: int = 0
    dir: Path | None = None

    def environment(self) -> dict[str, str]:
        """What the training process finds in its environment."""
        return {
            "SWEEPYARD_RUN_DIR": str(self.dir),
            "SWEEPYARD_SWEEP_ID": self.sweep_id or "",
            "SWEEPYARD_RUN_ID": self.id,
            "SWEEPYARD_RUN_NUMBER": str(self.number),
            "SWEEPYARD_RUN_NAME": self.name,
            "SWEEPYARD_ATTEMPT": str(self.attempt),
            "SWEEPYARD_PROJECT": self.project,
            "SWEEPYARD_ENTITY": self.entity,
            "SWEEPYARD_FIRST_STEP": str(self.first_step),
        }

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> RunInfo | None:
        """The run that this process belongs to, None outside of sweeps."""
        if not environ.get("SWEEPYARD_RUN_DIR"):
            return None
        return cls(
            sweep_id=environ.get("SWEEPYARD_SWEEP_ID"),
            id=environ.get("SWEEPYARD_RUN_ID", ""),
            number=int(environ.get("SWEEPYARD_RUN_NUMBER", "0")),
            name=environ.get("SWEEPYARD_RUN_NAME", ""),
            attempt=int(environ.get("SWEEPYARD_ATTEMPT", "1")),
            project=environ.get("SWEEPYARD_PROJECT", ""),
            entity=environ.get("SWEEPYARD_ENTITY", ""),
            first_step=int(environ.get("SWEEPYARD_FIRST_STEP", "0")),
            dir=Path(environ["SWEEPYARD_RUN_DIR"]),
        )


def prepare(run_dir: Path, params: Mapping[str, Any]) -> None:
    """Make the folder ready for a run that has not started."""
    run_dir.mkdir(parents=True, exist_ok=True)
    for name in (STOP, SPOOL, OUTPUT, JOURNAL):
        (run_dir / name).unlink(missing_ok=True)
    (run_dir / SPOOL).touch()
    (run_dir / PARAMS).write_text(json.dumps(params))


def put_away(run_dir: Path, log: Path) -> None:
    """Keep what the run printed as `log` and remove our files, and the folder unless the user left more there."""
    with contextlib.suppress(OSError):
        log.parent.mkdir(parents=True, exist_ok=True)
        (run_dir / OUTPUT).replace(log)
    for name in (PARAMS, STOP, SPOOL, ARGS, JOURNAL):
        (run_dir / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        run_dir.rmdir()
        run_dir.parent.rmdir()


def order_stop(run_dir: Path, reason: str) -> None:
    """Leave word that the run should end. Whole or not at all, for a reader at any moment."""
    draft = run_dir / f"{STOP}.draft"
    draft.write_text(json.dumps({"reason": reason}))
    draft.replace(run_dir / STOP)


def stop_reason(run_dir: Path) -> str | None:
    """Why the run should end, None while it should not."""
    try:
        return str(json.loads((run_dir / STOP).read_text())["reason"])
    except FileNotFoundError:
        return None


def read_params(run_dir: Path) -> dict[str, Any]:
    params: dict[str, Any] = json.loads((run_dir / PARAMS).read_text())
    return params


def tail(path: Path, *, lines: int = 50, limit_bytes: int = 8192) -> str:
    """The last lines of a text file, at most `limit_bytes`; empty if there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit_bytes))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
