"""Connections to SQLite and PostgreSQL, and their errors in our words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url, text

from sweepyard.errors import Unavailable, UserError
from sweepyard.redaction import without_login

SQLITE_PRAGMAS = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
)
POSTGRES_OPTIONS = {
    "connect_timeout": "10",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "12000",
}
"""A server that is cut off is missed within about 12 s, not after the hours that TCP would wait. Milliseconds for
the last one, else seconds."""
END_WRITERS = text("""
    SELECT pg_terminate_backend(lock.pid)
    FROM pg_locks AS lock
    JOIN pg_stat_activity AS session ON session.pid = lock.pid
    WHERE session.datname = current_database() AND pg_has_role(session.usesysid, 'MEMBER')
      AND lock.pid <> pg_backend_pid() AND lock.granted
      AND lock.mode IN ('RowShareLock', 'RowExclusiveLock')
      AND lock.relation IN (SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) AS name)
""")
OLDEST_SQLITE = (3, 37, 0)
"""The first one with STRICT tables."""


@dataclass(frozen=True, slots=True)
class Database:
    """Where a store lives. `name` is its URL without the password, for messages."""

    name: str
    reads: Engine
    writes: Engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection on which each statement sees what is committed.

        Raises:
            Unavailable: the database cannot be reached or used.
        """
        with self._explained(), self.reads.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection in a transaction: committed at the end, rolled back by an exception.

        On SQLite the transaction is the only one that writes, from its beginning.

        Raises:
            Unavailable: the database cannot be reached or used.
        """
        with self._explained(), self.writes.begin() as connection:
            yield connection

    def close(self) -> None:
        self.reads.dispose()
        self.writes.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as error:
            raise self._unavailable(error) from error
        except exc.DatabaseError as error:
            if type(error) is not exc.DatabaseError:  # its subclasses are bugs in us
                raise
            raise self._unavailable(error) from error

    def _unavailable(self, error: exc.SQLAlchemyError) -> Unavailable:
        cause = first_line(getattr(error, "orig", None) or error)
        hint = (
            "Is it a SQLite file on a disk with room, and free of other programs?"
            if self.writes.dialect.name == "sqlite"
            else "Is the server up, and is the address right?"
        )
        return Unavailable(f"The store {self.name} cannot be used: {cause}. {hint}")


def connect(url: str) -> Database:
    """The database that `url` names. Nothing is opened yet, but the directory of a SQLite file is made.

    Raises:
        UserError: not a URL that a store can have.
        Unavailable: the directory cannot be made, or SQLite is too old.
    """
    parsed = _parse(url)
    name = parsed.render_as_string(hide_password=True)
    if parsed.drivername == "sqlite":
        return _sqlite(parsed, name)
    return _postgresql(parsed, name)


def end_writers(connection: Connection, *names: str) -> None:
    """End the sessions of PostgreSQL that have begun to write to one of the tables, of users whose rights we have.

    A writer that was frozen, or cut off, in the middle of a transaction would hold its locks for hours. Where it
    can not be ended, our transaction fails after a while. (On SQLite a process that has died holds nothing, and a
    frozen one can not be made to let go.)
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        connection.execute(END_WRITERS, {"names": list(names)})


def first_line(error: BaseException) -> str:
    """What a driver says, without its details."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        parsed = URL.create("unknown")
    if parsed.drivername == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql")
    raise UserError(
        f"{without_login(url)!r} is not a store URL. "
        "Write sqlite:////path/to/file.db or postgresql://user:password@host/database."
    )


def _sqlite(url: URL, name: str) -> Database:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise Unavailable(
            f"The store {name} needs SQLite 3.37 or newer, and this Python has {sqlite3.sqlite_version}. "
            "Use another Python, or a PostgreSQL store."
        )
    file = Path(url.database or "")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"The store {name} cannot be made: {error}. Choose another place.") from error
    reads = create_engine(url, isolation_level="AUTOCOMMIT")
    writes = create_engine(url)
    for engine in (reads, writes):
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "connect", lambda *_: _make_private(file), insert=True)
    event.listen(writes, "begin", _begin_immediate)
    return Database(name, reads, writes)


def _postgresql(url: URL, name: str) -> Database:
    driver = url.set(drivername="postgresql+psycopg")
    driver = driver.update_query_dict(
        {name: POSTGRES_OPTIONS[name] for name in POSTGRES_OPTIONS.keys() - url.query.keys()}
    )
    reads = create_engine(driver, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
    return Database(name, reads, create_engine(driver, pool_pre_ping=True))


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN, not the driver
    for pragma in SQLITE_PRAGMAS:
        connection.execute(pragma)


def _make_private(file: Path) -> None:
    """A new store is its owner's alone, and so are the files that SQLite puts beside it: it will hold a secret.

    Without opening it: whoever closes a file of SQLite's drops the locks that the process has on it.
    """
    if file.stat().st_size == 0:
        file.chmod(0o600)


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
