"""Runs that pause and go on: ASHA's promotion form, and populations. The agents are this test."""

from __future__ import annotations

from integration.yard import DEADLINE_S, Hand, Yard

from sweepyard.bus.wire import Offer, Rows, WireRow
from sweepyard.clock import wait_until
from sweepyard.controller.explanation import explain
from sweepyard.tracking.records import Outcome, RunState, Sweep, SweepState

PROMOTE = {"type": "asha", "promote": True, "min_iter": 1, "eta": 2, "resource": "epoch"}
POPULATION = {"type": "population", "size": 2, "interval": 1, "quantile": 0.5, "resource": "epoch"}


def log(hand: Hand, offer: Offer, epoch: int, loss: float) -> None:
    hand.report(offer, Rows(rows=[WireRow(epoch - 1, 0.1, 1.0, {"loss": loss, "epoch": epoch})]))
    hand.is_heard(offer)


def pause(hand: Hand, offer: Offer) -> None:
    """As an agent does that is told to pause a run."""
    assert hand.order(offer).kind == "pause"
    hand.end(offer, Outcome.preempted)


def states(yard: Yard, sweep: Sweep) -> list[RunState]:
    return [run.state for run in yard.store.runs(sweep.id)]


def test_a_run_is_paused_at_a_rung_and_goes_on_when_it_is_among_the_best(yard: Yard) -> None:
    sweep = yard.sweep(run_cap=4, early_terminate=PROMOTE)
    hand = yard.hand(sweep)
    first = hand.start()
    log(hand, first, 1, 3.0)
    pause(hand, first)
    second = hand.start()
    log(hand, second, 1, 1.0)  # the best of two: it is not paused here
    log(hand, second, 2, 0.9)
    pause(hand, second)
    third = hand.start()
    log(hand, third, 1, 5.0)
    pause(hand, third)
    yard.restart()
    fourth = hand.start()
    log(hand, fourth, 1, 2.0)
    log(hand, fourth, 2, 1.9)
    pause(hand, fourth)
    again = hand.start()
    assert (again.run, again.attempt, again.step) == (second.run, 2, 2)
    log(hand, again, 3, 0.8)
    hand.end(again)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
    assert states(yard, sweep) == [RunState.stopped, RunState.finished, RunState.stopped, RunState.stopped]
    best = yard.store.run(sweep.id, 2)
    assert best is not None
    assert (best.steps, best.objective) == (3, 0.8)
    decisions = [(one.run_number, one.action, one.rung) for one in yard.store.decisions(sweep.id)]
    assert decisions == [
        (1, "pause", 1),
        (2, "continue", 1),
        (2, "pause", 2),
        (3, "pause", 1),
        (4, "continue", 1),
        (4, "pause", 2),
        (2, "promote", 2),
    ]
    given_up = yard.store.run(sweep.id, 1)
    assert given_up is not None
    assert "it was paused when its sweep ended; rung 1: loss 3, the first run to get here" in given_up.state_reason


def test_a_paused_run_that_is_lost_or_stopped(yard: Yard) -> None:
    sweep = yard.sweep(run_cap=2, early_terminate=PROMOTE)
    hand = yard.hand(sweep)
    first = hand.start()
    log(hand, first, 1, 3.0)
    pause(hand, first)
    second = hand.start()
    assert wait_until(lambda: yard.run_state(first) is RunState.paused, DEADLINE_S)
    run = yard.store.run(sweep.id, first.run)
    assert run is not None
    assert explain(yard.store, sweep, run).answer.startswith(
        "Paused by asha: rung 1: loss 3, the first run to get"
    )
    assert yard.engine.stop_run(sweep.id, "1").state is RunState.stopped
    hand.end(second)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)


def test_a_cancelled_sweep_leaves_nothing_paused(yard: Yard) -> None:
    sweep = yard.sweep(run_cap=2, early_terminate=PROMOTE)
    hand = yard.hand(sweep)
    first = hand.start()
    log(hand, first, 1, 3.0)
    pause(hand, first)
    second = hand.start()
    yard.engine.control(sweep.id, "cancel")
    hand.end(second, Outcome.killed)
    assert wait_until(lambda: states(yard, sweep) == [RunState.killed] * 2, DEADLINE_S)


def test_a_population_takes_turns_and_the_worst_makes_place_for_a_copy_of_the_best(yard: Yard) -> None:
    sweep = yard.sweep(early_terminate=POPULATION)
    hand = yard.hand(sweep)
    first = hand.start()
    log(hand, first, 1, 1.0)
    pause(hand, first)
    second = hand.start()
    log(hand, second, 1, 5.0)
    pause(hand, second)
    assert wait_until(lambda: yard.run_state(second) is not RunState.running, DEADLINE_S)
    yard.restart()
    third = hand.start()  # both are as far; the worst goes first
    assert (third.number, third.attempt, third.parent) == (3, 1, first.run)
    assert third.params != second.params
    log(hand, third, 2, 0.7)
    pause(hand, third)
    again = hand.start()
    assert (again.number, again.attempt, again.parent) == (1, 2, None)
    log(hand, again, 2, 0.8)
    hand.end(again)
    last = hand.start()
    assert (last.number, last.attempt) == (3, 2)
    hand.end(last)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
    assert states(yard, sweep) == [RunState.finished, RunState.stopped, RunState.finished]
    replaced, copy = yard.store.run(sweep.id, 2), yard.store.run(sweep.id, 3)
    assert replaced is not None
    assert copy is not None
    assert "number 2 of 2 members, among the worst 1: its place goes to a copy of run 1 (1 at 1)" in (
        replaced.state_reason
    )
    assert copy.reason == "in the place of run 2: from the checkpoint of run 1, parameters near its"
    assert explain(yard.store, sweep, copy).lineage == [1]
