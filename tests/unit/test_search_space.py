from __future__ import annotations

import numpy as np
import pytest

from sweepyard.errors import SpecError
from sweepyard.search.space import Space

NESTED = {
    "seed": {"value": 3},
    "opt": {
        "parameters": {"lr": {"min": 0.1, "max": 0.2}, "adam": {"parameters": {"beta": {"values": [0.9, 0.99]}}}}
    },
    "opt.lr": {"min": 1, "max": 4},
}


def test_parameters_are_sorted_by_name_at_each_level():
    paths = [parameter.path for parameter in Space.from_spec(NESTED).parameters]

    assert paths == [("opt", "adam", "beta"), ("opt", "lr"), ("opt.lr",), ("seed",)]


def test_the_order_in_the_file_does_not_count():
    turned = dict(reversed(NESTED.items()))

    assert Space.from_spec(turned) == Space.from_spec(NESTED)


def test_points_nest_and_flatten():
    space = Space.from_spec(NESTED)
    params = space.nest([0.9, 0.15, 2, 3])

    assert params == {"opt": {"adam": {"beta": 0.9}, "lr": 0.15}, "opt.lr": 2, "seed": 3}
    assert space.flatten({**params, "added": 1}) == [0.9, 0.15, 2, 3]


@pytest.mark.parametrize(
    "params", [{}, {"opt": 3, "opt.lr": 2, "seed": 3}, {"opt": {"lr": 1}, "opt.lr": 2, "seed": 3}]
)
def test_a_point_that_lacks_a_parameter_is_not_of_this_space(params):
    assert Space.from_spec(NESTED).flatten(params) is None


def test_sampling_takes_a_quantile_for_each_parameter():
    assert Space.from_spec(NESTED).sample(np.array([0.9, 0.5, 0.5, 0.5])) == [0.99, pytest.approx(0.15), 2, 3]


@pytest.mark.parametrize(
    ("parameters", "size"),
    [
        ({"a": {"value": 1}}, 1),
        ({"a": {"min": 0, "max": 9}, "b": {"values": [1, 2, 1.0]}}, 20),
        ({"a": {"min": 1, "max": 10**30}, "b": {"min": 1, "max": 10**10}}, 10**40),
        ({"a": {"min": 0.0, "max": 1.0}, "b": {"values": [1, 2]}}, None),
        ({"a": {"distribution": "q_normal", "mu": 0, "sigma": 1, "q": 1}}, None),
        ({"a": {"distribution": "q_log_uniform_values", "min": 8, "max": 64, "q": 8}}, 8),
    ],
    ids=str,
)
def test_size(parameters, size):
    assert Space.from_spec(parameters).size() == size


def test_all_bad_parameters_are_named_with_their_path():
    with pytest.raises(SpecError) as caught:
        Space.from_spec({"a": {"min": 1}, "g": {"parameters": {"b": {"distribution": "x"}}}, "c": {"value": 1}})

    assert [problem.path for problem in caught.value.problems] == ["parameters.a", "parameters.g.b"]
