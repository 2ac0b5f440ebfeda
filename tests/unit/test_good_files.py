"""Sweep files in every style of W&B's users, in tests/corpus: each is read, linted, and run for a few steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sweepyard.agent import rundir
from sweepyard.agent.command import DEFAULT, MACRO, Command
from sweepyard.agent.rundir import RunInfo
from sweepyard.cli import app
from sweepyard.controller.macros import MACROS
from sweepyard.controller.spec import read_spec
from sweepyard.controller.specmodel import DISTRIBUTIONS, Metric, SweepFile
from sweepyard.controller.stopmodel import RULES
from sweepyard.controller.yamlfile import load
from sweepyard.lint import Outline
from sweepyard.search.registry import METHODS

FILES = sorted(Path(__file__).parents[1].joinpath("corpus").iterdir())
TRAIN = """
import json, os, sys
import sweepyard

sweepyard.init()
for step in range(3):
    sweepyard.log({os.environ["METRIC"]: 1 / (1 + step)})
print(json.dumps([sys.argv[1:], dict(sweepyard.config)]))
sweepyard.finish()
"""


def test_there_are_enough_of_them() -> None:
    assert len(FILES) >= 40


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_lints(file: Path) -> None:
    result = CliRunner().invoke(app, ["lint", str(file), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["sample"]
    assert found["size"] is None or found["size"] >= len(found["sample"])
    spec = read_spec(file.read_text())
    assert read_spec(json.loads(json.dumps(spec.data))).data == spec.data


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_runs_a_few_steps(file: Path, tmp_path: Path) -> None:
    """Its command starts a program, which finds its parameters and logs the metric."""
    spec = read_spec(file.read_text())
    metric = spec.objective.name if spec.objective else "loss"
    [params] = Outline.of(spec, samples=1).sample
    run_dir = tmp_path / "run"
    rundir.prepare(run_dir, params)
    (tmp_path / "train.py").write_text(TRAIN)
    info = RunInfo(sweep_id="abcdefgh", id="r1", number=1, attempt=1, dir=run_dir)
    command = Command(template=spec.data.get("command") or DEFAULT, program="train.py")
    argv = command.expand(params, json_file=run_dir / rundir.ARGS, environ=os.environ)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = os.environ | info.environment() | {"METRIC": metric, "PATH": path}
    said = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True).stdout
    arguments, config = json.loads(said)
    assert config == params
    rows = [json.loads(line) for line in (run_dir / rundir.SPOOL).read_text().splitlines()]
    assert [row["d"] for row in rows if "d" in row] == [{metric: 1.0}, {metric: 0.5}, {metric: 1 / 3}]
    given = " ".join(arguments)
    assert all(name in given for name in params) or "args.json" in given or "=${" in str(command)


def test_together_they_show_every_key_and_name() -> None:
    text = "\n".join(file.read_text() for file in FILES)
    raw = [load(file.read_text()).value for file in FILES]
    assert {key for sweep in raw for key in sweep} >= SweepFile.model_fields.keys()
    assert {key for sweep in raw for key in sweep.get("metric", ())} == Metric.model_fields.keys()
    rules = [rule for sweep in raw for rule in _rules(sweep.get("early_terminate", []))]
    assert {rule["type"] for rule in rules if "type" in rule} == RULES.keys()
    assert {key for rule in rules for key in rule} == {
        key for model in RULES.values() for key in model.model_fields
    }
    assert {sweep["method"] for sweep in raw} == set(METHODS)
    assert {name for name in MACROS if f"${{{name}}}" in text} == set(MACROS)
    assert any(macro.startswith("envvar:") for _, macro in MACRO.findall(text))
    inferred = {"constant", "categorical"}
    assert all(name in inferred or f"distribution: {name}" in text for name in DISTRIBUTIONS)


def _rules(early_terminate: Any) -> list[dict[str, Any]]:
    return early_terminate if isinstance(early_terminate, list) else [early_terminate]
