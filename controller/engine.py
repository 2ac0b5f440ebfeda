"""The engine: one thread that owns every write, around the reconciler's logic.

Messages of agents, verbs of users and suggestions arrive in one inbox. A step takes what is there, writes it
and all that follows from it in one transaction, and acts only then.
"""

from __future__ import annotations

import logging
import queue
import secrets
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

from sweepyard.bus.port import ControllerBus
from sweepyard.clock import Clock
from sweepyard.controller import moves, verbs
from sweepyard.controller.audit import UNNAMED, entry_of
from sweepyard.controller.ledger import Ledger
from sweepyard.controller.port import AgentVerb, Verb
from sweepyard.controller.proposals import Answer
from sweepyard.controller.proposer import Proposer
from sweepyard.controller.reader import Batch, Reader
from sweepyard.controller.reconciler import CURSOR, LOOK_S, Reconciler
from sweepyard.controller.spec import Spec
from sweepyard.controller.telling import Effects
from sweepyard.errors import Fenced, NotFound, Unavailable, UserError
from sweepyard.failpoints import failpoint
from sweepyard.plain import Params
from sweepyard.search.registry import is_costly
from sweepyard.tracking.port import Store, Transaction
from sweepyard.tracking.records import CREATED, Actor, Agent, PriorRun, Run, RunState, SpecVersion, Sweep

MOST_AT_ONCE = 64
FIRST_LOOK_S = 0.2
PAUSE_AFTER_FAILURE_S = 0.5
ANSWER_TIMEOUT_S = 30.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Command:
    """A user's verb: `work` runs in the engine's transaction, its result goes to the waiting caller."""

    work: Callable[[Transaction, float], Any]
    result: Future[Any] = field(default_factory=Future)


Made = TypeVar("Made")
Item: TypeAlias = Batch | Command | Answer


