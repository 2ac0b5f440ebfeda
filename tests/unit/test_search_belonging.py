"""What names say about which parameters count together."""

from __future__ import annotations

import numpy as np
import pytest

from sweepyard.controller.spec import read_spec
from sweepyard.search.bayes import BayesSearcher
from sweepyard.search.belonging import Belonging, belongings
from sweepyard.search.encoding import Encoding
from sweepyard.search.manuals import MANUALS
from sweepyard.search.port import Observation
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

RANGE = {"min": 0.0, "max": 1.0}
LEARNER = {"values": ["svm", "tree"]}
LOSS = Objective(name="loss")


def found(parameters):
    space = Space.from_spec(parameters)
    names = [each.name for each in space.parameters]
    return [(names[each.position], names[each.choice], " ".join(each.values)) for each in belongings(space)]


@pytest.mark.parametrize("name", ["svm.c", "svm/c", "svm:c", "svm__c", "model.svm.c", "classifier:svm:kernel:c"])
def test_a_parameter_in_a_group_belongs_to_the_value_of_that_name(name):
    assert found({"learner": LEARNER, name: RANGE, "lr": RANGE}) == [(name, "learner", "svm")]


def test_so_does_a_nested_one():
    nested = {"learner": LEARNER, "svm": {"parameters": {"c": RANGE}}, "tree": {"parameters": {"depth": RANGE}}}

    assert found(nested) == [("svm.c", "learner", "svm"), ("tree.depth", "learner", "tree")]


@pytest.mark.parametrize(
    "parameters",
    [
        {"norm": {"values": ["batch", "layer"]}, "batch_size": RANGE},
        {"learner": LEARNER, "c.svm": RANGE},
        {"learner": LEARNER, "svmc.x": RANGE},
        {"learner": {"value": "svm"}, "svm.c": RANGE},
        {"learner": {"values": [1, 2]}, "1.c": RANGE},
        {"learner": LEARNER, "other": {"values": ["svm", "none"]}, "svm.c": RANGE},
        {"learner": LEARNER, "svm.c": RANGE | {"when": "true"}},
        {"lr": RANGE, "learner": LEARNER | {"when": "lr > 0.5"}, "svm.c": RANGE},
        {"svm.kind": {"values": ["svm", "tree"]}},
    ],
    ids=[
        "a word",
        "not a group",
        "part of a word",
        "constant",
        "number",
        "two choices",
        "when",
        "maybe no choice",
        "own",
    ],
)
def test_nothing_belongs_where_names_do_not_say_it(parameters):
    assert found(parameters) == []


def test_what_belongs_elsewhere_owns_nothing():
    chain = {"learner": LEARNER, "svm.kernel": {"values": ["poly", "rbf"]}, "poly.degree": RANGE}

    assert found(chain) == [("svm.kernel", "learner", "svm")]
    assert found({"a.x": {"values": ["b", "c"]}, "b.y": {"values": ["a", "d"]}}) == []


BOOSTER = {"values": ["gblinear", "gbtree", "dart"]}


@pytest.mark.parametrize("group", ["", "xgboost.", "model__"])
def test_manuals_say_what_belongs_to_a_choice_beside_it(group):
    names = {f"{group}{name}": RANGE for name in ("max_depth", "eta", "rate_drop", "lambda")}

    assert found({f"{group}booster": BOOSTER, "other.max_depth": RANGE, **names}) == [
        (f"{group}max_depth", f"{group}booster", "gbtree dart"),
        (f"{group}rate_drop", f"{group}booster", "dart"),
    ]


@pytest.mark.parametrize(
    ("choice", "values", "name", "counts"),
    [
        ("kernel", ["linear", "rbf", "poly"], "gamma", "rbf poly"),
        ("kernel", ["linear", "polynomial", "radial"], "degree", "polynomial"),
        ("solver", ["lbfgs", "sgd", "adam"], "learning_rate_init", "sgd adam"),
        ("solver", ["sgd", "adam"], "momentum", "sgd"),
        ("splitrule", ["gini", "extratrees"], "num.random.splits", "extratrees"),
        ("boosting_type", ["gbdt", "dart"], "drop_rate", "dart"),
        ("bootstrap_type", ["Bayesian", "Bernoulli"], "subsample", "Bernoulli"),
        ("penalty", ["elasticnet", None], "l1_ratio", "elasticnet"),
    ],
)
def test_the_manuals(choice, values, name, counts):
    assert found({choice: {"values": values}, name: RANGE}) == [(name, choice, counts)]


