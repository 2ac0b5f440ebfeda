"""Who is there: agents as the engine hears them, on its own monotonic clock.

An agent lives as long as its beat changes. Clocks of machines are never compared, and while Redis itself is
away nobody is declared lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from sweepyard.bus.port import ControllerBus
from sweepyard.bus.wire import Presence, Report, Started, order_of
from sweepyard.failpoints import failpoint
from sweepyard.tracking.records import Agent, AgentOrder, AgentState

SEEN_AGAIN_S = 10.0
"""The store learns at most this often that an agent is still there."""

Standing: TypeAlias = tuple[AgentState, AgentOrder | None, str]
"""Whether an agent is there, what is wanted of it, and why."""
ORDERED: dict[AgentOrder, str] = {"drain": "drained", "stop": "stopped", "quarantine": "in quarantine"}


class Guidance(NamedTuple):
    """Why an agent should leave, or wait; empty: it should not. The fields are `wire.WORDS`."""

    exit: str = ""
    wait: str = ""
    stop: str = ""
    drain: str = ""


@dataclass(slots=True)
class Heard:
    """What is known about one agent. `presence` is None until it has spoken to this controller.

    `counted`: the beat of the word that `free` stems from. `told`: what it was told last, None if that may have
    been lost, or was another controller's word.
    """

    sweep_id: str
    heard_at: float
    presence: Presence | None = None
    free: int = 0
    counted: int = -1
    left: str | None = None
    saved: Agent | None = None
    told: Guidance | None = None


class Agents:
    """All agents that this controller has heard of since it started."""

    def __init__(self, lost_after_s: float) -> None:
        self._lost_after_s = lost_after_s
        self._known: dict[str, Heard] = {}
        self._orders: dict[str, tuple[AgentOrder, str]] = {}
        self._seen: tuple[list[Presence], tuple[int, ...]] | None = None

    def expect(self, agent_id: str, sweep_id: str, now: float) -> None:
        """The store says that this agent executes something: wait for a sign of it."""
        self._known.setdefault(agent_id, Heard(sweep_id, now))

    def hear(self, presence: Presence, now: float) -> None:
        """A sign of life, if it is a newer word than known. Its slots are another matter: `count`."""
        heard = self._known.setdefault(presence.agent, Heard(presence.sweep, now))
        if heard.presence is None or presence.beat > heard.presence.beat:
            heard.presence, heard.heard_at = presence, now

    def count(self, presence: Presence) -> None:
        """Believe what an agent said of its slots; whoever calls has taken in all that it had sent before.

        An older word than the one that was counted last changes nothing.
        """
        heard = self._known.get(presence.agent)
        if heard is not None and presence.beat >= heard.counted:
            heard.counted, heard.free = presence.beat, presence.free

    def see(self, words: Iterable[Presence], upto: str) -> None:
        """What a look around has found: its slots count when the messages up to position `upto` are `taken_in`. A
        slot must not be filled before the result that freed it is known.
        """
        # One look after the other: where messages never cease, the newest would never count. What went back is a
        # stream that has lost its end.
        if self._seen is None or order_of(upto) < self._seen[1]:
            self._seen = [*words], order_of(upto)

    def taken_in(self, position: str) -> None:
        """All messages up to `position` have been taken in, and none behind it."""
        if self._seen is not None and self._seen[1] <= order_of(position):
            for presence in self._seen[0]:
                self.count(presence)
            self._seen = None

    def reported(self, report: Report, now: float) -> None:
        """A report is a sign of life too; the first one of an attempt fills a slot."""
        heard = self._known.setdefault(report.agent, Heard(report.sweep, now))
        heard.heard_at = now
        if isinstance(report.body, Started):
            heard.free = max(0, heard.free - 1)

    def leave(self, agent_id: str, reason: str) -> None:
        if agent_id in self._known:
            self._known[agent_id].left = reason or "it left"

    def order(self, agent_id: str, order: AgentOrder | None, reason: str) -> None:
        """Want something of an agent until further notice; None: nothing any more."""
        self._orders.pop(agent_id, None)
        if order is not None:
            self._orders[agent_id] = order, reason

    def restore(self, agents: Iterable[Agent]) -> None:
        """What the store says is wanted of agents."""
        for agent in agents:
            self.order(agent.id, agent.order, agent.order_reason)

    def quarantined(self, sweep_id: str) -> list[str]:
        """Those of a sweep that are to take nothing."""
        apart = [agent_id for agent_id, (order, _) in self._orders.items() if order == "quarantine"]
        return [agent_id for agent_id in self._there(sweep_id) if agent_id in apart] if apart else []

    def is_there(self, agent_id: str, sweep_id: str, now: float) -> bool:
        """Whether an agent lives and works on the sweep."""
        return agent_id in self._there(sweep_id) and not self._why_lost(self._known[agent_id], now)

    def forgive(self, now: float) -> None:
        """Nobody could have been heard: start waiting anew."""
        for heard in self._known.values():
            heard.heard_at = now

    def free(self, sweep_id: str, now: float) -> int:
        """Slots that live agents of the sweep could fill."""
        return sum(
            heard.free
            for agent_id, heard in self._known.items()
            if heard.free
            and heard.sweep_id == sweep_id
            and agent_id not in self._orders
            and not self._why_lost(heard, now)
        )

    def present(self, sweep_id: str | None, now: float) -> bool:
        """Whether any agent of the sweep (None: of any) is there."""
        known = list(self._known.values())
        return any(sweep_id in (None, h.sweep_id) and not self._why_lost(h, now) for h in known)

    def lost(self, now: float) -> dict[str, str]:
        """Agents that are not there any more, with the reason."""
        found = {agent_id: self._why_lost(heard, now) for agent_id, heard in self._known.items()}
        return {agent_id: f"agent {agent_id} {why}" for agent_id, why in found.items() if why}

    def guide(self, sweep_id: str, word: Guidance, bus: ControllerBus) -> None:
        """Have all agents of a sweep know `word`: each is told it once."""
        for agent_id in self._there(sweep_id):
            self._tell(agent_id, word, bus)

    def guide_idle(self, sweep_id: str, word: Guidance, bus: ControllerBus, *, spare: int) -> None:
        """Have the idle agents of a sweep know `word`, all but `spare` of them, and the others nothing."""
        others = [agent_id for agent_id in self._there(sweep_id) if self._known[agent_id].told != word]
        idle = sorted(agent_id for agent_id in others if self._known[agent_id].free)
        useful = [agent_id for agent_id in idle if agent_id not in self._orders][:spare]
        for agent_id in others:
            self._tell(agent_id, word if agent_id in idle and agent_id not in useful else Guidance(), bus)

    def _there(self, sweep_id: str) -> list[str]:
        """Agents of a sweep that have spoken and not left."""
        return [
            agent_id
            for agent_id, heard in self._known.items()
            if heard.sweep_id == sweep_id and heard.left is None and heard.presence is not None
        ]

    def _tell(self, agent_id: str, word: Guidance, bus: ControllerBus) -> None:
        heard = self._known[agent_id]
        order, reason = self._orders.get(agent_id, (None, ""))
        if order is not None:
            name = "wait" if order == "quarantine" else order
            word = word._replace(**{name: f"{ORDERED[order]}: {reason}"})
        if heard.told != word:
            failpoint("guide.before")
            bus.tell(agent_id, words=word._asdict())
            failpoint("guide.after")
            heard.told = word

    def tell_again(self) -> None:
        """What agents were told may have been lost on the way."""
        for heard in self._known.values():
            heard.told = None

    def to_save(self, now: float, wall: float) -> list[Agent]:
        """Records of agents about whom the store should learn something: new, another state, or seen again."""
        changed = []
        for agent_id, heard in self._known.items():
            lost = bool(self._why_lost(heard, now))
            state: AgentState = "left" if heard.left is not None else "lost" if lost else "active"
            standing = (state, *self._orders.get(agent_id, (None, "")))
            seen_at = wall - (now - heard.heard_at)
            if heard.presence is not None and _is_news(heard.saved, standing, seen_at):
                heard.saved = _record(heard, heard.presence, standing, seen_at)
                changed.append(heard.saved)
        return changed

    def bury(self) -> list[str]:
        """Forget those whom the store knows as gone: the plan has dealt with them. One that returns is new."""
        gone = [a for a, heard in self._known.items() if heard.saved is not None and heard.saved.state != "active"]
        for agent_id in gone:
            del self._known[agent_id]
        return gone

    def start_again(self) -> None:
        """What was saved last may have been rolled back, and so may what was wanted, and the results before which
        no slot is to be filled.
        """
        self._orders.clear()
        for heard in self._known.values():
            heard.saved, heard.free = None, 0
        self._seen = None

    def _why_lost(self, heard: Heard, now: float) -> str:
        if heard.left is not None:
            return f"left ({heard.left})"
        silent_s = now - heard.heard_at
        return f"was not heard for {silent_s:.0f} s" if silent_s > self._lost_after_s else ""


def _is_news(saved: Agent | None, standing: Standing, seen_at: float) -> bool:
    if saved is None or standing != (saved.state, saved.order, saved.order_reason):
        return True
    return seen_at - saved.last_seen_at > SEEN_AGAIN_S


def _record(heard: Heard, word: Presence, standing: Standing, seen_at: float) -> Agent:
    state, order, order_reason = standing
    return Agent(
        id=word.agent,
        sweep_id=heard.sweep_id,
        host=word.host,
        pid=word.pid,
        version=word.version,
        first_seen_at=heard.saved.first_seen_at if heard.saved else seen_at,
        last_seen_at=seen_at,
        state=state,
        order=order,
        order_reason=order_reason,
    )
