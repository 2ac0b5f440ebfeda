from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sweepyard.errors import SpecError
from sweepyard.plain import to_plain
from sweepyard.search.bayes import BayesSearcher, learning
from sweepyard.search.bayes import searcher as searching
from sweepyard.search.bayes.gp import fit
from sweepyard.search.points import key_of
from sweepyard.search.port import Observation
from sweepyard.search.random import RandomSearcher
from sweepyard.search.registry import METHODS, make_searcher
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

LOSS = Objective(name="loss")
ACCURACY = Objective(name="acc", goal="maximize")

BOWL = Space.from_spec({"x": {"min": -1.0, "max": 1.0}, "y": {"min": -1.0, "max": 1.0}})
MIXED = Space.from_spec(
    {
        "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
        "units": {"distribution": "q_log_uniform_values", "min": 16, "max": 256, "q": 16},
        "layers": {"min": 1, "max": 4},
        "act": {"values": ["relu", {"name": "gelu"}, None], "probabilities": [0.5, 0.25, 0.25]},
        "g": {"parameters": {"norm": {"values": [True, False]}, "seed": {"value": 1}}},
    }
)


def bowl(params):
    return (params["x"] - 0.3) ** 2 + (params["y"] + 0.4) ** 2


def mixed(params):
    return (math.log10(params["lr"]) + 3) ** 2 + abs(params["layers"] - 3) + (params["act"] is None)


def observed(space, score, n, seed=0):
    points = RandomSearcher(space, seed).suggest([], [], n)
    return [Observation(number=i, params=p.params, value=score(p.params)) for i, p in enumerate(points, 1)]


def test_the_design_comes_first_and_says_so():
    found = BayesSearcher(MIXED, LOSS, seed=1).suggest([], [], 10)

    assert [suggestion.reason for suggestion in found] == [
        f"initial design {i} of 10 (Sobol)" for i in range(1, 11)
    ]
    assert {suggestion.params["layers"] for suggestion in found} == {1, 2, 3, 4}
    assert len(BayesSearcher(BOWL, LOSS, seed=1).suggest([], [], 5)) == 5


def test_without_scores_the_design_goes_on():
    history = [Observation(number=i, params={"x": i / 10, "y": 0.0}, value=None) for i in range(9)]
    foreign = [Observation(number=i, params={"z": 1}, value=1.0) for i in range(9)]
    searcher = BayesSearcher(BOWL, LOSS, seed=1)

    for runs in (history, foreign):
        found = searcher.suggest(runs, [], 1)[0]
        assert found.reason == "quasi-random point 10 (Sobol): too few runs have a score for a model"


@pytest.mark.parametrize("objective", [LOSS, ACCURACY], ids=lambda objective: objective.goal)
def test_the_model_finds_the_bottom_of_a_bowl(objective):
    sign = 1 if objective is LOSS else -1
    searcher = BayesSearcher(BOWL, objective, seed=2)
    history = []
    for i in range(14):
        found = searcher.suggest(history, [], 1)[0]
        history.append(Observation(number=i, params=found.params, value=sign * bowl(found.params)))

    assert min(bowl(observation.params) for observation in history) < 0.005


def test_a_model_suggestion_explains_itself():
    history = observed(BOWL, bowl, 12)
    found = BayesSearcher(BOWL, LOSS, seed=1).suggest(history, [{"x": 0.9, "y": 0.9}], 1)[0]

    best = min(observation.value for observation in history)
    assert found.reason.startswith(f"predicted loss {found.detail['predicted']:.4g} ± ")
    assert f"the best so far, {best:.4g} (" in found.reason
    assert ("(exploiting)" in found.reason) == (found.detail["predicted"] < best)
    assert (found.detail["observations"], found.detail["pending"]) == (12, 1)
    assert found.detail["std"] >= 0 < found.detail["expected_improvement"]
    assert to_plain(found.detail) == found.detail


