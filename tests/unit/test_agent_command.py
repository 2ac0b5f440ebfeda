"""Macros of `command` (wandb-sweeps.md, 2.6), with complaint 20 of section 9 answered."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sweepyard.agent.command import DEFAULT, Command
from sweepyard.errors import UserError

PARAMS: dict[str, Any] = {
    "lr": 1e-05,
    "amp": True,
    "bias": False,
    "none": None,
    "sizes": [1, 2],
    "opt": {"name": "sgd", "n": {"beta": 0.9}},
    "a b": "x y; $(rm) 'q'\n\"é\"",
}
KEYS = sorted(PARAMS)


def expand(template: list[str], params: dict[str, Any] | None = None, **environ: str) -> list[str]:
    command = Command(template=template, program="train.py")
    return command.expand(PARAMS if params is None else params, json_file=Path("/nosuch"), environ=environ)


def each(form: str) -> list[str]:
    return [form.format(key=key, value=PARAMS[key]) for key in KEYS]


CASES: list[tuple[list[str], list[str]]] = [
    (["${env}"], ["/usr/bin/env"]),
    (["${interpreter}"], [sys.executable]),
    (["${program}"], ["train.py"]),
    (["${args}"], each("--{key}={value}")),
    (["${args_no_hyphens}"], each("{key}={value}")),
    (["${args_no_equals}"], [part for key in KEYS for part in (f"--{key}", str(PARAMS[key]))]),
    (["${args_append_hydra}"], each("+{key}={value}")),
    (["${args_override_hydra}"], each("++{key}={value}")),
    (["${args_json}"], [json.dumps(PARAMS, sort_keys=True)]),
    (["${envvar:DATA}/x"], ["/data/x"]),
    (["--lr=${lr}", "${opt.name}-${opt.n.beta}"], ["--lr=1e-05", "sgd-0.9"]),
    (["${lr}"], ["1e-05"]),
    (["$${lr}", "$5", "${ lr"], ["${lr}", "$5", "${ lr"]),
    (["python", "--run", ""], ["python", "--run", ""]),
]


@pytest.mark.parametrize(("template", "argv"), CASES, ids=[" ".join(template) for template, _ in CASES])
def test_macros(template: list[str], argv: list[str]) -> None:
    assert expand(template, DATA="/data") == argv


def test_formats_of_values() -> None:
    values = {"b": True, "f": 1e-05, "l": [1, 2], "n": None, "d": {"x": 1}}
    assert expand(["${args}"], values) == ["--b=True", "--d={'x': 1}", "--f=1e-05", "--l=[1, 2]", "--n=None"]


def test_boolean_flags() -> None:
    values = {"yes": True, "no": False, "zero": 0}
    assert expand(["${args_no_boolean_flags}"], values) == ["--yes", "--zero=0"]


def test_the_default_runs_the_program_with_the_agents_own_interpreter() -> None:
    assert expand(list(DEFAULT), {"b": 2, "a": 1}) == [
        "/usr/bin/env",
        sys.executable,
        "train.py",
        "--a=1",
        "--b=2",
    ]


def test_a_json_file_is_written_only_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "args.json"
    Command(template=["x"]).expand(PARAMS, json_file=path, environ={})
    assert not path.exists()
    argv = Command(template=["--config=${args_json_file}"]).expand(PARAMS, json_file=path, environ={})
    assert argv == [f"--config={path}"]
    assert json.loads(path.read_text()) == PARAMS


def test_a_dotted_name_is_a_name_first() -> None:
    assert expand(["${o.lr}"], {"o.lr": 1, "o": {"lr": 2}}) == ["1"]


@pytest.mark.parametrize(
    ("template", "params", "words"),
    [
        (
            ["${arg}"],
            {"lr": 1},
            ["unknown macro ${arg}", "${args}", "${envvar:NAME}", "eters: lr", "$${arg}"],
        ),
        (["--x=${opt.nosuch}"], PARAMS, ["unknown macro ${opt.nosuch}"]),
        (["${lr.deep}"], PARAMS, ["unknown macro ${lr.deep}"]),
        (["${}"], {}, ["unknown macro ${}", "parameters: none"]),
        (["x ${args}"], PARAMS, ["${args}", "must stand alone"]),
        (["${envvar:NOSUCH}"], {}, ["${envvar:NOSUCH}", "no variable 'NOSUCH'"]),
        (["${args}"], {"a": "x\0y"}, ["NUL"]),
    ],
)
def test_mistakes_are_explained(template: list[str], params: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        expand(template, params)
    for word in words:
        assert word in str(caught.value)


def test_what_can_be_known_before_any_run_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"names no program to run.*--program FILE or --function module:callable"):
        Command().check({})
    with pytest.raises(UserError, match=r"The program 'train.py' does not exist in "):
        Command(program="train.py").check({})
    (tmp_path / "train.py").touch()
    Command(program="train.py").check({})
    Command(template=["make", "${args}"]).check({})
    with pytest.raises(UserError, match="no variable 'DATA'"):
        Command(template=["x", "--data=${envvar:DATA}"]).check({})
    Command(template=["x", "--data=${envvar:DATA}", "$${envvar:NOSUCH}"]).check({"DATA": "1"})
