"""`sweepyard lint` and `sweepyard sweep --dry-run`: no service, no directory of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sweepyard.cli import app
from sweepyard.controller.differences import differences
from sweepyard.controller.spec import read_spec
from sweepyard.errors import SpecError

FILE = """\
method: random
metric: {name: loss}
program: train.py
parameters:
  lr: {distribution: log_uniform_values, min: 1e-5, max: 0.1}
  width: {values: [64, 128]}
  opt: {parameters: {name: {values: [adam, sgd]}}}
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def call(*words: str, text: str = FILE) -> Result:
    Path("sweep.yaml").write_text(text)
    result = CliRunner().invoke(app, [words[0], "sweep.yaml", *words[1:]])
    assert [path.name for path in Path().iterdir()] == ["sweep.yaml"]
    return result


def test_the_space_is_shown_parameter_by_parameter() -> None:
    result = call("lint")
    assert result.exit_code == 0
    first, *lines = result.stdout.splitlines()
    assert first == "sweep.yaml: random search, continuous space"
    assert [line.split() for line in lines[:3]] == [
        ["lr", "log_uniform_values", "continuous", "1e-05", "to", "0.1"],
        ["opt.name", "categorical", "2", "adam,", "sgd"],
        ["width", "categorical", "2", "64,", "128"],
    ]


def test_conditions_and_derived_values_are_shown() -> None:
    text = (
        FILE + "  twice: {expression: width * 2, when: width > 64}\n  depth: {min: 1, max: 3, when: lr > 0.01}\n"
    )
    lines = [line.split() for line in call("lint", text=text).stdout.splitlines()]
    assert ["depth", "int_uniform", "3", "1", "to", "3", "when", "lr", ">", "0.01"] in lines
    assert ["twice", "derived", "1", "width", "*", "2", "when", "width", ">", "64"] in lines


def test_the_total_size_of_a_finite_space() -> None:
    text = "method: grid\nparameters:\n  a: {min: 1, max: 1000}\n  b: {min: 1, max: 1000}\nrun_cap: 5\n"
    assert "grid search, 1,000,000 points" in call("lint", text=text).stdout


def test_a_number_of_points_that_nobody_can_read() -> None:
    wide = "".join(f"  p{i}: {{min: -{2**62}, max: {2**62}}}\n" for i in range(400))
    text = f"method: grid\nrun_cap: 3\nparameters:\n{wide}"
    assert "grid search, about 10^7586 points" in call("lint", text=text).stdout
    assert json.loads(call("lint", "--json", "--sample", "1", text=text).stdout)["size"] is None
    refused = call("lint", text=text.replace("run_cap: 3\n", ""))
    assert "parameters: the grid has about 10^7586 points, more than 1,000,000: add run_cap" in refused.stderr


def test_repeats_and_names_are_shown() -> None:
    text = FILE + "repeat: {times: 3, objective: worst}\nrun_name: '{opt.name}-w{width}-s{seed}'\nrun_cap: 10\n"
    result = call("sweep", "--dry-run", text=text)
    first, *_, command, name = result.stdout.splitlines()
    assert first == "sweep.yaml: random search, continuous space, each 3 times (worst over seed 0 to 2)"
    assert "note: run_cap: 10 is no multiple of the 3 runs of each point" in result.stdout
    assert " --seed=0 " in command
    assert name.startswith("and its name: ")
    assert name.endswith("-s0")
    assert json.loads(call("lint", "--json", text=text).stdout)["repeat"]["times"] == 3


def test_json_for_programs() -> None:
    found = json.loads(call("lint", "--json", "--sample", "3").stdout)
    assert (found["ok"], found["method"], found["size"], found["seed"]) == (True, "random", None, 0)
    assert found["parameters"][1] == {
        "name": "opt.name",
        "kind": "categorical",
        "range": "adam, sgd",
        "count": 2,
        "when": "",
    }
    assert [set(point) for point in found["sample"]] == [{"lr", "opt", "width"}] * 3


def test_the_sample_is_what_the_sweep_with_this_seed_would_try() -> None:
    def sample(*words: str, text: str = FILE) -> list[dict[str, object]]:
        points: list[dict[str, object]] = json.loads(call("lint", "--json", *words, text=text).stdout)["sample"]
        return points

    assert len(sample()) == 5
    assert sample("--seed", "4") == sample(text=FILE + "seed: 4\n") != sample()
    assert sample("--seed", "4", text=FILE + "seed: 9\n") == sample("--seed", "4")