def test_the_prediction_is_in_the_units_of_the_metric():
    history = observed(BOWL, lambda params: 1000 - 100 * bowl(params), 25)

    detail = BayesSearcher(BOWL, ACCURACY, seed=1).suggest(history, [], 1)[0].detail

    assert detail["predicted"] == pytest.approx(1000, abs=5)
    assert detail["std"] < 10


def test_pending_points_push_the_next_one_away():
    history = observed(BOWL, lambda params: math.sin(9 * params["x"]) + params["y"] ** 2, 15)
    searcher = BayesSearcher(BOWL, LOSS, seed=3)

    found = [suggestion.params for suggestion in searcher.suggest(history, [], 3)]

    again = searcher.suggest(history, found[:2], 1)[0].params
    assert again == found[2]
    pairs = [(a, b) for a in found for b in found if a is not b]
    assert all(math.dist((a["x"], a["y"]), (b["x"], b["y"])) > 0.05 for a, b in pairs)


def test_a_fresh_searcher_and_a_used_one_agree_at_every_step():
    used = BayesSearcher(MIXED, LOSS, seed=11)
    history, pending = [], []
    for step in range(16):
        fresh = BayesSearcher(MIXED, LOSS, seed=11).suggest(history, pending, 1)
        assert used.suggest(history, pending, 1) == fresh
        pending.append(fresh[0].params)
        if step % 3:
            params = pending.pop(step % len(pending))
            history.append(Observation(number=step, params=params, value=None if step == 7 else mixed(params)))

    assert BayesSearcher(MIXED, LOSS, seed=12).suggest(history, pending, 1) != fresh


def test_what_was_learnt_before_changes_nothing():
    runs = observed(MIXED, mixed, 330)
    used = BayesSearcher(MIXED, LOSS, seed=11)
    for n in (8, 16, 31, 32, 33, 64, 70, 301, 330, 20):
        pending = [runs[n].params] if n < 330 else []
        assert used.suggest(runs[:n], pending, 1) == BayesSearcher(MIXED, LOSS, seed=11).suggest(
            runs[:n], pending, 1
        )


def test_values_are_plain_and_inside_their_domain():
    found = BayesSearcher(MIXED, LOSS, seed=4).suggest(observed(MIXED, mixed, 12), [], 4)

    for params in (suggestion.params for suggestion in found):
        assert type(params["lr"]) is float
        assert 1e-5 <= params["lr"] <= 1e-1
        assert type(params["units"]) is type(params["layers"]) is int
        assert params["units"] in range(16, 257, 16)
        assert params["act"] in ["relu", {"name": "gelu"}, None]
        assert type(params["g"]["norm"]) is bool
        assert params["g"]["seed"] == 1


@pytest.mark.parametrize(
    "values",
    [
        [None] * 6,
        [1e308, -1e308, 1e308, None, 0.1, 0.2],
        [0.5] * 6,
        [1e-300, 2e-300, 3e-300, None, None, 1e-300],
    ],
    ids=str,
)
def test_odd_scores_never_stop_the_search(values):
    history = observed(BOWL, bowl, 6)
    odd = [Observation(number=9 + i, params={"x": i / 7, "y": 0.5}, value=value) for i, value in enumerate(values)]

    for runs in (history + odd, odd):
        found = BayesSearcher(BOWL, LOSS, seed=5).suggest(runs, [], 1)
        numbers = [number for number in found[0].detail.values() if isinstance(number, float)]
        assert all(math.isfinite(number) for number in numbers)


def test_scores_that_come_late_are_learnt_from():
    runs = observed(BOWL, bowl, 99)
    late = [Observation(number=r.number, params=r.params, value=None) for r in runs[:96]] + runs[96:]

    found = BayesSearcher(BOWL, LOSS, seed=5).suggest(late, [], 1)[0]

    assert found.detail["observations"] == 3


def test_a_diverged_run_does_not_hide_the_rest():
    history = observed(BOWL, bowl, 20)
    diverged = [Observation(number=30 + i, params={"x": 1.0 - i / 9, "y": 1.0}, value=1e30) for i in range(2)]

    found = BayesSearcher(BOWL, LOSS, seed=6).suggest(history + diverged, [], 1)[0]

    assert bowl(found.params) < 0.05