class Engine:
    """Runs in a thread of its own from `start` to `stop`. Verbs may be called from any thread.

    `epoch`: of the take-over that makes it the only writer. It ends by itself when there is a younger one.
    """

    def __init__(
        self,
        store: Store,
        bus: ControllerBus,
        clock: Clock,
        *,
        epoch: int,
        lost_after_s: float,
        proposal_deadline_s: float,
    ) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._epoch = epoch
        self._inbox: queue.Queue[Item] = queue.Queue(maxsize=100)
        self._reconciler = Reconciler(store, bus, clock, lost_after_s=lost_after_s)
        self._proposer = Proposer(self._inbox.put, deadline_s=proposal_deadline_s)
        self._reader = Reader(bus, self._inbox.put, self._reconciler.redis_failed)
        self._suspicious = False
        # A first look only after what was said meanwhile has been heard: it may answer what else would be asked.
        self._next_tick = clock.monotonic() + FIRST_LOOK_S
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.ended_by: BaseException | None = None

    def start(self) -> None:
        self._reconciler.load()
        failpoint("load.after")
        self._reader.seek(self._reconciler.position if self._reconciler.finds_redis_intact() else "0")
        self._reader.start()
        self._thread.start()

    def stop(self) -> None:
        """End after the present step. Nothing is lost: the next engine plans from the store."""
        self._stopping.set()
        self._reader.stop()
        self._thread.join(timeout=10)
        failpoint("shutdown.mid")
        self._proposer.close()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def has_agents(self) -> bool:
        """Whether any agent is there."""
        return self._reconciler.has_agents

    # -- verbs: called by the API's threads -------------------------------------------------------------------

    def create_sweep(self, spec: Spec, prior_runs: Sequence[PriorRun] = (), *, by: Actor = UNNAMED) -> Sweep:
        """Store a new sweep and what it knows from elsewhere. Agents can join it from then on."""
        sweep = Sweep(
            id=moves.new_id(),
            entity=spec.entity,
            project=spec.project,
            name=spec.name,
            spec=spec.data,
            seed=secrets.randbelow(2**32) if spec.seed is None else spec.seed,
            created_at=self._clock.wall(),
        )

        def work(tx: Transaction, now: float) -> Sweep:
            tx.add_sweep(sweep)
            tx.add_version(moves.first_version(sweep))
            known = [replace(run, sweep_id=sweep.id) for run in prior_runs]
            tx.add_prior_runs(known)
            ledger = Ledger.new(sweep, known)
            self._reconciler.add(ledger)
            ledger.tell(tx, "sweep.created", f"{spec.method} search with seed {sweep.seed}", now)
            tx.add_audit(entry_of(by, CREATED, sweep.id, sweep, now))
            return sweep

        if is_costly(spec.method):
            self._proposer.warm(sweep.id)
        return self._do(work)

    def control(self, sweep_id: str, verb: Verb, *, by: Actor = UNNAMED) -> Sweep:
        """`pause`, `resume`, `stop` or `cancel` a sweep: how it is when all that follows at once has followed.

        Raises:
            NotFound, Conflict: there is no such sweep, or its state does not allow the verb.
        """
        self._on(sweep_id, by, f"sweep.{verb}", lambda ledger, tx, now: verbs.control(ledger, tx, verb, now))
        return self._store.sweep(sweep_id) or self._known(sweep_id).sweep

    def stop_run(self, sweep_id: str, ref: str | int, *, by: Actor = UNNAMED) -> Run:
        """As `verbs.stop_run`."""
        return self._on(sweep_id, by, "run.stop", lambda ledger, tx, now: verbs.stop_run(ledger, tx, ref, now))

    def retry(
        self, sweep_id: str, refs: Sequence[str | int], states: Collection[RunState], *, by: Actor = UNNAMED
    ) -> list[Run]:
        """As `verbs.retry`."""
        return self._on(
            sweep_id, by, "sweep.retry", lambda ledger, tx, now: verbs.retry(ledger, tx, refs, states, now)
        )

    def edit(
        self,
        sweep_id: str,
        source: str | Mapping[str, Any] | None,
        wishes: Mapping[str, Any],
        *,
        by: Actor = UNNAMED,
    ) -> SpecVersion:
        """As `verbs.edit`."""
        return self._on(
            sweep_id, by, "sweep.edit", lambda ledger, tx, now: verbs.edit(ledger, tx, source, wishes, now)
        )

    def enqueue(self, sweep_id: str, params: Params, *, outside: bool, by: Actor = UNNAMED) -> Run:
        """As `verbs.enqueue`; the run is offered before all that is still to be proposed."""
        return self._on(
            sweep_id,
            by,
            "run.enqueue",
            lambda ledger, tx, now: verbs.enqueue(ledger, tx, params, now, outside=outside),
        )

    def order_agent(self, sweep_id: str, agent_id: str, verb: AgentVerb, *, by: Actor = UNNAMED) -> Agent:
        """As `Reconciler.order_agent`: what is known of the agent then."""

        def work(ledger: Ledger, tx: Transaction, _now: float) -> str:
            self._reconciler.order_agent(tx, ledger, agent_id, verb)
            return f"agent {agent_id}"

        self._on(sweep_id, by, f"agent.{verb}", work)
        return next(agent for agent in self._store.agents(sweep_id) if agent.id == agent_id)

    def prune_audit(self, before: float, *, by: Actor = UNNAMED) -> int:
        """Forget what the audit trail says of the time before: how many entries. That it was done is one."""

        def work(tx: Transaction, now: float) -> int:
            gone = tx.prune_audit(before)
            tx.add_audit(entry_of(by, "audit.prune", "audit", f"{gone} entries", now))
            return gone

        return self._do(work)

    def _on(self, sweep_id: str, by: Actor, verb: str, work: Callable[[Ledger, Transaction, float], Made]) -> Made:
        """Do what somebody wants of a sweep, and note who it was."""

        def noted(tx: Transaction, now: float) -> Made:
            made = work(self._known(sweep_id), tx, now)
            tx.add_audit(entry_of(by, verb, sweep_id, made, now))
            return made

        return self._do(noted)

    def _known(self, sweep_id: str) -> Ledger:
        ledger = self._reconciler.ledger(sweep_id)
        if ledger is None:
            raise NotFound(f"There is no sweep '{sweep_id}' here. `sweepyard status` lists those that are.")
        return ledger

    def health(self) -> dict[str, Any]:
        trouble = self._reconciler.redis_trouble
        return {
            "status": "degraded" if trouble or not self.alive else "ok",
            "redis": trouble or "ok",
            "engine": "ok" if self.alive else f"ended: {self.ended_by}",
            "instance": self._store.instance_id,
            "epoch": self._epoch,
        }

    def _do(self, work: Callable[[Transaction, float], Made]) -> Made:
        command = Command(work)
        try:
            self._inbox.put(command, timeout=ANSWER_TIMEOUT_S)
            made: Made = command.result.result(timeout=ANSWER_TIMEOUT_S)
            return made
        except (FutureTimeout, queue.Full):
            raise Unavailable(
                f"The controller is busy and did not answer within {ANSWER_TIMEOUT_S:g} s. Try again."
            ) from None

    # -- the engine's thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                for items in self._take_items():
                    self._try_step(items)
        except BaseException as error:
            self.ended_by = error
            log.error("the engine has ended: %s", error)

    def _take_items(self) -> list[list[Item]]:
        """What the inbox holds, for one step; after a failure each message for a step of its own."""
        items: list[Item] = []
        try:
            items.append(self._inbox.get(timeout=max(0.001, self._next_tick - self._clock.monotonic())))
            while len(items) < MOST_AT_ONCE:
                items.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        if not self._suspicious or not items:
            return [items]
        self._suspicious = False
        return [[single] for item in items for single in _singly(item)]

    def _try_step(self, items: list[Item]) -> None:
        try:
            self._step(items)
        except Fenced:
            raise
        except Exception as error:  # the engine must outlive whatever one step meets
            if isinstance(error, Unavailable):
                log.warning("%s", error)
            else:
                log.exception("a step failed")
            _fail_commands(items, error)
            self._recover(_culprit(items, error))
            self._suspicious = not isinstance(error, Unavailable)

    def _step(self, items: list[Item]) -> None:
        if self._clock.monotonic() >= self._next_tick:
            self._tick()
        effects = Effects()
        done: list[tuple[Command, Any]] = []
        with self._store.transaction(self._epoch) as tx:
            for item in items:
                match item:
                    case Batch(generation, messages):
                        if generation == self._reader.generation:
                            self._reconciler.take_messages(tx, messages, effects)
                    case Answer():
                        self._reconciler.take_answer(tx, item)
                    case Command():
                        done += self._obey(tx, item)
            self._reconciler.plan(tx, effects)
            failpoint("commit.before")
        failpoint("commit.after")
        for command, made in done:
            command.result.set_result(made)
            failpoint("answer.after")
        self._reconciler.act(effects, self._proposer.ask)

    def _obey(self, tx: Transaction, command: Command) -> list[tuple[Command, Any]]:
        try:
            return [(command, command.work(tx, self._clock.wall()))]
        except UserError as error:
            command.result.set_exception(error)
            return []

    def _tick(self) -> None:
        self._next_tick = self._clock.monotonic() + LOOK_S
        if not self._reconciler.look_around():
            self._reader.seek("0")
        if self._reconciler.is_reading:
            self._next_tick = self._clock.monotonic()
        try:
            failpoint("forget.before")
            self._bus.forget(self._reconciler.position)
            failpoint("forget.after")
        except Unavailable as error:
            self._reconciler.redis_failed(str(error))

    def _recover(self, culprit: str | None) -> None:
        """Nothing of the failed step was written. Forget what memory may hold of it, and read everything again.

        `culprit`: the position of a message that fails on its own. It is passed over, so that one bad report
        never holds up everybody else's.
        """
        while not self._stopping.wait(PAUSE_AFTER_FAILURE_S):
            try:
                if culprit is not None:
                    log.error("passed over the message at %s", culprit)
                    with self._store.transaction(self._epoch) as tx:
                        tx.set_cursor(CURSOR, culprit)
                self._reconciler.load()
                self._reader.seek(self._reconciler.position)
                return
            except Unavailable as still:
                log.warning("%s", still)


def _singly(item: Item) -> list[Item]:
    if isinstance(item, Batch):
        return [Batch(item.generation, [message]) for message in item.messages]
    return [item]


def _culprit(items: list[Item], error: Exception) -> str | None:
    match items:
        case [Batch(messages=[(position, _)])] if not isinstance(error, Unavailable):
            return position
    return None


def _fail_commands(items: list[Item], error: Exception) -> None:
    for item in items:
        if isinstance(item, Command) and not item.result.done():
            item.result.set_exception(Unavailable(f"The controller could not do it: {error}"))
