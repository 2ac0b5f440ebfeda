from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweepyard.errors import SpecError
from sweepyard.search.initial import InitialFirst
from sweepyard.search.inside import locate, wished
from sweepyard.search.port import Observation
from sweepyard.search.random import RandomSearcher
from sweepyard.search.registry import METHODS, make_searcher, points_of, searcher_of
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

PARAMETERS = {
    "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 0.1},
    "width": {"values": [64, 128]},
    "steps": {"distribution": "q_uniform", "min": 0, "max": 100, "q": 10},
    "noise": {"distribution": "normal", "mu": 0, "sigma": 1},
    "kept": {"value": [1, 2]},
    "opt": {
        "parameters": {
            "name": {"values": ["adam", "sgd"]},
            "momentum": {"min": 0.0, "max": 0.9, "when": "opt.name == 'sgd'"},
        }
    },
    "flag": {"values": [True, False]},
    "twice": {"expression": "width * 2"},
}
SPEC = {"method": "random", "parameters": PARAMETERS, "constraints": ["width * lr < 8"]}
SPACE = Space.of(SPEC)
POINT = {"lr": 0.01, "width": 64, "steps": 30, "noise": 0.0, "opt": {"name": "adam"}, "flag": True}


def test_a_point_is_taken_as_the_space_has_it():
    params = SPACE.nest(locate(SPACE, POINT | {"width": 64.0, "steps": 30.0}))

    assert params == POINT | {"kept": [1, 2], "twice": 128}
    assert (type(params["width"]), type(params["steps"]), type(params["noise"])) == (int, int, float)


def test_dotted_names_and_nested_ones_mean_the_same():
    dotted = {key: POINT[key] for key in POINT if key != "opt"} | {"opt.name": "sgd", "opt.momentum": 0.5}

    assert locate(SPACE, dotted) == locate(SPACE, POINT | {"opt": {"name": "sgd", "momentum": 0.5}})


@pytest.mark.parametrize(
    ("change", "where", "said"),
    [
        ({"lr": 0.2}, "lr", "0.2 is outside the space: 1e-05 to 0.1"),
        ({"lr": "fast"}, "lr", "'fast' is outside the space:"),
        ({"lr": True}, "lr", "True is outside the space:"),
        ({"width": 100}, "width", "100 is outside the space: 64, 128"),
        ({"width": "64"}, "width", "'64' is outside the space:"),
        ({"steps": 35}, "steps", "in steps of 10"),
        ({"steps": 110}, "steps", "110 is outside the space: 0 to 100"),
        ({"noise": 1e9}, "noise", "is outside the space: around 0"),
        ({"flag": 1}, "flag", "1 is outside the space: true, false"),
        ({"kept": [1]}, "kept", "is outside the space:"),
        ({"learning_rate": 1}, "learning_rate", "is no parameter of this sweep (there are flag, kept, lr"),
        ({"opt": {"name": "adam", "beta": 1}}, "opt.beta", "is no parameter"),
        ({"opt": "adam"}, "opt", "is no parameter"),
        ({"twice": 128}, "twice", "is no parameter"),
        ({"opt": {"name": "sgd"}}, "opt.momentum", "is missing"),
        ({"opt": {"name": "adam", "momentum": 0.5}}, "opt.momentum", "is inactive at this point"),
        ({"lr": 0.09, "width": 128}, "", "breaks the constraint width * lr < 8"),
    ],
)
def test_what_is_no_point_of_the_space(change, where, said):
    with pytest.raises(SpecError) as caught:
        locate(SPACE, POINT | change)

    assert [problem.path for problem in caught.value.problems] == [where]
    assert said in caught.value.problems[0].message
    with pytest.raises(SpecError):
        wished(SPEC, POINT | change, outside=False)


def test_everything_that_lacks_is_named():
    with pytest.raises(SpecError) as caught:
        locate(Space.from_spec({"a": {"min": 1, "max": 2}, "b": {"min": 1, "max": 2}, "c": {"value": 3}}), {})

    assert [problem.path for problem in caught.value.problems] == ["a", "b"]


def test_outside_takes_what_is_said():
    found = wished(SPEC, {"lr": 5, "opt.name": "lion", "extra": {"x": 1}}, outside=True)

    assert found.params == {"lr": 5, "opt": {"name": "lion"}, "extra": {"x": 1}}
    assert found.reason == "enqueued by the user, outside the space"
    assert wished(SPEC, {"opt": 3, "opt.name": "lion"}, outside=True).params == {"opt": 3, "opt.name": "lion"}
    assert wished(SPEC, POINT, outside=True).reason == "enqueued by the user"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_whatever_is_drawn_is_inside(seed):
    for suggestion in RandomSearcher(SPACE, seed).suggest([], [], 3):
        given = {name: value for name, value in suggestion.params.items() if name != "twice"}
        assert SPACE.nest(locate(SPACE, given)) == suggestion.params


@pytest.mark.parametrize("method", METHODS)
def test_initial_points_come_first_each_once_and_are_not_repeated(method):
    points = [{"x": 3}, {"x": 1, "y": "b"}, {"x": 2, "y": "a"}]
    spec = {
        "method": method,
        "parameters": {"x": {"min": 1, "max": 3}, "y": {"values": ["a", "b"], "when": "x < 3"}},
        "metric": {"name": "loss", "goal": "minimize"},
        "initial_points": points,
    }
    searcher = searcher_of(spec, Objective(name="loss"), 4)
    history, proposed = [], []
    while found := searcher.suggest(history, [], 2):
        assert searcher_of(spec, Objective(name="loss"), 4).suggest(history, [], 2) == found
        for suggestion in found:
            proposed.append(suggestion)
            history.append(Observation(number=len(history), params=suggestion.params, value=float(len(history))))

    assert [suggestion.params for suggestion in proposed[:3]] == points
    assert [suggestion.reason for suggestion in proposed[:3]] == [f"initial point {i} of 3" for i in (1, 2, 3)]
    assert len({str(suggestion.params) for suggestion in proposed}) == len(proposed) == 5
    assert points_of(spec) == 5


def test_without_initial_points_nothing_is_wrapped():
    spec = {"method": "random", "parameters": {"x": {"min": 1, "max": 3}}}

    assert not isinstance(searcher_of(spec, None, 0), InitialFirst)
    assert searcher_of(spec, None, 0).suggest([], [], 3) == make_searcher(
        "random", Space.of(spec), None, 0
    ).suggest([], [], 3)
