"""Every generated config is inside its space, and travels byte for byte: as JSON and through a command line.

`tests/conformance/store.py` has the same of the store.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sweepyard.agent.command import Command
from sweepyard.agent.rundir import prepare, read_params
from sweepyard.controller.spec import read_spec
from sweepyard.plain import dumps
from sweepyard.search.inside import locate
from sweepyard.search.registry import searcher_of
from sweepyard.search.space import Space

HOSTILE = [
    "",
    " ",
    "a b",
    "'",
    '"',
    "`$(rm)`",
    "--x=1",
    "\n",
    "\t\\n",
    "図🧹é",
    "\u202e",
    "${args}",
    "null",
    "1e-5",
    "%s",
    "={}",
]

texts = st.sampled_from(HOSTILE) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
numbers = st.floats(-1e6, 1e6, allow_subnormal=False)
lists = st.lists(values, min_size=1, max_size=4).map(lambda some: {"values": some})
ranges = st.tuples(st.integers(-50, 50), st.integers(1, 50)).map(lambda r: {"min": r[0], "max": r[0] + r[1]})
reals = st.tuples(numbers, st.floats(1e-3, 1e6)).map(
    lambda r: {"distribution": "uniform", "min": r[0], "max": r[0] + r[1]}
)
steps = st.tuples(st.integers(-9, 9), st.integers(2, 20), st.sampled_from([1, 2, 0.5, 1.5])).map(
    lambda r: {"distribution": "q_uniform", "min": r[0], "max": r[0] + r[1], "q": r[2]}
)
logs = st.tuples(
    st.sampled_from(["log_uniform_values", "inv_log_uniform_values", "reverse_log_uniform_values"]),
    st.floats(1e-9, 1e3),
    st.floats(1.5, 1e4),
).map(lambda r: {"distribution": r[0], "min": r[1], "max": r[1] * r[2]})
normals = st.sampled_from(["normal", "q_normal", "log_normal", "q_log_normal", "beta", "q_beta"]).map(
    lambda name: {"distribution": name}
)
leaves = lists | ranges | reals | steps | logs | normals | values.map(lambda value: {"value": value})
names = st.sampled_from(["a", "b", "c.d", "e-f", "_g"])
groups = st.dictionaries(names, leaves, min_size=1, max_size=3).map(lambda some: {"parameters": some})


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    parameters = draw(st.dictionaries(names, leaves | groups, min_size=1, max_size=4))
    spec: dict[str, Any] = {"method": draw(st.sampled_from(["random", "sobol"])), "parameters": parameters}
    if draw(st.booleans()):
        n = draw(st.integers(1, 3))
        parameters |= {name: {"values": draw(st.lists(values, min_size=n, max_size=n))} for name in ("z1", "z2")}
        spec["zip"] = ["z1", "z2"]
    if draw(st.booleans()):
        parameters["when"] = {"value": draw(values), "when": "on"} | {}
        parameters["on"] = {"values": [True, False]}
        parameters["twice"] = {"expression": "count * 2", "when": "not on"}
        parameters["count"] = draw(ranges)
        spec["constraints"] = ["count <= 100 or on"]
    elif all(kind(leaf) for leaf in flat(parameters)) and draw(st.booleans()):
        spec |= {"method": "grid", "run_cap": 5}
    return spec


def flat(parameters: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for leaf in parameters.values():
        found += flat(leaf["parameters"]) if "parameters" in leaf else [leaf]
    return found


def kind(leaf: dict[str, Any]) -> bool:
    """Whether a grid can list it."""
    return leaf.get("distribution", "q_uniform") == "q_uniform"


@settings(max_examples=60, deadline=None)
@given(specs(), st.integers(0, 9))
def test_every_config_is_inside_its_space_and_is_json(source: dict[str, Any], seed: int) -> None:
    spec = read_spec(source).data
    space = Space.of(spec)
    assert read_spec(dumps(spec)).data == spec
    for suggestion in searcher_of(spec, None, seed).suggest([], [], 4):
        params = suggestion.params
        again = json.loads(dumps(params))
        assert repr(again) == repr(params)
        assert repr(space.nest(space.flatten(again) or [])) == repr(params)
        said = {name: value for name, value in params.items() if name != "twice"}
        assert repr(space.nest(locate(space, said))) == repr(params)
        assert space.allows(space.flatten(params) or [])
        check_bounds(source["parameters"], params)


def check_bounds(parameters: dict[str, Any], params: dict[str, Any]) -> None:
    for name, leaf in parameters.items():
        if name not in params:
            assert "when" in leaf
        elif "parameters" in leaf:
            check_bounds(leaf["parameters"], params[name])
        elif "values" in leaf:
            assert any(repr(value) == repr(params[name]) or value == params[name] for value in leaf["values"])
        elif "min" in leaf:
            assert leaf["min"] <= params[name] <= leaf["max"]
            assert "distribution" in leaf or type(params[name]) is int


@settings(max_examples=12, deadline=None)
@given(st.lists(st.dictionaries(texts.filter(bool), values, min_size=1, max_size=4), min_size=1, max_size=20))
def test_every_config_comes_through_a_command_line(configs: list[dict[str, Any]]) -> None:
    """Each as one JSON item and as an item for each parameter, to a program that says what it was given."""
    argv = [
        item
        for params in configs
        for item in Command(template=["${args_json}", "${args}"]).expand(
            params, json_file=Path("/nosuch"), environ={}
        )
    ]
    echo = "import json, sys; sys.stdout.write(json.dumps(sys.argv[1:]))"
    said = json.loads(subprocess.run([sys.executable, "-c", echo, *argv], capture_output=True, check=True).stdout)
    expected = []
    for params in configs:
        expected += [params, *(f"--{key}={params[key]}" for key in sorted(params))]
    found = [item if item.startswith("--") else json.loads(item) for item in said]
    assert repr([normal(item) for item in found]) == repr([normal(item) for item in expected])


def normal(value: Any) -> Any:
    """The order of keys is not told by a JSON object."""
    return json.loads(json.dumps(value, sort_keys=True)) if isinstance(value, dict) else value


@settings(max_examples=50, deadline=None)
@given(params=st.dictionaries(texts, values, max_size=4))
def test_every_config_comes_through_the_folder_of_a_run(tmp_path_factory: Any, params: dict[str, Any]) -> None:
    folder = tmp_path_factory.mktemp("run")
    prepare(folder, params)
    assert repr(read_params(folder)) == repr(params)
