"""Good sweep files: what becomes of them. And no file at all, however mangled, raises anything unexplained."""

from __future__ import annotations

import json
import random
from pathlib import Path
from time import thread_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_spec_corpus import BAD

from sweepyard.agent import command
from sweepyard.controller.macros import MACROS
from sweepyard.controller.spec import Spec, explain, read_spec
from sweepyard.controller.specmodel import DISTRIBUTIONS, SweepFile
from sweepyard.errors import SpecError
from sweepyard.search.leaf import DISTRIBUTIONS as MADE
from sweepyard.search.space import Space

CORPUS = Path(__file__).parents[1] / "corpus"

SEED_FILE = """\
# sweep.yaml
name: hyperparameter-sweep
method: bayes
metric:
  name: val_accuracy
  goal: maximize
parameters:
  learning_rate:
    distribution: log_uniform_values
    min: 0.00001
    max: 0.1
  batch_size:
    values: [16, 32, 64]
  hidden_dim:
    distribution: int_uniform
    min: 64
    max: 512
"""

SEED_DICT = {
    "name": "hyperparam-sweep",
    "method": "bayes",
    "metric": {"name": "val_accuracy", "goal": "maximize"},
    "parameters": {
        "learning_rate": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
        "batch_size": {"values": [16, 32, 64, 128]},
        "epochs": {"value": 50},
        "optimizer": {"values": ["adam", "sgd", "rmsprop"]},
        "hidden_dim": {"distribution": "int_uniform", "min": 32, "max": 256},
        "dropout": {"distribution": "uniform", "min": 0.0, "max": 0.5},
    },
    "early_terminate": {"type": "hyperband", "min_iter": 5, "eta": 3},
}

EVERYTHING = """\
apiVersion: v1
kind: sweep
name: everything
description: one of each
entity: me
project: my-project
program: train.py
command:
  - ${env}
  - ${interpreter}
  - -u
  - ${program}
  - ${args_no_hyphens}
  - --lr=${opt.lr}
  - ${opt.lr}
  - ${envvar:HOME}
  - --home=$${HOME}
method: random
seed: 7
run_cap: 20
controller: {type: cloud}
metric: {name: loss, target: 0.1}
early_terminate: {type: hyperband, max_iter: 27, s: 2, eta: 2.5, strict: false}
parameters:
  constant: {value: {deep: [1, null, {x: true}]}}
  categorical: {values: [a, 1, 1.5, true, null, [1], {b: 2}]}
  weighted: {values: [a, b], probabilities: [0.25, 0.75]}
  weighted_too: {distribution: categorical, values: [a, b], probabilities: [0.25, 0.75]}
  int_uniform: {min: 1, max: 10}
  uniform: {min: 0.0, max: 1.0}
  q_uniform: {distribution: q_uniform, min: 0, max: 100, q: 5}
  log_uniform: {distribution: log_uniform, min: -5, max: -1}
  q_log_uniform: {distribution: q_log_uniform, min: 0, max: 5, q: 2}
  inv_log_uniform: {distribution: inv_log_uniform, min: 0, max: 3}
  log_uniform_values: {distribution: log_uniform_values, min: 1e-5, max: 1e-1}
  q_log_uniform_values: {distribution: q_log_uniform_values, min: 32, max: 256, q: 8}
  inv_log_uniform_values: {distribution: inv_log_uniform_values, min: 1e-3, max: 1}
  reverse_log_uniform_values: {distribution: reverse_log_uniform_values, min: 1e-3, max: 1}
  normal: {distribution: normal, mu: 100, sigma: 10}
  q_normal: {distribution: q_normal, mu: 100, sigma: 10, q: 5}
  log_normal: {distribution: log_normal}
  q_log_normal: {distribution: q_log_normal, mu: 3, sigma: 1, q: 4}
  beta: {distribution: beta, a: 2, b: 5}
  q_beta: {distribution: q_beta, a: 2, b: 5, q: 0.1}
  opt:
    parameters:
      name: {value: sgd}
      lr: {distribution: log_uniform_values, min: 1e-4, max: 1}
      deeper:
        parameters:
          momentum: {min: 0.5, max: 0.9}
  dotted.name-too: {values: [1, 2]}
"""