def test_runs_from_elsewhere_teach_nothing_and_break_nothing():
    history = observed(MIXED, mixed, 10)
    foreign = {"lr": 1e-3, "units": 16, "layers": 2, "act": "sigmoid", "g": {"norm": 1, "seed": 1}}
    runs = [
        *history,
        Observation(number=99, params=foreign, value=0.0),
        Observation(number=100, params={}, value=1.0),
    ]

    found = BayesSearcher(MIXED, LOSS, seed=7).suggest(runs, [], 1)[0]

    assert found.detail["observations"] == 10


def test_the_model_sees_the_best_and_the_newest_runs_of_many():
    history = observed(BOWL, bowl, 400)

    found = BayesSearcher(BOWL, LOSS, seed=8).suggest(history, [], 1)[0]

    assert 100 <= found.detail["observations"] <= 300
    assert bowl(found.params) < 0.01


@pytest.mark.parametrize(
    "parameters",
    [
        {"x": {"values": ["a", "b", "c"]}, "y": {"values": [True, 1]}},
        {"x": {"min": 1, "max": 4}, "y": {"values": ["a", "b"]}, "z": {"value": 0}},
        {"x": {"distribution": "q_uniform", "min": 0, "max": 11, "q": 2}},
    ],
    ids=["categories", "mixed", "quantised"],
)
def test_a_finite_space_is_covered_without_repeats(parameters):
    space = Space.from_spec(parameters)
    searcher = BayesSearcher(space, LOSS, seed=9)
    history = []
    while found := searcher.suggest(history, [], 1):
        history.append(Observation(number=len(history), params=found[0].params, value=len(history) % 3))

    points = {key_of(space.flatten(observation.params)) for observation in history}
    assert len(points) == len(history) == space.size()


def test_only_constants_are_one_point():
    searcher = BayesSearcher(Space.from_spec({"x": {"value": 1}, "y": {"values": [2]}}), LOSS, seed=0)

    assert [suggestion.params for suggestion in searcher.suggest([], [], 2)] == [{"x": 1, "y": 2}]
    assert searcher.suggest([], [{"x": 1, "y": 2}], 1) == []


@pytest.mark.parametrize("space", [BOWL, MIXED], ids=["continuous", "mixed"])
def test_eight_agents_that_ask_at_once_get_eight_points(space):
    score = bowl if space is BOWL else mixed
    found = BayesSearcher(space, LOSS, seed=10).suggest(observed(space, score, 20), [], 8)

    assert len({key_of(space.flatten(suggestion.params)) for suggestion in found}) == 8
    assert [suggestion.detail["pending"] for suggestion in found] == list(range(8))


def test_errors_of_many_magnitudes_are_searched_by_their_logarithm():
    def error(params):
        return 10 ** (6 * bowl(params) - 5)

    found = BayesSearcher(BOWL, LOSS, seed=1).suggest(observed(BOWL, error, 32), [], 1)[0]

    assert found.detail["transform"] == "log"
    assert 0 < found.detail["predicted"] < 1e-3
    assert bowl(found.params) < 0.05


def test_one_run_more_than_two_thousand_fits_nothing_anew(monkeypatch):
    history = observed(MIXED, mixed, 2000)
    searcher = BayesSearcher(MIXED, LOSS, seed=13)
    searcher.suggest(history, [], 1)
    fitted = []
    monkeypatch.setattr(
        learning, "fit", lambda sample, *rest, **more: fitted.append(sample.x) or fit(sample, *rest, **more)
    )

    one_more = Observation(number=2001, params=history[0].params, value=9.0)
    found = searcher.suggest([*history, one_more], [], 1)[0]
    assert found.detail["observations"] <= 300
    assert fitted == []

    BayesSearcher(MIXED, LOSS, seed=13).suggest([*history, one_more], [], 1)
    assert 0 < max(len(rows) for rows in fitted) <= 300


