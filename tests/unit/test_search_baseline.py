"""The first runs of a sweep: what the manuals of its libraries have as defaults."""

from __future__ import annotations

import pytest

from sweepyard.controller.spec import read_spec
from sweepyard.search.baseline import baselines
from sweepyard.search.manuals import COMMON, DEFAULTS
from sweepyard.search.port import Observation
from sweepyard.search.registry import searcher_of
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

LOSS = Objective(name="loss")
LOG = {"distribution": "log_uniform_values", "min": 1e-3, "max": 100}
UNIT = {"min": 0.0, "max": 1.0}
XGBOOST = {"eta": LOG | {"max": 1}, "max_depth": {"min": 1, "max": 15}, "lr_decay": UNIT}


def spec(parameters=XGBOOST, method="bayes", **others):
    return read_spec({"method": method, "metric": {"name": "loss"}, "parameters": parameters} | others)


def points(parameters, **others):
    space = Space.of(spec(parameters, **others).data)
    return [space.nest(each.values) for each in baselines(space)]


def only(parameters):
    (point,) = points(parameters)
    return point


def test_it_has_the_defaults_and_the_median_of_what_no_manual_knows():
    assert only(XGBOOST) == {"eta": 0.3, "max_depth": 6, "lr_decay": 0.5}


@pytest.mark.parametrize("group", ["xgb.", "model__", "a.b."])
def test_each_group_has_its_own_learner(group):
    parameters = {f"{group}eta": LOG, f"{group}max_depth": {"min": 1, "max": 15}, "max_depth": UNIT}

    assert only(parameters) == {f"{group}eta": 0.3, f"{group}max_depth": 6, "max_depth": 0.5}


def test_names_with_dots_are_no_groups():
    names = {"num.trees": {"min": 1, "max": 2000}, "min.node.size": {"min": 2, "max": 9}}

    assert only(names) == {"num.trees": 500, "min.node.size": 2}


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (LOG, 1.0),
        ({"distribution": "log_uniform_values", "min": 2.5, "max": 100}, 2.5),
        ({"min": 0.0, "max": 0.7}, 0.7),
        ({"distribution": "q_uniform", "min": 0, "max": 10, "q": 4}, 0),
        ({"values": [0.2, 0.9, 30]}, 0.9),
        ({"values": ["1.0", "2.0"]}, "1.0"),
        ({"distribution": "normal", "mu": 0, "sigma": 1}, 1.0),
    ],
    ids=["inside", "below", "above", "steps", "list", "text", "normal"],
)
def test_it_is_the_default_or_what_is_nearest(given, value):
    point = only({"eta": LOG, "subsample": UNIT, "reg_lambda": given})

    assert (point["reg_lambda"], type(point["reg_lambda"])) == (value, type(value))


@pytest.mark.parametrize(
    ("values", "chosen"),
    [
        ([True, False], True),
        (["TRUE", "FALSE"], "TRUE"),
        ([False, "x"], False),
    ],
)
def test_texts_are_alike_however_they_are_written(values, chosen):
    point = only({"min_samples_leaf": {"values": [1, 2]}, "max_samples": UNIT, "bootstrap": {"values": values}})

    assert point["bootstrap"] is chosen


@pytest.mark.parametrize(
    ("depth", "value"),
    [
        ({"min": 2, "max": 40}, 40),
        ({"values": [5, 50, 20]}, 50),
        ({"values": [5, -1, 20]}, -1),
        ({"values": [5, None, 20]}, None),
    ],
)
def test_what_nothing_bounds_is_as_large_as_it_may_be(depth, value):
    point = only({"num_leaves": {"min": 2, "max": 99}, "feature_fraction": UNIT, "max_depth": depth})

    assert point == {"num_leaves": 31, "feature_fraction": 1.0, "max_depth": value}


@pytest.mark.parametrize(
    "parameters",
    [
        {"lr": LOG, "dropout": UNIT},
        {"batch_size": {"values": [32, 64]}, "momentum": UNIT, "learning_rate": LOG},
        {"eta": LOG, "lr": LOG},
        {"eta": {"value": 0.1}, "booster": {"value": "dart"}, "lr": LOG},
        {"kernel": {"values": [3, 5]}, "degree": {"values": [1, 2]}},
        {"learning_rate": LOG, "max_depth": {"min": 1, "max": 9}, "n_estimators": {"min": 10, "max": 900}},
        {"alpha": LOG, "l1_ratio": UNIT},
    ],
    ids=["none known", "anybody's", "one", "constants", "other values", "common names", "two learners disagree"],
)
def test_there_is_none_where_names_do_not_tell_a_learner(parameters):
    assert points(parameters) == []


