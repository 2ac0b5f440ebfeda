"""The local service: found where it runs, started once where it does not, whatever was left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from acceptance.commands import DEADLINE_S, Place

from sweepyard.clock import wait_until

pytestmark = pytest.mark.cold

SCRIPT = """
from sweepyard.local import ensure_service
from sweepyard.settings import load_settings

print(ensure_service(load_settings()).url)
"""


def script(place: Place) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SWEEPYARD_")}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=place.path, env=environment, stdout=subprocess.PIPE, text=True
    )


def url_of(script: subprocess.Popen[str]) -> str:
    out, _ = script.communicate(timeout=DEADLINE_S)
    assert script.returncode == 0
    return out.strip()


def note(place: Place) -> dict[str, object]:
    return json.loads((place.path / ".sweepyard/service.json").read_text())


def test_scripts_that_start_together_share_one_service(place: Place) -> None:
    urls = {url_of(each) for each in [script(place) for _ in range(5)]}
    assert urls == {note(place)["url"]}
    assert place.living("sweepyard serve") == [note(place)["pid"]]
    assert oct((place.path / ".sweepyard/service.json").stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_service_that_has_ended_is_replaced_and_knows_its_sweeps(place: Place, number: signal.Signals) -> None:
    place.run("sweep", place.write_sweep())
    known = place.json("status")
    old = note(place)
    os.kill(old["pid"], number)
    assert wait_until(lambda: not place.living("sweepyard serve"), DEADLINE_S)
    assert [sweep["id"] for sweep in place.json("status")] == [known[0]["id"]]
    assert note(place)["pid"] != old["pid"]
    assert note(place)["instance"] == old["instance"]


def test_a_note_that_names_somebody_else_is_not_believed(place: Place) -> None:
    (place.path / ".sweepyard").mkdir()
    stranger = {"url": "http://127.0.0.1:0", "pid": os.getpid(), "instance": "nosuch00"}
    (place.path / ".sweepyard/service.json").write_text(json.dumps(stranger))
    assert url_of(script(place)) == note(place)["url"] != stranger["url"]


def test_a_created_sweep_says_how_agents_join_it(place: Place) -> None:
    file = place.write_sweep("folder", runs=2)
    said = place.run("sweep", file).stdout
    (known,) = place.json("status")
    assert f"Created sweep {known['id']} (random; space continuous, run_cap 2)" in said
    line = said.splitlines()[-1].removeprefix("Run agents: sweep-agent ").split()
    assert line == [known["id"], "--url", note(place)["url"], "--program", "folder/train.py"]
    agent = place.run("agent", *line)
    assert agent.returncode == 0, agent.stderr
    assert place.json("status", known["id"])["state"] == "finished"
    finished = place.run("status", known["id"], "--watch")
    assert finished.returncode == 0
    assert "2 finished" in finished.stdout


def test_a_finite_space_is_counted(place: Place) -> None:
    (place.path / "grid.yaml").write_text(
        "method: grid\nprogram: train.py\nparameters:\n  a: {values: [1, 2, 3]}\n  b: {values: [x, y]}\n"
    )
    assert "(grid; space finite: 6 points)" in place.run("sweep", "grid.yaml").stdout