@pytest.mark.parametrize(
    "parameters",
    [
        {"kernel": {"values": ["rbf", "cosine"]}, "gamma": RANGE, "degree": RANGE},
        {"kernel": {"values": ["linear", ["rbf"]]}, "gamma": RANGE},
        {"kernel": {"values": ["linear", 3]}, "gamma": RANGE},
        {"kernel": {"values": ["rbf", "poly"]}, "gamma": RANGE},
        {"splitrule": {"values": ["gini", "extratrees"]}, "alpha": RANGE},
        {"kernel": {"value": "linear"}, "gamma": RANGE},
        {"kernel": {"values": ["linear", "rbf"]}, "gamma": RANGE | {"when": "true"}},
        {"c": RANGE, "kernel": {"values": ["linear", "rbf"], "when": "c > 0.5"}, "gamma": RANGE},
        {"svm.kernel": {"values": ["linear", "rbf"]}, "gamma": RANGE},
    ],
    ids=["unknown", "list", "number", "all", "none", "constant", "when", "maybe no choice", "another group"],
)
def test_manuals_say_nothing_of_what_they_do_not_know(parameters):
    assert found(parameters) == []


def test_what_belongs_elsewhere_owns_what_belongs_there_too():
    parameters = {
        "learner": {"values": ["svm", "xgboost"]},
        "xgboost.booster": BOOSTER,
        "xgboost.max_depth": RANGE,
        "svm.c": RANGE,
    }
    space = Space.from_spec(parameters)
    encoding = Encoding(space)
    names = [each.name for each in space.parameters]
    rows = encoding.spread(np.random.default_rng(0).random((200, 4)))
    points = [dict(zip(names, encoding.decode(row), strict=True)) for row in rows]

    assert found(parameters) == [
        ("svm.c", "learner", "svm"),
        ("xgboost.booster", "learner", "xgboost"),
        ("xgboost.max_depth", "learner", "xgboost"),
        ("xgboost.max_depth", "xgboost.booster", "gbtree dart"),
    ]
    assert {(p["learner"], p["xgboost.booster"]) for p in points if p["xgboost.max_depth"] != 0.5} == {
        ("xgboost", "gbtree"),
        ("xgboost", "dart"),
    }
    assert (encoding.settle(rows) == rows).all()


def test_no_manual_counts_a_choice_or_a_value_that_it_does_not_know():
    for manual in MANUALS.values():
        assert not MANUALS.keys() & manual.counts.keys()
        assert all(having <= manual.values for having in manual.counts.values())


def test_a_value_that_does_not_count_is_the_median_for_a_model_and_settling_twice_changes_nothing():
    space = Space.from_spec({"learner": LEARNER, "svm.c": RANGE, "tree.depth": RANGE, "lr": RANGE})
    encoding = Encoding(space)
    rows = encoding.spread(np.random.default_rng(0).random((50, 4)))

    first = encoding.encode(space.flatten({"learner": "svm", "svm.c": 0.9, "tree.depth": 0.1, "lr": 0.2}))
    other = encoding.encode(space.flatten({"learner": "svm", "svm.c": 0.9, "tree.depth": 0.7, "lr": 0.2}))

    assert first == other == [0.0, 0.2, 0.9, 0.5]
    assert (encoding.settle(rows) == rows).all()


@pytest.mark.parametrize("seed", range(5))
def test_what_one_learner_does_says_nothing_of_the_parameters_of_another(seed):
    """Trees are better untuned; tuned, the other learner is: it is found, and every run has every parameter."""
    names = [f"{learner}.{i}" for learner in ("svm", "tree") for i in range(6)]
    space = Space.from_spec({"learner": LEARNER} | dict.fromkeys(names, RANGE))
    searcher, history = BayesSearcher(space, LOSS, seed), []

    def loss(params):
        apart = sum((params[f"{params['learner']}.{i}"] - 0.8) ** 2 for i in range(2))
        return 0.3 + apart / 10 if params["learner"] == "tree" else apart

    for number in range(40):
        [suggestion] = searcher.suggest(history, [], 1)
        assert set(suggestion.params) == {"learner", *names}
        history.append(Observation(number=number, params=suggestion.params, value=loss(suggestion.params)))

    assert min(run.value for run in history) < 0.02


@pytest.mark.parametrize("method", ["bayes", "tpe", "auto"])
def test_a_note_says_what_names_are_taken_for(method):
    parameters = {"learner": LEARNER, "svm.c": RANGE, "svm.g": RANGE, "tree.a": RANGE, "tree.b": RANGE}
    spec = {"method": method, "metric": {"name": "loss"}, "parameters": parameters}

    [note] = [each for each in read_spec(spec).notes if "names" in each]

    assert note == (
        "parameters.learner: by their names some parameters are taken to matter with some of its values only:"
        " svm.c with svm, svm.g with svm, tree.a with tree and 1 more."
        " `when` says it for sure, `when: 'true'` that it is not so"
    )
    assert not [each for each in read_spec(spec | {"method": "random"}).notes if "names" in each]
    blind = {"method": "auto", "parameters": parameters}  # without a metric it is no method that learns
    assert not [each for each in read_spec(blind).notes if "names" in each]
    always = {name: each if name == "learner" else each | {"when": "true"} for name, each in parameters.items()}
    assert not [each for each in read_spec(spec | {"parameters": always}).notes if "names" in each]


def test_places_are_those_of_the_parameters():
    space = Space.from_spec({"a": RANGE, "learner": LEARNER, "svm.c": RANGE})

    assert belongings(space) == [Belonging(position=2, choice=1, values=("svm",))]
