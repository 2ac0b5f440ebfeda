"""A sweep on a real store whose reports this test writes itself: no Redis, no threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sweepyard.bus.wire import Ended, Report, Rows, Started, WireRow
from sweepyard.controller import ingest, moves
from sweepyard.controller.explanation import explain
from sweepyard.controller.ledger import Ledger
from sweepyard.controller.spec import read_spec
from sweepyard.search.port import Suggestion
from sweepyard.tracking.records import Outcome, Run, Sweep
from sweepyard.tracking.sql import SqlStore
from sweepyard.views import Explanation


class Desk:
    """`changes`: keys of the sweep file. Runs are named by their numbers."""

    def __init__(self, store: SqlStore, **changes: Any) -> None:
        self.store = store
        self.epoch = store.take_over()
        config = {
            "method": "random",
            "metric": {"name": "loss", "goal": "minimize"},
            "parameters": {"lr": {"min": 0.0, "max": 1.0}},
        } | changes
        spec = read_spec(config)
        self.sweep = Sweep(id="sweep001", entity="e", project="p", name="n", spec=spec.data, seed=0)
        with store.transaction(self.epoch) as tx:
            tx.add_sweep(self.sweep)
        self.ledger = Ledger.new(self.sweep)
        self._seq: dict[tuple[int, int], int] = {}
        self._now = 1000.0

    def run(self, number: int) -> Run:
        return next(run for run in self.ledger.runs.values() if run.number == number)

    def start(self, number: int) -> None:
        """Propose the run unless it is there, and start its present attempt."""
        if number > len(self.ledger.runs):
            with self.store.transaction(self.epoch) as tx:
                suggestion = Suggestion(params={"lr": number / 100}, reason="test")
                moves.propose(self.ledger, tx, suggestion, self._tick())
        self.send(number, Started(host="h", pid=1))

    def log(self, number: int, *values: Any, **columns: Sequence[Any]) -> None:
        """A row for each value of the metric; `columns`: further keys of these rows."""
        more = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        self.rows(number, *({"loss": value} | (more[i] if more else {}) for i, value in enumerate(values)))

    def rows(self, number: int, *facts: dict[str, Any]) -> None:
        self.send(number, Rows(rows=[WireRow(i, 0.1, 1.0, fact) for i, fact in enumerate(facts)]))

    def end(self, number: int, outcome: Outcome = Outcome.finished) -> None:
        self.send(number, Ended(outcome=outcome))

    def send(self, number: int, body: Started | Rows | Ended) -> None:
        run = self.run(number)
        seq = self._seq[number, run.attempt] = self._seq.get((number, run.attempt), 0) + 1
        report = Report(sweep=self.sweep.id, run=run.id, attempt=run.attempt, agent="a", seq=seq, body=body)
        with self.store.transaction(self.epoch) as tx:
            reply = ingest.take_in(self.ledger, tx, report, self._tick())
        assert reply.ack == seq, reply

    def reread(self) -> None:
        """As a controller that was started again."""
        found = self.store.sweep(self.sweep.id)
        assert found is not None
        before = self.ledger
        self.ledger = Ledger.read(self.store, found)
        assert self.ledger.curves == before.curves
        assert self.ledger.spared == before.spared

    def explain(self, number: int) -> Explanation:
        return explain(self.store, self.sweep, self.run(number))

    def _tick(self) -> float:
        self._now += 1
        return self._now