def leaf(text: str) -> dict[str, Any]:
    """The only parameter of a sweep, in normal form."""
    found: dict[str, Any] = read_spec(f"method: random\nparameters:\n  p: {text}\n").parameters["p"]
    return found


def test_the_file_of_the_first_steps() -> None:
    spec = read_spec(SEED_FILE)
    assert spec.notes == ()
    assert spec.data == {
        "name": "hyperparameter-sweep",
        "method": "bayes",
        "metric": {"name": "val_accuracy", "goal": "maximize"},
        "parameters": {
            "learning_rate": {"distribution": "log_uniform_values", "min": 1e-5, "max": 0.1},
            "batch_size": {"distribution": "categorical", "values": [16, 32, 64]},
            "hidden_dim": {"distribution": "int_uniform", "min": 64, "max": 512},
        },
    }
    assert spec.objective is not None
    assert spec.objective.goal == "maximize"
    assert (spec.entity, spec.project, spec.seed, spec.run_cap) == ("local", "uncategorized", None, None)


def test_a_python_dict_comes_in_by_the_same_door() -> None:
    spec = read_spec(SEED_DICT)
    assert spec.data["early_terminate"] == {"type": "hyperband", "min_iter": 5, "eta": 3, "strict": True}
    assert spec.parameters["epochs"] == {"distribution": "constant", "value": 50}
    assert read_spec(json.dumps(SEED_DICT)).data == spec.data


def test_every_key_and_distribution_of_wandb_is_read() -> None:
    spec = read_spec(EVERYTHING)
    kinds = {key: value.get("distribution") for key, value in spec.parameters.items() if key != "opt"}
    assert kinds.pop("weighted") == kinds.pop("weighted_too") == "categorical_w_probabilities"
    assert kinds.pop("dotted.name-too") == "categorical"
    assert all(key == value for key, value in kinds.items())
    assert {"categorical_w_probabilities", *kinds} == set(DISTRIBUTIONS)
    assert spec.data["seed"] == 7
    assert spec.data["metric"] == {"name": "loss", "goal": "minimize", "target": 0.1}
    assert spec.data["early_terminate"] == {
        "type": "hyperband",
        "max_iter": 27,
        "s": 2,
        "eta": 2.5,
        "strict": False,
    }
    assert not spec.data.keys() & {"apiVersion", "kind", "controller"}


def test_the_largest_grid_needs_no_cap_and_the_next_does_not_run_without() -> None:
    grid = {"method": "grid", "parameters": {"a": {"min": 1, "max": 1000}, "b": {"min": 1, "max": 1000}}}
    assert read_spec(grid).run_cap is None
    grid["parameters"] |= {"c": {"values": [1, 2]}}
    with pytest.raises(SpecError, match="parameters: the grid has 2,000,000 points"):
        read_spec(grid)
    assert read_spec({**grid, "run_cap": 10}).run_cap == 10


RULED = """\
method: random
constraints: [size <= 512, "layers > 1 or optimizer == 'adam'"]
parameters:
  optimizer: {values: [adam, sgd]}
  sgd:
    when: optimizer == 'sgd'
    parameters: {momentum: {min: 0.0, max: 0.9, when: layers < 4}}
  layers: {min: 1, max: 8}
  size: {expression: layers * 64}
"""


def test_conditions_derived_values_and_constraints() -> None:
    spec = read_spec(RULED)
    assert spec.notes == ()
    assert spec.data["constraints"] == ["size <= 512", "layers > 1 or optimizer == 'adam'"]
    assert spec.parameters["size"] == {"expression": "layers * 64"}
    assert spec.parameters["sgd"] == {
        "when": "optimizer == 'sgd'",
        "parameters": {"momentum": {"distribution": "uniform", "min": 0.0, "max": 0.9, "when": "layers < 4"}},
    }
    assert read_spec(json.loads(json.dumps(spec.data))).data == spec.data


