from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
from conformance.store import StoreConformance, a_sweep

from sweepyard.errors import Fenced, Unavailable, UserError
from sweepyard.tracking.database import connect
from sweepyard.tracking.sql import SqlStore, open_store


class TestSqlStore(StoreConformance):
    """On SQLite and on PostgreSQL: see `store` in conftest.py."""

    @pytest.fixture
    def again(self, store_url: str) -> Iterator[Callable[[], SqlStore]]:
        with ExitStack() as opened:
            yield lambda: opened.enter_context(closing(open_store(store_url)))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "store.db",
        "/tmp/store.db",
        "mysql://me:secret@host/db",
        "postgresql+asyncpg://host/db",
        "postgresql://me:secret@host:port/db",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_a_url_that_no_store_has(url: str) -> None:
    with pytest.raises(UserError, match="is not a store URL") as caught:
        open_store(url)
    assert "sqlite:////path" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_does_not_answer() -> None:
    with pytest.raises(
        Unavailable, match=r"postgresql://me:\*\*\*@localhost:1/db cannot be used.*server up"
    ) as caught:
        open_store("postgresql://me:secret@localhost:1/db")
    assert "\n" not in str(caught.value)


def test_a_database_that_is_not_there(postgres_server: str) -> None:
    with pytest.raises(Unavailable, match='"nonesuch" does not exist'):
        open_store(postgres_server.replace("/postgres?", "/nonesuch?"))


def test_a_server_that_restarts_is_found_again(postgres_url: str) -> None:
    with closing(open_store(postgres_url)) as store:
        with psycopg.connect(postgres_url) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert store.sweeps() == []


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("My notes. " * 100)
    with pytest.raises(Unavailable, match="file is not a database"):
        open_store(f"sqlite:///{tmp_path}/store.db")
    assert (tmp_path / "store.db").read_text().startswith("My notes.")


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot be made"):
        open_store(f"sqlite:///{tmp_path}/file/store.db")


def test_sqlite_is_durable_and_strict(sqlite_url: str) -> None:
    with closing(open_store(sqlite_url)):
        database = connect(sqlite_url)
        for connection in (database.reading, database.writing):
            with connection() as opened:
                asked = {
                    name: opened.exec_driver_sql(f"PRAGMA {name}").scalar()
                    for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
                }
                assert asked == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
        database.close()


def test_a_transaction_that_a_dead_writer_has_left_open_holds_nobody_up(postgres_url: str) -> None:
    with (
        closing(open_store(postgres_url)) as old,
        closing(open_store(postgres_url)) as young,
        ExitStack() as frozen,
    ):
        epoch = old.take_over()
        frozen.enter_context(old.transaction(epoch)).add_sweep(a_sweep())
        assert young.take_over(seen=epoch) == epoch + 1  # in one thread: it would wait for good
        with pytest.raises(Unavailable, match="cannot be used"):
            frozen.close()
        assert young.sweeps() == []
        with pytest.raises(Fenced), old.transaction(epoch):
            pass
