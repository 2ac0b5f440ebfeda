"""A bus in memory, for the simulator. The suite for buses judges it beside the one on Redis."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sweepyard.bus.wire import AttemptOrder, AttemptRef, Control, Message, Offer, Presence
from sweepyard.errors import Fenced

HELD = ("offers", "stream", "presence", "boxes", "hinted", "marked", "epoch")


@dataclass(slots=True)
class Box:
    """What an agent reads at its next exchange."""

    acks: dict[str, int] = field(default_factory=dict)
    orders: dict[str, AttemptOrder] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)


class Broker:
    """Everything that Redis would hold."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # entered as itself: a condition's own way in takes as long as all inside
        self.changed = threading.Condition(self.lock)
        self._positions = count(1)
        self.flush()

    def flush(self) -> None:
        """Forget everything, as FLUSHALL does."""
        with self.lock:
            self.offers: dict[str, dict[AttemptRef, Offer]] = defaultdict(dict)
            self.stream: dict[int, Message] = {}
            self.presence: dict[str, Presence] = {}
            self.boxes: dict[tuple[str, int], Box] = defaultdict(Box)
            self.hinted: set[str] = set()
            self.marked = 0
            self.epoch = 0

    def snapshot(self) -> dict[str, Any]:
        """What a file on disk would hold now."""
        with self.lock:
            return {name: _copy(getattr(self, name)) for name in HELD}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Be as then. Positions in the stream go on from where they are: Redis makes them of the time."""
        with self.lock:
            for name in HELD:
                setattr(self, name, _copy(snapshot[name]))

    def add(self, message: Message) -> None:
        self.stream[next(self._positions)] = message
        self.changed.notify_all()

    def pop_offer(self, sweep_id: str) -> Offer | None:
        """The oldest offer of a sweep, which is then nobody else's."""
        waiting = self.offers[sweep_id]
        return waiting.pop(next(iter(waiting))) if waiting else None


class MemoryControllerBus:
    """`port.ControllerBus` on a broker, of the controller of `epoch`."""

    def __init__(self, broker: Broker, epoch: int = 0) -> None:
        self._broker = broker
        self._epoch = epoch
        self._mark = 1

    def offer(self, offer: Offer) -> None:
        with self._broker.lock:
            self._broker.offers[offer.sweep][offer.ref] = offer.model_copy(update={"epoch": self._epoch})
            self._broker.changed.notify_all()

    def withdraw(self, sweep_id: str, refs: Sequence[AttemptRef]) -> None:
        with self._broker.lock:
            for ref in refs:
                self._broker.offers[sweep_id].pop(ref, None)

    def waiting(self, sweep_id: str) -> set[AttemptRef]:
        with self._broker.lock:
            return set(self._broker.offers[sweep_id])

    def queues(self) -> set[str]:
        with self._broker.lock:
            return {sweep_id for sweep_id, offers in self._broker.offers.items() if offers}

    def close(self, sweep_id: str) -> None:
        with self._broker.lock:
            self._broker.offers.pop(sweep_id, None)

    def read(self, after: str, timeout_s: float) -> list[tuple[str, Message | None]]:
        with self._broker.lock:
            found = self._after(after)
            if not found and timeout_s and self._broker.changed.wait(timeout_s):
                found = self._after(after)
            return found

    def _after(self, position: str) -> list[tuple[str, Message | None]]:
        upto = int(position.partition("-")[0])
        return [(f"{at}-0", message) for at, message in self._broker.stream.items() if at > upto]

    def forget(self, upto: str) -> None:
        with self._broker.lock:
            last = int(upto.partition("-")[0])
            for at in [at for at in self._broker.stream if at <= last]:
                del self._broker.stream[at]

    def presence(self) -> tuple[Mapping[str, Presence], str]:
        with self._broker.lock:
            last = max(self._broker.stream, default=None)
            return dict(self._broker.presence), "0" if last is None else f"{last}-0"

    def remove_presence(self, agent_id: str) -> None:
        with self._broker.lock:
            self._broker.presence.pop(agent_id, None)
            self._broker.boxes.pop((agent_id, self._epoch), None)

    def tell(
        self,
        agent_id: str,
        *,
        acks: Mapping[AttemptRef, int] | None = None,
        orders: Mapping[AttemptRef, AttemptOrder] | None = None,
        words: Mapping[str, str] | None = None,
    ) -> None:
        with self._broker.lock:
            box = self._broker.boxes[agent_id, self._epoch]
            box.acks |= {str(ref): seq for ref, seq in (acks or {}).items()}
            box.orders |= {str(ref): order for ref, order in (orders or {}).items()}
            box.words |= words or {}
            if orders or words:
                self._broker.hinted.add(agent_id)
                self._broker.changed.notify_all()

    def intact(self) -> bool:
        with self._broker.lock:
            self._broker.marked += 1
            self._broker.epoch = max(self._broker.epoch, self._epoch)
            if self._broker.epoch > self._epoch:
                raise Fenced(f"Another controller leads: its epoch is {self._broker.epoch}.")
            before, self._mark = self._mark, self._broker.marked
            return self._mark > before


