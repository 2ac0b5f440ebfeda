"""A run that is stopped for where it would end, and what the search learns of it. This test is the agent."""

from __future__ import annotations

from typing import Any, cast

from integration.yard import DEADLINE_S, Yard

from sweepyard.clock import wait_until
from sweepyard.controller.explanation import explain
from sweepyard.controller.ledger import Ledger
from sweepyard.tracking.port import Store
from sweepyard.tracking.records import Outcome, RunState, SweepState

WHOLE = 6
"""Values of a whole run."""


def training(level: float) -> list[float]:
    return [level + 2.0 * 0.5**k for k in range(WHOLE)]


def test_a_hopeless_run_is_stopped_and_the_search_learns_where_it_would_have_ended(yard: Yard) -> None:
    sweep = yard.sweep(method="bayes", run_cap=9, early_terminate={"type": "auto", "max_iter": WHOLE})
    hand = yard.hand(sweep)
    for level in (4.0, 3.0, 2.0, 1.0, 0.5, 0.45, 0.4):
        whole = hand.start()
        hand.log(whole, *training(level))
        hand.end(whole)
    bad = hand.start()
    values = training(5.0)[:3]
    hand.log(bad, *values)

    order = hand.order(bad)
    assert order.kind == "stop"
    assert "its chance to beat" in order.reason
    hand.end(bad, Outcome.stopped)
    assert wait_until(lambda: yard.run_state(bad) is RunState.stopped, DEADLINE_S)

    *spared, decision = yard.store.decisions(sweep.id)
    assert {each.action for each in spared} == {"continue"}
    assert (decision.rule, decision.run_number, decision.action, decision.rung) == ("auto", 8, "stop", 1)
    assert decision.probability is not None
    assert f"{decision.probability:.1%}" in decision.reason
    run = yard.store.run(sweep.id, bad.run)
    assert run is not None
    assert explain(yard.store, sweep, run).answer == f"Stopped by auto: {decision.reason}."

    *whole_ones, told = Ledger.read(yard.store, sweep).history()
    assert [each.std for each in whole_ones] == [0.0] * 7
    assert told.value is not None
    assert abs(told.value - training(5.0)[-1]) < 2 * told.std
    assert told.value < min(values)
    last = hand.start()
    hand.end(last)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)


def test_a_ledger_is_whole_though_runs_come_while_it_is_read(yard: Yard) -> None:
    sweep = yard.sweep(
        run_cap=40, early_terminate={"type": "auto", "max_iter": WHOLE, "resource": "k", "dry_run": True}
    )

    class Busy:
        """Between any two reads an agent takes a run."""

        def __getattr__(self, name: str) -> Any:
            hand = yard.hand(sweep, f"{name}-{len(yard.hands)}")
            hand.is_heard(hand.start())
            return getattr(yard.store, name)

    ledger = Ledger.read(cast(Store, Busy()), sweep)

    assert {run.number for run in ledger.runs.values()} == set(range(1, len(yard.hands) + 1))
    assert len(yard.hands) > len(ledger.attempts) > 0
