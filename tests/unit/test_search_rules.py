from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweepyard.errors import SpecError
from sweepyard.search.expressions import Undefined
from sweepyard.search.feasible import examine
from sweepyard.search.grid import GridSearcher
from sweepyard.search.port import Observation
from sweepyard.search.registry import make_searcher, points_of
from sweepyard.search.rules import INACTIVE
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

PARAMETERS = {
    "optimizer": {"values": ["adam", "sgd"]},
    "sgd": {
        "when": "optimizer == 'sgd'",
        "parameters": {
            "momentum": {"values": [0.5, 0.9]},
            "nesterov": {"values": [True, False], "when": "sgd.momentum > 0.6"},
        },
    },
    "layers": {"min": 1, "max": 4},
    "width": {"values": [64, 128, 256]},
    "size": {"expression": "width * layers"},
    "more": {"parameters": {"half": {"expression": "size // 2", "when": "layers > 2"}}},
}
CONSTRAINTS = ["size <= 512", "sgd.momentum < 0.8 or layers < 3"]
SPACE = Space.from_spec(PARAMETERS, constraints=CONSTRAINTS)


def everything(space):
    return [suggestion.params for suggestion in GridSearcher(space).suggest([], [], 10**6)]


def by_hand():
    for layers in range(1, 5):
        for optimizer in ["adam", "sgd"]:
            for momentum in [None] if optimizer == "adam" else [0.5, 0.9]:
                for nesterov in [True, False] if momentum == 0.9 else [None]:
                    for width in [64, 128, 256]:
                        if width * layers > 512 or (momentum == 0.9 and layers >= 3):
                            continue
                        sgd = {"momentum": momentum} | ({} if nesterov is None else {"nesterov": nesterov})
                        yield (
                            {"layers": layers, "optimizer": optimizer, "width": width, "size": width * layers}
                            | ({} if momentum is None else {"sgd": sgd})
                            | ({"more": {"half": width * layers // 2}} if layers > 2 else {})
                        )


def test_a_grid_has_exactly_the_points_that_are_left():
    expected = list(by_hand())

    assert everything(SPACE) == expected
    assert (
        GridSearcher(SPACE).size()
        == len(expected)
        == points_of({"method": "random", "parameters": PARAMETERS, "constraints": CONSTRAINTS})
    )
    shuffled = everything(Space.from_spec(PARAMETERS, constraints=CONSTRAINTS, order="random"))
    assert shuffled != expected
    assert sorted(map(str, shuffled)) != sorted(map(str, expected[1:]))
    assert {json.dumps(point, sort_keys=True) for point in shuffled} == {
        json.dumps(point, sort_keys=True) for point in expected
    }


@pytest.mark.parametrize("method", ["random", "sobol"])
def test_other_methods_cover_the_same_points_and_end(method):
    found = [s.params for s in make_searcher(method, SPACE, None, 1).suggest([], [], 1000)]

    assert {json.dumps(point, sort_keys=True) for point in found} == {
        json.dumps(point, sort_keys=True) for point in by_hand()
    }
    assert len(found) == points_of({"method": method, "parameters": PARAMETERS, "constraints": CONSTRAINTS})


def test_bayes_learns_and_keeps_the_rules():
    loss = Objective(name="loss")
    searcher = make_searcher("bayes", SPACE, loss, 3)
    allowed = {json.dumps(point, sort_keys=True) for point in by_hand()}
    history = []
    for number in range(14):
        [found] = searcher.suggest(history, [], 1)
        assert json.dumps(found.params, sort_keys=True) in allowed
        value = found.params["layers"] + found.params.get("sgd", {}).get("momentum", 2.0)
        history.append(Observation(number=number, params=found.params, value=value))

    assert "predicted loss" in found.reason
    assert found.detail["observations"] == 13


def test_points_come_back_from_params():
    for params in by_hand():
        values = SPACE.flatten(json.loads(json.dumps(params)))
        assert SPACE.nest(values) == params
        assert (INACTIVE in values) == (params["optimizer"] == "adam" or params["sgd"]["momentum"] == 0.5)
    assert SPACE.flatten({"optimizer": "sgd", "layers": 1, "width": 64}) is None
    assert SPACE.flatten({"optimizer": "adam", "layers": 1, "width": 64, "sgd": {"momentum": 0.5}}) is not None


def test_filled_has_a_value_everywhere():
    values = SPACE.flatten(next(by_hand()))

    assert SPACE.filled(values) == [1, "adam", 0.5, True, 64]


def test_without_rules_nothing_changes():
    space = Space.from_spec({"x": {"min": 1, "max": 3}})

    assert space.rules.is_trivial
    assert space.allows([2])
    assert space.settle([2]) == [2]


@pytest.mark.parametrize(
    ("parameters", "constraints", "where", "said"),
    [
        (
            {"a": {"value": 1}},
            ["b > 1"],
            "constraints[0]",
            "no parameter b (there are a); a text stands in quotes: 'b'",
        ),
        ({"alpha": {"value": 1}}, ["alpa > 1"], "constraints[0]", "did you mean alpha?"),
        ({"a": {"value": 1, "when": "a >"}}, [], "parameters.a.when", "expected a value, but it ends there"),
        ({"a": {"value": 1, "when": "a > 1"}}, [], "parameters.a", "depends on itself"),
        (
            {"g": {"when": "g.x > 1", "parameters": {"x": {"value": 1}, "y": {"value": 2}}}},
            [],
            "parameters.g.parameters.x",
            "depends on itself",
        ),
        ({"a": {"expression": "b"}, "b": {"expression": "a + 1"}}, [], "parameters.a", "by way of these: a, b"),
        (
            {"g.x": {"value": 1}, "g": {"parameters": {"x": {"value": 1}}}},
            ["g.x > 1"],
            "constraints[0]",
            "g.x may be two parameters",
        ),
    ],
)
def test_bad_rules_are_refused_with_their_place(parameters, constraints, where, said):
    with pytest.raises(SpecError) as caught:
        Space.from_spec(parameters, constraints=constraints)

    assert [problem.path for problem in caught.value.problems] == [where]
    assert said in caught.value.problems[0].message


@pytest.mark.parametrize(
    ("parameters", "constraints", "said"),
    [
        (
            {"a": {"min": 1, "max": 9}, "b": {"min": 1, "max": 9}},
            ["a + b > 20"],
            "no point satisfies all constraints",
        ),
        ({"a": {"min": 1, "max": 9}}, ["a > 5", "a < 5"], "a > 5 holds for 44.44%; a < 5 holds for 44.44%"),
        ({"a": {"min": 0.0, "max": 1.0}}, ["a > 2"], "of 10,000 that were looked at: a > 2 holds for 0.00%"),
        ({"a": {"min": 0.0, "max": 1.0}}, ["a > 0.9999"], "only 2 points satisfy"),
        ({"a": {"min": 0, "max": 9}}, ["10 / a > 2"], "10 / a > 2: / divides by zero (for a 0)"),
        ({"a": {"values": ["x"]}}, ["a > 2"], "cannot tell which of 'x' and 2 is larger (for a x)"),
        (
            {"a": {"min": 0, "max": 9}, "d": {"expression": "log(a)"}},
            [],
            "log(a): log of 0 has no value (for a 0)",
        ),
        ({"a": {"min": 0, "max": 9}}, ["a * 2"], "a * 2: is 0, neither true nor false"),
    ],
)
def test_a_space_without_points_is_refused_with_the_reason(parameters, constraints, said):
    space = Space.from_spec(parameters, constraints=constraints)

    assert said in examine(space, space.axes if space.size() else None).trouble


def test_a_long_chain_of_conditions_is_read_in_no_time():
    chain = {f"p{i}": {"values": [0, 1], "when": f"p{i + 1} == 1"} for i in range(2000)}

    space = Space.from_spec({**chain, "p2000": {"values": [0, 1]}})

    assert [step.name for step in space.rules.steps] == [f"p{i}" for i in range(2000, -1, -1)]
    assert sum(value is not INACTIVE for value in space.settle([1] * 2001)) == 2001
    assert sum(value is not INACTIVE for value in space.settle([0] * 2001)) == 1


def test_a_constraint_on_an_inactive_parameter_does_not_apply():
    space = Space.from_spec(
        {"a": {"values": [0, 1]}, "b": {"values": [5, 6], "when": "a == 1"}}, constraints=["b == 6"]
    )

    assert everything(space) == [{"a": 0}, {"a": 1, "b": 6}]


def test_a_derived_value_of_an_inactive_parameter_is_left_out():
    space = Space.from_spec(
        {"a": {"values": [0, 1]}, "b": {"value": 5, "when": "a == 1"}, "c": {"expression": "b + 1"}}
    )

    assert everything(space) == [{"a": 0}, {"a": 1, "b": 5, "c": 6}]


leaves = st.one_of(
    st.lists(st.sampled_from([0, 1, 2, 3]), min_size=1, max_size=4, unique=True).map(lambda v: {"values": v}),
    st.just({"min": 0, "max": 3}),
    st.just({"min": 0.0, "max": 3.0}),
)
comparisons = st.tuples(st.sampled_from("abcd"), st.sampled_from(["<=", "!=", ">", "in"]), st.integers(0, 3)).map(
    lambda c: f"{c[0]} {c[1]} {[c[2], 0, 3] if c[1] == 'in' else c[2]}"
)


@st.composite
def spaces(draw):
    """Four parameters, each of which may depend on those before it, a derived value, and constraints."""
    parameters = {}
    for name in "abcd":
        leaf = draw(leaves)
        earlier = [*parameters]
        if earlier and draw(st.booleans()):
            leaf = leaf | {"when": f"{draw(st.sampled_from(earlier))} {draw(st.sampled_from(['<', '>=']))} 2"}
        parameters[name] = leaf
    parameters["e"] = {"expression": f"{draw(st.sampled_from('abcd'))} * 2 + 1"}
    return Space.from_spec(parameters, constraints=draw(st.lists(comparisons, max_size=2)))


@settings(max_examples=80, deadline=None)
@given(spaces(), st.sampled_from(["random", "sobol"]), st.integers(0, 9))
def test_every_point_is_inside_its_space_and_keeps_its_rules(space, method, seed):
    if examine(space, None).trouble:
        return
    found = make_searcher(method, space, None, seed).suggest([], [], 8)

    for params in [suggestion.params for suggestion in found]:
        assert json.loads(json.dumps(params)) == params
        values = space.flatten(params)
        assert space.nest(values) == params
        known = {name: params[name] for name in params}
        for constraint in space.rules.constraints:
            assert constraint.holds(known) if constraint.names <= params.keys() else True
        for step in space.rules.steps:
            try:
                active = all(condition.holds(known) for condition in step.when)
                active = active and (step.expression is None or step.expression.value(known) == params[step.name])
            except Undefined:
                active = False
            assert (step.name in params) == active
        for parameter, value in zip(space.parameters, values, strict=True):
            if value is not INACTIVE:
                assert parameter.distribution.ppf(parameter.distribution.cdf(value)) == pytest.approx(value)
    if space.size() is not None and len(found) < 8:
        assert len(found) == len(everything(space))


def test_allows_tells_the_share_of_draws_that_keep_the_rules():
    parameters = {f"p{i}": {"min": 0.0, "max": 1.0} for i in range(20)}
    parameters["x"] = {"min": 1, "max": 8, "when": "p0 > 0.5"}
    space = Space.from_spec(parameters, constraints=["p1 + p2 <= 1.5"])
    rng = np.random.default_rng(0)

    points = [space.sample(rng.random(21)) for _ in range(1000)]

    assert 0.8 < sum(space.allows(point) for point in points) / 1000 < 0.95
