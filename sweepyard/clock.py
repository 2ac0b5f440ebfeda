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


def wait_until(condition: Callable[[], bool], timeout_s: float, poll_s: float = 0.02) -> bool:
    """Whether `condition` came true within `timeout_s`. For what offers nothing better to wait on."""
    deadline = SYSTEM_CLOCK.monotonic() + timeout_s
    while not condition():
        if SYSTEM_CLOCK.monotonic() > deadline:
            return False
        time.sleep(poll_s)
    return True
