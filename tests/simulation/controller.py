"""The controller of a simulated installation: the real reconciler, which may die between any two effects."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

from simulation.memory_bus import MemoryControllerBus
from simulation.world import LOST_AFTER_S, REDIS, STORE, World

from sweepyard.controller import moves
from sweepyard.controller.engine import PAUSE_AFTER_FAILURE_S
from sweepyard.controller.ledger import Ledger
from sweepyard.controller.proposals import Question, suggest
from sweepyard.controller.reconciler import LOOK_S, Reconciler
from sweepyard.controller.telling import Effects
from sweepyard.errors import Unavailable, UserError
from sweepyard.tracking.port import Transaction
from sweepyard.tracking.records import Sweep

EFFECTS = ("offer", "tell", "withdraw", "close", "forget", "remove_presence", "intact")


class Killed(BaseException):
    """The process is gone, at whatever it was doing."""


class FragileBus:
    """The bus as a controller has it: it may be away, and the controller may die before or after each effect."""

    def __init__(self, world: World, die: Callable[[str], None], epoch: int) -> None:
        self._bus, self._world, self._die = MemoryControllerBus(world.broker, epoch), world, die

    def __getattr__(self, name: str) -> Any:
        call, is_effect = getattr(self._bus, name), name in EFFECTS

        def fragile(*args: Any, **kwargs: Any) -> Any:
            self._world.check(REDIS)
            if not is_effect:
                return call(*args, **kwargs)
            self._die(f"before {name}")
            answer = call(*args, **kwargs)
            self._die(f"after {name}")
            return answer

        setattr(self, name, fragile)
        return fragile


class SimController:
    """Starts again some time after it has died. `deaths` counts."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._doomed_at: int | None = None
        self._is_away = self._reads_late = False
        self._points = 0
        self._reconciler: Reconciler | None = None
        self._wake_at_s: float | None = None
        self._wishes: list[Callable[[Ledger, Transaction, float], object]] = []
        self.deaths = 0
        self.on_told: Callable[[], object] = lambda: None
        self.after_step: Callable[[], object] = lambda: None
        self._start()
        world.every(world.faults.kill_controller_s, self._doom)

    def create(self, sweep: Sweep) -> None:
        """Store a sweep, as the engine does."""
        self._sweep_id = sweep.id
        with self._world.store.transaction(self._epoch) as tx:
            tx.add_sweep(sweep)
            tx.add_version(moves.first_version(sweep))
            ledger = Ledger.new(sweep)
            self._reconciler.add(ledger)

    def wish(self, verb: Callable[[Ledger, Transaction, float], object]) -> None:
        """A person wants something; what is not possible is refused. Lost if the controller dies meanwhile."""
        self._wishes.append(verb)
        self.wake()

    @property
    def is_wished(self) -> bool:
        """Whether a person waits for an answer, which may be that an ended sweep goes on."""
        return bool(self._wishes)

    def wake(self, delay_s: float | None = None) -> None:
        """Something has arrived: step soon, once for all that arrives until then."""
        delay_s = self._world.faults.slow_s if delay_s is None else delay_s
        due_s = self._world.clock.now_s + delay_s
        if self._wake_at_s is None or due_s < self._wake_at_s:
            self._wake_at_s = due_s
            self._world.later(delay_s, self._step_if_due)

    def _start(self) -> None:
        world = self._world
        if STORE in world.away:
            world.later(1.0, self._start)
            return
        self._epoch = world.store.take_over()
        self._reconciler = Reconciler(
            world.store, FragileBus(world, self._die, self._epoch), world.clock, lost_after_s=LOST_AFTER_S
        )
        self._reconciler.load()
        self._seen = self._reconciler.position
        self._tick_at_s = world.clock.now_s + 0.2
        self.wake(0.2)

    def _doom(self) -> None:
        """Let it die at one of its next effects."""
        self._doomed_at = self._points + self._world.dice.randint(1, 40)

    def _die(self, where: str) -> None:
        self._points += 1
        if self._points == self._doomed_at:
            self._world.note(f"the controller dies {where}")
            raise Killed

    def _step_if_due(self) -> None:
        if self._wake_at_s is None or self._world.clock.now_s < self._wake_at_s:
            return
        self._wake_at_s = None
        if self._reconciler is None or self._is_away:
            return
        try:
            self._step(self._reconciler)
            self.after_step()
            self.wake(max(0.01, self._tick_at_s - self._world.clock.now_s))
        except Killed:
            self._on_death()
        except Unavailable:
            self._recover(self._reconciler)

    def _recover(self, reconciler: Reconciler) -> None:
        """What `engine.Engine` does when the store is away: nothing else until it can be read again."""
        self._is_away, self._wishes = True, []

        def again() -> None:
            if STORE in self._world.away:
                self._world.later(PAUSE_AFTER_FAILURE_S, again)
                return
            reconciler.load()
            self._seen = reconciler.position
            self._is_away, self._reads_late = False, True
            self.wake(0.01)

        self._world.later(PAUSE_AFTER_FAILURE_S, again)

    def _writing(self) -> AbstractContextManager[Transaction]:
        self._world.check(STORE)
        return self._world.store.transaction(self._epoch)

    def _on_death(self) -> None:
        """It is started again after a while."""
        self.deaths += 1
        self._doomed_at = self._reconciler = None
        self._world.later(self._world.dice.uniform(0.5, 25), self._start)

    def _step(self, reconciler: Reconciler) -> None:
        """What `engine.Engine` does in a step."""
        clock = self._world.clock
        if clock.now_s >= self._tick_at_s:
            self._tick_at_s = clock.now_s + LOOK_S
            if not reconciler.look_around():
                self._seen = "0"
            try:
                reconciler._bus.forget(reconciler.position)
            except Unavailable as error:
                reconciler.redis_failed(str(error))
        late, self._reads_late = self._reads_late, False  # the reader is a thread of its own
        try:
            messages = [] if late else reconciler._bus.read(self._seen, 0)
        except Unavailable as error:
            reconciler.redis_failed(str(error))
            messages = []
        effects = Effects()
        with self._writing() as tx:
            if messages:
                self._seen = messages[-1][0]
                reconciler.take_messages(tx, messages, effects)
            for verb in self._wishes:
                with suppress(UserError):
                    verb(reconciler.ledger(self._sweep_id), tx, clock.wall())
            self._wishes = []
            reconciler.plan(tx, effects)
            self._die("before the commit")
        self._die("after the commit")
        self._act(reconciler, effects)

    def _act(self, reconciler: Reconciler, effects: Effects) -> None:
        reconciler.act(effects, self._ask)
        if effects.offers or effects.orders or effects.acks:
            self.on_told()

    def _ask(self, question: Question) -> None:
        """A costly searcher answers after a while."""
        epoch = self._epoch

        def answer() -> None:
            if self._reconciler is None or self._epoch != epoch:
                return
            if self._is_away:
                self._world.later(PAUSE_AFTER_FAILURE_S, answer)
                return
            effects = Effects()
            try:
                with self._writing() as tx:
                    self._reconciler.take_answer(tx, suggest(question))
                    self._reconciler.plan(tx, effects)
                    self._die("before the commit")
                self._act(self._reconciler, effects)
            except Killed:
                self._on_death()
            except Unavailable:
                self._recover(self._reconciler)

        self._world.later(self._world.dice.uniform(0.01, 0.5), answer)
