"""The two sides of the bus. Redis implements them in `agent_side` and `controller_side`.

Every call may raise `errors.Unavailable`; calling it again later is always safe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Protocol

from sweepyard.bus.wire import AttemptOrder, AttemptRef, Control, Message, Offer, Presence


class AgentBus(Protocol):
    """What an agent needs. One instance per agent process; thread-safe.

    It knows the youngest controller that has called `intact`, and neither obeys nor takes offers of older ones.
    """

    def take_offers(self, sweep_id: str, take: Callable[[Offer], bool], leave: Event, ready: Event) -> None:
        """Give each offer that this agent receives to `take`, until `leave` is set.

        `take` blocks while no slot is free: the next offer is fetched only after it returns. Its answer False
        puts the offer back for another agent, and the next is fetched while `ready` is set. Survives outages.
        After `leave` it may go on waiting for a while, unless `interrupt` is called: run it in a daemon thread.

        Raises:
            UserError: the service is of another version.
        """
        ...

    def interrupt(self) -> None:
        """Have `take_offers` wait for nothing any more, once `leave` is set. Call it until that has returned:
        an offer may be on its way, and `take` must refuse it."""
        ...

    def exchange(self, messages: Sequence[Message], presence: Presence) -> Control:
        """Send `messages` in order, renew `presence`, and read what the controller has to say: one round trip."""
        ...

    def wait_for_hint(self, timeout_s: float) -> bool:
        """Whether the controller hinted, within `timeout_s`, that `exchange` would bring news."""
        ...

    def leave(self, message: Message) -> None:
        """Say goodbye and remove the presence."""
        ...


class ControllerBus(Protocol):
    """What the controller of one epoch needs."""

    def offer(self, offer: Offer) -> None:
        """Queue an offer, with this controller's epoch; the same attempt twice is queued once, as offered last."""
        ...

    def withdraw(self, sweep_id: str, refs: Sequence[AttemptRef]) -> None:
        """Take offers back that nobody has taken yet."""
        ...

    def waiting(self, sweep_id: str) -> set[AttemptRef]:
        """Offers that nobody has taken yet."""
        ...

    def queues(self) -> set[str]:
        """Sweeps for which something was offered since they were closed."""
        ...

    def close(self, sweep_id: str) -> None:
        """Forget a sweep's queue, with all offers in it."""
        ...

    def read(self, after: str, timeout_s: float) -> list[tuple[str, Message | None]]:
        """Messages after position `after`, oldest first, waiting for the first one; None: unreadable."""
        ...

    def forget(self, upto: str) -> None:
        """Drop messages up to and including `upto`, which the store holds."""
        ...

    def presence(self) -> tuple[Mapping[str, Presence], str]:
        """The last word of each agent, by agent id, and the position of the last message that was written before:
        what an agent had sent until then is not behind it. "0" if there is none."""
        ...

    def remove_presence(self, agent_id: str) -> None: ...

    def tell(
        self,
        agent_id: str,
        *,
        acks: Mapping[AttemptRef, int] | None = None,
        orders: Mapping[AttemptRef, AttemptOrder] | None = None,
        words: Mapping[str, str] | None = None,
    ) -> None:
        """Set what an agent reads at its next `exchange`, and hint it where orders or words are among it.

        `words`: a reason for each of `wire.WORDS` that is wanted; an empty one takes back an earlier one.

        An agent forgets what it has read about attempts that it does not execute: tell an order again with each
        report of an attempt that it concerns.
        """
        ...

    def intact(self) -> bool:
        """False if Redis has forgotten something since the last call: flushed, or back without its last seconds.

        Each call is a sign of life for the agents: it changes `Control.pulse`. From the first one on they believe
        no older controller.

        Raises:
            Fenced: a younger controller was here.
        """
        ...
