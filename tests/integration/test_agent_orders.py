"""Agents that a person, or the controller, wants to leave or to rest: a real engine, agents moved by hand."""

from __future__ import annotations

import pytest
from integration.yard import DEADLINE_S, Hand, Yard

from sweepyard.bus.wire import Offer
from sweepyard.clock import wait_until
from sweepyard.errors import NotFound
from sweepyard.tracking.records import Agent, Outcome, RunState, Sweep


def told(hand: Hand, word: str, text: str) -> bool:
    return wait_until(lambda: text in (getattr(hand.present(), word) or ""), DEADLINE_S)


def stored(yard: Yard, sweep: Sweep, agent_id: str) -> Agent:
    return next(agent for agent in yard.store.agents(sweep.id) if agent.id == agent_id)


def is_there(yard: Yard, sweep: Sweep, agent_id: str) -> bool:
    return wait_until(lambda: any(a.id == agent_id for a in yard.store.agents(sweep.id)), DEADLINE_S)


def kinds(yard: Yard, sweep: Sweep) -> list[str]:
    return [event.kind for event in yard.store.events(sweep_id=sweep.id)]


def fail(hand: Hand, offer: Offer) -> None:
    hand.end(offer, Outcome.failed, "RuntimeError: no CUDA")
    hand.is_heard(offer)


@pytest.mark.parametrize("verb", ["drain", "stop"])
def test_an_agent_is_told_to_leave_and_gets_nothing_more(yard: Yard, verb: str) -> None:
    sweep = yard.sweep()
    hand = yard.hand(sweep)
    offer = hand.start()
    hand.is_heard(offer)
    changed = yard.engine.order_agent(sweep.id, "a1", verb)  # type: ignore[arg-type]
    assert (changed.order, changed.order_reason) == (verb, "asked for by the user")
    assert told(hand, verb, "asked for by the user")
    hand.end(offer, Outcome.preempted, "drained")
    assert wait_until(lambda: yard.store.run(sweep.id, 1).attempt == 2, DEADLINE_S)  # type: ignore[union-attr]
    assert len(yard.store.runs(sweep.id)) == 1, "nothing is proposed for an agent that leaves"
    assert f"agent.{verb}" in kinds(yard, sweep)


def test_quarantine_holds_over_a_restart_until_it_is_lifted(yard: Yard) -> None:
    sweep = yard.sweep()
    hand = yard.hand(sweep)
    offer = hand.start()
    hand.is_heard(offer)
    yard.engine.order_agent(sweep.id, "a1", "quarantine")
    assert told(hand, "wait", "in quarantine: asked for by the user")
    hand.end(offer)
    hand.is_heard(offer)
    yard.restart()
    assert wait_until(lambda: yard.engine.has_agents, DEADLINE_S)
    assert wait_until(lambda: "in quarantine" in (hand.present().wait or ""), DEADLINE_S)
    assert stored(yard, sweep, "a1").order == "quarantine"
    assert len(yard.store.runs(sweep.id)) == 1
    assert yard.engine.order_agent(sweep.id, "a1", "release").order is None
    assert wait_until(lambda: hand.present().wait is None, DEADLINE_S)
    assert hand.start().number == 2


def test_who_is_not_there_can_be_told_nothing(yard: Yard) -> None:
    sweep = yard.sweep()
    with pytest.raises(NotFound, match="has no agent 'nobody' now"):
        yard.engine.order_agent(sweep.id, "nobody", "drain")


def test_an_agent_on_which_nothing_works_is_quarantined_and_its_runs_are_tried_elsewhere(yard: Yard) -> None:
    sweep = yard.sweep(retry={"max": 0, "on": ["crashed"]}, run_cap=4)
    good = yard.hand(sweep, "good")
    works = good.start()
    good.log(works, 1.0)
    good.is_heard(works)
    bad = yard.hand(sweep, "bad")
    failed = []
    for _ in range(2):
        failed.append(bad.start())
        fail(bad, failed[-1])
    assert [yard.run_state(offer) for offer in failed] == [RunState.failed] * 2
    failed.append(bad.start())
    bad.end(failed[-1], Outcome.failed, "RuntimeError: no CUDA")
    good.log(works, 0.9)
    assert told(bad, "wait", "in quarantine: its last 3 runs failed within 60 s of their start without a report")
    assert stored(yard, sweep, "bad").order == "quarantine"
    assert "agent.quarantined" in kinds(yard, sweep)
    bad.dies()
    good.end(works)
    for offer in failed:
        run = yard.store.run(sweep.id, offer.run)
        assert run is not None
        assert (run.attempt, run.failed_on) == (2, [])
        assert "agent bad is in quarantine (RuntimeError: no CUDA)" in run.state_reason
