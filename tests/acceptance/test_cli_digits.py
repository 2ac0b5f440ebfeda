"""The example that `make demo` runs, cut short: as a sweep file, and from Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from acceptance.commands import DEADLINE_S, Place

pytestmark = pytest.mark.cold

DIGITS = Path(__file__).parents[2] / "examples" / "digits"

EPOCHS = 3
IN_PYTHON = f"""
import sys
sys.path.insert(0, {str(DIGITS)!r})
import sweepyard, train

parameters = {{**train.sweep_config["parameters"], "epochs": {{"value": {EPOCHS}}}}}
sweep_id = sweepyard.sweep({{**train.sweep_config, "parameters": parameters, "run_cap": 2}}, project="digits")
sweepyard.agent(sweep_id, function=train.train, count=50)
"""


def test_the_sweep_file(place: Place) -> None:
    """Its `program` stands beside it; here the command runs inside that folder."""
    (place.path / "train.py").write_text((DIGITS / "train.py").read_text())
    whole = (DIGITS / "sweep.yaml").read_text()
    short = whole.replace("run_cap: 30", "run_cap: 3").replace("value: 25", f"value: {EPOCHS}")
    (place.path / "sweep.yaml").write_text(short)
    done = place.run("run", "sweep.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    (sweep,) = place.json("status")
    assert sweep["counts"]["finished"] + sweep["counts"]["stopped"] == 3
    assert sweep["best"]["objective"] > 0.3
    assert sweep["best"]["steps"] == EPOCHS
    assert sweep["project"] == "digits"


def test_the_same_in_python(place: Place) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SWEEPYARD_")}
    done = subprocess.run(
        [sys.executable, "-c", IN_PYTHON],
        cwd=place.path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    (sweep,) = place.json("status")
    assert sweep["id"] in done.stdout
    assert sweep["counts"]["finished"] + sweep["counts"]["stopped"] == 2
    assert sweep["best"]["objective"] > 0.3


def test_both_say_the_same() -> None:
    file = (DIGITS / "sweep.yaml").read_text()
    loaded = yaml.load(file, yaml.SafeLoader)
    namespace = subprocess.run(
        [sys.executable, "-c", "import json, train; print(json.dumps(train.sweep_config))"],
        cwd=DIGITS,
        capture_output=True,
        text=True,
        check=True,
    )
    in_python = json.loads(namespace.stdout)
    assert loaded["run_cap"] == in_python["run_cap"] == 30
    assert loaded["parameters"] == in_python["parameters"]
    assert loaded["early_terminate"] == in_python["early_terminate"]
