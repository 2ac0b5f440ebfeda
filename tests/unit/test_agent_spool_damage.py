"""A spool and its journal after a crash of the disk: cut off at every byte, and with any bit turned.

What is left must be read without an error, and must be what was written, up to where it is damaged.
"""

from __future__ import annotations

import random
from dataclasses import asdict
from pathlib import Path

import pytest

from sweepyard.agent.journal import Journal
from sweepyard.agent.recorder import Recorder
from sweepyard.agent.rundir import JOURNAL, SPOOL
from sweepyard.agent.spool import Outbox, Source, SpoolReader
from sweepyard.bus.wire import Rows, Started

SOURCE = Source("sweep001", "run00001", 1, 1, "a1")
ROWS = 24
FLIPS = 1000


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    recorder = Recorder(tmp_path / SPOOL, print)
    for n in range(ROWS):
        recorder.row(n, {"n": n, "text": "ä\n"})
        if n % 8 == 0:
            recorder.config({f"c{n}": n})
            recorder.summary({f"s{n}": n})
    recorder.close(0)
    return tmp_path / SPOOL


def read(path: Path) -> list[Rows]:
    reader, found = SpoolReader(path), []
    while place := reader.next_slice():
        found.append(reader.rows(place))
    reader.exit_code()
    return found


def numbers(found: list[Rows]) -> list[int]:
    return [row.data["n"] for rows in found for row in rows.rows]


def test_a_spool_that_is_cut_off_anywhere_is_a_prefix(spool: Path) -> None:
    whole = spool.read_bytes()
    for size in range(len(whole)):
        spool.write_bytes(whole[:size])
        seen = numbers(read(spool))
        assert seen == list(range(len(seen)))
        assert len(seen) == whole[:size].count(b'\n{"h"') + whole[:size].startswith(b'{"h"') - _is_torn(
            whole[:size]
        )


def _is_torn(text: bytes) -> bool:
    return text.rpartition(b"\n")[2].startswith(b'{"h"')


def test_a_turned_bit_costs_its_line_and_the_next_at_most(spool: Path) -> None:
    whole, dice = spool.read_bytes(), random.Random(1)
    for _ in range(FLIPS):
        damaged = bytearray(whole)
        damaged[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        spool.write_bytes(damaged)
        steps = [row.step for rows in read(spool) for row in rows.rows]
        assert len(set(steps) & set(range(ROWS))) >= ROWS - 2


def test_a_turned_bit_in_a_journal_ends_nobody(spool: Path) -> None:
    outbox, dice = Outbox(SOURCE, spool, 1.0), random.Random(2)
    outbox.start(Started(host="h", pid=1))
    outbox.due(0.0)
    journal = spool.with_name(JOURNAL)
    whole = journal.read_bytes()
    for _ in range(FLIPS):
        damaged = bytearray(whole)
        damaged[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        journal.write_bytes(damaged)
        if restored := Outbox.restore(spool.parent, 1.0):
            restored.due(0.0)


def test_a_journal_that_is_cut_off_anywhere_leaves_a_prefix_of_the_reports(spool: Path) -> None:
    """And the file can be gone on with."""
    outbox = Outbox(SOURCE, spool, 1.0)
    outbox.start(Started(host="h", pid=1))
    sent = outbox.due(0.0)
    journal = spool.with_name(JOURNAL)
    whole = journal.read_bytes()
    for size in range(len(whole) + 1):
        journal.write_bytes(whole[:size])
        restored = Outbox.restore(spool.parent, 1.0)
        assert (restored is None) == (b"\n" not in whole[:size])
        if restored is not None:
            again = restored.due(0.0)
            assert again[: whole[:size].count(b"\n") - 1] == sent[: whole[:size].count(b"\n") - 1]
            assert Journal(journal).read()[0] == asdict(SOURCE)
