"""A whole installation in virtual time, from one seed: the real controller logic, and all that can happen to it.

Nothing here waits. Whoever wants to do something later says when, and `World.run` jumps from one such moment to
the next. What the real system does in threads happens one thing after another, in an order that the seed decides.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from simulation.memory_bus import Broker
from simulation.memory_store import MemoryStore

from sweepyard.errors import Unavailable

LOST_AFTER_S = 15.0
HEARTBEAT_S = 5.0
REDIS, STORE = "Redis", "the store"
"""Who may be away."""


class VirtualClock:
    """`clock.Clock`, moved by the world alone."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return 1.7e9 + self.now_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What may happen, as mean seconds between two of a kind (0: never), until `until_s`; then all is well."""

    kill_agent_s: float = 0
    freeze_agent_s: float = 0
    preempt_agent_s: float = 0
    kill_controller_s: float = 0
    flush_s: float = 0
    cut_tail_s: float = 0
    outage_s: float = 0
    store_away_s: float = 0
    partition_s: float = 0
    user_s: float = 0
    lossy: float = 0
    """The share of an agent's messages that get lost, arrive late, or arrive and are not answered."""
    broken: float = 0
    """The share of agents on which every run fails at once."""
    slow_s: float = 0.01
    """How long the controller takes to look at what has arrived."""
    until_s: float = 300.0

    @classmethod
    def of(cls, dice: random.Random, more: random.Random, store: random.Random) -> Faults:
        """Some of all kinds: each is there in two of three worlds. A fault of a later day has dice of its own, so
        that a seed is still what it was."""

        def every(least_s: float, most_s: float) -> float:
            return dice.uniform(least_s, most_s) if dice.random() < 2 / 3 else 0.0

        return cls(
            kill_agent_s=every(10, 60),
            freeze_agent_s=every(20, 80),
            preempt_agent_s=every(20, 80),
            kill_controller_s=every(5, 40),
            flush_s=every(20, 80),
            cut_tail_s=every(20, 80),
            outage_s=every(30, 90),
            partition_s=every(20, 80),
            user_s=every(30, 120),
            lossy=dice.choice([0, 0, 0.05, 0.3]),
            broken=more.choice([0, 0, 0.3]),
            slow_s=more.choice([0.01, 0.3]),
            store_away_s=store.choice([0, 0, 40]),
        )


class World:
    """Clock, dice, Redis and the store, and the queue of what comes next."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        self.dice = random.Random(seed)
        later = [random.Random(f"{seed}/{name}") for name in ("more", "store")]
        self.faults = Faults.of(self.dice, *later) if faults is None else faults
        self.clock = VirtualClock()
        self.broker = Broker()
        self.store = MemoryStore()
        self.log: list[str] = []
        self._moments: list[tuple[float, int, Callable[[], Any]]] = []
        self._numbers = count()
        self._snapshot = self.broker.snapshot()
        self.away = set[str]()
        self._calm_at_s = self.faults.until_s

    def later(self, delay_s: float, act: Callable[[], Any]) -> None:
        heapq.heappush(self._moments, (self.clock.now_s + delay_s, next(self._numbers), act))

    def run(self, done: Callable[[], bool], limit_s: float) -> bool:
        """Go on until `done`, for `limit_s` at most; the answer says whether it is."""
        end_s = self.clock.now_s + limit_s
        while self._moments and self._moments[0][0] <= end_s:
            self.clock.now_s, _, act = heapq.heappop(self._moments)
            act()
            if done():
                return True
        return False

    @property
    def is_calm(self) -> bool:
        """Whether the time of faults is over."""
        return self.clock.now_s - 1000.0 > self._calm_at_s

    def calm_down(self) -> None:
        """No fault any more from now on."""
        self._calm_at_s = float("-inf")
        self._comes_back(REDIS)
        self._comes_back(STORE)

    def note(self, what: str) -> None:
        """One line of what happened, for whoever reads about a failed seed."""
        self.log.append(f"{self.clock.now_s - 1000:8.2f} {what}")

    def every(self, mean_s: float, act: Callable[[], Any]) -> None:
        """Do `act` again and again at random times, until all is calm; never if `mean_s` is 0."""
        if not mean_s:
            return

        def once() -> None:
            if not self.is_calm:
                act()
                self.later(self.dice.expovariate(1 / mean_s), once)

        self.later(self.dice.expovariate(1 / mean_s), once)

    def check(self, who: str) -> None:
        """Raises `Unavailable` while `who`, Redis or the store, is away."""
        if who in self.away:
            raise Unavailable(f"{who} is away (simulated).")

    def trouble_store(self) -> None:
        """Let the store be away as often as it may."""
        self.every(self.faults.store_away_s, lambda: self._goes_away(STORE))

    def trouble_redis(self) -> None:
        """Let Redis have the faults that it may have."""
        self.every(self.faults.flush_s, self._flush)
        self.every(self.faults.cut_tail_s, self._cut_tail)
        self.every(self.faults.outage_s, lambda: self._goes_away(REDIS))
        self.every(3.0 if self.faults.cut_tail_s else 0, self._save)

    def _flush(self) -> None:
        self.note("Redis is flushed")
        self.broker.flush()

    def _save(self) -> None:
        self._snapshot = self.broker.snapshot()

    def _cut_tail(self) -> None:
        self.note("Redis restarts without its last seconds")
        self.broker.restore(self._snapshot)

    def _goes_away(self, who: str) -> None:
        self.note(f"{who} is away")
        self.away.add(who)
        self.later(self.dice.uniform(0.5, 40), lambda: self._comes_back(who))

    def _comes_back(self, who: str) -> None:
        self.note(f"{who} is back")
        self.away.discard(who)
