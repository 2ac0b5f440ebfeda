"""Stores for every test that asks for one: on SQLite, and on a real PostgreSQL that starts with the first test."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from acceptance.nursery import Nursery
from postgresserver import PostgresServer

from sweepyard.tracking.sql import SqlStore, open_store


def pytest_configure() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so would every command that is tested."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """What forks commands, for as long as the session lives."""
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that lives as long as the session."""
    # Not below pytest's directory: the path of a socket must be short, and open to the server's user.
    home = Path(tempfile.mkdtemp(prefix="sweepyard-pg-", dir="/tmp"))
    try:
        server = PostgresServer(home)
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def postgres_server(postgres: PostgresServer) -> str:
    """The URL of its one database."""
    return postgres.url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    yield postgres_server
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        admin.execute("DROP SCHEMA public CASCADE")
        admin.execute("CREATE SCHEMA public")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite database that is not there yet."""
    return f"sqlite:///{tmp_path}/store/store.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database, of each kind in turn."""
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")


@pytest.fixture
def store(store_url: str) -> Iterator[SqlStore]:
    """An empty store, of each kind in turn."""
    store = open_store(store_url)
    yield store
    store.close()
