"""Parameters that move together."""

from __future__ import annotations

import json

import pytest

from sweepyard.controller.spec import read_spec
from sweepyard.errors import SpecError
from sweepyard.search.grid import GridSearcher
from sweepyard.search.inside import locate, wished
from sweepyard.search.outline import outline
from sweepyard.search.port import Observation
from sweepyard.search.registry import METHODS, points_of, searcher_of
from sweepyard.search.space import Space

SPEC = read_spec(
    {
        "method": "random",
        "metric": {"name": "loss"},
        "zip": [["width", "lr"], ["opt.name", "opt.momentum"]],
        "parameters": {
            "width": {"values": [64, 128, 256]},
            "lr": {"values": [0.1, 0.05, 0.1]},
            "dropout": {"values": [0.0, 0.5]},
            "opt": {"parameters": {"name": {"values": ["sgd", "adam"]}, "momentum": {"values": [0.9, None]}}},
        },
    }
).data
PAIRS = {(64, 0.1), (128, 0.05), (256, 0.1)}


def pairs(points):
    return {(point["width"], point["lr"]) for point in points}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_moves_them_together_and_counts_them_once(method):
    spec = SPEC | {"method": method}
    assert points_of(spec) == 3 * 2 * 2
    objective = read_spec(spec).objective
    history = []
    while found := searcher_of(spec, objective, 1).suggest(history, [], 1):
        history.append(Observation(number=len(history) + 1, params=found[0].params, value=float(len(history) % 4)))
    points = [each.params for each in history]
    assert len(points) == len({json.dumps(point, sort_keys=True) for point in points}) == 12
    assert pairs(points) == PAIRS
    assert {tuple(point["opt"].values()) for point in points} == {("sgd", 0.9), ("adam", None)}


def test_a_grid_has_them_where_the_first_of_them_stands():
    points = [each.params for each in GridSearcher(Space.of(SPEC)).suggest([], [], 99)]
    assert [point["dropout"] for point in points] == [0.0] * 6 + [0.5] * 6
    assert [point["width"] for point in points[:6]] == [64, 64, 128, 128, 256, 256]
    listed = [each.params for each in GridSearcher(Space.of(SPEC | {"order": "listed"})).suggest([], [], 99)]
    assert [point["width"] for point in listed] == [64] * 4 + [128] * 4 + [256] * 4


def test_expressions_see_each_of_them():
    parameters = SPEC["parameters"] | {"area": {"expression": "width * lr"}}
    space = Space.of(SPEC | {"parameters": parameters, "constraints": ["width <= 128 or opt.name == 'adam'"]})
    points = [each.params for each in GridSearcher(space).suggest([], [], 99)]
    assert len(points) == GridSearcher(space).size() == 10
    assert all(point["area"] == point["width"] * point["lr"] for point in points)
    assert all(space.nest(space.flatten(point)) == point for point in points)


def test_they_may_have_a_condition_in_common():
    parameters = SPEC["parameters"] | {
        name: SPEC["parameters"][name] | {"when": "dropout > 0"} for name in ("lr", "width")
    }
    space = Space.of(SPEC | {"parameters": parameters})
    points = [each.params for each in GridSearcher(space).suggest([], [], 99)]
    assert len(points) == 2 + 6
    assert all(("lr" in point) == ("width" in point) == (point["dropout"] > 0) for point in points)


def test_points_that_a_person_names():
    space = Space.of(SPEC)
    given = {"width": 128.0, "lr": 0.05, "dropout": 0, "opt": {"name": "sgd"}, "opt.momentum": 0.9}
    found = space.nest(locate(space, given))
    assert found == {"width": 128, "lr": 0.05, "dropout": 0.0, "opt": {"name": "sgd", "momentum": 0.9}}
    assert locate(space, given) == space.flatten(found)
    for wrong, said in [({"lr": 0.1}, "lr, width|width, lr"), ({"dropout": 7}, "dropout")]:
        with pytest.raises(SpecError, match=said):
            locate(space, given | wrong)
    outside = wished(SPEC, given | {"opt.momentum": 0.1}, outside=True).params
    assert outside["opt"] == {"name": "sgd", "momentum": 0.1}


def test_how_they_look():
    [line] = [each for each in outline(Space.of(SPEC)) if "lr" in each.name]
    assert (line.name, line.kind, line.count) == ("width, lr", "zipped", 3)
    assert line.range == "[64, 0.1], [128, 0.05], [256, 0.1]"


@pytest.mark.parametrize(
    ("group", "said"),
    [
        (["width", "lrs"], "there is no parameter lrs; did you mean lr?"),
        (["width", "dropout"], "not the same number of values: 3 of width and 2 of dropout"),
        (["width", "depth"], "depth is int_uniform: parameters that move together need lists of values"),
        (["width", "size"], "there is no parameter size"),
        (["lr", "rare"], "lr and rare have different conditions"),
        (["opt.name", "dropout"], "opt.name may be two parameters"),
    ],
)
def test_what_cannot_move_together_is_said(group, said):
    more = {
        "depth": {"min": 1, "max": 3},
        "size": {"expression": "width"},
        "rare": {"values": [1, 2, 3], "when": "dropout > 0"},
    }
    if "opt.name" in group:
        more |= {"opt.name": {"values": [1, 2]}}
    with pytest.raises(SpecError) as caught:
        read_spec(SPEC | {"zip": group, "parameters": SPEC["parameters"] | more})
    assert [each.path for each in caught.value.problems] == ["zip"]
    assert said in str(caught.value)
