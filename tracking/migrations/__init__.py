"""Alembic migrations of the store: forward only, applied when a store is opened.

Revisions are numbered "0001", "0002", ...; a test holds `HEAD` and the newest file together.
"""

from __future__ import annotations

from sqlalchemy import Connection, exc, inspect, text

from sweepyard.errors import UserError
from sweepyard.failpoints import failpoint
from sweepyard.tracking.database import Database, first_line

HEAD = "0001"

_LOCK = 0x53_57_45_45_50  # names our advisory lock in PostgreSQL: "SWEEP"


def migrate(database: Database) -> None:
    """Bring `database` to `HEAD`, in one transaction; quick where nothing is to be done.

    Raises:
        UserError: a newer sweepyard has written it, or another program.
    """
    with database.reading() as connection:
        if _version(connection, database.name) == HEAD:
            return
    with database.writing() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if _version(connection, database.name) != HEAD:
            _upgrade(connection, database.name)
            failpoint("migration.before_commit")


def schema_of(connection: Connection) -> str:
    """The revision of a database; empty if it has none of our tables."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def _version(connection: Connection, name: str) -> str:
    version = schema_of(connection)
    if version > HEAD:
        raise UserError(
            f"The store {name} has schema {version}, and this sweepyard knows schemas up to {HEAD}: "
            "a newer sweepyard wrote it. Upgrade sweepyard, or name another store."
        )
    return version


def _upgrade(connection: Connection, name: str) -> None:
    from alembic import command  # costs 100 ms, and most openings do not need it
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", f"{__name__}:")
    try:
        command.upgrade(config, "head")
    except (exc.OperationalError, exc.ProgrammingError) as error:
        raise UserError(
            f"The tables of the store {name} cannot be made: {first_line(error.orig or error)}. "
            "Is it another program's database? Name an empty one."
        ) from error
