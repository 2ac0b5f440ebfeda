"""What tests of survival share: a folder, a Redis of their own, and the table of what survived at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
from acceptance.commands import Place
from acceptance.nursery import Nursery
from chaos.redisserver import RedisServer
from chaos.yard import Books

SCALE = float(os.environ.get("CHAOS_SCALE", "1"))
"""How much of the trouble there is: 1 is what CI has, `make chaos SCALE=3` takes more."""
KEPT = Path(__file__).parents[2] / "build" / "chaos.json"
ADD = bool(os.environ.get("CHAOS_ADD"))
"""Whether the table is of this run and of those before it: `make chaos RUNS=20`."""
COUNTS = ("times", "runs", "rows", "lost", "preempted", "given_up")
HEAD = "fault | times | noticed after | goes on after | runs lost | rows missing or double | attempts tried again"
TABLE = (f"| {HEAD} |", f"|{' --- |' * 7}")


class Survived(Protocol):
    """Notes what a test has survived: a fault, how many times, and the books after it."""

    def __call__(
        self, fault: str, times: int, books: Books | None = None, *, back_s: Sequence[float] = ()
    ) -> None: ...


@pytest.fixture
def place(tmp_path: Path, nursery: Nursery) -> Iterator[Place]:
    place = Place(tmp_path, nursery.popen)
    yield place
    place.clear()


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    # Not in the test's folder: whoever looks there for leftovers must not find it.
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def survived(record_property: Any) -> Survived:
    """For the table at the end, where tests of the same fault are added up."""

    def note(fault: str, times: int, books: Books | None = None, *, back_s: Sequence[float] = ()) -> None:
        books = books or Books(back_s=list(back_s))
        counted = {name: getattr(books, name) for name in COUNTS[1:]}
        record_property(fault, {"times": times, **counted, "noticed_s": books.noticed_s, "back_s": books.back_s})

    return note


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The many short tests come last, so that all workers end at the same time."""
    items.sort(key=lambda item: item.path.name == "test_failpoints.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # xdist's workers have a summary, too, of their part
        return
    faults: dict[str, Any] = json.loads(KEPT.read_text()) if ADD and KEPT.exists() else {}
    for report in terminalreporter.stats.get("passed", []):
        for fault, figures in report.user_properties:
            sums = faults.setdefault(fault, {name: type(value)() for name, value in figures.items()})
            for name, value in figures.items():
                sums[name] += value
    if faults:
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text(json.dumps(faults, indent=1))
        terminalreporter.section("what survived")
        for line in (*TABLE, *(_row(fault, figures) for fault, figures in sorted(faults.items()))):
            terminalreporter.write_line(line)


def _row(fault: str, of: dict[str, Any]) -> str:
    cells = [fault, of["times"], _spread(of["noticed_s"]), _spread(of["back_s"])]
    cells += [f"0 of {of['runs']:,}", f"0 of {of['rows']:,}"] if of["runs"] else ["", ""]
    again = [f"{of[name]} {word}" for name, word in WORDS.items() if of[name]]
    return f"| {' | '.join(map(str, [*cells, ', '.join(again)]))} |"


WORDS = {"lost": "lost", "preempted": "handed back", "given_up": "run given up: it met three deaths"}


def _spread(times_s: Sequence[float]) -> str:
    """The middle one and the longest."""
    ordered = sorted(times_s)
    return f"{ordered[len(ordered) // 2]:.2f} s, at most {ordered[-1]:.2f} s" if ordered else ""
