"""The only place that asks what time it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Two readings: `wall` for people, `monotonic` for waiting."""

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...


class SystemClock:
    """The machine's own clock."""

    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


SYSTEM_CLOCK = SystemClock()
MOST_POLL_S = 0.25


def wait_until(condition: Callable[[], bool], timeout_s: float, poll_s: float = 0.02) -> bool:
    """Whether `condition` came true within `timeout_s`. For what offers nothing better to wait on.

    Looks every `poll_s`, and less often the longer it takes: a look may be work for whoever is waited for.
    """
    began = SYSTEM_CLOCK.monotonic()
    while not condition():
        waited_s = SYSTEM_CLOCK.monotonic() - began
        if waited_s > timeout_s:
            return False
        pause_s = max(poll_s, min(waited_s / 20, MOST_POLL_S))
        time.sleep(min(pause_s, max(timeout_s - waited_s, 0.001)))
    return True
