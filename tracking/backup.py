"""Copies of a SQLite store: out of one that is being served, and into a place where nobody serves."""

from __future__ import annotations

import os
import secrets
import sqlite3
import string
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sweepyard.errors import Conflict, Unavailable, UserError
from sweepyard.tracking.checkup import file_of
from sweepyard.tracking.migrations import HEAD

POSTGRESQL = (
    "{store} is a PostgreSQL store, and its own tools do this better: they see one moment of the whole database "
    "while it is being served, and know its roles. Backup: pg_dump --format=custom --file=FILE URL. "
    "Restore, with the service stopped: pg_restore --clean --if-exists --dbname=URL FILE."
)


def backup(url: str, target: Path) -> int:
    """Write a consistent snapshot of the SQLite store at `url` to `target`, its owner's alone: its size in bytes.

    The store may be served meanwhile; the snapshot is of one moment. `target` appears when it is whole.

    Raises:
        UserError: PostgreSQL, no store there, or a `target` that exists already, or in no directory.
        Unavailable: it can not be read, or the target not be written.
    """
    source = _file(url)
    if not source.is_file():
        raise UserError(f"There is no store at {source}.")
    if target.exists():
        raise UserError(f"{target} exists already. Name another file, or remove it.")
    if not target.absolute().parent.is_dir():
        raise UserError(f"There is no directory {target.absolute().parent}. Make it, or choose another.")
    with _explained(source, target), _whole(target) as unfinished, closing(_open(source)) as connection:
        connection.execute("VACUUM INTO ?", (str(unfinished),))
    return target.stat().st_size


def restore(url: str, source: Path, *, force: bool) -> str:
    """Make the SQLite store at `url` what the backup `source` is: the id of the installation that it is now.

    That id is a new one, so that nothing in Redis is taken for news of the restored runs. `force`: overwrite a
    store that is there.

    Raises:
        UserError: PostgreSQL, no backup of ours, or one of a newer sweepyard.
        Conflict: a store is there and `force` is not given; or it is in use, `force` or not.
        Unavailable: it can not be written.
    """
    target = _file(url)
    _check(source)
    if target.exists() and target.stat().st_size:
        if not force:
            raise Conflict(f"There is a store at {target} already. Make a backup of it, then give --force.")
        _settle(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    instance_id = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
    with _explained(source, target), _whole(target) as unfinished:
        _copy(source, unfinished, instance_id)
    return instance_id


def _copy(source: Path, target: Path, instance_id: str) -> None:
    with closing(_open(source)) as known, closing(sqlite3.connect(target)) as copy:
        known.backup(copy)
        copy.execute("UPDATE meta SET instance_id = ?", (instance_id,))
        copy.commit()


def _file(url: str) -> Path:
    file = file_of(url)
    if file is None:
        raise UserError(POSTGRESQL.format(store=url.rpartition("@")[2] or "It"))
    return file


def _check(source: Path) -> None:
    """Make sure that a file is a whole store that this version can open."""
    try:
        if not source.is_file():
            raise UserError(f"There is no file {source}.")
        with closing(_open(source)) as connection:
            trouble = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            schema = str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])
            connection.execute("SELECT instance_id FROM meta").fetchone()[0]
    except (sqlite3.Error, TypeError) as error:
        raise UserError(f"{source} is no backup of a store: {error}.") from None
    if trouble != "ok":
        raise UserError(f"{source} is damaged: {trouble}. Take an older backup.")
    if schema > HEAD:
        raise UserError(
            f"{source} has schema {schema}, and this sweepyard knows schemas up to {HEAD}: upgrade it."
        )


def _settle(target: Path) -> None:
    """Make sure that nobody has a store open, and that all of it is in its one file."""
    try:
        with closing(sqlite3.connect(target, timeout=0)) as connection:
            # Leaving this mode needs the whole file to oneself.
            connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.OperationalError as error:
        raise Conflict(f"{target} is in use ({error}). Stop the service first.") from None
    except sqlite3.DatabaseError:
        for left in (target, Path(f"{target}-wal"), Path(f"{target}-shm")):  # it is no database any more
            left.unlink(missing_ok=True)


def _open(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A new empty file, its owner's alone, that takes the place of `target` when it is written."""
    unfinished = target.with_name(f"{target.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _explained(source: Path, target: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(
            f"{source} can not be copied to {target}: {error}. Is there room on that disk?"
        ) from error
