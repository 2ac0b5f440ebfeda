"""What the world is told once the transaction is committed: offers and orders, and who has work to wait for.

All of it is repeatable: whoever was not told is told after the next plan.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sweepyard.bus.port import ControllerBus
from sweepyard.bus.wire import AttemptOrder, AttemptRef, Offer
from sweepyard.controller.agents import Agents, Guidance
from sweepyard.controller.ledger import Ledger
from sweepyard.controller.proposals import Question
from sweepyard.controller.retries import STOPPED
from sweepyard.failpoints import failpoint
from sweepyard.tracking.records import SWEEP_ENDED, Run, Sweep, SweepState


@dataclass(slots=True)
class Effects:
    """What is to be told: acknowledgements and orders by agent, withdrawn offers by sweep."""

    acks: dict[str, dict[AttemptRef, int]] = field(default_factory=dict)
    orders: dict[str, dict[AttemptRef, AttemptOrder]] = field(default_factory=dict)
    offers: dict[AttemptRef, Offer] = field(default_factory=dict)
    withdrawn: dict[str, list[AttemptRef]] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)

    def order(self, agent_id: str, ref: AttemptRef, order: AttemptOrder) -> None:
        self.orders.setdefault(agent_id, {})[ref] = order


def offer_of(run: Run, sweep: Sweep) -> Offer:
    """The run's present attempt, for whoever takes it."""
    return Offer(
        sweep=run.sweep_id,
        run=run.id,
        number=run.number,
        attempt=run.attempt,
        name=run.name,
        params=run.params,
        parent=run.detail.get("parent"),
        stall_after_s=sweep.stall_after_s,
    )


def offer(bus: ControllerBus, attempt: Offer) -> None:
    """Put an offer out. Raises `Unavailable`, as all here do."""
    failpoint("offer.before")
    bus.offer(attempt)
    failpoint("offer.after")


def tell(bus: ControllerBus, effects: Effects) -> None:
    """Acknowledge, order, and take back offers."""
    for agent_id in {**effects.acks, **effects.orders}:
        failpoint("tell.before")
        bus.tell(agent_id, acks=effects.acks.get(agent_id), orders=effects.orders.get(agent_id))
        failpoint("tell.after")
    for sweep_id, refs in effects.withdrawn.items():
        failpoint("withdraw.before")
        bus.withdraw(sweep_id, refs)
        failpoint("withdraw.after")


def guide(agents: Agents, ledger: Ledger, bus: ControllerBus) -> None:
    """Tell the agents of a sweep whether there is, or will be, work for them."""
    sweep = ledger.sweep
    if sweep.state in SWEEP_ENDED:
        agents.guide(sweep.id, Guidance(exit=_words(sweep)), bus)
    elif sweep.state is SweepState.finishing:
        # A run may still be lost and need another agent, unless the user has had enough.
        spare = 0 if sweep.reason == STOPPED else len(ledger.open_attempts)
        agents.guide_idle(sweep.id, Guidance(exit=_words(sweep)), bus, spare=spare)
    else:
        waiting = _words(sweep) if sweep.state is SweepState.paused else ""
        agents.guide(sweep.id, Guidance(wait=waiting), bus)


def _words(sweep: Sweep) -> str:
    return f"sweep {sweep.id} is {sweep.state}: {sweep.reason}"
