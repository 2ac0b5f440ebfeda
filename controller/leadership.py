"""Who leads: of all services that share a store one writes, and the others stand by until it falls silent.

The leader changes a counter in the store. A standby watches it on its own clock, so that the clocks of machines
are never compared, and takes over when it has stood still for `PATIENCE` of `lost_after_s`: it then leads within
that time. A leader that was frozen can not know that it leads no more: so the store refuses transactions of an
older epoch, and agents its words.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from sweepyard.clock import Clock
from sweepyard.controller.engine import Engine
from sweepyard.errors import Fenced, Unavailable, UserError
from sweepyard.failpoints import failpoint
from sweepyard.tracking.port import Store
from sweepyard.tracking.records import Leader

PATIENCE = 2 / 3
BEATS = 6
"""How many there are in `lost_after_s`; looks are twice as frequent."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """What a service is to those that share its store. `name`, `home`: as in `Leader`.

    `is_alone`: nobody else can have the store open to write, so that whoever led has ended. `shares_redis`: it
    uses a Redis that outlives it, as a standby must. `epoch_elsewhere`: the youngest epoch that Redis knows, for a
    store may have been restored to an earlier one; raises `Unavailable`.
    """

    name: str
    home: str
    is_alone: bool
    shares_redis: bool
    epoch_elsewhere: Callable[[], int]


class Leadership:
    """Leads at once where nobody does, else stands by; from `begin` to `end`.

    `make_engine` gets the epoch. `on_lead` gets the engine once it has started.
    """

    def __init__(
        self,
        store: Store,
        seat: Seat,
        make_engine: Callable[[int], Engine],
        on_lead: Callable[[Engine], object],
        *,
        lost_after_s: float,
        clock: Clock,
    ) -> None:
        self._store, self._seat, self._make_engine, self._on_lead = store, seat, make_engine, on_lead
        self._beat_s = lost_after_s / BEATS
        self._patience_s = lost_after_s * PATIENCE
        self._clock = clock
        self._epoch = 0
        self._engine: Engine | None = None
        self._trouble: BaseException | None = None
        self._silence = Silence(store.leader(), clock.monotonic(), clock.monotonic())
        self.redis_trouble = ""
        """Why this service could not lead now."""
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Returns when it leads, or when it is clear that somebody else may."""
        with suppress(Fenced):
            self._take_if_due()
        if self._engine is None:
            log.info(
                "standing by: %s leads; this service takes over when that is silent for %.1f s",
                self.leader.name or "another service",
                self._patience_s,
            )
            self._thread = threading.Thread(target=self._stand_by, name="standby", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Stop, and let the next one take over at once."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        if self._engine is not None:
            self._engine.stop()
            with suppress(Unavailable):
                self._store.resign(self._epoch)

    @property
    def leader(self) -> Leader:
        """Who leads, as far as is known."""
        return self._silence.leader

    @property
    def has_agents(self) -> bool:
        return self._engine is not None and self._engine.has_agents

    @property
    def ended_by(self) -> BaseException | None:
        """Why this service neither leads nor stands by any more."""
        return self._engine.ended_by if self._engine is not None else self._trouble

    def _stand_by(self) -> None:
        try:
            while self._engine is None and not self._closing.wait(self._beat_s / 2):
                self._look()
        except BaseException as error:
            self._trouble = error
            log.error("this service stands by no more: %s", error)

    def _look(self) -> None:
        asked_s = self._clock.monotonic()
        try:
            leader = self._store.leader()
            beats = self._silence.hear(leader, asked_s, self._clock.monotonic())
        except Unavailable as error:
            # The leader could not have beaten either: start waiting anew.
            self._silence.begin(self._clock.monotonic())
            return log.warning("%s", error)
        if beats and self.leader.name and self.leader.home != self._seat.home and not self._seat.shares_redis:
            raise UserError(
                f"This store has a leader already, {self.leader.name}, and a standby must use the same Redis. "
                "Give both the same --redis-url (SWEEPYARD_REDIS_URL), or end that one first."
            )
        self._look_at_redis()
        if self.redis_trouble:
            return None
        try:
            return self._take_if_due()
        except (Fenced, Unavailable) as error:
            return log.warning("could not take over: %s", error)

    def _look_at_redis(self) -> None:
        """Say it while somebody else leads, not when it is too late."""
        before, self.redis_trouble = self.redis_trouble, ""
        try:
            self._seat.epoch_elsewhere()
        except Unavailable as error:
            self.redis_trouble = str(error)
        if self.redis_trouble and not before:
            log.warning("%s Without it this service can not take over.", self.redis_trouble)
        elif before and not self.redis_trouble:
            log.info("Redis answers again")

    def _take_if_due(self) -> None:
        leader, silent_s = self.leader, self._silence.lasts_s
        if self._seat.is_alone or not leader.name:
            why = "nobody leads"
        elif leader.home == self._seat.home:
            why = f"{leader.name} has ended"
        elif silent_s >= self._patience_s:
            why = f"{leader.name} was silent for {silent_s:.1f} s"
        else:
            return
        self._take(leader, why)

    def _take(self, former: Leader, why: str) -> None:
        self._epoch = self._store.take_over(
            name=self._seat.name, home=self._seat.home, seen=former.epoch, above=self._seat.epoch_elsewhere()
        )
        failpoint("takeover.after")
        if not self._seat.is_alone:
            threading.Thread(target=self._beat, args=(self._epoch,), name="beat", daemon=True).start()
        engine = self._make_engine(self._epoch)
        engine.start()
        self._engine = engine
        self._on_lead(engine)
        log.info("leading with epoch %d: %s", self._epoch, why)

    def _beat(self, epoch: int) -> None:
        while not self._closing.wait(self._beat_s):
            try:
                self._store.beat(epoch)
            except Unavailable as error:
                log.warning("%s A standby may take over.", error)
            except Fenced:
                return  # the engine learns of it in its next step, and says so


@dataclass(slots=True)
class Silence:
    """What was last seen of a leader, since when that is all, and until when that is known."""

    leader: Leader
    since_s: float
    until_s: float

    @property
    def lasts_s(self) -> float:
        return self.until_s - self.since_s

    def begin(self, now_s: float) -> None:
        self.since_s = self.until_s = now_s

    def hear(self, leader: Leader, asked_s: float, heard_s: float) -> bool:
        """Whether there is any sign of life since the last look.

        `asked_s`, `heard_s`: when the store was asked, and when its answer was here: it was true at some time in
        between. So nothing new means silence until it was asked, and news may be as young as the answer.
        """
        if leader == self.leader:
            self.until_s = asked_s
            return False
        self.leader = leader
        self.begin(heard_s)
        return True


class Standby:
    """`port.EnginePort` of a service that does not lead: what only reads is answered, nothing else."""

    def __init__(self, leadership: Leadership) -> None:
        self._leadership = leadership

    def health(self) -> dict[str, Any]:
        leader = self._leadership.leader
        return {
            "status": "standby",
            "engine": "standing by",
            "redis": self._leadership.redis_trouble or "ok",
            "leader": leader.name,
            "epoch": leader.epoch,
        }

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise Unavailable(f"This service only stands by. Ask the one that leads: {self._leadership.leader.name}.")

    create_sweep = control = stop_run = retry = edit = enqueue = order_agent = prune_audit = _refuse
