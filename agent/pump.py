"""The heart of an agent: one loop and one inbox.

`intake` feeds the inbox from the bus (offers and hints), `launcher` from the forker; everything else happens here.
Training never waits for the network: while the bus is away, reports stay in their spools.
"""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from sweepyard.agent import checkpoints, rundir
from sweepyard.agent.attempt import LiveAttempt, Slot
from sweepyard.agent.contact import Contact, Identity
from sweepyard.agent.intake import BusBroken, Hint, Intake
from sweepyard.agent.launcher import ChildExited, ChildStarted, Event, ForkerGone, Interrupted, Launcher
from sweepyard.agent.room import Room, is_full
from sweepyard.agent.spool import AT_ONCE, Outbox, Source
from sweepyard.agent.supervisor import GRACE_S, Ladder, Wish
from sweepyard.bus.port import AgentBus
from sweepyard.bus.wire import AttemptRef, Control, Offer, Report, Started
from sweepyard.clock import SYSTEM_CLOCK, Clock
from sweepyard.errors import UserError
from sweepyard.failpoints import failpoint
from sweepyard.tracking.records import Outcome

TICK_S = 0.05
"""How often the spools of running attempts are looked at."""
ACK_POLL_S = 0.1
"""How often acknowledgements are asked for when something waits for them."""
GOODBYE_S = 10.0
"""How long an interrupted agent waits for its last acknowledgements. One that ends of itself waits for them all,
and says so after this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`count`: take at most so many runs, None: no limit. `max_initial_failures`: give up when the first so many
    runs have all failed, None: never. `stop_after_s`: hand the run back after so long without contact. `grace_s`:
    seconds from SIGTERM to SIGKILL. `checkpoint_keep_s`: how long what an ended run has saved stays. `wait`: stay
    when the sweep is over, it may be resumed. `forward_signals`: a signal that ends the agent goes to its run,
    instead of SIGTERM."""

    count: int | None = None
    max_initial_failures: int | None = 5
    heartbeat_s: float = 5.0
    stop_after_s: float = 900.0
    grace_s: dict[Wish, float] = field(default_factory=lambda: dict(GRACE_S))
    checkpoint_keep_s: float = float("inf")
    wait: bool = False
    forward_signals: bool = False


Item: TypeAlias = Event | Slot | Hint | BusBroken