def test_notes_say_how_much_constraints_leave() -> None:
    parameters = {"a": {"min": 1, "max": 1000}, "b": {"min": 1, "max": 1000}}
    spec = read_spec({"method": "random", "parameters": parameters, "constraints": ["a + b < 300"]})
    assert spec.notes[0].startswith("the number of points, 1,000,000, is an upper bound")
    assert spec.notes[1].startswith("constraints: only about 4.")


def test_the_normal_form_is_json_and_reads_as_itself() -> None:
    spec = read_spec(EVERYTHING)
    data = json.loads(json.dumps(spec.data, allow_nan=False))
    assert read_spec(data).data == spec.data == data


def test_the_search_side_takes_every_distribution() -> None:
    assert set(DISTRIBUTIONS) == set(MADE)
    assert len(Space.from_spec(read_spec(EVERYTHING).parameters).parameters) == 24


def test_the_agent_knows_the_same_macros() -> None:
    assert {*MACROS, "envvar:NAME"} == set(command.KNOWN)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("{value: }", {"distribution": "constant", "value": None}),
        ("{value: 0}", {"distribution": "constant", "value": 0}),
        ("{value: false}", {"distribution": "constant", "value": False}),
        ("{values: [1]}", {"distribution": "categorical", "values": [1]}),
        ("{min: 1, max: 2}", {"distribution": "int_uniform", "min": 1, "max": 2}),
        ("{min: 1.0, max: 2.0}", {"distribution": "uniform", "min": 1.0, "max": 2.0}),
        ("{min: 0, max: 0.5}", {"distribution": "uniform", "min": 0, "max": 0.5}),
        ("{min: '1', max: '20'}", {"distribution": "int_uniform", "min": 1, "max": 20}),
        ("{min: '1e-5', max: '.1'}", {"distribution": "uniform", "min": 1e-5, "max": 0.1}),
        ("{distribution: uniform, min: 0, max: 1}", {"distribution": "uniform", "min": 0, "max": 1}),
        (
            "{distribution: int_uniform, min: 1.0, max: 1e3}",
            {"distribution": "int_uniform", "min": 1, "max": 1000},
        ),
        ("{distribution: normal}", {"distribution": "normal", "mu": 0, "sigma": 1}),
        ("{distribution: q_normal}", {"distribution": "q_normal", "mu": 0, "sigma": 1, "q": 1}),
        ("{distribution: q_uniform, min: 0, max: 9}", {"distribution": "q_uniform", "min": 0, "max": 9, "q": 1}),
        ("{distribution: normal, mu: '3', sigma: '1e1'}", {"distribution": "normal", "mu": 3, "sigma": 10.0}),
        ("{distribution: normal, sigma: 0}", {"distribution": "normal", "mu": 0, "sigma": 0}),
        ("{distribution: beta}", {"distribution": "beta", "a": 1, "b": 1}),
    ],
)
def test_inference_defaults_and_coercion(text: str, form: dict[str, Any]) -> None:
    found = leaf(text)
    assert found == form
    assert [type(value) for value in found.values()] == [type(value) for value in form.values()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{distribution: log_uniform, min: 1e-5, max: 0.1}",
            "draws from 1 to 1.105; if you meant from 1e-05 to 0.1",
        ),
        ("{distribution: log_uniform, min: -5, max: -1}", "there is distribution: log_uniform_values"),
        ("{distribution: inv_log_uniform, min: 0, max: 3}", "draws from 0.04979 to 1;"),
        ("{min: 0, max: 0.5}", "read as uniform"),
        ("{values: ['1e-5', 2]}", "the value '1e-5' is text"),
        ("{values: [on]}", "W&B reads it as a boolean"),
    ],
)
def test_notes_say_what_may_not_be_meant(text: str, said: str) -> None:
    [note] = read_spec(f"method: random\nparameters:\n  g: {{parameters: {{p: {text}}}}}\n").notes
    assert note.startswith("parameters.g.parameters.p: ")
    assert said in note


