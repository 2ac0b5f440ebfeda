"""What follows from what happened: the controller's logic between one inbox and one transaction, no threads.

`take_*` writes what arrived, `plan` writes what follows from the state, `act` then tells the world. Acting is
repeatable and may fail half-way: the next `plan` starts from the state again, so whatever was not done is done
then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from sweepyard.bus.port import ControllerBus
from sweepyard.bus.wire import AttemptOrder, AttemptRef, Left, Message, Presence, Report
from sweepyard.bus.wire import Offer as WireOffer
from sweepyard.clock import Clock
from sweepyard.controller import ingest, moves, planner, telling
from sweepyard.controller.agents import Agents
from sweepyard.controller.flapping import Flapping
from sweepyard.controller.ledger import Ledger
from sweepyard.controller.port import AgentVerb
from sweepyard.controller.proposals import Answer, Question, aged, suggest
from sweepyard.controller.telling import Effects
from sweepyard.errors import NotFound, Unavailable
from sweepyard.failpoints import failpoint
from sweepyard.search.registry import is_costly
from sweepyard.tracking.lifecycle import SweepEvent
from sweepyard.tracking.port import Store, Transaction
from sweepyard.tracking.records import Attempt, AttemptState, Run, SweepState

CURSOR = "reports"
READ_ON_S = 0.2
"""How long a look around reads what is still unread, before it leaves the rest to the next one."""
LOOK_S = 1.0
"""How often to look around: what lies between two looks beyond that was watched by nobody."""
MOST_PLANS = 4
"""A plan may make a further one possible (lost, offered again); more than this in one step would be a bug."""

log = logging.getLogger(__name__)


class Reconciler:
    """All that the controller knows while it runs. `load` first, and again whenever a transaction failed."""

    def __init__(self, store: Store, bus: ControllerBus, clock: Clock, *, lost_after_s: float) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._lost_after_s = lost_after_s
        self._agents = Agents(lost_after_s)
        self._flapping = Flapping()
        self._ledgers: dict[str, Ledger] = {}
        self._unread: list[str] = []
        self._queued_at: dict[AttemptRef, float] = {}
        self._looked_at = clock.monotonic()
        self.position = "0"
        self.redis_trouble = ""

    def load(self) -> None:
        """Forget everything that the store does not hold. A sweep is read when somebody speaks of it, the others
        bit by bit in `look_around`: a hundred long sweeps would keep the first offer waiting.
        """
        self._ledgers.clear()
        self._agents.start_again()
        self._flapping = Flapping()
        self.position = self._store.cursor(CURSOR)
        self._unread = [sweep.id for sweep in self._store.unsettled_sweeps()]

    def ledger(self, sweep_id: str) -> Ledger | None:
        """The ledger of a sweep, read on first use; None if there is no such sweep."""
        ledger = self._ledgers.get(sweep_id)
        if ledger is None:
            sweep = self._store.sweep(sweep_id)
            if sweep is None:
                return None
            ledger = Ledger.read(self._store, sweep)
            self.add(ledger)
            self._agents.restore(self._store.agents(sweep_id))
            for _, attempt in ledger.open_attempts:
                if attempt.agent_id:
                    self._agents.expect(attempt.agent_id, sweep_id, self._clock.monotonic())
        return ledger

    @property
    def is_reading(self) -> bool:
        """Whether there are sweeps that it has not read yet."""
        return bool(self._unread)

    def _read_on(self) -> None:
        until = self._clock.monotonic() + READ_ON_S
        while self._unread and self._clock.monotonic() < until:
            self.ledger(self._unread.pop())

    def add(self, ledger: Ledger) -> None:
        self._ledgers[ledger.sweep.id] = ledger

    @property
    def has_agents(self) -> bool:
        """Whether any agent is there."""
        return self._agents.present(None, self._clock.monotonic())

    # -- what arrives -----------------------------------------------------------------------------------------

    def finds_redis_intact(self) -> bool:
        """Asked before anything is offered: a Redis that was empty must not look like one that forgot it."""
        try:
            return self._bus.intact()
        except Unavailable as error:
            self.redis_failed(str(error))
            return True

    def look_around(self) -> bool:
        """Who lives; the answer is False if Redis has forgotten what was there, so that it must be read anew."""
        self._read_on()
        now = self._clock.monotonic()
        unwatched_s = max(0.0, now - self._looked_at - LOOK_S)
        self._looked_at = now
        try:
            intact = self._bus.intact()
            for agent_id in self._agents.bury():
                failpoint("presence.before")
                self._bus.remove_presence(agent_id)
                failpoint("presence.after")
            self._close_queues()
            words, upto = self._bus.presence()
            queued = self._queued()
        except Unavailable as error:
            self.redis_failed(str(error))
            self._forgive(now)
            return True
        if self.redis_trouble:
            log.warning("Redis answers again")
            self.redis_trouble = ""
            self._forgive(now)
            self._tell_again()
        for presence in words.values():
            self._hear(presence)
        self._agents.see(words.values(), upto)
        self._agents.taken_in(self.position)
        offered = {AttemptRef(run.id, a.n) for ledger in self._ledgers.values() for run, a in ledger.offered}
        # What was taken while the store was away, or this process stood still, was started in messages that nobody
        # has read yet: only the time counts in which somebody watched.
        self._queued_at = {
            ref: now if ref in queued else at + unwatched_s
            for ref, at in self._queued_at.items()
            if intact and ref in offered
        }
        if not intact:
            self._tell_again()
        return intact

    def _forgive(self, now: float) -> None:
        """Nobody could have been heard: start waiting anew."""
        self._agents.forgive(now)
        self._queued_at = dict.fromkeys(self._queued_at, now)

    def _close_queues(self) -> None:
        """Sweeps that are over have no offers, though withdrawals are lost with Redis or with a controller."""
        open_here = {ledger.sweep.id for ledger in self._ledgers.values() if not ledger.is_over}
        for sweep_id in self._bus.queues() - open_here - {*self._unread}:
            failpoint("close.before")
            self._bus.close(sweep_id)
            failpoint("close.after")

    def _queued(self) -> set[AttemptRef]:
        """Offers that are in their queues now: however long they have waited, nobody has taken them."""
        sweeps = [ledger.sweep.id for ledger in self._ledgers.values() if ledger.offered]
        return set().union(*map(self._bus.waiting, sweeps))

    def _tell_again(self) -> None:
        """What agents were told may have been lost on the way."""
        self._agents.tell_again()
        for ledger in self._ledgers.values():
            ledger.ordered.clear()

    def redis_failed(self, trouble: str) -> None:
        if not self.redis_trouble:
            log.warning("%s", trouble)
        self.redis_trouble = trouble

    def take_messages(self, tx: Transaction, messages: list[tuple[str, Message | None]], effects: Effects) -> None:
        """Take messages in, in their order, and move the cursor behind them."""
        for position, message in messages:
            match message:
                case Report():
                    self._take_report(tx, message, effects)
                case Presence():
                    self._hear(message)
                    self._agents.count(message)
                case Left():
                    self._agents.leave(message.agent, message.reason)
                case None:
                    log.warning("dropped an unreadable message at %s", position)
            self._agents.taken_in(position)
        self.position = messages[-1][0]
        tx.set_cursor(CURSOR, self.position)

    def take_answer(self, tx: Transaction, answer: Answer) -> None:
        """Turn suggestions into runs, or keep what nobody has waited for; unless the sweep wants none any more."""
        ledger = self.ledger(answer.sweep_id)
        if ledger is None:
            return
        ledger.proposing = False
        if answer.version != ledger.sweep.version:
            return  # the space is another one now: ask again
        ledger.ready = answer
        if answer.waiting and ledger.sweep.state in (SweepState.pending, SweepState.running):
            self._take_ready(tx, ledger)

    def _take_ready(self, tx: Transaction, ledger: Ledger) -> None:
        """Runs of what is ready; none if other runs came in between, as after a failed transaction."""
        answer, unseen, cap = ledger.ready, ledger.unseen, ledger.sweep.run_cap
        ledger.ready = None
        if answer is None or unseen is None:
            return
        for suggestion in answer.suggestions:
            if cap is None or len(ledger.runs) < cap:
                moves.propose(ledger, tx, aged(suggestion, unseen), self._clock.wall())
        ledger.exhausted = len(answer.suggestions) < answer.n

    def _hear(self, presence: Presence) -> None:
        if self.ledger(presence.sweep) is not None:
            self._agents.hear(presence, self._clock.monotonic())

    def _take_report(self, tx: Transaction, report: Report, effects: Effects) -> None:
        ledger = self.ledger(report.sweep)
        if ledger is None:
            unknown = AttemptOrder(kind="drop", reason=f"sweep {report.sweep} is not known here")
            effects.order(report.agent, report.ref, unknown)
            return
        self._agents.reported(report, self._clock.monotonic())
        attempt, now = ledger.attempts.get(report.run), self._clock.wall()
        reply = ingest.take_in(ledger, tx, report, now)
        if reply.is_news and attempt is not None:
            self._flapping.take(report, attempt.started_at, now)
        if reply.ack is not None:
            effects.acks.setdefault(report.agent, {})[report.ref] = reply.ack
        if reply.order is not None:
            effects.order(report.agent, report.ref, reply.order)

    # -- what follows -----------------------------------------------------------------------------------------

    def plan(self, tx: Transaction, effects: Effects) -> None:
        """Write what follows from the state, for every sweep, until nothing more follows."""
        # One for all: the store must not learn of a loss that no plan has seen. That of the last look: if the
        # store has kept us waiting since, nobody could have been heard.
        now = self._looked_at
        for ledger in list(self._ledgers.values()):
            self._quarantine(tx, ledger)
            for _ in range(MOST_PLANS):
                changed = False
                for intent in planner.plan(self._view(ledger, now)):
                    changed |= self._carry_out(tx, ledger, intent, effects)
                if not changed:
                    break
            self._repeat_orders(ledger, effects)
            self._withdraw_superseded(ledger, effects)
        for agent in self._agents.to_save(now, self._clock.wall()):
            tx.save_agent(agent)

    def _quarantine(self, tx: Transaction, ledger: Ledger) -> None:
        """Part with agents on which nothing works; what failed there is tried elsewhere."""
        now, known = self._clock.wall(), self._agents.quarantined(ledger.sweep.id)
        for agent_id, reason in self._flapping.found(ledger.sweep.id).items():
            if agent_id not in known:
                self._agents.order(agent_id, "quarantine", reason)
                known.append(agent_id)
                ledger.tell(tx, "agent.quarantined", f"agent {agent_id}: {reason}", now, agent_id=agent_id)
        for agent_id, run_id in self._flapping.take_failures(known):
            moves.give_back(ledger, tx, ledger.runs[run_id], agent_id, now)

    def order_agent(self, tx: Transaction, ledger: Ledger, agent_id: str, verb: AgentVerb) -> None:
        """What a person wants of an agent.

        Raises:
            NotFound: no such agent is there.
        """
        if not self._agents.is_there(agent_id, ledger.sweep.id, self._clock.monotonic()):
            raise NotFound(
                f"Sweep {ledger.sweep.id} has no agent '{agent_id[:60]}' now. "
                f"`sweepyard agents {ledger.sweep.id}` lists them."
            )
        if verb == "release":
            self._flapping.forget([agent_id])
        self._agents.order(agent_id, None if verb == "release" else verb, "asked for by the user")
        text = f"agent {agent_id}: {verb} asked for by the user"
        ledger.tell(tx, f"agent.{verb}", text, self._clock.wall(), agent_id=agent_id)

    def _view(self, ledger: Ledger, now: float) -> planner.View:
        sweep, promoter = ledger.sweep, ledger.promoter
        target = (sweep.spec.get("metric") or {}).get("target")
        budget = sweep.spec.get("budget", {})
        best_run, best = (0, None) if target is None else ledger.leader()
        attempts = [
            planner.OpenAttempt(run.id, attempt.state, attempt.agent_id, self._age_s(run, attempt, now))
            for run, attempt in ledger.open_attempts
        ]
        return planner.View(
            state=sweep.state,
            objective=ledger.objective,
            run_cap=sweep.run_cap,
            budget=budget,
            hours=ledger.hours(self._clock.wall()) if "hours" in budget else 0.0,
            failures=ledger.failures if "failures" in budget else 0,
            target=target,
            created=len(ledger.runs),
            best=best,
            best_run=best_run,
            exhausted=ledger.exhausted,
            attempts=attempts,
            free=self._agents.free(sweep.id, now),
            times=ledger.repeat.times if ledger.repeat else 1,
            missing=ledger.missing,
            costly=is_costly(sweep.spec["method"]),
            proposing=ledger.proposing,
            unseen=ledger.unseen,
            lost_agents=self._agents.lost(now),
            vanished=self._vanished(sweep.id, attempts),
            lost_after_s=self._lost_after_s,
            paused=len(ledger.paused),
            takes_turns=promoter is not None,
            turns=ledger.turns,
            members=promoter.members if promoter else None,
        )

    def _age_s(self, run: Run, attempt: Attempt, now: float) -> float | None:
        if attempt.state is not AttemptState.offered:
            return None
        queued_at = self._queued_at.get(AttemptRef(run.id, attempt.n))
        return None if queued_at is None else now - queued_at

    def _vanished(self, sweep_id: str, attempts: list[planner.OpenAttempt]) -> frozenset[str]:
        """Runs whose offer has been out for long and is in no queue. Asks Redis only if there may be any."""
        old = {a.run_id for a in attempts if a.age_s is not None and a.age_s > self._lost_after_s}
        if not old or self.redis_trouble:
            return frozenset()
        try:
            return frozenset(old - {ref.run for ref in self._bus.waiting(sweep_id)})
        except Unavailable as error:
            self.redis_failed(str(error))
            return frozenset()

    def _carry_out(self, tx: Transaction, ledger: Ledger, intent: planner.Intent, effects: Effects) -> bool:
        """Whether the state changed, so that planning again may find more to do."""
        now = self._clock.wall()
        match intent:
            case planner.Lose(run_id, reason):
                moves.lose(ledger, tx, ledger.runs[run_id], reason=reason, now=now)
            case planner.Go(turn):
                moves.take_turn(ledger, tx, turn, now)
            case planner.Dismiss(reason):
                moves.dismiss(ledger, tx, reason, now)
            case planner.Finish(reason):
                moves.move_sweep(ledger, tx, SweepEvent.finish, reason, now)
            case planner.Close(reason):
                words = f"{ledger.sweep.reason}; {reason}" if ledger.sweep.reason else reason
                moves.move_sweep(ledger, tx, SweepEvent.close, words, now)
            case planner.Propose(n):
                self.take_answer(tx, suggest(_question(ledger, n)))
            case planner.Repeat(n):
                for _ in range(n):
                    moves.repeat(ledger, tx, next(point for point in ledger.points() if point.missing), now)
            case planner.Ask(waiting):
                ledger.proposing = True
                effects.questions.append(_question(ledger, 1, waiting=waiting))
                return False
            case planner.Take():
                self._take_ready(tx, ledger)
            case planner.Offer(run_id):
                offer = telling.offer_of(ledger.runs[run_id], ledger.sweep)
                effects.offers[offer.ref] = offer
                return False
            case planner.Withdraw(run_id):
                ref = AttemptRef(run_id, ledger.runs[run_id].attempt)
                effects.withdrawn.setdefault(ledger.sweep.id, []).append(ref)
                self._queued_at.pop(ref, None)
                return False
        return True

    def _repeat_orders(self, ledger: Ledger, effects: Effects) -> None:
        """What is wanted of running runs and was not told with a report: a user's cancel."""
        for run, attempt in ledger.open_attempts:
            if run.id in ledger.ordered:
                continue
            if order := ingest.standing_order(run):
                ledger.ordered.add(run.id)
                effects.order(attempt.agent_id, AttemptRef(run.id, attempt.n), order)

    def _withdraw_superseded(self, ledger: Ledger, effects: Effects) -> None:
        refs = [AttemptRef(*named) for named in ledger.superseded]
        ledger.superseded.clear()
        if refs:
            effects.withdrawn.setdefault(ledger.sweep.id, []).extend(refs)

    # -- what the world is told -------------------------------------------------------------------------------

    def act(self, effects: Effects, ask: Callable[[Question], None]) -> None:
        """Tell the world. `ask` puts a question to a costly searcher."""
        try:
            for ref, offer in effects.offers.items():
                telling.offer(self._bus, self._with_step(offer))
                self._queued_at[ref] = self._clock.monotonic()
            telling.tell(self._bus, effects)
            for ledger in self._ledgers.values():
                telling.guide(self._agents, ledger, self._bus)
        except Unavailable as error:
            self.redis_failed(str(error))
        for question in effects.questions:
            failpoint("ask.before")
            ask(question)
        self._forget_ended()

    def _with_step(self, offer: WireOffer) -> WireOffer:
        """An attempt that goes on goes on with the steps of its history, too. After the commit: rows are read."""
        ledger = self.ledger(offer.sweep)
        run = ledger.runs[offer.run] if ledger else None
        if run is None or not run.steps:
            return offer
        last = self._store.history(run.key, after_line=run.lines - 2)
        return offer.model_copy(update={"step": last[-1].step + 1 if last else 0})

    def _forget_ended(self) -> None:
        """Forget sweeps that nobody works on any more."""
        for ledger in [ledger for ledger in self._ledgers.values() if ledger.is_over]:
            if not self._agents.present(ledger.sweep.id, self._clock.monotonic()):
                del self._ledgers[ledger.sweep.id]


def _question(ledger: Ledger, n: int, *, waiting: bool = True) -> Question:
    return Question(
        sweep_id=ledger.sweep.id,
        spec=ledger.sweep.spec,
        objective=ledger.objective,
        version=ledger.sweep.version,
        seed=ledger.sweep.seed,
        history=ledger.history(foretell=is_costly(ledger.sweep.spec["method"])),
        pending=ledger.pending(),
        n=n,
        waiting=waiting,
    )
