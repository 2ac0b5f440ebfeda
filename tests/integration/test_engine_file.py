"""Repeats, budgets, names of runs and summaries of metrics, on a real store and a real Redis."""

from __future__ import annotations

from integration.yard import DEADLINE_S, Yard

from sweepyard.clock import wait_until
from sweepyard.controller.views import new_sweep, sweep_detail
from sweepyard.tracking.records import Outcome, RunState, SweepState


def test_each_point_is_tried_with_each_seed_and_counts_once(yard: Yard) -> None:
    grid = {"x": {"values": [1, 2]}, "o": {"parameters": {"y": {"value": 0}}}}
    sweep = yard.sweep(method="grid", parameters=grid, repeat={"times": 3, "objective": "median"})
    hand = yard.hand(sweep)
    seen = []
    for loss in (5.0, 1.0, 6.0, 4.0, 4.5, 4.0):
        offer = hand.start()
        seen.append(offer.params)
        hand.log(offer, loss)
        if loss == 1.0:
            yard.restart()
        hand.end(offer)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
    assert seen == [{"x": x, "o": {"y": 0}, "seed": seed} for x in (1, 2) for seed in (0, 1, 2)]
    runs = yard.store.runs(sweep.id)
    assert [run.repeat_of for run in runs] == [None, 1, 1, None, 4, 4]
    assert runs[1].reason == "repeat 2 of 3 of run 1"
    detail = sweep_detail(yard.store, sweep, "http://here", 0.0)
    assert detail.best is not None
    assert detail.best_point is not None
    assert (detail.best.number, detail.best_point.runs, detail.best_point.value) == (4, [4, 5, 6], 4.0)
    assert detail.best_point.params == {"x": 2, "o": {"y": 0}}
    assert detail.progress.total == 6
    assert new_sweep(yard.store, sweep, "http://here", ()).size == 2


def test_a_point_whose_run_failed_is_given_up(yard: Yard) -> None:
    sweep = yard.sweep(method="grid", parameters={"x": {"values": [1, 2]}}, repeat=2, retry={"max": 0})
    hand = yard.hand(sweep)
    first = hand.start()
    hand.end(first, Outcome.failed, "exit code 1")
    for _ in range(2):
        offer = hand.start()
        hand.log(offer, 1.0)
        hand.end(offer)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
    found = [(run.params["x"], run.params["seed"], run.state) for run in yard.store.runs(sweep.id)]
    assert found == [(1, 0, RunState.failed), (2, 0, RunState.finished), (2, 1, RunState.finished)]


def test_agents_that_ask_at_once_share_points_and_run_cap_counts_runs(yard: Yard) -> None:
    sweep = yard.sweep(repeat=3, run_cap=5)
    for n in range(5):
        yard.hand(sweep, f"a{n}")
    assert wait_until(lambda: len(yard.store.runs(sweep.id)) == 5, DEADLINE_S)
    runs = yard.store.runs(sweep.id)
    assert len(runs) == len({(run.params["lr"], run.params["seed"]) for run in runs}) == 5
    assert len({run.params["lr"] for run in runs}) == len([run for run in runs if run.repeat_of is None]) <= 3


def test_a_budget_ends_a_sweep(yard: Yard) -> None:
    failing, short = yard.sweep(budget={"failures": 2}, retry={"max": 0}), yard.sweep(budget={"hours": 1e-4})
    hand = yard.hand(failing)
    for _ in range(2):
        hand.end(hand.start(), Outcome.failed, "exit code 1")
    assert wait_until(lambda: yard.state(failing) is SweepState.finished, DEADLINE_S)
    offer = (hand := yard.hand(short, "b1")).start()
    assert wait_until(lambda: yard.state(short) is SweepState.finishing, DEADLINE_S)
    hand.log(offer, 1.0)
    hand.end(offer)
    assert wait_until(lambda: yard.state(short) is SweepState.finished, DEADLINE_S)
    reasons = {sweep.id: sweep.reason for sweep in yard.store.sweeps()}
    assert reasons[failing.id].startswith("2 runs failed or crashed, and its budget allows 2")
    assert reasons[short.id].startswith("its budget of 0.0001 hours is used up")


def test_runs_are_named_and_summed_up_as_the_file_says(yard: Yard) -> None:
    metric = {"name": "loss", "summary": "mean"}
    sweep = yard.sweep(run_cap=1, run_name="lr{lr:.2f}/{number}", metric=metric)
    hand = yard.hand(sweep)
    offer = hand.start()
    hand.log(offer, 4.0, 1.0)
    hand.log(offer, 7.0)
    hand.end(offer)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
    [run] = yard.store.runs(sweep.id)
    assert run.name == offer.name == f"lr{run.params['lr']:.2f}/1"
    assert run.objective == 4.0
    assert [point.value for point in yard.store.curves(sweep.id)[run.id]] == [4.0, 2.5, 4.0]
