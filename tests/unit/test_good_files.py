"""Sweep files in every style of W&B's users, in tests/corpus: each can be read, linted, and its command run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sweepyard.agent.command import DEFAULT, MACRO, Command
from sweepyard.cli import app
from sweepyard.controller.macros import MACROS
from sweepyard.controller.spec import read_spec
from sweepyard.controller.specmodel import DISTRIBUTIONS, Metric, SweepFile
from sweepyard.controller.stopmodel import RULES
from sweepyard.controller.yamlfile import load
from sweepyard.lint import Outline
from sweepyard.search.registry import METHODS

FILES = sorted(Path(__file__).parents[1].joinpath("corpus").iterdir())
TRAIN = "import json, sys\nprint(json.dumps(sys.argv[1:]))\n"


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
def test_its_command_runs(file: Path, tmp_path: Path) -> None:
    spec = read_spec(file.read_text())
    (tmp_path / "train.py").write_text(TRAIN)
    command = Command(template=spec.data.get("command") or DEFAULT, program="train.py")
    for params in Outline.of(spec, samples=2).sample:
        argv = command.expand(params, json_file=tmp_path / "config.json", environ=os.environ)
        said = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        arguments = " ".join(json.loads(said))
        assert all(name in arguments for name in params) or "config.json" in arguments or "=${" in str(command)


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
