"""The files under deploy/ do what they say: their commands run, with the options that they name."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from acceptance.commands import DEADLINE_S, Place

from sweepyard.client import Client
from sweepyard.clock import wait_until
from sweepyard.tracking.records import SweepState

pytestmark = pytest.mark.cold

DEPLOY = Path(__file__).parents[2] / "deploy"
BIN = Path(sys.executable).parent


def exec_start(unit: str) -> list[str]:
    """The command of a systemd unit, from this environment instead of /opt."""
    (line,) = [
        line for line in (DEPLOY / "systemd" / unit).read_text().splitlines() if line.startswith("ExecStart=")
    ]
    program, *words = shlex.split(line.removeprefix("ExecStart="))
    return [str(BIN / Path(program).name), *words]


@pytest.mark.parametrize("how", ["systemd", "slurm"])
def test_the_service_and_its_agents_as_they_are_deployed(place: Place, how: str) -> None:
    file = place.write_sweep(runs=3)
    serve = [
        {"/var/lib/sweepyard": str(place.path / "state"), "7077": "0"}.get(word, word)
        for word in exec_start("sweepyard.service")
    ]
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "SWEEPYARD_API_KEY": "sesame"}
    with subprocess.Popen(serve, cwd=place.path, env=environment, stderr=subprocess.DEVNULL) as service:
        note = place.path / "state" / "service.json"
        assert wait_until(note.exists, DEADLINE_S)
        with Client(json.loads(note.read_text())["url"], "sesame") as client:
            sweep_id = client.create_sweep((place.path / file).read_text()).id
            agent = {
                "systemd": [word.replace("%i", sweep_id) for word in exec_start("sweepyard-agent@.service")],
                "slurm": ["bash", str(DEPLOY / "slurm" / "agents.sbatch"), sweep_id],
            }[how]
            done = subprocess.run(
                agent,
                cwd=place.path,
                env=environment | {"SWEEPYARD_URL": client.url, "CUDA_VISIBLE_DEVICES": "0,1"},
                capture_output=True,
                timeout=60,
            )
            assert done.returncode == 0, done.stderr
            assert client.sweep(sweep_id).state is SweepState.finished
        service.send_signal(signal.SIGTERM)
        assert service.wait(30) == 0


def test_every_file_is_named_in_the_readme() -> None:
    page = (DEPLOY / "README.md").read_text()
    for file in DEPLOY.rglob("*.*"):
        assert file.name == "README.md" or f"`{file.relative_to(DEPLOY)}`" in page
