"""The writing end of a spool: one JSON line per fact, appended with one system call.

Nothing here waits for a network: the agent tails the file.

    {"h": [step, runtime_s, logged_at], "d": {...}}    a complete history row
    {"c": {...}}    keys of the user's config          {"s": {...}}    keys set in the summary by hand
    {"x": code}     the code told to finish()
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sweepyard import plain
from sweepyard.clock import SYSTEM_CLOCK, Clock

_encode = json.JSONEncoder(
    separators=(",", ":"), allow_nan=False, ensure_ascii=False, default=plain.to_plain
).encode


class Recorder:
    """Appends to the spool at `path`; with None it checks nothing and records nothing (a dry run).

    When the disk does not take a line, the line is lost, `warn` hears it once, and training goes on.
    """

    def __init__(self, path: Path | None, warn: Callable[[str], None], clock: Clock = SYSTEM_CLOCK) -> None:
        self._path = path
        self._warn = warn
        self._warned = False
        self._wall = clock.wall
        self._monotonic = clock.monotonic
        self._began_s = clock.monotonic()
        self._fd = -1 if path is None else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def row(self, step: int, data: Mapping[str, Any]) -> None:
        if self._fd >= 0:
            self._append({"h": [step, round(self._monotonic() - self._began_s, 6), self._wall()], "d": data})

    def config(self, values: Mapping[str, Any]) -> None:
        self._append({"c": values})

    def summary(self, values: Mapping[str, Any]) -> None:
        self._append({"s": values})

    def close(self, exit_code: int | None) -> None:
        """Record `exit_code`, unless None, and write nothing further."""
        if exit_code is not None:
            self._append({"x": exit_code})
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, fact: dict[str, Any]) -> None:
        if self._fd < 0:
            return
        try:
            text = _encode(fact)
        except (TypeError, ValueError):
            text = _encode(plain.to_plain(fact))
        line = text.encode("utf-8", "replace") + b"\n"
        try:
            written = os.write(self._fd, line)
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except OSError as error:
            self._lost(error)

    def _lost(self, error: OSError) -> None:
        with contextlib.suppress(OSError):
            os.utime(self._fd)  # a run that cannot record is not silent
        if not self._warned:
            self._warned = True
            self._warn(
                f"cannot record to {self._path}: {error.strerror}. What is logged meanwhile is lost. (Said once.)"
            )
