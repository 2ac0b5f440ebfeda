"""What the bus brings an agent, carried into its inbox by threads that do nothing else: offers and hints."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from sweepyard.agent.attempt import Slot
from sweepyard.bus.port import AgentBus
from sweepyard.bus.wire import Offer
from sweepyard.clock import Clock
from sweepyard.errors import SweepyardError, Unavailable

HINT_WAIT_S = 5.0
PAUSE_S = 1.0
"""After an outage of the bus."""
GIVE_BACK_S = 5.0
"""How long an agent that leaves waits for offers that are on their way to it."""
JOIN_S = 0.05


@dataclass(frozen=True, slots=True)
class Hint:
    """The controller has news."""


@dataclass(frozen=True, slots=True)
class BusBroken:
    """No offer will come any more."""

    why: str


class Intake:
    """Puts a `Slot`, a `Hint` or a `BusBroken` into `inbox` as they come, from `start` until `leave` is set.

    Offers come one at a time, while `ready` is set.
    """

    def __init__(self, bus: AgentBus, sweep: str, inbox: SimpleQueue[Any]) -> None:
        self._bus, self._sweep, self._inbox = bus, sweep, inbox
        self.leave = threading.Event()
        self.ready = threading.Event()
        self.ready.set()

    def start(self) -> None:
        self._taker = _thread("offers", self._take_offers)
        _thread("hints", self._take_hints)

    def give_back(self, clock: Clock) -> None:
        """Return offers that arrive too late, until none can any more: an offer that goes down with its agent
        would be missed only after a while, and count against the run."""
        self.ready.set()  # whoever rests looks up
        deadline_s = clock.monotonic() + GIVE_BACK_S
        with contextlib.suppress(Unavailable):
            while self._taker.is_alive() and clock.monotonic() < deadline_s:
                self._bus.interrupt()
                self._refuse()
                self._taker.join(JOIN_S)
        self._refuse()

    def _refuse(self) -> None:
        while not self._inbox.empty():
            item = self._inbox.get()
            if isinstance(item, Slot):
                item.answer(False)

    def _take_offers(self) -> None:
        def take(offer: Offer) -> bool:
            slot = Slot(offer)
            self._inbox.put(slot)
            return slot.wait()

        try:
            self._bus.take_offers(self._sweep, take, self.leave, self.ready)
        except Exception as error:
            words = str(error) if isinstance(error, SweepyardError) else f"{type(error).__name__}: {error}"
            self._inbox.put(BusBroken(words))

    def _take_hints(self) -> None:
        while not self.leave.is_set():
            try:
                if self._bus.wait_for_hint(HINT_WAIT_S):
                    self._inbox.put(Hint())
            except Unavailable:
                self.leave.wait(PAUSE_S)


def _thread(name: str, target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread
