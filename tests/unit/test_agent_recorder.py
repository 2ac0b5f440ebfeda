"""The writing end of a spool, while its disk is full and after."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from unit.fulldisk import full_at, make_room

from sweepyard.agent import recorder as module
from sweepyard.agent.recorder import Recorder
from sweepyard.agent.spool import SpoolReader


class Desk:
    """A recorder, what it said, and what a reader makes of its spool."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self.recorder = Recorder(path, self.said.append)

    def log(self, *values: int) -> None:
        for value in values:
            self.recorder.row(value, {"loss": value})

    def read(self) -> list[int]:
        reader = SpoolReader(self.path)
        place = reader.next_slice()
        return [] if place is None else [row.data["loss"] for row in reader.rows(place).rows]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "spool.jsonl")


@pytest.mark.parametrize("room", [0, 1, 30])
def test_what_the_disk_does_not_take_is_written_when_there_is_room(desk: Desk, room: int) -> None:
    desk.log(0)
    with full_at(desk.path.stat().st_size + room):
        desk.log(1, 2, 3)
        assert desk.read() == [0]
    desk.log(4)
    assert desk.read() == [0, 1, 2, 3, 4]
    assert [line.count("waits in memory, up to 8 MiB") for line in desk.said] == [1]


def test_the_end_of_a_run_waits_for_room(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with full_at(0):
        desk.log(1)
        monkeypatch.setattr(module.time, "sleep", lambda _: make_room())
        desk.recorder.close(3)
    assert desk.read() == [1]
    assert SpoolReader(desk.path).exit_code() == 3


def test_what_no_room_came_for_is_said_to_be_lost(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GOODBYE_S", 0)
    with full_at(0):
        desk.log(1, 2)
        desk.recorder.close(None)
    assert desk.read() == []
    assert desk.said[-1].endswith("2 lines of it are lost.")


def test_memory_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_BYTES", 200)
    with full_at(0):
        desk.log(*range(50))
    desk.recorder.close(None)
    kept = desk.read()
    assert kept == list(range(len(kept)))
    assert 0 < len(kept) < 10
    assert desk.path.stat().st_size <= 200
    assert [line.count("what is logged now is lost") for line in desk.said] == [0, 1]


def test_a_process_that_was_forked_leaves_what_waits_to_its_parent(desk: Desk) -> None:
    with full_at(0):
        desk.log(1)
    if not (pid := os.fork()):
        desk.log(2)
        os._exit(0)
    os.waitpid(pid, 0)
    assert desk.read() == [2]
    desk.log(3)
    assert desk.read() == [2, 1, 3]


def test_what_is_nested_too_deep_costs_its_row_alone(desk: Desk) -> None:
    """A row that the service could not read would keep back all that follow."""
    endless: dict[str, Any] = {}
    endless["me"] = endless
    for data in (nested(90), nested(110), nested(250), nested(5000), endless):
        desk.recorder.row(1, {"loss": 1, "data": data})
    desk.recorder.row(2, {"loss": 2, "many": [[k] for k in range(1000)], "text": "[" * 1000})
    assert desk.read() == [1, 2]
    assert [
        line.count("nested more than 100 levels deep, or in itself, is not recorded") for line in desk.said
    ] == [1]


def nested(levels: int) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for _ in range(levels - 1):
        data = {"d": data}
    return data
