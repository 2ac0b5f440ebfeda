"""What a sweep knows from elsewhere: where it comes from, what is wrong with it, and what it is used for."""

from __future__ import annotations

import pytest
from integration.yard import DEADLINE_S, Yard

from sweepyard.clock import wait_until
from sweepyard.controller.priors import Csv, gather
from sweepyard.controller.spec import Spec, read_spec
from sweepyard.errors import SpecError
from sweepyard.tracking.records import Outcome, PriorRun, RunState, Sweep, SweepState
from sweepyard.tracking.sql import SqlStore

SPACE = {
    "lr": {"min": 0.0, "max": 1.0},
    "opt": {"parameters": {"name": {"values": ["adam", "1"]}, "nesterov": {"values": [True, False]}}},
    "depth": {"value": 3},
}


def a_spec(**changes: object) -> Spec:
    metric = {"name": "loss", "goal": "minimize"}
    return read_spec({"method": "random", "metric": metric, "parameters": SPACE} | changes)


def from_csv(store: SqlStore, text: str, **changes: object) -> tuple[list[PriorRun], list[str]]:
    return gather(store, a_spec(**changes), [Csv("old.csv", text)])


class TestCsv:
    def test_rows_become_points_of_the_space(self, store: SqlStore) -> None:
        text = "\ufeffopt.name, lr,loss,opt.nesterov\nadam,0.5,1.25,True\n1,1e-3,,false\n\nadam,0.7,nan,true\n"
        known, notes = from_csv(store, text)
        assert [run.params for run in known] == [
            {"lr": 0.5, "opt": {"name": "adam", "nesterov": True}, "depth": 3},
            {"lr": 0.001, "opt": {"name": "1", "nesterov": False}, "depth": 3},
            {"lr": 0.7, "opt": {"name": "adam", "nesterov": True}, "depth": 3},
        ]
        assert [(run.n, run.source, run.value, run.failed) for run in known] == [
            (1, "old.csv:2", 1.25, False),
            (2, "old.csv:3", None, True),
            (3, "old.csv:4", None, True),
        ]
        assert notes == []

    def test_what_is_outside_is_kept_with_a_note(self, store: SqlStore) -> None:
        text = "lr,opt.name,opt.nesterov,loss\n7,adam,true,1\n0.5,adam,,2\n"
        known, notes = from_csv(store, text)
        assert [(run.outside, run.note) for run in known] == [
            (True, "lr: 7 is outside the space: 0 to 1"),
            (True, "opt.nesterov: is missing"),
        ]
        assert known[0].params == {"lr": 7, "opt": {"name": "adam", "nesterov": True}}
        assert notes == ["prior runs: 2 of 2 are outside the space, each with a note"]

    @pytest.mark.parametrize(
        ("text", "where", "said"),
        [
            ("", "prior_runs", "old.csv has no rows"),
            ("lr,loss\n", "prior_runs", "old.csv has no rows"),
            ("lrr,loss\n1,1\n", "old.csv: row 1, column 1", "did you mean lr?"),
            ("lr,lr,loss\n1,1,1\n", "old.csv: row 1, column 2", "a second column lr"),
            ("lr\n1\n", "old.csv: row 1", "no column loss"),
            ("lr,loss\n1,2\n1\n", "old.csv: row 3", "has 1 cells under 2 columns"),
            ("lr,loss\n1,good\n", "old.csv: row 2, column loss", "'good' is not a number"),
            ('lr,loss\n"1,2\n', "prior_runs", "is no CSV file"),
        ],
    )
    def test_mistakes_are_told_with_row_and_column(
        self, store: SqlStore, text: str, where: str, said: str
    ) -> None:
        with pytest.raises(SpecError) as caught:
            from_csv(store, text)
        assert [(problem.path, said in problem.message) for problem in caught.value.problems] == [(where, True)]


def lived(yard: Yard) -> Sweep:
    """A sweep with a finished run, a failed one, a killed one and one that still runs."""
    sweep = yard.sweep(early_terminate={"type": "hyperband", "min_iter": 2, "min_peers": 2})
    hand = yard.hand(sweep)
    ends = [(Outcome.finished, "exit code 0"), (Outcome.failed, "exit code 1"), (Outcome.killed, "killed")]
    for outcome, reason in ends:
        offer = hand.start()
        hand.log(offer, 0.5, 0.25)
        hand.end(offer, outcome, reason)
    offer = hand.start()
    assert wait_until(lambda: yard.run_state(offer) is RunState.running, DEADLINE_S)
    return sweep


class TestRuns:
    def test_of_a_sweep_of_a_run_and_by_id(self, yard: Yard) -> None:
        old = lived(yard)
        spec = read_spec(dict(old.spec) | {"seed": 8})
        first, *_ = yard.store.runs(old.id)
        known, notes = gather(yard.store, spec, [old.id])
        assert [(run.source, run.value, run.failed, run.curve) for run in known] == [
            (f"{old.id}/1", 0.25, False, [[1.0, 0.5], [2.0, 0.25]]),
            (f"{old.id}/2", None, True, []),
        ]
        assert notes == [f"prior runs: 2 of sweep {old.id} have no result and are left out"]
        for ref in (f"{old.id}/1", f"{old.id}/{first.id}", first.id):
            ((one,), _) = gather(yard.store, spec, [ref])
            assert (one.params, one.source) == (first.params, f"{old.id}/1")
        with pytest.raises(SpecError) as caught:
            gather(yard.store, spec, [f"{old.id}/4", f"{old.id}/9", "nonesuch"])
        assert [problem.message for problem in caught.value.problems] == [
            f"run 4 of sweep {old.id} is running: it has no result",
            f"sweep {old.id} has no run '9': give a run's number or its id",
            "there is no sweep 'nonesuch' here, and no run 'nonesuch' in local/uncategorized",
        ]

    def test_they_teach_stop_and_are_not_counted(self, yard: Yard) -> None:
        old = lived(yard)
        spec = read_spec(dict(old.spec) | {"run_cap": 1})
        known, _ = gather(yard.store, spec, [old.id])
        sweep = yard.engine.create_sweep(spec, known)
        assert [run.source for run in yard.store.prior_runs(sweep.id)] == [f"{old.id}/1", f"{old.id}/2"]
        yard.restart()
        hand = yard.hand(sweep, "a2")
        offer = hand.start()
        assert offer.params == yard.store.runs(old.id)[0].params  # suggestion 1 of the same seed, all the same
        hand.log(offer, 9.0, 9.0)
        order = hand.order(offer)
        assert order.kind == "stop"
        assert "2 runs" in order.reason
        hand.end(offer, Outcome.stopped)
        assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
        assert len(yard.store.runs(sweep.id)) == 1

    def test_they_are_visited_points_of_a_grid(self, yard: Yard) -> None:
        spec = read_spec({"method": "grid", "parameters": {"a": {"values": [1, 2, 3]}}})
        known, _ = gather(yard.store, spec, [Csv("old.csv", "a\n1\n3\n9\n")])
        sweep = yard.engine.create_sweep(spec, known)
        hand = yard.hand(sweep)
        offer = hand.start()
        assert offer.params == {"a": 2}
        hand.end(offer)
        assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
        assert len(yard.store.runs(sweep.id)) == 1
