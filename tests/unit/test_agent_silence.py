"""How long a run has logged nothing, and what does not count."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from unit.fulldisk import full_at

from sweepyard.agent.recorder import Recorder
from sweepyard.agent.silence import LOOK_MOST_S, Silence


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    path = tmp_path / "spool.jsonl"
    path.touch()
    return path


def test_silence_grows_until_something_is_logged(spool: Path) -> None:
    silence = Silence(spool, 100)
    assert [silence.seconds(now_s) for now_s in (100, 101, 103.5)] == [0, 1, 3.5]
    Recorder(spool, print).summary({"best": 1})
    assert [silence.seconds(now_s) for now_s in (104, 105)] == [0, 1]


def test_time_in_which_the_agent_stood_still_does_not_count(spool: Path) -> None:
    silence = Silence(spool, 0)
    assert silence.seconds(3600) == LOOK_MOST_S
    assert silence.seconds(3601) == LOOK_MOST_S + 1


def test_what_is_logged_while_the_agent_stands_still_counts(spool: Path) -> None:
    silence = Silence(spool, 0)
    assert silence.seconds(1) == 1
    Recorder(spool, print).row(0, {"loss": 1})
    assert silence.seconds(3600) == 0


def test_a_run_that_a_full_disk_refuses_is_not_silent(spool: Path) -> None:
    recorder = Recorder(spool, lambda text: None)
    os.utime(spool, ns=(0, 0))
    silence = Silence(spool, 0)
    assert silence.seconds(1) == 1
    with full_at(0):
        recorder.row(0, {"loss": 1})
    assert spool.stat().st_size == 0
    assert silence.seconds(2) == 0


def test_a_spool_that_is_gone_is_silent(spool: Path) -> None:
    silence = Silence(spool, 0)
    spool.unlink()
    silence.seconds(1)
    assert silence.seconds(3) == 2
