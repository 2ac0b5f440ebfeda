"""The reading end of a spool: slices, torn lines, acknowledgements, resending."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sweepyard.agent import spool
from sweepyard.agent.recorder import Recorder
from sweepyard.agent.rundir import JOURNAL
from sweepyard.agent.spool import AT_ONCE, SLICE_BYTES, SLICE_LINES, WINDOW, Outbox, Source, SpoolReader
from sweepyard.bus.wire import Ended, Report, Rows, Started
from sweepyard.tracking.records import Outcome

SOURCE = Source("sweep001", "run00001", 1, 2, "a1")
ENDED = Ended(outcome=Outcome.finished)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "spool.jsonl"
    path.touch()
    return path


def append(path: Path, *facts: Any) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps(fact) + "\n" for fact in facts)


def row(step: int, **data: Any) -> dict[str, Any]:
    return {"h": [step, 0.5, 9.0], "d": data or {"loss": step}}


def take(reader: SpoolReader) -> Rows:
    place = reader.next_slice()
    assert place is not None
    return reader.rows(place)


class TestReader:
    def test_reads_what_the_recorder_writes(self, path: Path) -> None:
        said: list[str] = []
        recorder = Recorder(path, said.append)
        recorder.row(3, {"loss": float("nan")})
        recorder.config({"epochs": 3})
        recorder.summary({"best": 1})
        recorder.close(4)
        reader = SpoolReader(path)
        rows = take(reader)
        assert [(r.step, r.data) for r in rows.rows] == [(3, {"loss": "NaN"})]
        assert (rows.config, rows.summary) == ({"epochs": 3}, {"best": 1})
        assert reader.exit_code() == 4
        assert said == []

    def test_a_torn_line_waits_until_it_is_whole(self, path: Path) -> None:
        reader = SpoolReader(path)
        append(path, row(0))
        with path.open("a") as file:
            file.write('{"h":[1,0')
        assert len(take(reader).rows) == 1
        assert reader.next_slice() is None
        with path.open("a") as file:
            file.write('.5,9],"d":{}}\n')
        assert take(reader).rows[0].step == 1
        assert reader.next_slice() is None

    def test_slices_are_bounded_and_lose_nothing(self, path: Path) -> None:
        append(path, *(row(step) for step in range(2 * SLICE_LINES + 7)))
        reader = SpoolReader(path)
        sizes, steps = [], []
        while place := reader.next_slice():
            rows = reader.rows(place).rows
            sizes.append(len(rows))
            steps += [r.step for r in rows]
        assert sizes == [SLICE_LINES, SLICE_LINES, 7]
        assert steps == list(range(2 * SLICE_LINES + 7))

    def test_slices_are_bounded_in_bytes_unless_one_line_is_larger(self, path: Path) -> None:
        append(path, *(row(step, text="x" * (SLICE_BYTES // 3)) for step in range(4)))
        append(path, row(4, text="y" * (3 * SLICE_BYTES)), row(5))
        reader = SpoolReader(path)
        assert [[r.step for r in take(reader).rows] for _ in range(4)] == [[0, 1], [2, 3], [4], [5]]

    def test_damaged_lines_are_left_out(self, path: Path) -> None:
        with path.open("ab") as file:
            file.write(b'{"h":[0,1\n\xff\xfe\n[]\n\n')
        append(path, row(1))
        assert [r.step for r in take(SpoolReader(path)).rows] == [1]

    def test_a_value_set_by_hand_loses_against_a_later_row(self, path: Path) -> None:
        append(path, {"s": {"a": 1, "b": 1}}, row(0, a=2), {"s": {"c": 3}}, row(1, d=4), {"s": {"d": 5}})
        assert take(SpoolReader(path)).summary == {"b": 1, "c": 3, "d": 5}

    def test_a_spool_that_someone_removed_holds_nothing_more(self, path: Path) -> None:
        append(path, row(0), {"x": 1})
        reader = SpoolReader(path)
        place = reader.next_slice()
        assert place is not None
        path.unlink()
        assert reader.next_slice() is None
        assert reader.rows(place) == Rows()
        assert reader.exit_code() is None

    def test_no_exit_code_without_finish(self, path: Path) -> None:
        assert SpoolReader(path).exit_code() is None
        append(path, row(0))
        assert SpoolReader(path).exit_code() is None


class Box:
    """An outbox, and the reports that came out of it."""

    def __init__(self, path: Path, resend_after_s: float = 10.0) -> None:
        self.path = path
        self.outbox = Outbox(SOURCE, path, resend_after_s)
        self.outbox.start(Started(host="h", pid=1))

    def send(self, now_s: float = 0.0) -> list[Report]:
        reports = self.outbox.due(now_s)
        for report in reports:
            self.outbox.sent(report.seq, now_s)
        return reports

    def seqs(self, now_s: float = 0.0) -> list[int]:
        return [report.seq for report in self.send(now_s)]


@pytest.fixture
def box(path: Path) -> Box:
    return Box(path)


class TestOutbox:
    def test_numbers_reports_from_started_to_ended(self, box: Box, path: Path) -> None:
        append(path, row(0))
        first = box.send()
        append(path, row(1), row(2))
        box.outbox.end(ENDED)
        reports = first + box.send()
        assert [report.seq for report in reports] == [1, 2, 3, 4]
        assert [report.body.kind for report in reports] == ["started", "rows", "rows", "ended"]
        assert {(r.sweep, r.run, r.attempt, r.agent) for r in reports} == {("sweep001", "run00001", 2, "a1")}
        assert not box.outbox.is_settled
        box.outbox.acknowledge(4, 0.0)
        assert box.outbox.is_settled

    def test_nothing_is_sent_twice_without_need(self, box: Box, path: Path) -> None:
        assert box.seqs(0.0) == [1]
        append(path, row(0))
        assert box.seqs(1.0) == [2]
        assert box.seqs(9.0) == []

    def test_a_report_that_was_not_sent_is_due_again(self, box: Box) -> None:
        assert [report.seq for report in box.outbox.due(0.0)] == [1]
        assert [report.seq for report in box.outbox.due(0.0)] == [1]

    def test_everything_unacknowledged_is_sent_again_in_order(self, box: Box, path: Path) -> None:
        for step in range(3):
            append(path, row(step))
            box.send(0.0)
        box.outbox.acknowledge(2, 5.0)
        assert box.seqs(14.9) == []
        again = box.send(15.0)
        assert [report.seq for report in again] == [3, 4]
        assert [report.body.rows[0].step for report in again] == [1, 2]  # type: ignore[union-attr]

    def test_acknowledgements_that_move_put_resending_off(self, box: Box, path: Path) -> None:
        append(path, *(row(step) for step in range(3 * SLICE_LINES)))
        box.send(0.0)
        for upto, now_s in ((1, 9.0), (2, 18.0), (3, 27.0)):
            box.outbox.acknowledge(upto, now_s)
            assert box.seqs(now_s) == []
        assert box.seqs(37.0) == [4]

    def test_patience_grows_and_comes_back(self, box: Box, path: Path) -> None:
        times = [now for now in range(200) if box.seqs(float(now))]
        assert times == [0, 10, 30, 70, 130, 190]
        box.outbox.acknowledge(1, 200.0)
        append(path, row(0))
        assert [now for now in range(200, 215) if box.seqs(float(now))] == [200, 210]

    def test_old_and_impossible_acknowledgements_change_nothing(self, box: Box, path: Path) -> None:
        append(path, row(0))
        box.send()
        box.outbox.acknowledge(2, 0.0)
        box.outbox.acknowledge(1, 0.0)
        box.outbox.acknowledge(0, 0.0)
        append(path, row(1))
        assert box.seqs() == [3]
        box.outbox.acknowledge(99, 0.0)
        append(path, row(2))
        assert box.seqs() == [4]

    def test_a_backlog_is_held_in_the_spool(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(spool, "SLICE_LINES", 1)
        box = Box(path)
        append(path, *(row(step) for step in range(2 * WINDOW)))
        box.outbox.end(ENDED)
        seen: list[int] = []
        while chunk := box.seqs():
            assert len(chunk) <= AT_ONCE
            seen += chunk
        assert seen == list(range(1, WINDOW + 1))
        assert box.outbox.is_full
        while not box.outbox.is_settled:
            box.outbox.acknowledge(seen[-1], 0.0)
            seen += box.seqs()
        assert seen == list(range(1, 2 * WINDOW + 3))

    def test_no_row_means_no_rows_report(self, box: Box) -> None:
        box.outbox.end(ENDED)
        assert [report.body.kind for report in box.send()] == ["started", "ended"]


class TestWhoTakesOver:
    """The journal of an agent that was ended anywhere: the next one says the same, and what is left."""

    def numbered(self, outbox: Outbox) -> dict[int, Any]:
        """All that it has to say, acknowledged as it comes."""
        said: dict[int, Any] = {}
        while reports := outbox.due(0.0):
            for report in reports:
                said[report.seq] = report.body
                outbox.sent(report.seq, 0.0)
            outbox.acknowledge(reports[-1].seq, 0.0)
        return said

    def test_every_report_that_was_sent_keeps_its_number_and_content(self, path: Path) -> None:
        box = Box(path)
        sent: dict[int, Any] = {}
        for step in range(5):
            append(path, row(step))
            for report in box.outbox.due(0.0):
                sent[report.seq] = report.body
                box.outbox.sent(report.seq, 0.0)
        append(path, row(5), row(6))
        heir = Outbox.restore(path.parent, 10.0)
        assert heir is not None
        assert heir.source == SOURCE
        said = self.numbered(heir)
        assert {seq: said[seq] for seq in sent} == sent
        assert [r.step for body in said.values() if isinstance(body, Rows) for r in body.rows] == list(range(7))
        assert not heir.is_settled
        assert heir.is_empty

    def test_the_end_comes_last_and_once_although_it_was_not_sent(self, path: Path) -> None:
        box = Box(path)
        append(path, *(row(step) for step in range(SLICE_LINES * (WINDOW + 3))))
        box.outbox.due(0.0)
        assert box.outbox.is_full
        box.outbox.end(ENDED)
        first = Outbox.restore(path.parent, 10.0)
        assert first is not None
        first.due(0.0)
        heir = Outbox.restore(path.parent, 10.0)  # whoever takes over may die too
        assert heir is not None
        said = list(self.numbered(heir).values())
        steps = [r.step for body in said if isinstance(body, Rows) for r in body.rows]
        assert steps == list(range(SLICE_LINES * (WINDOW + 3)))
        assert [body for body in said if not isinstance(body, Rows)] == [Started(host="h", pid=1), ENDED]
        assert said[-1] == ENDED
        assert heir.is_settled

    def test_a_torn_journal_is_taken_up_to_its_last_whole_line(self, path: Path) -> None:
        box = Box(path)
        append(path, row(0))
        box.outbox.due(0.0)
        append(path, row(1))
        box.outbox.due(0.0)
        journal = path.with_name(JOURNAL)
        whole = journal.read_bytes()
        for cut in range(len(whole) + 1):
            journal.write_bytes(whole[:cut])
            heir = Outbox.restore(path.parent, 10.0)
            lines = whole[:cut].count(b"\n")
            assert (heir is None) == (lines == 0)
            if heir is not None:
                said = self.numbered(heir)
                steps = [r.step for body in said.values() if isinstance(body, Rows) for r in body.rows]
                assert steps == [0, 1]
                assert journal.read_bytes().startswith(whole[:cut].rpartition(b"\n")[0])

    def test_where_nothing_can_be_written_there_is_nothing_to_take_over(self, path: Path) -> None:
        path.with_name(JOURNAL).mkdir()
        box = Box(path)
        append(path, row(0))
        assert len(box.outbox.due(0.0)) == 2
