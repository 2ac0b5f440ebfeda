"""An agent on the bus that trains nothing: what it reports is up to the benchmark."""

from __future__ import annotations

import threading
from queue import Queue

from sweepyard.bus.agent_side import RedisAgentBus
from sweepyard.bus.wire import Ended, Offer, Presence, Report, Rows, Started
from sweepyard.client import Connection


class Simulated:
    """Speaks as the agent `id` to the service that `connection` leads to."""

    def __init__(self, connection: Connection, id: str) -> None:
        self._id, self._sweep = id, connection.sweep.id
        key = bytes.fromhex(connection.signing_key)
        self._bus = RedisAgentBus(connection.redis_url, connection.prefix, id, key, connection.epoch)
        self._beat = 0

    def first_offer(self, timeout_s: float) -> Offer:
        """Say that one slot is free, and take one offer."""
        offered: Queue[Offer] = Queue()
        leave, ready = threading.Event(), threading.Event()
        ready.set()

        def take(offer: Offer) -> bool:
            offered.put(offer)
            leave.set()
            return True

        threading.Thread(target=self._bus.take_offers, args=(self._sweep, take, leave, ready), daemon=True).start()
        presence = self._presence(None)
        self._bus.exchange([presence], presence)
        return offered.get(timeout=timeout_s)

    def _presence(self, running: Offer | None) -> Presence:
        self._beat += 1
        return Presence(
            sweep=self._sweep,
            agent=self._id,
            host="here",
            pid=1,
            version="0",
            beat=self._beat,
            free=0 if running else 1,
            running=[str(running.ref)] if running else [],
        )

    def _report(self, offer: Offer, seq: int, body: Started | Rows | Ended) -> Report:
        return Report(sweep=offer.sweep, run=offer.run, attempt=offer.attempt, agent=self._id, seq=seq, body=body)
