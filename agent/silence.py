"""How long a run has logged nothing: what `stall_after_s` of a sweep file asks for."""

from __future__ import annotations

from pathlib import Path

LOOK_MOST_S = 5.0
"""No more than this counts between two looks: an agent that was frozen, or whose machine slept, knows nothing
of the time between."""


class Silence:
    """Looks at a run's spool, which each line changes, also one that a full disk does not take (`recorder`).

    Counted here, beside the run: no outage of Redis or of the service makes a run look silent.
    """

    def __init__(self, spool: Path, now_s: float) -> None:
        self._spool = spool
        self._mark = self._look()
        self._looked_at_s = now_s
        self._for_s = 0.0

    def seconds(self, now_s: float) -> float:
        """How long there was nothing new until now."""
        mark = self._look()
        self._for_s = self._for_s + min(now_s - self._looked_at_s, LOOK_MOST_S) if mark == self._mark else 0.0
        self._mark, self._looked_at_s = mark, now_s
        return self._for_s

    def _look(self) -> tuple[int, int]:
        try:
            found = self._spool.stat()
        except FileNotFoundError:  # the user's code has cleaned up
            return 0, 0
        return found.st_size, found.st_mtime_ns