class Pump:
    """Takes offers one at a time, has them executed, and reports until the agent may leave.

    `argv(offer, run_dir)` says what to execute, None: the training function; its `UserError` ends the agent and
    gives the offer back. `say` gets one line for the user.
    """

    def __init__(
        self,
        agent: Identity,
        bus: AgentBus,
        argv: Callable[[Offer, Path], list[str] | None],
        say: Callable[[str], object],
        *,
        limits: Limits,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.inbox: SimpleQueue[Item] = SimpleQueue()
        self._agent, self._argv, self._say = agent, argv, say
        self._limits, self._clock = limits, clock
        self._contact = Contact(bus, agent, say, stop_after_s=limits.stop_after_s, now_s=clock.monotonic())
        self._attempts: dict[AttemptRef, LiveAttempt] = {}
        self._known: set[AttemptRef] = set()
        """All that it ever accepted: a queue that lost its last seconds offers once more what is done."""
        self._taken = self._ended = self._failed = 0
        self._intake = Intake(bus, agent.sweep, self.inbox)
        self._leaving = ""
        self._exit_code = 0
        self._interrupts = 0
        self._waits_since_s: float | None = None
        self._why_waiting = ""
        self._has_news = self._is_ready = True
        self._room = Room(agent.dir, say)

    def run(self, launcher: Launcher) -> int:
        """Work until there is nothing left to do: the exit code."""
        self._launcher = launcher
        launcher.listen()
        self._intake.start()
        threading.Thread(target=self._clean, name="cleaner", daemon=True).start()
        while not self._may_leave():
            self._handle_all(self._pause_s())
            self._advance()
        self._tell_what_is_left()
        failpoint("agent.leave_before")
        self._intake.give_back(self._clock)
        self._contact.leave(self._leaving)
        return self._exit_code

    # What arrives

    def _handle_all(self, pause_s: float) -> None:
        try:
            self._handle(self.inbox.get(timeout=pause_s) if pause_s else self.inbox.get_nowait())
            while True:
                self._handle(self.inbox.get_nowait())
        except Empty:
            return

    def _handle(self, item: Item) -> None:
        match item:
            case Slot():
                self._on_offer(item)
            case ChildStarted(ref, pid):
                self._on_started(self._attempts[ref], pid)
            case ChildExited(ref, code, number):
                self._on_exited(self._attempts[ref], code, number)
            case Interrupted(by, number):
                self._on_interrupt(by, number)
            case ForkerGone():
                self._on_forker_gone()
            case Hint():
                self._has_news = True
            case BusBroken(why):
                self._go(f"no offers can be received: {why}", exit_code=1)

    def _on_offer(self, slot: Slot) -> None:
        offer = slot.offer
        if self._leaving or not self._intake.ready.is_set() or offer.ref in self._known:
            return slot.answer(offer.ref in self._known)
        # This agent's alone: a Redis that has lost its last seconds may offer to a neighbour what runs here.
        run_dir = self._agent.dir / "runs" / self._agent.id / str(offer.ref)
        try:
            rundir.prepare(run_dir, offer.params)
            argv = self._argv(offer, run_dir)
        except (UserError, OSError) as error:
            self._on_unprepared(run_dir, error)
            return slot.answer(False)
        source = Source(offer.sweep, offer.run, offer.number, offer.attempt, self._agent.id)
        outbox = Outbox(source, run_dir / rundir.SPOOL, 2 * self._limits.heartbeat_s)
        live = LiveAttempt(slot, run_dir, outbox, Ladder(self._limits.grace_s))
        self._attempts[offer.ref] = live
        self._known.add(offer.ref)
        failpoint("agent.offer_taken")
        self._taken += 1
        env = live.info(self._agent.project, self._agent.entity).environment() | self._checkpoint(offer)
        return self._launcher.start(offer.ref, run_dir, {**env, "PYTHONUNBUFFERED": "1"}, argv)

    def _on_unprepared(self, run_dir: Path, error: UserError | OSError) -> None:
        """Leave, unless it is only the disk that is full: then take nothing until there is room."""
        if not is_full(error):
            return self._go(str(error), exit_code=getattr(error, "exit_code", 1))
        self._room.miss()
        self._intake.ready.clear()
        shutil.rmtree(run_dir, ignore_errors=True)
        return None

    def _on_started(self, live: LiveAttempt, pid: int) -> None:
        failpoint("agent.child_started")
        live.start(Started(host=self._agent.host, pid=pid), self._clock.monotonic())
        self._say(f"run #{live.offer.number} started: {_show(live.offer.params)}")

    def _on_exited(self, live: LiveAttempt, code: int | None, number: int | None) -> None:
        failpoint("agent.child_exited")
        ended = live.end(code, number)
        self._ended += 1
        self._failed += ended.outcome is Outcome.failed
        self._has_news = self._is_ready = True
        took_s = self._clock.monotonic() - (live.started_at_s or self._clock.monotonic())
        line = f"run #{live.offer.number} {ended.outcome} after {took_s:.1f} s"
        line += f": {ended.reason}" if ended.reason else ""
        self._say(line + (f" (output: {self._log(live)})" if ended.outcome is Outcome.failed else ""))
        if self._taken == self._limits.count:
            self._go(f"it was started for {self._taken} run{'s'[: self._taken != 1]}")
        elif self._ended == self._failed == self._limits.max_initial_failures:
            self._go(f"its first {self._failed} runs have all failed, the last with: {ended.reason}", exit_code=1)
        if live.is_over_for_good:
            directory = Path(self._checkpoint(live.offer)[checkpoints.DIRECTORY])
            checkpoints.end(directory, self._limits.checkpoint_keep_s)
        live.slot.answer(True)

    def _on_interrupt(self, by: str, number: int | None = None) -> None:
        self._interrupts += 1
        first = number if number and self._limits.forward_signals else signal.SIGTERM
        self._waits_since_s = None
        self._go(f"told to end by {by}")
        now_s = self._clock.monotonic()
        for live in self._running():
            live.ask(Wish.preempt, f"its agent was told to end by {by}", now_s, first)
            failpoint("agent.drain_mid")
            if self._interrupts > 1:
                live.ladder.hurry(now_s)

    def _on_forker_gone(self) -> None:
        self._on_interrupt("the end of the process that starts its runs")
        self._exit_code = 1
        for live in self._running():
            self._on_exited(live, None, None)

    def _on_control(self, control: Control, now_s: float) -> None:
        for live in list(self._attempts.values()):
            live.outbox.acknowledge(control.acks.get(str(live.ref), 0), now_s)
            if order := control.orders.get(str(live.ref)):
                failpoint("agent.order_before")
                live.ask(Wish[order.kind], order.reason, now_s)
            if live.is_settled:
                failpoint("agent.settled_before")
                rundir.put_away(live.run_dir, self._log(live))
                failpoint("agent.settled_after")
                del self._attempts[live.ref]
        if control.exit is not None and not self._limits.wait:
            self._go(control.exit)
        if control.stop is not None:
            self._go(control.stop)
        if control.drain is not None:
            self._go(control.drain)
            for live in self._running():
                live.ask(Wish.preempt, f"its agent was {control.drain}", now_s)
        self._hear(control.exit or control.wait or "")

    def _hear(self, why_waiting: str) -> None:
        """Say once that there is no work for the time being, and once that there is again."""
        if why_waiting != self._why_waiting and not self._leaving:
            self._say(f"waiting: {why_waiting}" if why_waiting else "the sweep goes on")
        self._why_waiting = why_waiting

    def _go(self, reason: str, exit_code: int = 0) -> None:
        """Take nothing more, and leave when the present run is over."""
        if not self._leaving:
            self._leaving, self._exit_code = reason, exit_code
            self._intake.leave.set()
            self._say(f"this agent ends: {reason}")

    # What is done about it

    def _advance(self) -> None:
        now_s = self._clock.monotonic()
        for live in self._running():
            live.watch(now_s)
            if number := live.ladder.next_signal(now_s):
                self._launcher.signal(live.ref, number)
        if self._contact.may_speak(now_s):
            self._speak(now_s)
        self._contact.listen(now_s)
        if self._contact.is_cut_off:
            for live in self._running():
                live.ask(Wish.preempt, f"no contact with the service for {self._limits.stop_after_s:g} s", now_s)
        self._room.look(now_s)
        self._rest_or_work()

    def _rest_or_work(self) -> None:
        """Whether offers are welcome; the controller hears at once when they are again."""
        is_welcome = self._room.is_there and not self._contact.is_cut_off
        is_ready = is_welcome and not (self._leaving or self._why_waiting)
        if is_ready and not self._intake.ready.is_set():
            self._has_news = self._is_ready = True
            self._intake.ready.set()
        elif not is_ready:
            self._intake.ready.clear()

    def _speak(self, now_s: float) -> None:
        reports = [report for live in self._attempts.values() for report in self._due(live, now_s)]
        if not (reports or self._has_news or now_s - self._contact.spoke_at_s >= self._silence_s()):
            return
        is_free = self._room.is_there and not (self._leaving or self._contact.is_cut_off or self._running())
        free = int(is_free)
        announce = self._is_ready and free > 0
        failpoint("agent.send_before")
        control = self._contact.exchange(reports, self._attempts, free=free, announce=announce, now_s=now_s)
        failpoint("agent.send_after")
        if control is None:
            return
        self._is_ready = False
        self._has_news = len(reports) >= AT_ONCE
        for report in reports:
            self._attempts[report.ref].outbox.sent(report.seq, now_s)
        self._on_control(control, now_s)

    def _due(self, live: LiveAttempt, now_s: float) -> list[Report]:
        if live.started_at_s is None or live.ladder.wish is Wish.drop:
            return []
        return live.outbox.due(now_s)

    def _silence_s(self) -> float:
        """How long the agent may be silent now."""
        if self._waits_since_s is not None or any(live.outbox.is_full for live in self._attempts.values()):
            return ACK_POLL_S
        return self._limits.heartbeat_s

    def _pause_s(self) -> float:
        """How long nothing needs to be done unless something arrives."""
        if self._has_news and not self._contact.is_out:
            return 0.0
        if self._attempts or self._contact.is_out:
            return TICK_S
        return max(0.0, self._contact.spoke_at_s + self._limits.heartbeat_s - self._clock.monotonic())

    def _may_leave(self) -> bool:
        if not self._leaving or self._running():
            return False
        if not self._attempts or self._interrupts > 1:
            return True
        now_s = self._clock.monotonic()
        if self._waits_since_s is None:
            self._waits_since_s = now_s
        if now_s - self._waits_since_s < GOODBYE_S:
            return False
        if not self._interrupts:
            self._say("still waiting for the service to confirm the last results; Ctrl-C gives them up")
            self._waits_since_s = float("inf")
        return self._interrupts > 0

    def _tell_what_is_left(self) -> None:
        for live in self._attempts.values():
            if not live.is_settled:
                self._say(
                    f"the last reports of run #{live.offer.number} are not confirmed; they stay in {live.run_dir}."
                    f" The next agent with the directory {self._agent.dir} sends them: start one soon, before the"
                    " run is given to another"
                )

    def _checkpoint(self, offer: Offer) -> dict[str, str]:
        """Where an attempt saves what it needs to go on, for its environment."""
        return checkpoints.environment(
            self._agent.checkpoint_root,
            sweep=offer.sweep,
            run=offer.run,
            attempt=offer.attempt,
            agent=self._agent.id,
            parent=offer.parent,
        )

    def _clean(self) -> None:
        checkpoints.clean(self._agent.checkpoint_root, self._limits.checkpoint_keep_s, self._clock.wall())

    def _running(self) -> list[LiveAttempt]:
        return [live for live in self._attempts.values() if live.ended is None]

    def _log(self, live: LiveAttempt) -> Path:
        return self._agent.dir / "logs" / f"{live.offer.run}-{live.offer.attempt}.log"


def _show(params: dict[str, Any], limit: int = 200) -> str:
    values = {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in params.items()}
    text = ", ".join(f"{key}={value}" for key, value in values.items())
    return text if len(text) <= limit else text[: limit - 3] + "..."