def test_problems_have_carets_and_exit_code_2() -> None:
    result = call("lint", text=FILE.replace("values: [64", "vals: [64"))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "line 6, column 10: parameters.width: does not say what to try; did you mean values" in result.stderr
    assert result.stderr.splitlines()[2].endswith("|          ^")


def test_problems_as_json() -> None:
    result = call("lint", "--json", text=FILE.replace("random", "randm"))
    assert result.exit_code == 2
    [problem] = json.loads(result.stdout)["problems"]
    assert (problem["path"], problem["line"], problem["column"]) == ("method", 1, 9)


def test_lenient_makes_unknown_keys_notes() -> None:
    assert call("lint", text=FILE + "foo: 1\n").exit_code == 2
    assert "note: foo: unknown key, ignored" in call("lint", "--lenient", text=FILE + "foo: 1\n").stdout


def test_a_dry_run_says_what_would_be_created() -> None:
    result = call("sweep", "--dry-run", "--project", "digits", "--name", "mine", text=FILE + "run_cap: 9\n")
    assert result.exit_code == 0
    created, command = result.stdout.splitlines()[-2:]
    assert created == "would create sweep 'mine' in local/digits of up to 9 runs; nothing was created"
    assert "train.py --lr=" in command


def test_a_dry_run_shows_the_prior_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    old = tmp_path_factory.mktemp("elsewhere") / "old.csv"
    old.write_text(
        "lr,width,opt.name,loss\n0.01,64,adam,0.5\n0.02,64,sgd,0.25\n0.01,63,adam,0.1\n0.01,64,sgd,nan\n"
    )
    result = call("sweep", "--dry-run", "-R", str(old), "-R", "abcd1234/3")
    assert result.exit_code == 0, result.stderr
    known, outside, unknown = result.stdout.splitlines()[-3:]
    assert known == "prior runs: 4 of old.csv, best loss 0.1, 1 failed"
    assert outside.startswith("  old.csv:4 is outside the space: width: ")
    assert unknown == "prior runs: abcd1234/3 (not looked up: no service runs here)"
    old.write_text("width,loss\n64,x\n")
    wrong = call("sweep", "--dry-run", "-R", str(old))
    assert isinstance(wrong.exception, SpecError)
    assert "'x' is not a number" in str(wrong.exception)


def test_a_sweep_may_be_created_in_spite_of_unknown_keys() -> None:
    assert call("sweep", "--dry-run", text=FILE + "foo: 1\n").exit_code != 0
    assert (
        "note: foo: unknown key, ignored" in call("sweep", "--dry-run", "--lenient", text=FILE + "foo: 1\n").stdout
    )


def test_a_dry_run_needs_a_file() -> None:
    assert CliRunner().invoke(app, ["sweep", "--dry-run", "--pause", "abcd1234"]).exit_code != 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("method: grid\nparameters: {x: {values: [1]}}", "grid: a point is done when its run has ended"),
        ("method: random\nparameters: {x: {values: [1]}}", "W&B has no seed"),
        (
            "method: grid\nparameters: {x: {distribution: q_uniform, min: 0, max: 9, q: 2.0}}",
            "the grid includes max",
        ),
        ("method: grid\nparameters: {x: {distribution: q_uniform, min: 0, max: 9, q: 2.0}}", "x: gives ints"),
        ("method: grid\nparameters: {x: {distribution: q_uniform, min: 0, max: 9, q: 2.0}}", "never leaves its"),
        ("method: random\nparameters: {x: {distribution: inv_log_uniform_values, min: 1, max: 2}}", "near max"),
        (
            "method: bayes\nmetric: {name: a}\nparameters: {g: {parameters: {x: {values: [1, 2], "
            "probabilities: [0.5, 0.5]}}}}",
            "g.x: probabilities work with bayes",
        ),
        (
            "method: random\nmetric: {name: a}\nparameters: {x: {value: 1}}\n"
            "early_terminate: {type: hyperband, min_iter: 3}",
            "strict is true",
        ),
        ("method: random\nparameters: {x: {value: 1}}\ncommand: ['--x=${x}']", "${parameter} is replaced"),
        ("method: random\nparameters: {x: {value: 1}}\nseed: 3", "seed: beyond W&B's schema"),
    ],
)
def test_what_differs_from_wandb_is_said_where_it_matters(text: str, said: str) -> None:
    assert said in "\n".join(differences(read_spec(text).data))


def test_nothing_is_said_where_nothing_differs() -> None:
    text = "method: bayes\nmetric: {name: a}\nparameters: {x: {min: 0.0, max: 1.0}}\ncommand: [python, train.py]"
    assert differences(read_spec(text).data) == []
