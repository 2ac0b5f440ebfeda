"""How much one caller may ask for: so many requests a second, and so many guesses at a key."""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from dataclasses import dataclass

BURST_S = 10.0
"""What a caller has not used of this many seconds may come at once."""
GUESS_AGAIN_S = 30.0
"""How long each further wrong key has to wait when an address has shown too many."""
MOST_CALLERS = 10_000
"""The most that are remembered; the one that was not seen for the longest is forgotten first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the service takes from one address, in one body, and of one editor's key: so many sweeps not over."""

    requests_per_s: float = 200.0
    wrong_keys: int = 10
    body_bytes: int = 1024 * 1024
    sweeps_per_key: int = 1000


class Meter:
    """Lets each of many callers through `rate_per_s` times a second, and `burst` times at once.

    The generic cell rate algorithm: all that is kept of a caller is the time at which it will have used up
    nothing. Safe to share between threads.
    """

    def __init__(self, rate_per_s: float, burst: float, *, most: int = MOST_CALLERS) -> None:
        self._step_s = 1 / rate_per_s
        self._span_s = burst / rate_per_s
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, caller: str, now_s: float) -> float:
        """How long this caller has to wait before it is let through; 0: not at all."""
        with self._lock:
            return self._wait_s(caller, now_s)

    def take(self, caller: str, now_s: float) -> float:
        """As `wait_s`; who need not wait is let through, which is counted."""
        with self._lock:
            wait_s = self._wait_s(caller, now_s)
            if not wait_s:
                self._full_at[caller] = max(self._full_at.get(caller, now_s), now_s) + self._step_s
                self._full_at.move_to_end(caller)
                if len(self._full_at) > self._most:
                    self._full_at.popitem(last=False)
            return wait_s

    def _wait_s(self, caller: str, now_s: float) -> float:
        full_at = max(self._full_at.get(caller, now_s), now_s)
        return max(0.0, full_at + self._step_s - self._span_s - now_s)


def caller_at(address: str) -> str:
    """Who is behind an address: of IPv6 the network, since one machine has as many addresses as it likes."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if known.version == 4:
        return str(known)
    return str(ipaddress.ip_network((known, 64), strict=False))