def test_what_is_read_but_not_used_is_said() -> None:
    spec = read_spec(SEED_FILE.replace("goal: maximize", "impute_while_running: false"))
    assert spec.notes == ("metric.impute_while_running: kept, but no search method here uses it",)
    assert spec.data["metric"]["impute_while_running"] == "false"


def test_max_iter_wins_over_min_iter() -> None:
    rule = {"type": "hyperband", "min_iter": 3, "max_iter": 27, "s": 2.0}
    assert read_spec({**SEED_DICT, "early_terminate": rule}).data["early_terminate"] == {
        "type": "hyperband",
        "max_iter": 27,
        "s": 2,
        "eta": 3,
        "strict": True,
    }


def test_lenient_turns_unknown_keys_into_notes() -> None:
    text = SEED_FILE + "foo: 1\nearly_terminate: {type: hyperband, min_iter: 3, patience: 2}\n"
    text = text.replace("values: [16, 32, 64]", "values: [16, 32, 64]\n    label: size")
    with pytest.raises(SpecError) as caught:
        read_spec(text)
    assert len(caught.value.problems) == 3
    spec = read_spec(text, lenient=True)
    assert spec.notes == (
        "foo: unknown key, ignored",
        "early_terminate.patience: unknown key, ignored",
        "parameters.batch_size.label: unknown key, ignored",
    )
    assert "foo" not in spec.data


def test_lenient_forgives_nothing_else() -> None:
    with pytest.raises(SpecError, match="maximize"):
        read_spec(SEED_FILE.replace("maximize", "max"), lenient=True)
    with pytest.raises(SpecError, match="not supported"):
        read_spec(SEED_FILE + "scheduler: {}\n", lenient=True)


def test_empty_optional_keys_do_not_count() -> None:
    assert read_spec(SEED_FILE + "run_cap:\nearly_terminate:\n").data == read_spec(SEED_FILE).data


def test_overrides_win_and_are_checked() -> None:
    spec = read_spec(SEED_FILE, overrides={"name": "mine", "project": "p", "entity": None})
    assert (spec.name, spec.project, spec.entity) == ("mine", "p", "local")
    with pytest.raises(SpecError, match="project: 'a/b' cannot name it"):
        read_spec(SEED_FILE, overrides={"project": "a/b"})


def test_dict_problems_have_paths_but_no_lines() -> None:
    with pytest.raises(SpecError) as caught:
        read_spec({**SEED_DICT, "method": "baies"}, name="sweep config")
    [problem] = caught.value.problems
    assert (problem.path, problem.line) == ("method", 0)
    assert str(caught.value).startswith("sweep config: method: 'baies' is not known; did you mean bayes?")


def test_explain_points_with_a_caret() -> None:
    text = SEED_FILE.replace("maximize", "max")
    with pytest.raises(SpecError) as caught:
        read_spec(text)
    first, line, caret = explain(caught.value, text).splitlines()
    assert first.startswith("sweep.yaml: line 6, column 9: metric.goal: 'max' is not known")
    assert line[caret.index("^") :] == "max"


def test_explain_cuts_long_lines_around_the_caret() -> None:
    text = f"method: random\nparameters: {{{', '.join(f'p{i}: {{value: 1}}' for i in range(200))}, q: {{min: 1}}}}"
    with pytest.raises(SpecError) as caught:
        read_spec(text)
    _, line, caret = explain(caught.value, text).splitlines()
    assert len(line) < 120
    assert line[caret.index("^") :].startswith("{min: 1}")


