"""The tables, checks and triggers that the migrations make, on SQLite and on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from enum import StrEnum
from itertools import product
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import exc, inspect

from sweepyard.errors import IllegalTransition, UserError
from sweepyard.tracking import migrations
from sweepyard.tracking.database import Database, connect
from sweepyard.tracking.lifecycle import ATTEMPT_MOVES, RUN_MOVES, SWEEP_MOVES
from sweepyard.tracking.port import Transaction
from sweepyard.tracking.records import (
    Actor,
    Agent,
    Attempt,
    AttemptState,
    AuditEntry,
    Decision,
    Outcome,
    Point,
    PriorRun,
    Role,
    Run,
    RunState,
    SpecVersion,
    Sweep,
    SweepState,
)
from sweepyard.tracking.schema import TABLES
from sweepyard.tracking.sql import SqlStore, open_store

SWEEP = Sweep(id="sweep001", entity="me", project="digits", name="", spec={}, seed=0)
RUN = Run(id="run00001", sweep_id=SWEEP.id, number=1, params={}, reason="")


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    with closing(connect(store_url)) as database:
        yield database


def save_sweep(t: Transaction, n: int, old: SweepState, new: SweepState) -> None:
    sweep = replace(SWEEP, id=f"s{n:07d}", state=old)
    t.add_sweep(sweep)
    t.save_sweep(replace(sweep, state=new))


def save_run(t: Transaction, n: int, old: RunState, new: RunState) -> None:
    run = t.add_run(replace(RUN, id=f"run{n:05d}", number=n, state=old))
    t.save_run(replace(run, state=new))


def save_attempt(t: Transaction, n: int, old: AttemptState, new: AttemptState) -> None:
    run = t.add_run(replace(RUN, id=f"run{n:05d}", number=n))
    attempt = Attempt(run_key=run.key, n=1, state=old)
    t.add_attempt(attempt)
    t.save_attempt(replace(attempt, state=new))


@pytest.mark.parametrize(
    ("states", "moves", "save"),
    [
        (SweepState, SWEEP_MOVES, save_sweep),
        (RunState, RUN_MOVES, save_run),
        (AttemptState, ATTEMPT_MOVES, save_attempt),
    ],
    ids=["sweep", "run", "attempt"],
)
def test_the_database_allows_the_moves_of_lifecycle_and_no_other(
    store: SqlStore,
    states: type[StrEnum],
    moves: dict[tuple[StrEnum, StrEnum], StrEnum],
    save: Callable[..., None],
) -> None:
    expected = {(old, new) for (old, _), new in moves.items()} | {(state, state) for state in states}
    epoch = store.take_over()
    with store.transaction(epoch) as t:
        t.add_sweep(SWEEP)
    allowed = set()
    for n, (old, new) in enumerate(product(states, states), start=1):
        try:
            with store.transaction(epoch) as t:
                save(t, n, old, new)
            allowed.add((old, new))
        except IllegalTransition as error:
            assert "illegal move" in str(error)  # noqa: PT017
    assert allowed == expected


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ("UPDATE sweeps SET state = '{}'", [SweepState.pending]),
        ("UPDATE runs SET state = '{}'", [RunState.pending]),
        ("UPDATE runs SET \"order\" = '{}'", ["stop", "kill"]),
        ("UPDATE attempts SET outcome = '{}'", list(Outcome)),
        ("UPDATE agents SET state = '{}'", ["active", "lost", "left"]),
        ("UPDATE agents SET \"order\" = '{}'", ["drain", "stop", "quarantine"]),
        ("UPDATE decisions SET action = '{}'", ["continue", "stop"]),
    ],
)
def test_words_are_checked(database: Database, full: None, change: str, allowed: list[str]) -> None:
    for word in allowed:
        with database.writing() as connection:
            connection.exec_driver_sql(change.format(word))
    for word in ("", "bogus", allowed[0].upper()):
        with pytest.raises(exc.IntegrityError), database.writing() as connection:
            connection.exec_driver_sql(change.format(word))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sweeps SET spec = '[]'",
        "UPDATE sweeps SET version = 0",
        "UPDATE spec_versions SET spec = '[]'",
        "UPDATE prior_runs SET params = '[]'",
        "UPDATE prior_runs SET value = 2",
        "UPDATE runs SET params = '[]'",
        "UPDATE runs SET number = 0",
        "UPDATE runs SET number = NULL",
        "UPDATE runs SET objective = 1e308 * 10",
        "UPDATE runs SET objective = 'NaN'",
        "UPDATE points SET value = -1e308 * 10",
        "UPDATE points SET value = '-Infinity'",
        "UPDATE points SET k = 0",
        "UPDATE meta SET id = 2",
        "UPDATE audit SET actor = 'somebody else'",
        "UPDATE audit SET at = 0",
    ],
)
def test_what_must_not_be_written(database: Database, full: None, change: str) -> None:
    with pytest.raises((exc.IntegrityError, exc.DataError)), database.writing() as connection:
        connection.exec_driver_sql(change)


@pytest.fixture
def full(store: SqlStore) -> None:
    """A row in each table."""
    with store.transaction(store.take_over()) as t:
        t.add_sweep(SWEEP)
        t.add_version(SpecVersion(sweep_id=SWEEP.id, version=1, spec={}, text="", at=0.0))
        t.add_prior_runs([PriorRun(sweep_id=SWEEP.id, n=1, source="", params={}, value=1.0)])
        run = t.add_run(RUN)
        t.add_attempt(Attempt(run_key=run.key, n=1))
        t.add_points(run.key, 1, [Point(1, 0.5, 1)])
        t.add_decision(
            Decision(
                run_key=run.key,
                attempt=1,
                action="stop",
                rule="",
                reason="",
                rung=1,
                value=0.5,
                threshold=None,
                peers=1,
                decided_at=1.0,
            )
        )
        t.add_audit(AuditEntry.of(Actor(name="me", role=Role.admin), "sweep.create", SWEEP.id, 1.0))
        t.save_agent(
            Agent(id="a", sweep_id=SWEEP.id, host="", pid=1, version="", first_seen_at=1.0, last_seen_at=1.0)
        )


def test_a_run_without_a_sweep_has_its_place(database: Database, full: None) -> None:
    with database.writing() as connection:
        names = [c.name for table in TABLES if table.name == "runs" for c in table.columns if c.name != "key"]
        copied = ", ".join(f'"{name}"' for name in names)
        chosen = copied.replace('"sweep_id"', "NULL").replace('"number"', "NULL").replace('"id"', "'plain001'")
        connection.exec_driver_sql(f"INSERT INTO runs ({copied}) SELECT {chosen} FROM runs")
        assert connection.exec_driver_sql("SELECT count(*) FROM runs WHERE sweep_id IS NULL").scalar() == 1


def test_the_code_knows_the_tables(database: Database, store: SqlStore) -> None:
    with database.reading() as connection:
        found = inspect(connection)
        made = {name: {c["name"] for c in found.get_columns(name)} for name in found.get_table_names()}
    del made["alembic_version"]
    assert made == {table.name: {column.name for column in table.columns} for table in TABLES}


def test_head_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(Path(migrations.__file__).parent)).get_heads() == [migrations.HEAD]


def test_a_newer_store_is_refused(store_url: str, database: Database) -> None:
    open_store(store_url).close()
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0999'")
    with pytest.raises(UserError, match=r"has schema 0999, .* up to \d{4}: a newer sweepyard wrote it"):
        open_store(store_url)


def test_another_programs_database_is_left_as_it_was(store_url: str, database: Database) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE cursors (a INTEGER)")
    with pytest.raises(UserError, match=r"cursors.* already exists.*another program's"):
        open_store(store_url)
    with database.reading() as connection:
        assert inspect(connection).get_table_names() == ["cursors"]


def test_alembic_is_not_loaded_for_a_store_that_is_current(sqlite_url: str) -> None:
    open_store(sqlite_url).close()
    code = f"import sys; from sweepyard.tracking.sql import open_store; open_store({sqlite_url!r})"
    checked = f"{code}; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", checked], check=False).returncode == 0


def test_a_new_sqlite_store_is_its_owners_alone(sqlite_url: str) -> None:
    with closing(open_store(sqlite_url)):
        file = Path(sqlite_url.removeprefix("sqlite:///"))
        modes = {path.name: path.stat().st_mode & 0o777 for path in file.parent.iterdir()}
    assert modes == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm"), 0o600)


def test_many_open_a_new_store_at_once(store_url: str) -> None:
    barrier, names = threading.Barrier(4), list[str]()

    def open_one() -> None:
        barrier.wait()
        with closing(open_store(store_url)) as store:
            names.append(store.instance_id)

    openers = [threading.Thread(target=open_one) for _ in range(4)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join()
    assert len(names) == 4
    assert len(set(names)) == 1