class MemoryAgentBus:
    """`port.AgentBus` on a broker."""

    def __init__(self, broker: Broker, agent_id: str, epoch: int = 0) -> None:
        self._broker = broker
        self._epoch = epoch
        self._agent_id = agent_id
        self._read: set[str] = set()

    def take_offers(
        self, sweep_id: str, take: Callable[[Offer], bool], leave: threading.Event, ready: threading.Event
    ) -> None:
        while not leave.is_set():
            with self._broker.lock:
                offer = self._broker.pop_offer(sweep_id)
                if offer is None:
                    self._broker.changed.wait(0.05)
            if offer is not None and offer.epoch >= self._epoch and not take(offer):
                self.put_back(offer)
                while not (leave.is_set() or ready.wait(0.05)):
                    pass

    def interrupt(self) -> None:
        """Nobody waits for long here."""

    def put_back(self, offer: Offer) -> None:
        """Before all others."""
        with self._broker.lock:
            self._broker.offers[offer.sweep] = {offer.ref: offer} | self._broker.offers[offer.sweep]

    def exchange(self, messages: Sequence[Message], presence: Presence) -> Control:
        with self._broker.lock:
            for message in messages:
                self._broker.add(message)
            self._broker.presence[self._agent_id] = presence
            if self._broker.epoch > self._epoch:
                self._epoch, self._read = self._broker.epoch, set()
            box = self._broker.boxes[self._agent_id, self._epoch]
            pulse = str(self._broker.marked) if self._broker.marked else None
            control = Control(
                acks=box.acks,
                orders=box.orders,
                pulse=pulse,
                **{name: word or None for name, word in box.words.items()},
            )
            for ref in self._read.difference(presence.running):
                box.acks.pop(ref, None)
                box.orders.pop(ref, None)
            self._read = {*box.acks, *box.orders}
            return control

    def wait_for_hint(self, timeout_s: float) -> bool:
        with self._broker.lock:
            if self._agent_id not in self._broker.hinted:
                self._broker.changed.wait(timeout_s)
            hinted = self._agent_id in self._broker.hinted
            self._broker.hinted.discard(self._agent_id)
            return hinted

    def leave(self, message: Message) -> None:
        with self._broker.lock:
            self._broker.add(message)
            self._broker.presence.pop(self._agent_id, None)
            self._broker.boxes.pop((self._agent_id, self._epoch), None)


def _copy(held: Any) -> Any:
    """A copy of the containers; messages never change and are shared."""
    if isinstance(held, Box):
        return Box(dict(held.acks), dict(held.orders), dict(held.words))
    if not isinstance(held, dict):
        return copy(held) if isinstance(held, set) else held
    copied = copy(held)
    for key, value in held.items():
        copied[key] = _copy(value)
    return copied
