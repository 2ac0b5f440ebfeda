from __future__ import annotations

import itertools
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweepyard.controller.spec import read_spec
from sweepyard.errors import SpecError
from sweepyard.search.grid import GridSearcher
from sweepyard.search.permutation import Permutation
from sweepyard.search.port import Observation
from sweepyard.search.registry import searcher_of
from sweepyard.search.space import Space


def grid(**parameters):
    return GridSearcher(Space.from_spec(parameters))


def ended(points):
    return [Observation(number=i, params=params, value=None) for i, params in enumerate(points, 1)]


def all_points(searcher):
    return [suggestion.params for suggestion in searcher.suggest([], [], searcher.size() + 1)]


def test_names_are_sorted_at_each_level_and_the_last_varies_fastest():
    searcher = grid(
        z={"values": ["b", "a"]},
        m={"parameters": {"y": {"min": 1, "max": 2}, "x": {"values": [True, False]}}},
        a={"value": 7},
    )

    points = all_points(searcher)

    expected = itertools.product([True, False], [1, 2], ["b", "a"])
    assert points == [{"a": 7, "m": {"x": x, "y": y}, "z": z} for x, y, z in expected]


def test_listed_order_is_that_of_the_file():
    leaves = {
        "z": {"values": ["b", "a"]},
        "m": {"parameters": {"y": {"min": 1, "max": 2}}},
        "a": {"values": [7, 3]},
    }
    searcher = GridSearcher(Space.of(json.loads(json.dumps({"parameters": leaves, "order": "listed"}))))

    expected = itertools.product(["b", "a"], [1, 2], [7, 3])
    assert all_points(searcher) == [{"z": z, "m": {"y": y}, "a": a} for z, y, a in expected]


def test_random_order_depends_on_the_seed_and_covers_the_grid():
    space = Space.from_spec({"x": {"min": 0, "max": 9}, "y": {"min": 0, "max": 9}}, order="random")

    first, again, other = (all_points(GridSearcher(space, seed)) for seed in (1, 1, 2))

    assert first == again != other
    tidy = all_points(GridSearcher(Space.from_spec({"x": {"min": 0, "max": 9}, "y": {"min": 0, "max": 9}})))
    assert sorted(map(str, first)) == sorted(map(str, other)) == sorted(map(str, tidy))
    assert sum(a == b for a, b in zip(first, tidy, strict=True)) < 10
    last = [point["y"] for point in first]
    assert len({(b - a) % 10 for a, b in itertools.pairwise(last)}) > 5


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 17, 1000])
def test_a_permutation_is_one(size):
    assert sorted(map(Permutation(size, 3), range(size))) == list(range(size))


def test_a_million_million_points_are_shuffled_without_laying_them_out():
    space = Space.from_spec({f"p{i:02}": {"values": list(range(10))} for i in range(12)}, order="random")

    found = GridSearcher(space, 5).suggest([], [], 200)

    assert len({str(suggestion.params) for suggestion in found}) == 200
    for name in ("p00", "p06", "p11"):
        assert len({suggestion.params[name] for suggestion in found}) == 10


def test_whole_and_quantised_ranges_include_both_ends():
    points = all_points(grid(x={"min": 2, "max": 4}))
    assert [point["x"] for point in points] == [2, 3, 4]

    q = {"distribution": "q_uniform"}
    for leaf, values in [
        ({"min": 0, "max": 6, "q": 2}, [0, 2, 4, 6]),
        ({"min": 3, "max": 10, "q": 4}, [3, 7]),
        ({"min": 0.1, "max": 0.5, "q": 0.1}, [0.1, 0.2, 0.30000000000000004, 0.4, 0.5]),
        ({"min": 0.0, "max": 0.3, "q": 0.1}, [0.0, 0.1, 0.2, 0.3]),
    ]:
        found = [point["x"] for point in all_points(grid(x=q | leaf))]
        assert found == values
        assert {type(value) for value in found} == {type(values[0])}


def test_equal_values_are_one_point():
    points = all_points(grid(x={"values": [1, 1, 1.0, 2, True, "1"]}))

    assert [repr(point["x"]) for point in points] == ["1.0", "2", "True", "'1'"]


def test_only_constants_are_one_point():
    assert all_points(grid(x={"value": 1}, y={"values": ["only"]})) == [{"x": 1, "y": "only"}]


