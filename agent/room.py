"""Room on the disk of an agent: without it no run can be started, and the agent waits for some."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable
from pathlib import Path

LOOK_S = 1.0
LEAST_BYTES = 64 * 1024


def is_full(error: Exception) -> bool:
    """Whether it says no more than that a disk is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


class Room:
    """Whether the disk of `folder` takes another run, as far as is known; `say` hears of changes."""

    def __init__(self, folder: Path, say: Callable[[str], object]) -> None:
        self._folder, self._say = folder, say
        self.is_there = True
        self._look_at_s = 0.0

    def miss(self) -> None:
        """There was none for a run."""
        if self.is_there:
            self._say(f"no room for a run in {self._folder}: this agent waits until there is")
        self.is_there = False

    def look(self, now_s: float) -> None:
        """See whether there is again, once a second at most."""
        if self.is_there or now_s < self._look_at_s:
            return
        self._look_at_s = now_s + LOOK_S
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._folder, buffering=0) as file:
                self.is_there = file.write(bytes(LEAST_BYTES)) == LEAST_BYTES
        except OSError:
            return
        if self.is_there:
            self._say("there is room again")
