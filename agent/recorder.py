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
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sweepyard import plain
from sweepyard.clock import SYSTEM_CLOCK, Clock

KEEP_BYTES = 8 * 2**20
"""The most that waits in memory for room on the disk."""
GOODBYE_S = 5.0
"""How long the end of a run waits for that room: less than the grace of a run that is told to end."""
LOOK_S = 0.1

DEEP = 100
"""Readers of JSON refuse what is nested deeper than some 200 levels: one such row would stop all that follow."""

_encode = json.JSONEncoder(
    separators=(",", ":"), allow_nan=False, ensure_ascii=False, default=plain.to_plain
).encode


class Recorder:
    """Appends to the spool at `path`; with None it checks nothing and records nothing (a dry run).

    What the disk does not take waits in memory, and is written before what follows as soon as there is room; more
    than 8 MiB is lost. Training goes on meanwhile, and `warn` hears of each trouble once.
    """

    def __init__(self, path: Path | None, warn: Callable[[str], None], clock: Clock = SYSTEM_CLOCK) -> None:
        self._path = path
        self._warn = warn
        self._warned: set[str] = set()
        self._wall = clock.wall
        self._monotonic = clock.monotonic
        self._began_s = clock.monotonic()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._pid = os.getpid()
        # Reentrant, as that of a run.
        self._lock = threading.RLock()
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
            with self._lock:
                self._write_all()
            os.close(self._fd)
            self._fd = -1

    def _append(self, fact: dict[str, Any]) -> None:
        if self._fd < 0:
            return
        text = _text(fact)
        if not text:
            return self._say(f"what is nested more than {DEEP} levels deep, or in itself, is not recorded.")
        with self._lock:
            return self._record(text.encode("utf-8", "replace") + b"\n")

    def _record(self, line: bytes) -> None:
        if self._waiting and not self._write_waiting():
            if self._waiting_bytes + len(line) <= KEEP_BYTES:
                self._keep(line)
            else:
                self._say(f"there is still no room for {self._path}: what is logged now is lost.")
        elif rest := self._write(line):
            self._keep(rest)

    def _keep(self, line: bytes) -> None:
        self._waiting.append(line)
        self._waiting_bytes += len(line)

    def _write_waiting(self) -> bool:
        """Whether nothing waits any more. A process that was forked meanwhile leaves that to its parent."""
        if self._pid != os.getpid():
            self._waiting.clear()
            self._pid, self._waiting_bytes = os.getpid(), 0
        while self._waiting:
            # Taken out before it is written: RunStopped may strike between the two, and no line may come twice.
            line = self._waiting.popleft()
            rest = self._write(line)
            self._waiting_bytes -= len(line) - len(rest)
            if rest:
                self._waiting.appendleft(rest)
                return False
        return True

    def _write_all(self) -> None:
        ends_s = self._monotonic() + GOODBYE_S
        while not self._write_waiting():
            if self._monotonic() >= ends_s:
                return self._warn(f"there is no room for {self._path}: {len(self._waiting)} lines of it are lost.")
            time.sleep(LOOK_S)
        return None

    def _write(self, line: bytes) -> bytes:
        """What of it the disk did not take."""
        try:
            while line:
                line = line[os.write(self._fd, line) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.utime(self._fd)  # a run that cannot record is not silent
            self._say(
                f"cannot record to {self._path}: {error.strerror}. What is logged waits in memory, up to "
                f"{KEEP_BYTES // 2**20} MiB of it."
            )
        return line

    def _say(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._warn(f"{text} (Said once.)")


def _text(fact: dict[str, Any]) -> str:
    """Its JSON; empty if it is nested too deep."""
    try:
        try:
            text = _encode(fact)
        except (TypeError, ValueError):
            text = _encode(plain.to_plain(fact))
        is_flat = text.count("{") + text.count("[") <= DEEP
        return text if is_flat or _depth(json.loads(text)) <= DEEP else ""
    except RecursionError:
        return ""


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)