def test_visited_points_are_skipped_whatever_their_number_type():
    searcher = grid(x={"min": 1, "max": 4}, y={"value": 0})
    history = ended([{"x": 2.0, "y": 0}, {"x": 99, "y": 0}, {"y": 0}])

    found = searcher.suggest(history, [{"x": 3, "y": 0, "added": True}], 9)

    assert [suggestion.params["x"] for suggestion in found] == [1, 4]
    assert [suggestion.reason for suggestion in found] == ["grid point 1 of 4", "grid point 4 of 4"]


def test_a_true_is_not_a_visited_one():
    searcher = grid(x={"values": [1, True]})

    assert [s.params["x"] for s in searcher.suggest(ended([{"x": 1}]), [], 2)] == [True]


def test_another_history_is_answered_as_if_it_were_the_first():
    searcher = grid(x={"min": 1, "max": 5})
    searcher.suggest(ended([{"x": 1}, {"x": 2}]), [], 1)

    assert searcher.suggest(ended([{"x": 3}]), [], 1)[0].params == {"x": 1}


def test_a_million_million_points_need_no_memory():
    parameters = {f"p{i:02}": {"values": list(range(10))} for i in range(12)}
    read_spec({"method": "grid", "run_cap": 1, "parameters": parameters})  # imports count once
    tracemalloc.start()
    spec = read_spec({"method": "grid", "run_cap": 1, "parameters": parameters})
    found = searcher_of(spec.data, None, 0).suggest([], [], 10)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 10
    assert peak_bytes < 2**20


def test_a_million_million_points_are_never_laid_out():
    searcher = grid(**{f"p{i:02}": {"values": list(range(10))} for i in range(11)}, q={"min": 1, "max": 10})

    found = searcher.suggest([], [], 12)

    assert searcher.size() == 10**12
    assert [suggestion.params["q"] for suggestion in found] == [*range(1, 11), 1, 2]
    assert found[-1].params["p10"] == 1


@pytest.mark.parametrize(
    ("leaf", "kind"),
    [
        ({"min": 0.0, "max": 1.0}, "uniform"),
        ({"distribution": "q_log_uniform_values", "min": 8, "max": 64, "q": 8}, "q_log_uniform_values"),
        ({"values": [1, 2], "probabilities": [0.5, 0.5]}, "categorical_w_probabilities"),
    ],
    ids=lambda item: str(item),
)
def test_what_a_grid_cannot_list_is_refused_by_name(leaf, kind):
    with pytest.raises(
        SpecError, match=rf"parameters\.g\.x: .*{kind}\. Use value, values, int_uniform or q_uniform"
    ):
        grid(g={"parameters": {"x": leaf}}, fine={"value": 1})


axis = st.one_of(
    st.lists(st.sampled_from([0, 1, 1.0, True, "1", None, 2]), min_size=1, max_size=4).map(
        lambda v: {"values": v}
    ),
    st.integers(1, 4).map(lambda n: {"min": 0, "max": n}),
    st.integers(1, 3).map(lambda n: {"distribution": "q_uniform", "min": 0, "max": n, "q": 0.5}),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(axis, min_size=1, max_size=3),
    st.sampled_from(["sorted", "listed", "random"]),
    st.randoms(use_true_random=False),
)
def test_every_point_once_however_runs_end_or_are_tried_again(axes, order_of_points, dice):
    space = Space.from_spec({f"p{i}": leaf for i, leaf in enumerate(axes)}, order=order_of_points)
    reused = GridSearcher(space)
    order = [suggestion.params for suggestion in GridSearcher(space).suggest([], [], 10**6)]
    history, pending, proposed = [], [], []
    while True:
        n = dice.randint(1, 3)
        fresh = GridSearcher(space).suggest(history, pending, n)
        assert reused.suggest(history, pending, n) == fresh
        new = [suggestion.params for suggestion in fresh]
        proposed += new
        pending += new
        if len(new) < n:
            break
        while pending and dice.random() < 0.6:
            params = pending.pop(dice.randrange(len(pending)))
            history.append(Observation(number=len(history), params=params, value=None))
        while history and dice.random() < 0.2:  # a run that ended is tried again
            pending.append(history.pop(dice.randrange(len(history))).params)

    assert [repr(point) for point in proposed] == [repr(point) for point in order]
    assert len(order) == reused.size()
