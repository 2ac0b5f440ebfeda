"""`sweepyard run`, with real processes: to the end, through interrupts, and through kills."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys

import pytest
from acceptance.commands import DEADLINE_S, Place

from sweepyard.clock import wait_until

pytestmark = pytest.mark.cold

SWEEP_ID = re.compile(r"^sweep ([a-z0-9]{8}): ", re.MULTILINE)


def states(place: Place, sweep_id: str) -> dict[str, int]:
    """How many runs are in each state, of those states that have any."""
    return {state: n for state, n in place.json("status", sweep_id)["counts"].items() if n}


def test_a_sweep_runs_to_its_result_and_leaves_nothing_behind(place: Place) -> None:
    file = place.write_sweep("folder", runs=5)
    done = place.run("run", file, "--workers", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert place.living() == []
    sweep_id = SWEEP_ID.search(done.stdout)[1]
    for words in ("run 1 started: random draw 1", "run 5 finished at", "best so far: loss", "top 5 runs"):
        assert words in done.stdout
    assert f"look again: sweepyard status {sweep_id}\n" in done.stdout
    assert "\x1b" not in done.stdout
    assert states(place, sweep_id) == {"finished": 5}
    best = place.json("best", sweep_id)["best"]
    runs = place.json("runs", sweep_id, "--sort", "objective", "--limit", 1)
    assert [best] == runs
    assert f"run {best['number']} (finished after 3 steps)" in done.stdout


def test_an_interrupted_sweep_goes_on_where_it_was(place: Place) -> None:
    file = place.write_sweep(runs=6, steps=8, pause_s=0.1)
    first = place.start("run", file, "--workers", 2)
    first.wait_for("run 3 started")
    first.process.send_signal(signal.SIGINT)
    assert first.end() == 130
    assert place.living() == []
    sweep_id = SWEEP_ID.search(first.text)[1]
    assert first.text.endswith(f"Nothing is lost; go on with: sweepyard run --resume {sweep_id}\n")

    second = place.run("run", "--resume")
    assert second.returncode == 0, second.stdout + second.stderr
    assert SWEEP_ID.search(second.stdout)[1] == sweep_id
    assert "run 1 started" not in second.stdout
    assert states(place, sweep_id) == {"finished": 6}

    third = place.run("run", "--resume", sweep_id)
    assert third.returncode == 0
    assert "quick" in third.stdout
    nothing = place.run("run", "--resume")
    assert nothing.returncode == 2
    assert "no unfinished sweep" in nothing.stderr


def test_a_killed_run_command_takes_everything_with_it(place: Place) -> None:
    started = place.start("run", place.write_sweep(runs=4, steps=100, pause_s=0.1))
    started.wait_for("run 2 started")
    started.process.kill()
    started.end()
    assert wait_until(lambda: not place.living(), DEADLINE_S), place.living()


def test_killed_agents_and_services_are_started_again(place: Place) -> None:
    quick = {"SWEEPYARD_HEARTBEAT_S": "0.5", "SWEEPYARD_LOST_AFTER_S": "2.5"}
    started = place.start("run", place.write_sweep(runs=10, steps=10, pause_s=0.1), **quick)
    started.wait_for("run 2 started")
    os.kill(place.living("sweepyard agent")[0], signal.SIGKILL)
    started.wait_for("was killed by SIGKILL and was started again")
    os.kill(place.living("sweepyard serve")[0], signal.SIGKILL)
    started.wait_for("the service had ended and was started again")
    assert started.end() == 0, started.text
    assert place.living() == []
    assert states(place, SWEEP_ID.search(started.text)[1]) == {"finished": 10}


def test_a_service_that_ran_before_runs_on(place: Place) -> None:
    place.run("sweep", place.write_sweep())
    (service,) = place.living("sweepyard serve")
    assert place.run("run", "sweep.yaml").returncode == 0
    assert place.living("sweepyard serve") == [service]


def test_agents_that_give_up_end_the_command_with_their_reason(place: Place) -> None:
    file = place.write_sweep(runs=50)
    (place.path / "train.py").write_text("raise ValueError('no such data set')")
    done = place.run("run", file, "--workers", 1)
    assert done.returncode == 1
    assert "All agents have ended before the sweep" in done.stderr
    assert "its first 5 runs have all failed" in done.stderr
    assert place.living() == []


def test_a_terminal_shows_one_picture_that_renews_itself(place: Place) -> None:
    file = place.write_sweep(runs=3, steps=5, pause_s=0.1)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    environment.pop("CI", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "sweepyard", "run", str(file)],
        cwd=place.path,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while chunk := _read(ours):
        shown += chunk
    assert process.wait(DEADLINE_S) == 0, shown.decode()
    assert b"\x1b[2K" in shown  # lines are drawn anew
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert re.search(r"agent .*run .*step .*loss", text)
    assert "3 of 3 runs" in text
    assert text.rstrip().endswith(place.json("status")[0]["id"])


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""