def test_of_learners_that_fit_as_well_only_what_they_agree_on_is_taken():
    """`max_depth` is unlimited for trees, and 3 for boosting."""
    leaves = {"min_samples_leaf": {"min": 1, "max": 9}, "min_samples_split": {"min": 2, "max": 10}}

    assert only({"max_depth": {"min": 1, "max": 9}} | leaves) == {
        "max_depth": 5,
        "min_samples_leaf": 1,
        "min_samples_split": 2,
    }


LEARNERS = {
    "learner": {"values": ["nothing", "xgb", "forest"]},
    "xgb.eta": LOG,
    "xgb.max_depth": {"min": 1, "max": 15},
    "forest.num_trees": {"min": 1, "max": 2000},
    "forest.min_node_size": {"min": 1, "max": 9},
}


def test_each_learner_to_choose_has_its_turn():
    assert [point["learner"] for point in points(LEARNERS)] == ["xgb", "forest"]


def test_so_it_is_with_conditions():
    when = {name: leaf | {"when": f"learner == '{name.split('.')[0]}'"} for name, leaf in LEARNERS.items()}
    found = points(when | {"learner": LEARNERS["learner"]})

    assert found[0] == {"learner": "xgb", "xgb.eta": 0.3, "xgb.max_depth": 6}
    assert found[1] == {"learner": "forest", "forest.num_trees": 500, "forest.min_node_size": 1}


def test_there_are_five_at_most():
    names = [f"m{i}" for i in range(9)]
    groups = {f"{name}.{leaf}": LOG for name in names for leaf in ("eta", "gamma")}

    assert len(points({"learner": {"values": names}} | groups)) == 5


def test_none_breaks_a_constraint():
    assert points(XGBOOST, constraints=["eta < 0.2"]) == []


def test_common_names_are_names_of_some_learner():
    assert {name for defaults in DEFAULTS.values() for name in defaults} >= COMMON


def asked(history=(), pending=(), n=1, seed=1, **others):
    data = spec(**others).data
    objective = Objective.all_of(data)
    return searcher_of(data, objective[0] if objective else None, seed).suggest(list(history), list(pending), n)


@pytest.mark.parametrize("method", ["bayes", "tpe", "cmaes", "auto"])
def test_methods_that_learn_begin_with_it_and_say_so(method):
    first, second = asked(n=2, method=method)

    assert first.params == only(XGBOOST)
    said = "(eta 0.3, max_depth 6); medians for all else"
    assert first.reason == f"baseline: the defaults of XGBoost, as near as the space has them {said}"
    assert "baseline" not in second.reason


@pytest.mark.parametrize(
    "others",
    [
        {"method": "random"},
        {"method": "sobol"},
        {"initial_points": []},
        {"initial_points": [{"eta": 0.1, "max_depth": 2, "lr_decay": 0.1}]},
        {"method": "auto", "metric": None},
    ],
    ids=["random", "sobol", "told not to", "other points", "no metric"],
)
def test_others_do_not(others):
    others = {key: value for key, value in others.items() if value is not None or key != "metric"}
    data = {"method": "bayes", "metric": {"name": "loss"}, "parameters": XGBOOST} | others
    if others.get("method") == "auto":
        del data["metric"]
    read = read_spec(data).data
    objectives = Objective.all_of(read)

    (first,) = searcher_of(read, objectives[0] if objectives else None, 1).suggest([], [], 1)

    assert "baseline" not in first.reason


def test_a_sweep_that_knows_something_needs_none():
    prior = Observation(number=1, params={"eta": 0.1, "max_depth": 2, "lr_decay": 0.1}, value=1.0, source="other")
    begun = {"eta": 0.2, "max_depth": 3, "lr_decay": 0.2}

    assert "baseline" not in asked(history=[prior])[0].reason
    assert "baseline" not in asked(pending=[begun])[0].reason


def test_each_comes_once_though_another_run_was_enqueued_before():
    first, second = asked(n=2, parameters=LEARNERS)
    third = asked(pending=[second.params], parameters=LEARNERS)[0]

    assert [first.params["learner"], second.params["learner"]] == ["xgb", "forest"]
    assert "baseline" not in third.reason


def test_a_note_tells_of_it():
    notes = [note for note in spec().notes if "baseline" in note or "defaults" in note]

    assert notes == [
        "run 1 has the defaults of XGBoost, as near as the space has them (eta 0.3, max_depth 6); medians for all"
        " else. `initial_points: []` begins without"
    ]
    assert not any("defaults" in note for note in spec(initial_points=[]).notes)
