"""Code written for W&B runs with `import sweepyard as wandb`, from the sweep to its fiftieth run."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from acceptance import seed
from acceptance.commands import DEADLINE_S, Place

pytestmark = pytest.mark.cold


@pytest.fixture
def given(place: Place) -> Place:
    """The folder with what the code takes for granted: a model, data, and PyTorch's optimizers."""
    (place.path / "torch.py").write_text(seed.TORCH)
    (place.path / "given.py").write_text(seed.GIVEN)
    return place


def test_the_script(given: Place) -> None:
    (given.path / "script.py").write_text(
        "from given import *\n" + seed.CONFIGURATION + seed.TRAINING + seed.AGENT
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SWEEPYARD_")}
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=given.path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE_S,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    (sweep,) = given.json("status")
    assert f"Sweep ID: {sweep['id']}\n" in done.stdout
    assert (sweep["project"], sweep["name"]) == ("my-project", "hyperparam-sweep")
    counts = sweep["counts"]
    assert counts["finished"] + counts["stopped"] == sum(counts.values()) == 50
    best = given.json("best", sweep["id"])["best"]
    assert best["objective"] > 0.5
    assert set(best["params"]) == {"learning_rate", "batch_size", "epochs", "optimizer", "hidden_dim", "dropout"}


def test_the_file_and_the_commands(given: Place) -> None:
    (given.path / "sweep.yaml").write_text(seed.FILE)
    created = given.run("sweep", "sweep.yaml")
    assert created.returncode == 0, created.stderr
    sweep_id = re.search(r"Created sweep ([a-z0-9]{8})", created.stdout)[1]
    refused = given.run("agent", sweep_id)
    assert refused.returncode == 2
    assert "names no program to run" in refused.stderr  # nor does W&B run this file: it says so much later

    (given.path / "train.py").write_text(
        "import sweepyard\n\ndef main(config):\n    sweepyard.log({'val_accuracy': config.learning_rate})\n"
    )
    path = f"local/{given.json('status')[0]['project']}/{sweep_id}"
    worked = given.run("agent", path, "--function", "train:main", "--count", 2)
    assert worked.returncode == 0, worked.stderr
    assert given.json("status", sweep_id)["counts"]["finished"] == 2