@pytest.mark.parametrize(
    "parameters",
    [
        {"x": {"values": [f"v{i}" for i in range(10_000)]}, "y": {"min": 0.0, "max": 1.0}},
        {f"x{i}": {"min": 0.0, "max": 1.0} for i in range(100)},
        {"x": {"min": 1, "max": 10**12}, "y": {"distribution": "q_normal", "mu": 0, "sigma": 1e6, "q": 5}},
    ],
    ids=["ten thousand categories", "a hundred dimensions", "endless steps"],
)
def test_odd_spaces_are_searched(parameters):
    space = Space.from_spec(parameters)
    history = observed(space, lambda params: len(repr(params)) % 7, 20)

    found = BayesSearcher(space, LOSS, seed=1).suggest(history, [], 2)

    assert all(suggestion.reason.startswith("predicted loss") for suggestion in found)
    assert found[0].params != found[1].params


def test_methods_by_name():
    assert {name for name, method in METHODS.items() if method.learns} == {"bayes", "tpe", "cmaes", "auto"}
    finite = Space.from_spec({"x": {"min": 1, "max": 3}})
    for method in METHODS:
        searcher = make_searcher(method, finite, LOSS, 1)
        assert searcher.size() == 3
        assert len(searcher.suggest([], [], 9)) == 3


def test_a_method_that_cannot_be_made_says_why():
    with pytest.raises(SpecError, match=r"method: there is no method 'bayesian'\. Choose one of: grid, random"):
        make_searcher("bayesian", BOWL, LOSS, 1)
    with pytest.raises(SpecError, match="metric: method bayes needs a metric"):
        make_searcher("bayes", BOWL, None, 1)
    with pytest.raises(SpecError, match=r"parameters\.x: grid search cannot list the values of uniform"):
        make_searcher("grid", BOWL, LOSS, 1)


def test_a_search_that_is_stuck_asks_for_more_every_other_time(monkeypatch):
    values = [bowl(p.params) for p in observed(BOWL, bowl, 30)]
    stuck = sorted(observed(BOWL, bowl, 30), key=lambda run: run.value != min(values))
    searcher = BayesSearcher(BOWL, LOSS, seed=1)
    open_ = {"x": 0.9, "y": 0.9}

    asked = [searcher.suggest(stuck[:n], [], 1)[0] for n in (11, 12, 13)]
    at_once = searcher.suggest(stuck[:11], [open_], 1)[0]
    hopeful = searcher.suggest(sorted(stuck, key=lambda run: -run.value)[-12:], [], 1)[0]

    patient = ["a small gain was not enough" not in each.reason for each in (*asked, at_once, hopeful)]
    assert patient == [True, False, True, True, True]
    monkeypatch.setattr(searching, "_AMBITION", 0.0)
    content = BayesSearcher(BOWL, LOSS, seed=1).suggest(stuck[:12], [], 1)[0]
    assert asked[1].detail["std"] > content.detail["std"]


def test_a_search_that_creeps_is_stuck():
    stuck = sorted(observed(BOWL, bowl, 30), key=lambda run: run.value)
    best = stuck.pop(0)
    near = {name: value + 1e-4 * math.copysign(1, 0.5 - value) for name, value in best.params.items()}
    creeping = [best, *stuck[:10], replace(best, params=near, value=best.value - 1e-6)]
    falling = [*stuck[::-1][:11], best]

    def reason(runs):
        return BayesSearcher(BOWL, LOSS, seed=1).suggest(runs, [], 1)[0].reason

    assert "a small gain was not enough" in reason(creeping)
    assert "a small gain was not enough" not in reason(falling)


def test_a_search_that_is_stuck_looks_at_the_other_categories():
    def favourite_first(params):
        return (0.5 if params["act"] == "relu" else 1.0) + 0.01 * abs(params["layers"] - 2)

    runs = observed(MIXED, favourite_first, 40)
    stuck = sorted(runs, key=lambda run: run.value)
    searcher = BayesSearcher(MIXED, LOSS, seed=1)

    content, ambitious = (searcher.suggest(stuck[:n], [], 1)[0] for n in (39, 40))

    assert content.params["act"] == "relu" != ambitious.params["act"]
