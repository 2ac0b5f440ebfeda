"""The thread that waits for messages of agents and puts them into the engine's inbox."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from sweepyard.bus.port import ControllerBus
from sweepyard.bus.wire import Message
from sweepyard.errors import Unavailable

WAIT_S = 1.0
OUTAGE_PAUSE_S = 0.5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages in the order of the stream, each with its position; None: unreadable.

    `generation` tells batches read before the last `seek` from those read after it.
    """

    generation: int
    messages: list[tuple[str, Message | None]]


class Reader:
    """Reads on from a position, and again from an earlier one when told to `seek`."""

    def __init__(self, bus: ControllerBus, take: Callable[[Batch], None], trouble: Callable[[str], None]) -> None:
        self._bus = bus
        self._take = take
        self._trouble = trouble
        self._lock = threading.Lock()
        self._position = "0"
        self.generation = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Read no more; a read that is under way ends by itself."""
        self._stopping.set()

    def seek(self, position: str) -> None:
        """Read on after `position`. What was read before gets an old generation."""
        with self._lock:
            self._position = position
            self.generation += 1

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                position, generation = self._position, self.generation
            try:
                messages = self._bus.read(position, WAIT_S)
            except Exception as error:  # it must outlive whatever one reading meets: without it nothing is heard
                if not isinstance(error, Unavailable):
                    log.exception("reading failed")
                if not self._stopping.wait(OUTAGE_PAUSE_S):
                    self._trouble(str(error))
                continue
            with self._lock:
                if generation != self.generation or not messages:
                    continue
                self._position = messages[-1][0]
            self._take(Batch(generation, messages))
