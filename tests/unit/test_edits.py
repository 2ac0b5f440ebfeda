"""What an edit may change, what it says, and that a spec in normal form reads as itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweepyard.controller.edits import edited, told
from sweepyard.controller.spec import read_spec
from sweepyard.errors import SpecError

CORPUS = sorted((Path(__file__).parents[1] / "corpus").iterdir())
TEXT = """
method: random
metric: {name: loss, goal: minimize, target: 0.1}
run_cap: 40
seed: 7
parameters:
  lr: {min: 0.001, max: 0.1}
  opt:
    parameters:
      name: {values: [adam, sgd]}
      weight.decay: {min: 0.0, max: 1.0}
  twice: {expression: "lr * 2"}
  nesterov: {values: [true, false], when: "opt.name == 'sgd'"}
"""
SPEC = read_spec(TEXT, overrides={"project": "mine"}).data


def after(**wishes: object) -> dict[str, object]:
    return edited(SPEC, None, {path.replace("__", "."): value for path, value in wishes.items()}).data


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_the_normal_form_reads_as_itself(path: Path) -> None:
    spec = read_spec(path.read_text()).data
    assert read_spec(spec).data == spec
    assert edited(spec, None, {}).data == spec
    assert told(spec, spec) == ""


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("run_cap", 80, "run_cap: 40 -> 80"),
        ("run_cap", None, "run_cap: 40 -> none"),
        ("metric.target", 0.05, "metric.target: 0.1 -> 0.05"),
        ("parameters.lr.max", 0.3, "parameters.lr.max: 0.1 -> 0.3"),
        ("parameters.opt.name.values", ["adam", "lion"], "parameters.opt.name.values: ['adam', 'sgd'] -> "
         "['adam', 'lion']"),
        ("parameters.opt.parameters.weight.decay.max", 0.5, "parameters.opt.weight.decay.max: 1.0 -> 0.5"),
        ("budget.hours", 3, "budget.hours: none -> 3"),
        ("retry.max", 4, "retry.max: none -> 4; retry.on: none -> ['crashed', 'preempted']"),
        ("stall_after_s", 600, "stall_after_s: none -> 600"),
        ("constraints", ["lr < 0.05"], "constraints: none -> ['lr < 0.05']"),
        ("early_terminate", {"type": "hyperband", "min_iter": 3}, "early_terminate.type: none -> hyperband"),
    ],
)  # fmt: skip
def test_what_may_change(path: str, value: object, said: str) -> None:
    new = edited(SPEC, None, {path: value}).data
    assert told(SPEC, new).startswith(said)


@pytest.mark.parametrize(
    ("path", "value", "where", "said"),
    [
        ("method", "bayes", "method", "can not change ('random')"),
        ("seed", 8, "seed", "can not change (7)"),
        ("metric.goal", "maximize", "metric", "can not change while"),
        ("metric", None, "metric", "can not change while"),
        ("project", "other", "project", "can not change ('mine')"),
        ("parameters.new", {"value": 1}, "parameters.new", "can not be added"),
        ("parameters.lr", None, "parameters.lr", "must say what to try"),
        ("parameters.twice.expression", "lr * 3", "parameters.twice", "condition or expression can not change"),
        ("parameters.lrr.max", 3, "parameters.lrr.max", "there is no lrr in this sweep"),
        ("nonesuch.max", 3, "nonesuch.max", "there is no nonesuch in this sweep"),
        ("nonesuch", 3, "nonesuch", "unknown key"),
        ("parameters.lr.max", 0.0001, "parameters.lr.min", "min 0.001 is not below max 0.0001"),
        ("run_cap", 0, "run_cap", "too small"),
        ("early_terminate", {"type": "asha", "min_iter": 2, "resource": "epoch"}, "early_terminate.resource",
         "can not change"),
    ],
)  # fmt: skip
def test_what_may_not(path: str, value: object, where: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        edited(SPEC, None, {path: value})
    assert (where, True) in [(problem.path, said in problem.message) for problem in caught.value.problems]


def test_a_new_file_needs_not_say_what_was_given_beside_the_old_one() -> None:
    new = edited(SPEC, TEXT.replace("seed: 7\n", "").replace("run_cap: 40", "run_cap: 50"), {}).data
    assert told(SPEC, new) == "run_cap: 40 -> 50"
    both = edited(SPEC, TEXT.replace("max: 0.1", "max: 0.2"), {"run_cap": 60}).data
    assert told(SPEC, both) == "parameters.lr.max: 0.1 -> 0.2; run_cap: 40 -> 60"


def test_problems_of_a_new_file_have_their_lines() -> None:
    with pytest.raises(SpecError) as caught:
        edited(SPEC, TEXT.replace("run_cap: 40", "run_cap: many"), {})
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == ("run_cap", 4)