def test_the_cost_of_reading_grows_with_the_file_and_no_faster() -> None:
    def cpu_s(parameters: int) -> float:
        text = "method: random\nparameters:\n" + "".join(
            f"  p{i}:\n    distribution: log_uniform_values\n    min: 1e-5\n    max: 0.{i + 1}\n"
            for i in range(parameters)
        )
        times = []
        for _ in range(3):
            started = thread_time()
            read_spec(text)
            times.append(thread_time() - started)
        return min(times)

    assert cpu_s(800) < 3 * 8 * cpu_s(100)


_words = st.sampled_from(
    [
        *DISTRIBUTIONS,
        "grid",
        "bayes",
        "random",
        "min",
        "max",
        "values",
        "value",
        "q",
        "parameters",
        "hyperband",
        "a",
    ]
)
_scalars = (
    _words
    | st.text(max_size=8)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.none()
    | st.sampled_from([10**400, -(2**63), "1e-5", b"x", (), "a > 1", "min(a, x) == 2", "1 / a"])
)
_keys = st.sampled_from(
    [
        "distribution",
        "min",
        "max",
        "values",
        "value",
        "q",
        "mu",
        "sigma",
        "a",
        "b",
        "probabilities",
        "parameters",
        "when",
        "expression",
        "x",
        *("name", "goal", "summary", "target", "times", "objective", "seed", "runs", "hours", "failures", "on"),
    ]
)
_trees = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4), max_leaves=12
)
_tops = st.sampled_from([*SweepFile.model_fields, "controller", "scheduler", "count"])


@given(
    st.dictionaries(_tops, _trees, max_size=6),
    st.dictionaries(st.text(max_size=5), _trees, max_size=4),
    st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_any_dict_is_read_or_explained(tops: dict[str, Any], parameters: dict[str, Any], lenient: bool) -> None:
    ruled = {**SEED_DICT, "method": "random", "constraints": ["epochs < 60"], "initial_points": [parameters]}
    for source in (tops, {**SEED_DICT, **tops}, {**SEED_DICT, "parameters": parameters}, ruled):
        _read_or_explain(source, lenient)


def test_mutated_files_are_read_or_explained() -> None:
    """2,000 files, each a good or a bad one with a few characters or lines changed."""
    good = [SEED_FILE, EVERYTHING, RULED, *(path.read_text() for path in sorted(CORPUS.iterdir()))]
    bad = [text for text, _, _ in BAD.values()]
    dice = random.Random(7)
    outcomes = {True: 0, False: 0}
    for i in range(2000):
        text = _mutated(dice.choice(good if i % 4 else bad), dice)
        outcomes[_read_or_explain(text, lenient=False)] += 1
    assert min(outcomes.values()) > 80


def _mutated(text: str, dice: random.Random) -> str:
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(text) or 1)
        kind = dice.randrange(5)
        if kind == 0:
            text = text[:at] + dice.choice("{}[]:,-#'\"\t\n &*!|>%@`0e.~\0é\ud800") + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + dice.randint(1, 5) :]
        elif kind == 2:
            lines = text.split("\n")
            lines.insert(dice.randrange(len(lines)), dice.choice(lines))
            text = "\n".join(lines)
        elif kind == 3:
            text = text.replace(
                dice.choice([": ", "1", "0.", "min", "values", "[", "}"]), dice.choice(["", " ", "- ", "x"]), 1
            )
        else:
            text = text[:at] + text[at:].swapcase()
    return text


def _read_or_explain(source: Any, lenient: bool) -> bool:
    """Whether `source` is a good spec. Anything but a `SpecError` is let through, and so fails the test."""
    try:
        spec = read_spec(source, lenient=lenient)
    except SpecError as error:
        explain(error, source if isinstance(source, str) else "")
        return False
    _holds(spec)
    return True


def _holds(spec: Spec) -> None:
    json.dumps(spec.data, allow_nan=False).encode()
    space = Space.of(spec.data)
    for u in (0.0, 0.5, 1.0):
        json.dumps([parameter.distribution.ppf(u) for parameter in space.parameters], allow_nan=False)
