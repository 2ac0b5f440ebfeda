"""Agents of a simulated installation: the wire's rules of `agent.pump`, without processes and files.

What an agent must keep to: reports of an attempt are numbered without gaps and kept until acknowledged; sent again
when nobody answers; an attempt that is dropped is ended and never spoken of again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from simulation.memory_bus import MemoryAgentBus
from simulation.world import HEARTBEAT_S, REDIS, World

from sweepyard.bus.wire import (
    AttemptRef,
    Control,
    Ended,
    Left,
    Message,
    Offer,
    Presence,
    Report,
    Rows,
    Started,
    WireRow,
)
from sweepyard.errors import Unavailable
from sweepyard.tracking.records import Outcome

RESEND_S = 2 * HEARTBEAT_S
Wish: TypeAlias = Literal["stop", "kill", "drop", "preempt", "pause"]
OUTCOMES = {
    "stop": Outcome.stopped,
    "kill": Outcome.killed,
    "preempt": Outcome.preempted,
    "pause": Outcome.preempted,
}


@dataclass(frozen=True, slots=True)
class Script:
    """What one attempt would do if left alone: values of the metric with pauses before them, and how it ends.

    `first`: the epoch that its first value belongs to. `hangs`: it never ends, until it is ended for that.
    """

    steps: tuple[tuple[float, float | str], ...]
    outcome: Outcome
    first: int = 1
    hangs: bool = False

    @classmethod
    def of(cls, seed: int, offer: Offer, done: int | None) -> Script:
        """The same for the same attempt, whoever executes it. `done`: the epochs that its checkpoint holds; None:
        it keeps none, and each attempt begins anew."""
        if done is not None:
            return cls._from_checkpoint(random.Random(f"{seed}/{offer.number}"), done)
        dice = random.Random(f"{seed}/{offer.number}/{offer.attempt}")
        level = dice.random()
        count = dice.choice([0, 1, 3, 5, 9, 10, 12])
        steps = tuple(
            (dice.uniform(0.2, 2.0), "NaN" if dice.random() < 0.03 else level + 1 / (k + 1)) for k in range(count)
        )
        outcome = Outcome.failed if dice.random() < 0.08 else Outcome.finished
        return cls(steps, outcome, hangs=offer.stall_after_s is not None and dice.random() < 0.05)

    @classmethod
    def _from_checkpoint(cls, dice: random.Random, done: int) -> Script:
        level, epochs = dice.random(), dice.choice([2, 4, 9, 12])
        steps = tuple((dice.uniform(0.2, 2.0), level + 1 / (epoch + 1)) for epoch in range(epochs))
        return cls(steps[done:], Outcome.finished, done + 1)


@dataclass(slots=True)
class SimAttempt:
    """An accepted offer, with its spool."""

    offer: Offer
    script: Script
    sent_by: str
    reports: list[Report] = field(default_factory=list)
    rows: int = 0
    acked: int = 0
    sent: int = 0
    waiting_since_s: float = 0.0
    wish: Wish | None = None
    ended: bool = False
    ref: AttemptRef = field(init=False)

    def __post_init__(self) -> None:
        self.ref = self.offer.ref

    @property
    def is_settled(self) -> bool:
        return self.ended and (self.wish == "drop" or self.acked == len(self.reports))

    def report(self, body: Started | Rows | Ended) -> None:
        offer = self.offer
        self.reports.append(
            Report(
                sweep=offer.sweep,
                run=offer.run,
                attempt=offer.attempt,
                agent=self.sent_by,
                seq=len(self.reports) + 1,
                body=body,
            )
        )

    def log(self, value: float | str) -> None:
        epoch = self.script.first + self.rows
        data: dict[str, Any] = {"loss": value, "agent": self.sent_by, "k": self.rows, "epoch": epoch}
        self.report(Rows(rows=[WireRow(self.rows, 0.0, 0.0, data)]))
        self.rows += 1

    def due(self, now_s: float) -> list[Report]:
        if self.wish == "drop":
            return []
        if self.sent > self.acked and now_s - self.waiting_since_s >= RESEND_S:
            self.sent = self.acked
        if self.sent == self.acked:
            self.waiting_since_s = now_s
        return self.reports[self.sent : self.sent + 16]


class SimAgent:
    """One agent with one slot, from its arrival to its end. On a broken one everything fails at once."""

    def __init__(self, world: World, crew: Crew, sweep_id: str, agent_id: str, *, is_broken: bool = False) -> None:
        self._world, self._crew, self._sweep_id, self.id = world, crew, sweep_id, agent_id
        self._is_broken = is_broken
        self._waits = False
        self._bus = MemoryAgentBus(world.broker, agent_id)
        self._beat = 0
        self._attempts: dict[AttemptRef, SimAttempt] = {}
        self._known: set[AttemptRef] = set()
        self.is_gone = False
        self.is_frozen = False
        self.is_cut_off = False
        self._leaving = ""
        self._announced = False
        self._spoke_at_s = float("-inf")
        self._woken_at_s: float | None = None
        self.wake(world.dice.uniform(0, 1))

    @property
    def running(self) -> SimAttempt | None:
        """The attempt that it executes now."""
        for attempt in self._attempts.values():
            if not attempt.ended:
                return attempt
        return None

    def wake(self, delay_s: float = 0.0) -> None:
        due_s = self._world.clock.now_s + delay_s
        if self._woken_at_s is None or due_s < self._woken_at_s:
            self._woken_at_s = due_s
            self._world.later(delay_s, self._on_time)

    def kill(self) -> None:
        """As SIGKILL does: it and its child are gone, and nobody is told."""
        self._world.note(f"{self.id} is killed")
        self.is_gone = True
        self._crew.on_gone(self)

    def freeze(self, for_s: float) -> None:
        """As SIGSTOP does. The child goes on."""
        self._world.note(f"{self.id} is frozen for {for_s:.0f} s")
        self.is_frozen = True

        def thaw() -> None:
            self.is_frozen = False
            self.wake()

        self._world.later(for_s, thaw)

    def cut_off(self, for_s: float) -> None:
        """No network for a while."""
        self._world.note(f"{self.id} is cut off for {for_s:.0f} s")
        self.is_cut_off = True

        def mend() -> None:
            self.is_cut_off = False
            self.wake()

        self._world.later(for_s, mend)

    def preempt(self) -> None:
        """As SIGTERM does: give the run back and leave."""
        self._world.note(f"{self.id} is told to leave")
        self._leave("told to end by SIGTERM")
        if running := self.running:
            self._ask(running, "preempt")
        self.wake()

    def _leave(self, reason: str) -> None:
        self._leaving = self._leaving or reason

    def _on_time(self) -> None:
        if self.is_gone or self._woken_at_s is None or self._world.clock.now_s < self._woken_at_s:
            return
        self._woken_at_s = None
        if self.is_frozen:
            return
        self._take_offer()
        now_s = self._world.clock.now_s
        reports = [(attempt, report) for attempt in self._attempts.values() for report in attempt.due(now_s)]
        if reports or self._must_speak():
            self._speak(reports)
        if self.is_gone:
            return
        if self._leaving and not self._attempts:
            self._say_goodbye()
            return
        self.wake(HEARTBEAT_S if not self._attempts or self.running else 1.0)

    def _take_offer(self) -> None:
        if self._leaving or self._waits or self.running or self.is_cut_off or REDIS in self._world.away:
            return
        offer = self._world.broker.pop_offer(self._sweep_id)
        if offer is None or offer.ref in self._known:
            return
        self._known.add(offer.ref)
        if self._world.faults.kill_agent_s and not self._world.is_calm and self._world.dice.random() < 0.02:
            return self.kill()  # with the offer in its hands
        script = Script((), Outcome.failed) if self._is_broken else self._crew.script(offer)
        attempt = SimAttempt(offer, script, self.id)
        self._attempts[offer.ref] = attempt
        self._crew.on_started(attempt)
        attempt.report(Started(host="sim", pid=1))
        self._announced = False
        self._train(attempt, 0)

    def _train(self, attempt: SimAttempt, step: int) -> None:
        if step == len(attempt.script.steps):
            if attempt.script.hangs:
                self._world.later(attempt.offer.stall_after_s, lambda: self._on_end(attempt, Outcome.failed))
            else:
                self._world.later(0.1, lambda: self._on_end(attempt, attempt.script.outcome))
            return
        pause_s, value = attempt.script.steps[step]

        def log() -> None:
            if self.is_gone or attempt.ended:
                return
            attempt.log(value)
            self._crew.saved[attempt.offer.run] = attempt.script.first + step
            self.wake()
            self._train(attempt, step + 1)

        self._world.later(pause_s, log)

    def _on_end(self, attempt: SimAttempt, outcome: Outcome) -> None:
        if self.is_gone or attempt.ended:
            return
        outcome = OUTCOMES.get(attempt.wish or "", outcome)
        attempt.ended = True
        code = 1 if outcome is Outcome.failed else 0
        attempt.report(Ended(outcome=outcome, exit_code=code, reason=f"simulated: {outcome}"))
        self.wake()

    def _ask(self, attempt: SimAttempt, wish: Wish) -> None:
        if attempt.wish == wish or (attempt.ended and wish != "drop"):
            return
        attempt.wish = wish
        if not attempt.ended:
            outcome = OUTCOMES.get(wish, Outcome.killed)
            self._world.later(self._world.dice.uniform(0.05, 2), lambda: self._on_end(attempt, outcome))

    def _must_speak(self) -> bool:
        """Whether there is something to say beside reports."""
        is_silent = self._world.clock.now_s - self._spoke_at_s >= HEARTBEAT_S
        is_free = not self._announced and not self._leaving and not self.running
        return is_silent or is_free or any(each.ended for each in self._attempts.values())

    def _speak(self, reports: list[tuple[SimAttempt, Report]]) -> None:
        free = 0 if self._leaving or self.running else 1
        self._beat += 1
        presence = Presence(
            sweep=self._sweep_id,
            agent=self.id,
            host="sim",
            pid=1,
            version="0",
            beat=self._beat,
            free=free,
            running=[str(ref) for ref in self._attempts],
        )
        messages: list[Message] = [report for _, report in reports]
        if free and not self._announced:
            messages.append(presence)
        try:
            control = self._exchange(messages, presence)
        except Unavailable:
            self.wake(self._world.dice.uniform(0.2, 5))
            return
        self._announced = bool(free)
        self._spoke_at_s = self._world.clock.now_s
        for attempt, report in reports:
            attempt.sent = max(attempt.sent, report.seq)
        self._on_control(control)

    def _exchange(self, messages: list[Message], presence: Presence) -> Control:
        """One round trip, if the network wants: it may lose the question, delay it, or lose the answer."""
        world = self._world
        world.check(REDIS)
        if self.is_cut_off:
            raise Unavailable("cut off (simulated)")
        if world.dice.random() < world.faults.lossy and not world.is_calm:
            fate = world.dice.choice(["lost", "late", "unanswered"])
            if fate == "late":
                world.later(world.dice.uniform(0.1, 20), lambda: self._deliver(messages, presence))
            elif fate == "unanswered":
                self._deliver(messages, presence)
            raise Unavailable(f"{fate} (simulated)")
        return self._deliver(messages, presence)

    def _deliver(self, messages: list[Message], presence: Presence) -> Control:
        control = self._bus.exchange(messages, presence)
        if messages:
            self._crew.wake_controller()
        return control

    def _on_control(self, control: Control) -> None:
        for attempt in list(self._attempts.values()):
            ref = str(attempt.ref)
            acked = control.acks.get(ref, 0)
            if acked > attempt.acked:
                attempt.acked = min(acked, len(attempt.reports))
                attempt.sent = max(attempt.sent, attempt.acked)
                attempt.waiting_since_s = self._world.clock.now_s
            if order := control.orders.get(ref):
                self._ask(attempt, order.kind)
            if attempt.is_settled:
                del self._attempts[attempt.ref]
                self._announced = False
                self.wake(0.01)
        if self._waits and control.wait is None:
            self._announced = False
        self._waits = control.wait is not None
        if control.exit is not None:
            self._leave(control.exit)
            self.wake(0.01)

    def _say_goodbye(self) -> None:
        if REDIS not in self._world.away and not self.is_cut_off:
            self._bus.leave(Left(sweep=self._sweep_id, agent=self.id, reason=self._leaving))
            self._crew.wake_controller()
        self.is_gone = True
        self._crew.on_gone(self)


class Crew:
    """So many agents, each replaced when it goes before its sweep is over; and a record of all they did."""

    def __init__(
        self, world: World, sweep_id: str, size: int, wake_controller: Any, seed: int, *, saves: bool
    ) -> None:
        self._world, self._sweep_id, self.seed = world, sweep_id, seed
        self.wake_controller = wake_controller
        self._saves = saves
        self.saved: dict[str, int] = {}
        """How many epochs the checkpoint of each run holds."""
        self._broken = random.Random(f"{seed}/broken")
        self.agents: list[SimAgent] = []
        self.started: list[SimAttempt] = []
        self.is_over = False
        self._expects = 0
        for _ in range(size):
            self._arrive()
        faults = world.faults
        world.every(faults.kill_agent_s, lambda: self._pick().kill())
        world.every(faults.preempt_agent_s, lambda: self._pick().preempt())
        world.every(faults.freeze_agent_s, lambda: self._pick().freeze(world.dice.uniform(1, 60)))
        world.every(faults.partition_s, lambda: self._pick().cut_off(world.dice.uniform(1, 60)))

    def script(self, offer: Offer) -> Script:
        """What an attempt would do; one that goes on goes on from the checkpoint, its own or its parent's."""
        if not self._saves:
            return Script.of(self.seed, offer, None)
        done = self.saved.get(offer.run, self.saved.get(offer.parent or "", 0))
        return Script.of(self.seed, offer, done)

    def hint(self) -> None:
        """The controller has told or offered something."""
        for agent in self.agents:
            agent.wake(self._world.dice.uniform(0.001, 0.05))

    def go_on(self, *, is_over: bool) -> None:
        """An ended sweep may be taken up again when all of its agents have left."""
        self.is_over = is_over
        if not (is_over or self.agents or self._expects):
            self._expect()

    def _expect(self) -> None:
        """Somebody will come."""
        self._expects += 1
        self._world.later(self._world.dice.uniform(0.5, 10), self._arrive_as_expected)

    def _arrive_as_expected(self) -> None:
        self._expects -= 1
        self._arrive()

    def on_started(self, attempt: SimAttempt) -> None:
        self.started.append(attempt)

    def on_gone(self, agent: SimAgent) -> None:
        self.agents.remove(agent)
        if not self.is_over:
            self._expect()

    def _pick(self) -> SimAgent:
        return self._world.dice.choice(self.agents) if self.agents else self._arrive()

    def _arrive(self) -> SimAgent:
        name = f"a{len(self.started)}-{self._world.dice.getrandbits(32):08x}"
        is_broken = self._broken.random() < self._world.faults.broken
        agent = SimAgent(self._world, self, self._sweep_id, name, is_broken=is_broken)
        self.agents.append(agent)
        return agent
