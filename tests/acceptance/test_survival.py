"""Kill -9 of an agent and of the controller, once each, in the middle of a sweep: every run is accounted for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sweepyard.client import Client
from sweepyard.clock import wait_until
from sweepyard.tracking.records import AttemptState, RunState, SweepState
from sweepyard.tracking.sql import open_store

RUNS = 24
DEADLINE_S = 60.0

TRAIN = """
import time
import sweepyard

def train():
    sweepyard.init()
    for epoch in range(10):
        time.sleep(0.03)  # the work
        sweepyard.log({"loss": sweepyard.config.lr / (epoch + 1), "epoch": epoch})
"""

CONFIG = {
    "method": "random",
    "seed": 1,
    "run_cap": RUNS,
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"lr": {"min": 0.0, "max": 1.0}},
}


class Machine:
    """A directory with a service and agents in it, all of them real processes."""

    def __init__(self, directory: Path) -> None:
        self.dir = directory
        self.service_dir = directory / ".sweepyard"
        self.processes: list[subprocess.Popen[bytes]] = []
        (directory / "training.py").write_text(TRAIN)
        self.env = os.environ | {"SWEEPYARD_HEARTBEAT_S": "0.3", "SWEEPYARD_LOST_AFTER_S": "2"}

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "sweepyard", *arguments],
            cwd=self.dir,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=(self.dir / "output.log").open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def serve(self) -> subprocess.Popen[bytes]:
        process = self.start("serve", "--dir", str(self.service_dir), "--port", "0")
        assert wait_until(lambda: self.note().get("pid") == process.pid, DEADLINE_S), self.output()
        return process

    def agent(self, sweep_id: str) -> subprocess.Popen[bytes]:
        return self.start("agent", sweep_id, "--url", self.note()["url"], "--function", "training:train")

    def note(self) -> dict[str, object]:
        try:
            return json.loads((self.service_dir / "service.json").read_text())
        except (OSError, ValueError):
            return {}

    def output(self) -> str:
        return (self.dir / "output.log").read_text()

    def end(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with ExitStack() as stack:
        machine = Machine(tmp_path)
        stack.callback(machine.end)
        yield machine


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the processes that this test kills on purpose
def test_every_run_is_accounted_for(machine: Machine) -> None:
    controller = machine.serve()
    url = str(machine.note()["url"])
    sweep_id = Client(url).create_sweep(CONFIG).id
    agents = [machine.agent(sweep_id) for _ in range(4)]

    def ended() -> int:
        return Client(url).sweep(sweep_id).progress.ended

    assert wait_until(lambda: ended() >= 4, DEADLINE_S), machine.output()
    agents[0].kill()
    assert wait_until(lambda: ended() >= 10, DEADLINE_S), machine.output()
    controller.kill()
    controller.wait()
    machine.serve()
    assert machine.note()["url"] == url
    assert wait_until(lambda: Client(url).sweep(sweep_id).state is SweepState.finished, DEADLINE_S), (
        machine.output()
    )
    for agent in agents[1:]:
        assert agent.wait(timeout=20) == 0

    store = open_store(f"sqlite:///{machine.service_dir}/store.db")
    runs = store.runs(sweep_id)
    assert [run.number for run in runs] == list(range(1, RUNS + 1))
    assert {run.state for run in runs} == {RunState.finished}
    for run in runs:
        rows = [row for row in store.history(run.key) if row.attempt == run.attempt]
        assert [row.data["epoch"] for row in rows] == list(range(10))
        *earlier, last = store.attempts(run.key)
        assert last.state is AttemptState.ended
        assert all(attempt.state is AttemptState.lost for attempt in earlier)
    assert sum(run.attempt > 1 for run in runs) <= 1, "only the killed agent's run is tried again"
    store.close()
