"""A SQLite store whose write-ahead log has lost its end, as after a loss of power: what is left is a prefix."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from sweepyard.tracking.records import Event, Run, Sweep
from sweepyard.tracking.sql import open_store

SWEEPS = 20
CUTS = 150


def test_a_log_that_is_cut_off_anywhere_is_a_prefix_of_the_history(tmp_path: Path) -> None:
    file, wal = tmp_path / "store.db", tmp_path / "store.db-wal"
    with closing(open_store(f"sqlite:///{file}")) as store:
        epoch, sizes = store.take_over(), [wal.stat().st_size]
        for n in range(SWEEPS):
            with store.transaction(epoch) as tx:
                tx.add_sweep(Sweep(id=f"sweep{n:03}", entity="e", project="p", name="", spec={}, seed=n))
                tx.add_run(Run(id=f"run{n:05}", sweep_id=f"sweep{n:03}", number=1, params={"n": n}, reason="r"))
                tx.add_event(Event(sweep_id=f"sweep{n:03}", kind="run.proposed", text="r", at=1.0))
            sizes.append(wal.stat().st_size)
        database, log = file.read_bytes(), wal.read_bytes()
    dice = random.Random(1)
    for size in sorted([*sizes, *(dice.randrange(sizes[0], sizes[-1]) for _ in range(CUTS))]):
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        (tmp_path / "copy").mkdir()
        copy = tmp_path / "copy" / "store.db"
        copy.write_bytes(database)
        copy.with_name("store.db-wal").write_bytes(log[:size])
        whole = [f"sweep{n:03}" for n in range(sum(size >= each for each in sizes[1:]))]
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            for table, column in (("sweeps", "id"), ("runs", "sweep_id"), ("events", "sweep_id")):
                found = connection.execute(f"SELECT {column} FROM {table} ORDER BY {column}").fetchall()
                assert [name for (name,) in found] == whole, f"{table} at {size} bytes"
    with closing(open_store(f"sqlite:///{copy}")) as store:
        assert len(store.sweeps()) == SWEEPS
