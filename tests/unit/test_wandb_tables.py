"""W&B's sweep file line by line: each test is named after a table of its schema and a line of that.

2.1 top level, 2.2 metric, 2.3 inference, 2.4 distributions, 2.5 groups, 2.6 macros, 2.7 early termination, 2.8
refusals. Other tests go deeper; this one shows that no line was forgotten.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pytest
from scipy import stats

from sweepyard.agent.command import DEFAULT, Command
from sweepyard.controller.macros import MACROS
from sweepyard.controller.spec import explain, read_spec
from sweepyard.controller.specmodel import DISTRIBUTIONS, Metric
from sweepyard.controller.yamlfile import read_text
from sweepyard.errors import SpecError, UserError
from sweepyard.plain import Params
from sweepyard.search.grid import GridSearcher
from sweepyard.search.leaf import make_distribution
from sweepyard.search.space import Space

BASE: dict[str, Any] = {"method": "random", "parameters": {"x": {"min": 1, "max": 4}}}
LOSS: dict[str, Any] = {**BASE, "metric": {"name": "loss"}}
BAYES: dict[str, Any] = {**LOSS, "method": "bayes"}
ABSENT = object()
WANDB_KEYS = [
    *("method", "parameters", "metric", "metrics", "early_terminate", "program", "command", "name", "description"),
    *("project", "entity", "run_cap", "controller", "scheduler", "job", "image_uri", "apiVersion", "kind"),
]


def at(data: Any, path: str) -> Any:
    for part in path.split("."):
        data = data.get(part, ABSENT) if isinstance(data, dict) else ABSENT
    return data


# Of a good file: a path in its normal form, and what stands there.
READ: dict[str, tuple[dict[str, Any], str, Any]] = {
    "2.1 method: grid": ({**BASE, "method": "grid"}, "method", "grid"),
    "2.1 method: random": (BASE, "method", "random"),
    "2.1 method: bayes": (BAYES, "method", "bayes"),
    "2.1 parameters": (BASE, "parameters.x.min", 1),
    "2.1 metric": (LOSS, "metric.name", "loss"),
    "2.1 early_terminate": (
        {**LOSS, "early_terminate": {"type": "hyperband", "min_iter": 3}},
        "early_terminate.type",
        "hyperband",
    ),
    "2.1 program": ({**BASE, "program": "train.py"}, "program", "train.py"),
    "2.1 program: absent for functions": (BASE, "program", ABSENT),
    "2.1 command": ({**BASE, "command": ["python", "${args}"]}, "command", ["python", "${args}"]),
    "2.1 name": ({**BASE, "name": "mine"}, "name", "mine"),
    "2.1 description": ({**BASE, "description": "what for"}, "description", "what for"),
    "2.1 project": ({**BASE, "project": "digits"}, "project", "digits"),
    "2.1 entity": ({**BASE, "entity": "me"}, "entity", "me"),
    "2.1 run_cap": ({**BASE, "run_cap": 5}, "run_cap", 5),
    "2.1 controller: cloud": ({**BASE, "controller": {"type": "cloud"}}, "controller", ABSENT),
    "2.1 apiVersion": ({**BASE, "apiVersion": "v1"}, "apiVersion", ABSENT),
    "2.1 kind": ({**BASE, "kind": "sweep"}, "kind", ABSENT),
    "2.2 name": (LOSS, "metric.name", "loss"),
    "2.2 goal: default": (LOSS, "metric.goal", "minimize"),
    "2.2 goal: maximize": ({**BASE, "metric": {"name": "a", "goal": "maximize"}}, "metric.goal", "maximize"),
    "2.2 target": ({**BASE, "metric": {"name": "a", "target": 0.5}}, "metric.target", 0.5),
    "2.2 impute": ({**BASE, "metric": {"name": "a", "impute": "best"}}, "metric.impute", "best"),
    "2.2 impute_while_running": (
        {**BASE, "metric": {"name": "a", "impute_while_running": "false"}},
        "metric.impute_while_running",
        "false",
    ),
    "2.5 groups to any depth": (
        {**BASE, "parameters": {"a": {"parameters": {"b": {"parameters": {"c": {"value": 1}}}}}}},
        "parameters.a.parameters.b.parameters.c.value",
        1,
    ),
    "2.7 type": (
        {**LOSS, "early_terminate": {"type": "hyperband", "min_iter": 3}},
        "early_terminate.type",
        "hyperband",
    ),
    "2.7 min_iter": (
        {**LOSS, "early_terminate": {"type": "hyperband", "min_iter": 3}},
        "early_terminate.min_iter",
        3,
    ),
    "2.7 max_iter wins over min_iter": (
        {**LOSS, "early_terminate": {"type": "hyperband", "min_iter": 3, "max_iter": 27, "s": 2}},
        "early_terminate.min_iter",
        ABSENT,
    ),
    "2.7 s: a float that is whole": (
        {**LOSS, "early_terminate": {"type": "hyperband", "max_iter": 27, "s": 2.0}},
        "early_terminate.s",
        2,
    ),
    "2.7 eta: default": (
        {**LOSS, "early_terminate": {"type": "hyperband", "min_iter": 3}},
        "early_terminate.eta",
        3,
    ),
    "2.7 strict: default": (
        {**LOSS, "early_terminate": {"type": "hyperband", "min_iter": 3}},
        "early_terminate.strict",
        True,
    ),
    "2.8 early_terminate needs a metric: with one": (
        {**LOSS, "early_terminate": {"type": "hyperband", "min_iter": 3}},
        "metric.name",
        "loss",
    ),
}

# Of a parameter: what is inferred and filled in.
INFERRED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "2.3 value": ({"value": 3}, {"distribution": "constant", "value": 3}),
    "2.3 value: null": ({"value": None}, {"distribution": "constant", "value": None}),
    "2.3 values": ({"values": [1, "a"]}, {"distribution": "categorical", "values": [1, "a"]}),
    "2.3 values + probabilities": (
        {"values": [1, 2], "probabilities": [0.5, 0.5]},
        {"distribution": "categorical_w_probabilities", "values": [1, 2], "probabilities": [0.5, 0.5]},
    ),
    "2.3 distribution: categorical + probabilities": (
        {"distribution": "categorical", "values": [1, 2], "probabilities": [0.5, 0.5]},
        {"distribution": "categorical_w_probabilities", "values": [1, 2], "probabilities": [0.5, 0.5]},
    ),
    "2.3 min, max both int": ({"min": 1, "max": 4}, {"distribution": "int_uniform", "min": 1, "max": 4}),
    "2.3 min, max both float": ({"min": 1.0, "max": 4.0}, {"distribution": "uniform", "min": 1.0, "max": 4.0}),
    "2.3 one int, one float": ({"min": 0, "max": 0.5}, {"distribution": "uniform", "min": 0, "max": 0.5}),
    "2.3 parameters": (
        {"parameters": {"y": {"value": 1}}},
        {"parameters": {"y": {"distribution": "constant", "value": 1}}},
    ),
    "2.3 distribution: uniform with ints": (
        {"distribution": "uniform", "min": 1, "max": 4},
        {"distribution": "uniform", "min": 1, "max": 4},
    ),
    "2.3 default of mu and sigma": ({"distribution": "normal"}, {"distribution": "normal", "mu": 0, "sigma": 1}),
    "2.3 default of q": (
        {"distribution": "q_uniform", "min": 0, "max": 9},
        {"distribution": "q_uniform", "min": 0, "max": 9, "q": 1},
    ),
    "2.3 default of a and b": ({"distribution": "beta"}, {"distribution": "beta", "a": 1, "b": 1}),
}

# Of a bad file: the words of the message. 2.8 says what, W&B says it partly at the first run; we at creation.
REFUSED: dict[str, tuple[Any, str]] = {
    "2.1 method: custom": ({**BASE, "method": "custom"}, "custom is not supported"),
    "2.1 run_cap: above 0": ({**BASE, "run_cap": 0}, "run_cap: 0 is too small"),
    "2.1 controller: local": ({**BASE, "controller": {"type": "local"}}, "only type: cloud"),
    "2.1 metrics": ({**LOSS, "metrics": [{"name": "a"}, {"name": "b"}]}, "metric"),
    "2.1 scheduler": ({**BASE, "scheduler": {"engine": "optuna"}}, "external schedulers are not supported"),
    "2.1 job": ({**BASE, "job": "x"}, "launching jobs is not supported"),
    "2.1 image_uri": ({**BASE, "image_uri": "x"}, "launching images is not supported"),
    "2.1 names of parameters": ({**BASE, "parameters": {"1x": {"value": 1}}}, "a parameter's name begins with"),
    "2.1 not a key: prior_runs": ({**BASE, "prior_runs": ["a"]}, "prior_runs: is no key of a sweep file"),
    "2.1 not a key: count": ({**BASE, "count": 5}, "give --count to an agent"),
    "2.1 not a key: settings": ({**BASE, "settings": {}}, "settings: is no key of a sweep file"),
    "2.2 goal: invalid": ({**BASE, "metric": {"name": "a", "goal": "max"}}, "did you mean maximize?"),
    "2.2 impute: invalid": ({**BASE, "metric": {"name": "a", "impute": "mean"}}, "allowed: best, worst, latest"),
    "2.3 int_uniform with 1.5": (
        {**BASE, "parameters": {"x": {"distribution": "int_uniform", "min": 1.5, "max": 4}}},
        "1.5 is not a whole number",
    ),
    "2.3 q without distribution": ({**BASE, "parameters": {"x": {"min": 1, "max": 4, "q": 2}}}, "q without"),
    "2.3 mu without distribution": ({**BASE, "parameters": {"x": {"mu": 1, "sigma": 4}}}, "mu and sigma without"),
    "2.3 min only": ({**BASE, "parameters": {"x": {"min": 1}}}, "cannot tell the distribution from min"),
    "2.3 {}": ({**BASE, "parameters": {"x": {}}}, "cannot tell the distribution from nothing"),
    "2.3 value and values": (
        {**BASE, "parameters": {"x": {"value": 1, "values": [1]}}},
        "has both value and values",
    ),
    "2.3 a bare list": (
        {**BASE, "parameters": {"x": [1, 2]}},
        "parameters.x: must say what to try, not just a list",
    ),
    "2.3 sigma below 0": (
        {**BASE, "parameters": {"x": {"distribution": "normal", "sigma": -1}}},
        "-1 is too small",
    ),
    "2.3 q of 0": (
        {**BASE, "parameters": {"x": {"distribution": "q_uniform", "min": 0, "max": 4, "q": 0}}},
        "0 is too",
    ),
    "2.3 a below 0": ({**BASE, "parameters": {"x": {"distribution": "beta", "a": -1}}}, "-1 is too small"),
    "2.3 a probability below 0": (
        {**BASE, "parameters": {"x": {"values": [1, 2], "probabilities": [-1, 2]}}},
        "-1 is too small",
    ),
    "2.3 min of 0 for a logarithm": (
        {**BASE, "parameters": {"x": {"distribution": "log_uniform_values", "min": 0, "max": 1}}},
        "must be above 0",
    ),
    "2.5 a group with a distribution": (
        {**BASE, "parameters": {"g": {"parameters": {"x": {"value": 1}}, "distribution": "uniform"}}},
        "takes only",
    ),
    "2.5 a bad nested range": (
        {**BASE, "parameters": {"g": {"parameters": {"x": {"min": 4, "max": 1}}}}},
        "g.parameters.x.min: min 4 is not",
    ),
    "2.7 type: another": ({**LOSS, "early_terminate": {"type": "envelope"}}, "'envelope' is not known"),
    "2.7 min_iter below 1": ({**LOSS, "early_terminate": {"type": "hyperband", "min_iter": 0}}, "at least 1"),
    "2.7 max_iter without s": ({**LOSS, "early_terminate": {"type": "hyperband", "max_iter": 27}}, "needs s"),
    "2.7 s: a fraction": (
        {**LOSS, "early_terminate": {"type": "hyperband", "max_iter": 27, "s": 2.5}},
        "not a whole",
    ),
    "2.7 eta of 1": ({**LOSS, "early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 1}}, "above 1"),
    "2.7 strict: no boolean": (
        {**LOSS, "early_terminate": {"type": "hyperband", "min_iter": 3, "strict": "yes"}},
        "neither true nor false",
    ),
    "2.8 YAML unreadable": ("method: [", "not YAML"),
    "2.8 empty file": ("", "is empty"),
    "2.8 config not a map": ("[1]", "must be a mapping of keys"),
    "2.8 missing method": ({"parameters": BASE["parameters"]}, "method is missing"),
    "2.8 bad method": ({**BASE, "method": "bayesian"}, "did you mean bayes?"),
    "2.8 missing parameters": ({"method": "random"}, "parameters is missing"),
    "2.8 empty parameters": ({**BASE, "parameters": {}}, "it needs at least one parameter"),
    "2.8 unknown top-level key": ({**BASE, "foo": 1}, "foo: unknown key"),
    "2.8 bad parameter name": ({**BASE, "parameters": {"a b": {"value": 1}}}, "a parameter's name begins with"),
    "2.8 parameter not a map": ({**BASE, "parameters": {"x": 5}}, "must say what to try, not just 5"),
    "2.8 malformed parameter": ({**BASE, "parameters": {"x": {"value": 1, "min": 2}}}, "x.min: unknown key"),
    "2.8 min >= max": ({**BASE, "parameters": {"x": {"min": 1, "max": 1}}}, "min 1 is not below max 1"),
    "2.8 probabilities: length": (
        {**BASE, "parameters": {"x": {"values": [1, 2], "probabilities": [1]}}},
        "1 probabilities for 2 values",
    ),
    "2.8 probabilities: sum": (
        {**BASE, "parameters": {"x": {"values": [1, 2], "probabilities": [0.5, 0.6]}}},
        "add up to 1.1",
    ),
    "2.8 metric without name": ({**BASE, "metric": {"goal": "minimize"}}, "metric: name is missing"),
    "2.8 bad goal": ({**BASE, "metric": {"name": "a", "goal": "up"}}, "'up' is not known"),
    "2.8 metric and metrics both": ({**LOSS, "metrics": [{"name": "a"}, {"name": "b"}]}, "metric"),
    "2.8 early_terminate incomplete": ({**LOSS, "early_terminate": {"type": "hyperband"}}, "needs min_iter"),
    "2.8 early_terminate of another type": ({**LOSS, "early_terminate": {"type": "x"}}, "'x' is not known"),
    "2.8 scheduler with early_terminate": (
        {**LOSS, "early_terminate": {"type": "hyperband", "min_iter": 3}, "scheduler": {"engine": "ax"}},
        "external schedulers are not supported",
    ),
    "2.8 run_cap <= 0": ({**BASE, "run_cap": -1}, "-1 is too small"),
    "2.8 grid with a disallowed distribution": (
        {**BASE, "method": "grid", "parameters": {"x": {"distribution": "normal"}}},
        "parameters.x: normal has no list of points that a grid could cover (allowed: constant, categorical, "
        "int_uniform, q_uniform)",
    ),
    "2.8 bayes without metric": ({**BASE, "method": "bayes"}, "bayes needs a metric to learn from"),
    "2.8 bayes with only constants": (
        {**BAYES, "parameters": {"x": {"value": 1}}},
        "at least one parameter that is not constant",
    ),
    "2.8 early_terminate without metric": (
        {**BASE, "early_terminate": {"type": "hyperband", "min_iter": 3}},
        "needs a metric to judge by",
    ),
    "2.8 a value that is not in values": (
        {**BASE, "parameters": {"x": {"values": [1, 2]}}, "initial_points": [{"x": 3}]},
        "3 is outside the space: 1, 2",
    ),
}

# Of a distribution: its keys, the five values at QUANTILES by the formula, and their type.
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
Z = [NormalDist().inv_cdf(u) for u in QUANTILES]
LN = [math.log(1e-3) + u * (math.log(1.0) - math.log(1e-3)) for u in QUANTILES]
BETA = [float(stats.beta.ppf(u, 2, 5)) for u in QUANTILES]
DRAWN: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "constant": ({"value": "x"}, ["x"] * 5),
    "categorical": ({"values": ["a", [1], {"b": 2}, None]}, ["a", "a", [1], {"b": 2}, None]),
    "categorical_w_probabilities": ({"values": ["a", "b", "c"], "probabilities": [0.2, 0.3, 0.5]}, list("abccc")),
    "int_uniform": ({"min": 1, "max": 10}, [1, 3, 5, 8, 9]),
    "uniform": ({"min": 0, "max": 2}, [0.2, 0.5, 1.0, 1.5, 1.8]),
    "q_uniform": ({"min": 0, "max": 1, "q": 0.25}, [0.0, 0.25, 0.5, 0.75, 1.0]),
    "log_uniform": ({"min": -5, "max": -1}, [math.exp(-5 + 4 * u) for u in QUANTILES]),
    "log_uniform_values": ({"min": 1e-3, "max": 1}, [math.exp(ln) for ln in LN]),
    "q_log_uniform": ({"min": 0, "max": 5, "q": 2}, [2, 4, 12, 42, 90]),
    "q_log_uniform_values": ({"min": 32, "max": 256, "q": 8}, [40, 56, 88, 152, 208]),
    "inv_log_uniform": ({"min": 0, "max": 3}, [math.exp(-(0 + (1 - u) * 3)) for u in QUANTILES]),
    "inv_log_uniform_values": ({"min": 1e-3, "max": 1}, [math.exp(ln) for ln in LN]),
    "normal": ({"mu": 100, "sigma": 10}, [100 + 10 * z for z in Z]),
    "q_normal": ({"mu": 100, "sigma": 10, "q": 5}, [85, 95, 100, 105, 115]),
    "log_normal": ({"mu": 0.5, "sigma": 2}, [math.exp(0.5 + 2 * z) for z in Z]),
    "q_log_normal": ({"mu": 3, "sigma": 1, "q": 4}, [4, 12, 20, 40, 72]),
    "beta": ({"a": 2, "b": 5}, BETA),
    "q_beta": ({"a": 2, "b": 5, "q": 0.1}, [round(value / 0.1) * 0.1 for value in BETA]),
}

PARAMS: Params = {"lr": 1e-05, "on": True, "off": False, "no": None, "list": [1, 2], "opt": {"x": 1}}
KEYS = sorted(PARAMS)
# Of a macro: an element of `command`, and what becomes of it.
EXPANDED: dict[str, tuple[list[str], list[str]]] = {
    "2.1 command: default": (
        list(DEFAULT),
        ["/usr/bin/env", sys.executable, "train.py", *(f"--{key}={PARAMS[key]}" for key in KEYS)],
    ),
    "2.5 a group becomes one flag": (["--opt=${opt}"], ["--opt={'x': 1}"]),
    "2.6 ${env}": (["${env}"], ["/usr/bin/env"]),
    "2.6 ${interpreter}": (["${interpreter}"], [sys.executable]),
    "2.6 ${program}": (["${program}"], ["train.py"]),
    "2.6 ${args}": (
        ["${args}"],
        ["--list=[1, 2]", "--lr=1e-05", "--no=None", "--off=False", "--on=True", "--opt={'x': 1}"],
    ),
    "2.6 ${args_no_boolean_flags}": (
        ["${args_no_boolean_flags}"],
        ["--list=[1, 2]", "--lr=1e-05", "--no=None", "--on", "--opt={'x': 1}"],
    ),
    "2.6 ${args_no_hyphens}": (["${args_no_hyphens}"], [f"{key}={PARAMS[key]}" for key in KEYS]),
    "2.6 ${args_no_equals}": (["${args_no_equals}"], [item for k in KEYS for item in (f"--{k}", str(PARAMS[k]))]),
    "2.6 ${args_append_hydra}": (["${args_append_hydra}"], [f"+{key}={PARAMS[key]}" for key in KEYS]),
    "2.6 ${args_override_hydra}": (["${args_override_hydra}"], [f"++{key}={PARAMS[key]}" for key in KEYS]),
    "2.6 ${args_json}": (["${args_json}"], [json.dumps(PARAMS, sort_keys=True)]),
    "2.6 ${envvar:NAME}": (["x/${envvar:HOME}/y"], ["x//home/me/y"]),
    "2.6 ${param} within a string": (["--lr=${lr}", "${opt.x}"], ["--lr=1e-05", "1"]),
    "2.6 values with spaces stay one item": (["a b"], ["a b"]),
}


@pytest.mark.parametrize("line", READ)
def test_read(line: str) -> None:
    source, path, value = READ[line]
    assert at(read_spec(source).data, path) == value


@pytest.mark.parametrize("line", INFERRED)
def test_inferred(line: str) -> None:
    given, form = INFERRED[line]
    found = read_spec({**BASE, "parameters": {"x": given}}).parameters["x"]
    assert repr(found) == repr(form)


@pytest.mark.parametrize("line", REFUSED)
def test_refused(line: str) -> None:
    source, said = REFUSED[line]
    with pytest.raises(SpecError) as caught:
        read_spec(source)
    assert any(said in f"{problem.path}: {problem.message}" for problem in caught.value.problems), caught.value
    if isinstance(source, dict):
        text = json.dumps(source, indent=1)
        with pytest.raises(SpecError) as caught:
            read_spec(text)
        assert "^" in explain(caught.value, text)


@pytest.mark.parametrize("line", [f"2.4 {name}" for name in DRAWN])
def test_drawn(line: str) -> None:
    name = line.removeprefix("2.4 ")
    keys, values = DRAWN[name]
    leaf = read_spec({**BASE, "parameters": {"x": {"distribution": name, **keys}}}).parameters["x"]
    distribution = make_distribution(leaf)
    found = [distribution.ppf(u) for u in QUANTILES]
    assert found == pytest.approx(values, rel=1e-12) if isinstance(values[0], float) else found == values
    assert [type(value) for value in found] == [type(value) for value in values]
    again = [distribution.ppf(distribution.cdf(value)) for value in found]  # the coordinate of Bayesian search
    assert again == pytest.approx(found, rel=1e-9) if isinstance(values[0], float) else again == found


@pytest.mark.parametrize("line", EXPANDED)
def test_expanded(line: str) -> None:
    element, argv = EXPANDED[line]
    command = Command(template=element, program="train.py")
    assert command.expand(PARAMS, json_file=Path("/nosuch"), environ={"HOME": "/home/me"}) == argv


@pytest.mark.parametrize("line", ["2.6 ${args_json_file}"])
def test_a_file_of_arguments(line: str, tmp_path: Path) -> None:
    assert line
    [found] = Command(template=["${args_json_file}"]).expand(PARAMS, json_file=tmp_path / "a.json", environ={})
    assert json.loads(Path(found).read_text()) == PARAMS


@pytest.mark.parametrize("name", ["log_uniform", "q_log_uniform", "inv_log_uniform"])
@pytest.mark.parametrize("line", ["2.8 deprecated log distribution"])
def test_exponents_work_with_a_note(line: str, name: str) -> None:
    assert line
    leaf = {"distribution": name, "min": 0, "max": 3}
    for parameters in ({"x": leaf}, {"g": {"parameters": {"x": leaf}}}):
        [note] = read_spec({**BASE, "parameters": parameters}).notes
        assert f"the bounds of {name} are exponents of e" in note
        assert f"distribution: {name}_values" in note


@pytest.mark.parametrize("line", ["2.8 mixed int/float bounds"])
def test_mixed_bounds_are_noted(line: str) -> None:
    assert line
    [note] = read_spec({**BASE, "parameters": {"x": {"min": 0, "max": 0.5}}}).notes
    assert "one bound is a whole number and one is not; read as uniform" in note


@pytest.mark.parametrize("line", ["2.8 file not found"])
def test_a_file_that_is_not_there(line: str, tmp_path: Path) -> None:
    assert line
    with pytest.raises(UserError, match="There is no file"):
        read_text(tmp_path / "nosuch.yaml")


@pytest.mark.parametrize("line", ["2.5 dotted names are flat"])
def test_dotted_names(line: str) -> None:
    assert line
    space = Space.from_spec({"opt.lr": {"values": [1]}, "opt": {"parameters": {"lr": {"values": [2]}}}})
    assert GridSearcher(space).suggest([], [], 9)[0].params == {"opt.lr": 1, "opt": {"lr": 2}}


def test_no_name_is_forgotten() -> None:
    lines = [*READ, *INFERRED, *REFUSED, *EXPANDED]
    tested = {line.partition(":")[0] for line in lines}
    assert tested >= {f"2.1 {key}" for key in WANDB_KEYS}
    assert tested >= {f"2.2 {key}" for key in Metric.model_fields.keys() - {"summary"}}
    assert DRAWN.keys() == set(DISTRIBUTIONS) - {"reverse_log_uniform_values"}
    macros = {line.removeprefix("2.6 ") for line in lines} | {"${args_json_file}"}
    assert macros >= {f"${{{name}}}" for name in MACROS}
    assert len(set(lines)) == len(lines) == len(READ) + len(INFERRED) + len(REFUSED) + len(EXPANDED)
