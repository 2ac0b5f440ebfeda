"""What tests of survival share: a folder, a Redis of their own, and the table of figures at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from acceptance.commands import Place
from chaos.redisserver import RedisServer

SCALE = float(os.environ.get("CHAOS_SCALE", "1"))
"""How much of the trouble there is: 1 is what CI has, `make chaos` takes more."""

Note = Callable[[str, object], None]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.clear()


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    # Not in the test's folder: whoever looks there for leftovers must not find it.
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Note:
    """Notes one measured figure for the table at the end."""
    return lambda name, value: record_property(f"figure:{name}", value)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.stats.get("passed", [])
    found = [
        (name, value) for report in reports for name, value in report.user_properties if name.startswith("figure:")
    ]
    if found:
        terminalreporter.section("what survived")
        for name, value in found:
            terminalreporter.write_line(f"| {name.removeprefix('figure:')} | {value} |")
