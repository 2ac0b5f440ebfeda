"""Why a run was stopped, or was not; what a dry run would have done; what counts as resource."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from integration.desk import Desk
from rich.console import Console

from sweepyard.controller.hindsight import look_back
from sweepyard.explain_cli import explanation
from sweepyard.tracking.records import Outcome, RunState
from sweepyard.tracking.sql import SqlStore, open_store

RULE = {"type": "asha", "min_iter": 2, "eta": 2, "min_peers": 2}


@pytest.fixture
def store(sqlite_url: str) -> Iterator[SqlStore]:
    with closing(open_store(sqlite_url)) as store:
        yield store


def three_runs(store: SqlStore, **rule: Any) -> Desk:
    """Run 1 finishes, run 2 is bad at rung 2, run 3 has just begun."""
    desk = Desk(store, early_terminate=RULE | rule)
    for number in (1, 2, 3):
        desk.start(number)
    desk.log(1, 3.0, 2.0, 1.5)
    desk.end(1)
    desk.log(2, 9.0, 8.0)
    desk.log(3, 7.0)
    return desk


def test_a_stopped_run(store: SqlStore) -> None:
    desk = three_runs(store)
    desk.end(2, Outcome.stopped)
    found = desk.explain(2)
    assert found.answer == "Stopped by asha: rung 2: loss 8 is above 2, the threshold of 2 runs (top half kept)."
    (rung,) = found.rungs
    assert (rung.at, rung.value, rung.peers, rung.action) == (2, 8.0, 2, "stop")
    assert rung.decided_at is not None
    assert (found.position, found.resource, found.metric) == (2, "values logged", "loss")


def test_a_finished_run_and_one_that_was_never_judged(store: SqlStore) -> None:
    desk = three_runs(store)
    first = desk.explain(1)
    assert first.answer == (
        "Judged once and let go on, last by asha: rung 2: loss 2, the first run to get here, and it takes 2 to "
        "judge. Since then, asha: it ended at 3, before rung 4."
    )
    third = desk.explain(3)
    assert third.answer == "Never judged: asha: it is at 1; the next rung is at 2."
    assert [(rung.at, rung.value, rung.peers, rung.action) for rung in third.rungs] == [(2, None, 2, None)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"metric": None}, "has no metric"), ({"early_terminate": None}, "has no early_terminate")],
)
def test_a_sweep_that_judges_nobody(store: SqlStore, changes: dict[str, Any], words: str) -> None:
    given = {"early_terminate": None} | changes
    desk = Desk(store, **{key: value for key, value in given.items() if value is not None or key == "metric"})
    desk.start(1)
    assert words in desk.explain(1).answer


def test_a_metric_that_is_logged_under_another_name_is_said_while_the_run_goes_on(store: SqlStore) -> None:
    desk = Desk(store, early_terminate=RULE)
    desk.start(1)
    desk.rows(1, {"loss ": 1.0})
    assert "Run 1 has not logged a value of the metric 'loss': you log 'loss '" in desk.explain(1).answer
    desk.end(1)
    desk.start(2)
    desk.rows(2, {"loss ": 1.0})
    desk.end(2)
    said = [event.text for event in store.events(sweep_id="sweep001") if event.kind == "sweep.metric_missing"]
    assert len(said) == 1
    assert "you log 'loss '" in said[0]


def test_a_terminal_shows_it(store: SqlStore) -> None:
    desk = three_runs(store)
    console = Console(width=200, force_terminal=False, color_system=None)
    with console.capture() as capture:
        for number in (1, 2, 3):
            console.print(explanation(desk.explain(number)))
    shown = capture.get()
    assert "not reached" in shown
    assert "stopped" in shown
    assert "went on" in shown


def test_a_dry_run_stops_nobody_and_tells_whether_it_would_have_been_right(store: SqlStore) -> None:
    desk = three_runs(store, dry_run=True)
    assert desk.run(2).order is None
    assert desk.explain(2).hindsight == "It goes on; at its end we will know."
    desk.log(2, 0.5)  # what a rule cannot see: it becomes the best
    desk.reread()
    desk.log(3, 6.0, 5.0)
    desk.reread()
    desk.end(2)
    desk.end(3)
    assert [run.state for run in desk.ledger.runs.values()] == [RunState.finished] * 3
    back = look_back(desk.ledger)
    assert back is not None
    assert (back.would_stop, back.ended, back.wrong) == ([2, 3], 2, [2])
    assert (back.best, back.best_with_stopping) == (0.5, 1.5)
    assert (back.saved_steps, back.share) == (2, 2 / 9)
    second, third = desk.explain(2), desk.explain(3)
    assert second.answer.startswith("Spared, since this is a dry run; asha would have stopped it: rung 2")
    assert second.hindsight == (
        "Stopping it would have been wrong: it ended with 0.5, and without it the best is 1.5."
    )
    assert third.hindsight == "Stopping it would have been right: it ended with 5, the best is 0.5."
    assert [one.action for one in store.decisions("sweep001")] == ["continue", "would_stop", "would_stop"]


def test_a_dry_run_judges_as_if_it_had_stopped(store: SqlStore) -> None:
    desk = three_runs(store, dry_run=True)
    desk.log(2, 1.0, 1.0)  # it is at rung 4 now, where a stopped run would never have come
    desk.start(4)
    desk.log(4, 1.0, 1.0, 1.0, 1.0)
    rungs = {rung.at: rung.peers for rung in desk.explain(4).rungs}
    assert rungs[4] == 1


def test_the_resource_is_what_the_user_names(store: SqlStore) -> None:
    desk = Desk(store, early_terminate=RULE | {"resource": "epoch"})
    desk.start(1)
    desk.log(1, 5.0, 4.0, 3.0, 2.0, epoch=[1, 1, 2, 2])  # repeated: the first value at 2 counts
    desk.start(2)
    desk.rows(2, {"epoch": 2}, {"loss": 3.5}, {"epoch": 1, "loss": 9.0}, {"epoch": "x", "loss": 9.0})
    assert desk.ledger.curves[desk.run(2).id].positions == [2, 2, 2]  # late, falling, unreadable
    desk.reread()
    decisions = store.decisions("sweep001")
    assert [(one.run_number, one.rung, one.value) for one in decisions] == [(1, 2, 3.0), (2, 2, 3.5)]
    assert desk.explain(2).resource == "epoch"


def test_a_resource_that_is_never_logged_is_said(store: SqlStore) -> None:
    desk = Desk(store, early_terminate=RULE | {"resource": "epoch"})
    desk.start(1)
    desk.log(1, 5.0, 4.0, Epoch=[1, 2])
    desk.end(1)
    said = [event.text for event in store.events(sweep_id="sweep001") if event.kind == "sweep.metric_missing"]
    assert said == [
        "run 1 never logs 'epoch', which early_terminate counts: you log 'Epoch'. Log it as 'epoch', or name "
        "'Epoch' in the sweep file"
    ]
    assert "Run 1 never logs 'epoch'" in desk.explain(1).answer


def test_an_attempt_that_goes_on_keeps_what_was_reported_below_its_start(store: SqlStore) -> None:
    desk = Desk(store, early_terminate=RULE | {"resource": "epoch"})
    desk.start(1)
    desk.log(1, 5.0, 4.0, 3.0, epoch=[1, 2, 3])
    desk.end(1, Outcome.preempted)
    desk.start(1)
    desk.end(1, Outcome.preempted)
    desk.start(1)
    found = desk.store.sweep("sweep001")
    assert found is not None
    desk.reread()
    desk.log(1, 9.0, 2.5, epoch=[3, 4])  # epoch 3 is done again, from the checkpoint of epoch 2
    curve = desk.ledger.curves[desk.run(1).id]
    assert (curve.values, curve.positions) == ([5.0, 4.0, 9.0, 2.5], [1, 2, 3, 4])
    assert (desk.run(1).objective, desk.run(1).steps) == (2.5, 4)
    desk.reread()


def test_an_attempt_without_a_named_resource_starts_anew(store: SqlStore) -> None:
    desk = Desk(store, early_terminate=RULE)
    desk.start(1)
    desk.log(1, 5.0, 4.0)
    desk.end(1, Outcome.preempted)
    desk.start(1)
    desk.log(1, 6.0)
    assert (desk.run(1).objective, desk.run(1).steps) == (6.0, 1)
    desk.reread()
