"""A store is copied while it is being served, and comes back from the copy."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from pathlib import Path

import pytest
from acceptance.commands import DEADLINE_S, Place

from sweepyard.clock import wait_until
from sweepyard.errors import Conflict, UserError
from sweepyard.tracking.backup import backup, restore
from sweepyard.tracking.sql import open_store


def test_a_store_comes_back_from_a_backup_that_was_made_while_serving(place: Place) -> None:
    place.run("sweep", place.write_sweep(runs=2))
    (sweep,) = place.json("status")
    made = place.run("backup", "copy.db")
    assert made.returncode == 0, made.stderr
    place.run("agent", sweep["id"])
    assert place.json("status", sweep["id"])["state"] == "finished"
    live = place.run("restore", "copy.db", "--force")
    assert (live.returncode, "Stop the service first" in live.stderr) == (2, True)
    note = json.loads((place.path / ".sweepyard/service.json").read_text())
    os.kill(note["pid"], signal.SIGTERM)
    assert wait_until(lambda: not place.living("sweepyard serve"), DEADLINE_S)
    refused = place.run("restore", "copy.db")
    assert (refused.returncode, "--force" in refused.stderr) == (2, True)
    done = place.run("restore", "copy.db", "--force")
    assert done.returncode == 0, done.stderr
    assert place.json("status", sweep["id"])["state"] == "pending"
    assert place.run("agent", sweep["id"]).returncode == 0
    assert place.json("status", sweep["id"])["state"] == "finished"
    assert json.loads((place.path / ".sweepyard/service.json").read_text())["instance"] != note["instance"]


def test_a_backup_is_of_one_moment_however_much_is_written(tmp_path: Path, sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    done = threading.Event()
    epoch = store.take_over()

    def write() -> None:
        n = 0
        while not done.is_set():
            n += 1
            with store.transaction(epoch) as tx:
                tx.set_cursor("a", str(n))
                tx.set_cursor("b", str(n))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert wait_until(lambda: store.cursor("b") != "0", DEADLINE_S)
        for n in range(3):
            copy = tmp_path / f"{n}.db"
            backup(sqlite_url, copy)
            assert copy.stat().st_mode & 0o777 == 0o600
            restored = open_store(f"sqlite:///{copy}")
            assert restored.cursor("a") == restored.cursor("b") != "0"
            restored.close()
    finally:
        done.set()
        writer.join()
        store.close()


def test_what_is_no_backup_changes_nothing(tmp_path: Path, sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    known = store.instance_id
    copy = tmp_path / "copy.db"
    backup(sqlite_url, copy)
    with pytest.raises(UserError, match="exists already"):
        backup(sqlite_url, copy)
    with pytest.raises(UserError, match="There is no directory /"):
        backup(sqlite_url, tmp_path / "none" / "copy.db")
    with pytest.raises(Conflict, match="in use"):
        restore(sqlite_url, copy, force=True)
    store.close()
    whole = copy.read_bytes()
    (tmp_path / "cut.db").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.db").write_text("no database")
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE t (x)").connection.close()
    for name in ("cut.db", "text.db", "other.db", "none.db"):
        with pytest.raises(UserError):
            restore(sqlite_url, tmp_path / name, force=True)
    again = open_store(sqlite_url)
    assert again.instance_id == known
    again.close()
    assert restore(sqlite_url, copy, force=True) != known


def test_postgresql_has_tools_of_its_own(tmp_path: Path) -> None:
    for refuse in (backup, lambda url, file: restore(url, file, force=True)):
        with pytest.raises(UserError, match="pg_dump") as raised:
            refuse("postgresql://user:secret@host/db", tmp_path / "x")
        assert "secret" not in str(raised.value)
