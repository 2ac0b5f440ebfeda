"""A real engine on a real store and a real Redis, and agents that a test moves by hand through the real bus."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from queue import Queue

from sweepyard.bus.agent_side import RedisAgentBus
from sweepyard.bus.controller_side import RedisControllerBus
from sweepyard.bus.wire import (
    AttemptOrder,
    AttemptRef,
    Control,
    Ended,
    Offer,
    Presence,
    Report,
    Rows,
    Started,
    WireRow,
)
from sweepyard.clock import SystemClock, wait_until
from sweepyard.controller.engine import Engine
from sweepyard.controller.spec import read_spec
from sweepyard.tracking.records import Outcome, RunState, Sweep, SweepState
from sweepyard.tracking.sql import SqlStore

DEADLINE_S = 20.0
LOST_AFTER_S = 600.0
"""No test waits as long as this, however busy the machine: who is lost is lost by the test's clock."""


class ClockAhead(SystemClock):
    """The machine's clock, and as far ahead of it as a test wants; `wrong_s`: what people see, in addition."""

    ahead_s = 0.0
    wrong_s = 0.0

    def wall(self) -> float:
        return super().wall() + self.ahead_s + self.wrong_s

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


class Hand:
    """An agent with one slot, moved by hand. It beats by itself, however long a test waits, until it `dies`."""

    def __init__(self, redis_url: str, prefix: str, sweep: Sweep, agent_id: str, *, free: int = 1) -> None:
        self.bus = RedisAgentBus(redis_url, prefix, agent_id, bytes(32))
        self.id = agent_id
        self.sweep = sweep
        self.offers: Queue[Offer] = Queue()
        self.beat = 0
        self.seqs: dict[str, int] = {}
        self.acks: dict[str, int] = {}
        self.running: list[str] = []
        self.taken: set[AttemptRef] = set()
        self.free = free
        self.leave = threading.Event()
        self.ready = threading.Event()
        self.ready.set()
        self.dead = threading.Event()
        self.slots = threading.Semaphore(0)
        self.lock = threading.RLock()  # a beat in the middle of a move would tell half of it
        self.pulse = threading.Thread(target=self._beat)
        self.pulse.start()
        if free:
            threading.Thread(
                target=self.bus.take_offers, args=(sweep.id, self._take, self.leave, self.ready), daemon=True
            ).start()

    def _take(self, offer: Offer) -> bool:
        if offer.ref in self.taken:
            return True  # a new controller offers once more what it has not heard of
        self.taken.add(offer.ref)
        self.offers.put(offer)
        self.slots.acquire()  # the next offer is fetched when the slot is free again
        return True

    def _beat(self) -> None:
        self.present()
        while not self.dead.wait(0.2):
            self.present()

    def dies(self) -> None:
        """From now on it is silent, except for what the test lets it say."""
        self.dead.set()
        self.pulse.join()

    def present(self) -> Control:
        return self.say()

    def say(self, *reports: Report) -> Control:
        with self.lock:
            self.beat += 1
            presence = Presence(
                sweep=self.sweep.id,
                agent=self.id,
                host="test",
                pid=1,
                version="0",
                beat=self.beat,
                free=self.free,
                running=self.running,
            )
            control = self.bus.exchange([*reports, presence], presence)
            # Of an attempt that has ended they are read twice, maybe by two beats and by nobody who asks.
            self.acks |= control.acks
            return control

    def report(self, offer: Offer, body: Started | Rows | Ended, seq: int | None = None) -> Control:
        key = str(offer.ref)
        if seq is None:
            seq = self.seqs[key] = self.seqs.get(key, 0) + 1
        return self.say(
            Report(sweep=offer.sweep, run=offer.run, attempt=offer.attempt, agent=self.id, seq=seq, body=body)
        )

    def take(self) -> Offer:
        return self.offers.get(timeout=DEADLINE_S)

    def start(self) -> Offer:
        offer = self.take()
        with self.lock:
            self.free -= 1
            self.running.append(str(offer.ref))
            self.report(offer, Started(host="test", pid=1))
        return offer

    def log(self, offer: Offer, *values: float | str) -> Control:
        rows = [WireRow(i, 0.1, 1.0, {"loss": value}) for i, value in enumerate(values)]
        return self.report(offer, Rows(rows=rows))

    def end(self, offer: Offer, outcome: Outcome = Outcome.finished, reason: str = "exit code 0") -> None:
        with self.lock:
            self.free += 1
            self.running.remove(str(offer.ref))
            self.slots.release()
            self.report(offer, Ended(outcome=outcome, reason=reason, exit_code=0))

    def is_heard(self, offer: Offer) -> None:
        """Wait until all its reports are acknowledged: it has no spool from which to send them again."""
        ref = str(offer.ref)

        def is_acked() -> bool:
            self.present()
            return self.acks.get(ref) == self.seqs[ref]

        assert wait_until(is_acked, DEADLINE_S)

    def order(self, offer: Offer) -> AttemptOrder:
        """The first order about an attempt."""
        found: list[AttemptOrder] = []

        def look() -> bool:
            order = self.present().orders.get(str(offer.ref))
            found.extend([order] if order else [])
            return order is not None

        assert wait_until(look, DEADLINE_S)
        return found[0]


@dataclass
class Yard:
    """A running engine and what it needs; `restart` kills nothing but forgets all that was in memory."""

    store: SqlStore
    redis_url: str
    proposal_deadline_s: float = 30.0
    clock: ClockAhead = field(default_factory=ClockAhead)
    prefix: str = field(default_factory=lambda: f"sy-{secrets.token_hex(4)}")
    engine: Engine = field(init=False)
    hands: list[Hand] = field(default_factory=list)

    def start(self) -> None:
        epoch = self.store.take_over()
        bus = RedisControllerBus(self.redis_url, self.prefix, bytes(32), epoch)
        self.engine = Engine(
            self.store,
            bus,
            self.clock,
            epoch=epoch,
            lost_after_s=LOST_AFTER_S,
            proposal_deadline_s=self.proposal_deadline_s,
        )
        self.engine.start()

    def restart(self) -> None:
        self.engine.stop()
        self.start()

    def sweep(self, **changes: object) -> Sweep:
        config = {
            "method": "random",
            "seed": 7,
            "metric": {"name": "loss", "goal": "minimize"},
            "parameters": {"lr": {"min": 0.0, "max": 1.0}},
        } | changes
        return self.engine.create_sweep(read_spec(config))

    def hand(self, sweep: Sweep, agent_id: str = "a1", *, free: int = 1) -> Hand:
        hand = Hand(self.redis_url, self.prefix, sweep, agent_id, free=free)
        self.hands.append(hand)
        return hand

    def state(self, sweep: Sweep) -> SweepState:
        found = self.store.sweep(sweep.id)
        assert found is not None
        return found.state

    def run_state(self, offer: Offer) -> RunState:
        run = self.store.run(offer.sweep, offer.run)
        assert run is not None
        return run.state
