"""What can be known of a store without opening it for good: nothing is made and nothing is migrated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url, select

from sweepyard.tracking.database import connect
from sweepyard.tracking.migrations import HEAD, schema_of
from sweepyard.tracking.schema import agents


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """`schema`: its revision, empty if it has no tables yet. `file`: of a SQLite store. `agents`: the version of
    each agent that is there, by its id."""

    schema: str
    newest_schema: str = HEAD
    file: Path | None
    agents: dict[str, str]


def examine_store(url: str) -> StoreFacts | None:
    """Look at a store; None if it is a file that is not there.

    Raises:
        UserError: not the URL of a store.
        Unavailable: it cannot be reached or used.
    """
    file = file_of(url)
    if file is not None and not file.exists():
        return None
    database = connect(url)
    try:
        with database.reading() as connection:
            schema = schema_of(connection)
            there = select(agents.c.id, agents.c.version).where(agents.c.state == "active")
            rows = connection.execute(there).all() if schema == HEAD else []
    finally:
        database.close()
    return StoreFacts(schema=schema, file=file, agents={row.id: row.version for row in rows})


def file_of(url: str) -> Path | None:
    """The file of a SQLite store; None for PostgreSQL, and for what `connect` will refuse."""
    if not url.startswith("sqlite:"):
        return None
    place = make_url(url).database
    return Path(place) if place else None
