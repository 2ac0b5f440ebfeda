"""A real Valkey for the whole session, empty for every test that asks for its URL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from integration.yard import Yard

from sweepyard.bus.embedded import EmbeddedRedis
from sweepyard.tracking.sql import SqlStore


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = EmbeddedRedis(Path(tmp_path_factory.mktemp("redis")))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def redis_url(redis_server: str) -> str:
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture
def yard(store: SqlStore, redis_url: str) -> Iterator[Yard]:
    yard = Yard(store, redis_url)
    yard.start()
    yield yard
    for hand in yard.hands:
        hand.leave.set()
        hand.dies()
    yard.engine.stop()
