"""The reconciler without threads: a step at a time, on a clock of the test's."""

from __future__ import annotations

import pytest

from sweepyard.bus.controller_side import RedisControllerBus
from sweepyard.bus.wire import Presence, Report, Started
from sweepyard.controller.ledger import Ledger
from sweepyard.controller.reconciler import Effects, Reconciler
from sweepyard.tracking.records import Attempt, AttemptState, Run, RunState, Sweep, SweepState
from sweepyard.tracking.sql import SqlStore

LOST_AFTER_S = 15.0
SPEC = {
    "method": "random",
    "run_cap": 1,
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"lr": {"distribution": "uniform", "min": 0.0, "max": 1.0}},
}


class TickingClock:
    """Moves on by `tick_s` whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.tick_s = 0.0

    def monotonic(self) -> float:
        self.now += self.tick_s
        return self.now

    wall = monotonic


@pytest.mark.parametrize("head_start_s", [x / 4 for x in range(8)])
def test_a_silent_agent_is_lost_wherever_in_a_step_its_time_is_up(
    store: SqlStore, redis_url: str, head_start_s: float
) -> None:
    clock, epoch = TickingClock(), store.take_over()
    reconciler = Reconciler(store, RedisControllerBus(redis_url, "sy-test"), clock, lost_after_s=LOST_AFTER_S)
    sweep = Sweep(id="sweep001", entity="e", project="p", name="", spec=SPEC, seed=1)
    with store.transaction(epoch) as tx:
        tx.add_sweep(sweep)
        reconciler.add(Ledger.new(sweep))
        word = Presence(sweep=sweep.id, agent="a1", host="h", pid=1, version="0", beat=1, free=1)
        reconciler.take_messages(tx, [("1-0", word)], Effects())
        reconciler.plan(tx, Effects())
    (run,) = store.runs(sweep.id)
    with store.transaction(epoch) as tx:
        started = Report(sweep=sweep.id, run=run.id, attempt=1, agent="a1", seq=1, body=Started(host="h", pid=2))
        reconciler.take_messages(tx, [("2-0", started)], Effects())

    clock.now += LOST_AFTER_S - 1 + head_start_s
    clock.tick_s = 0.25
    for _ in range(3):
        reconciler.look_around()
        with store.transaction(epoch) as tx:
            reconciler.plan(tx, Effects())
    assert [attempt.state for attempt in store.attempts(run.key)] == [AttemptState.lost, AttemptState.offered]
    assert [agent.state for agent in store.agents(sweep.id)] == ["lost"]


def test_an_attempt_of_a_cancelled_sweep_is_settled_after_a_restart(store: SqlStore, redis_url: str) -> None:
    """Its agent was killed before it could obey, and the controller before it noticed."""
    clock, epoch = TickingClock(), store.take_over()
    sweep = Sweep(id="sweep001", entity="e", project="p", name="", spec=SPEC, seed=1, state=SweepState.cancelled)
    with store.transaction(epoch) as tx:
        tx.add_sweep(sweep)
        run = tx.add_run(
            Run(
                id="run00001",
                sweep_id=sweep.id,
                number=1,
                params={"lr": 0.5},
                reason="drawn",
                state=RunState.running,
                order="kill",
                order_reason="the sweep was cancelled",
            )
        )
        tx.add_attempt(Attempt(run_key=run.key, n=1, state=AttemptState.running, agent_id="gone"))
    reconciler = Reconciler(store, RedisControllerBus(redis_url, "sy-test"), clock, lost_after_s=LOST_AFTER_S)
    reconciler.load()
    clock.now += LOST_AFTER_S + 1
    with store.transaction(epoch) as tx:
        reconciler.plan(tx, Effects())
    settled = store.run(sweep.id, 1)
    assert settled is not None
    assert (settled.state, settled.state_reason) == (RunState.killed, "the sweep was cancelled")
