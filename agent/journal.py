"""What an agent has made of a run's spool, on disk beside it: so that another can go on where it was ended.

    {"sweep", "run", "number", "attempt", "agent"}    whose reports these are: the first line
    {"started": {...}}                                the first report
    {"slice": [start, end]}                           the next one: the lines of the spool between these places
    {"ended": {...}}                                  the last one, behind all that the spool holds

A line is written before its report is sent: what may have arrived has the same number and content ever after.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Journal:
    """Lines of JSON in `path`, only ever appended to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_whole = True

    def note(self, fact: Mapping[str, Any]) -> None:
        """Append a fact. On a full disk there is no journal any more: one with a gap would be worse than none."""
        if not self._is_whole:
            return
        try:
            with self._path.open("ab") as file:
                file.write(json.dumps(fact).encode() + b"\n")
        except OSError:
            self._is_whole = False
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def read(self) -> list[dict[str, Any]]:
        """All facts; a torn last line, whose report was never sent, is cut off for good."""
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return []
        facts, whole = [], 0
        for line in text.splitlines(keepends=True):
            try:
                fact = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                fact = None
            if not isinstance(fact, dict):
                break
            facts.append(fact)
            whole += len(line)
        if whole < len(text):
            with self._path.open("r+b") as file:
                file.truncate(whole)
        return facts
