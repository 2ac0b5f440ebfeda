"""What runs of every kind tell Bayesian search: doubtful, failed, repeated, from elsewhere, conditional."""

from __future__ import annotations

import numpy as np
import pytest

from sweepyard.search.bayes import BayesSearcher, recommend
from sweepyard.search.encoding import Encoding
from sweepyard.search.port import Observation
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

BOWL = Space.from_spec({"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}})
LOSS = Objective(name="loss")
ACCURACY = Objective(name="acc", goal="maximize")


def points(n, seed=0):
    rng = np.random.default_rng(seed)
    return [{"x": float(x), "y": float(y)} for x, y in rng.random((n, 2))]


def bowl(params):
    return (params["x"] - 0.3) ** 2 + (params["y"] - 0.6) ** 2


def run(number, params, value, **more):
    return Observation(number=number, params=params, value=value, **more)


def runs(n, score=bowl, seed=0, **more):
    return [run(i, params, score(params), **more) for i, params in enumerate(points(n, seed))]


def proposal(history, space=BOWL, objective=LOSS, seed=3):
    return BayesSearcher(space, objective, seed).suggest(history, [], 1)[0]


def test_no_run_is_recommended_where_none_has_a_score():
    assert recommend(BOWL, LOSS, []) is None
    assert recommend(BOWL, LOSS, [run(1, {"x": 0.1, "y": 0.1}, None)]) is None
    assert recommend(BOWL, LOSS, [run(1, {"x": 0.1, "y": 0.1}, 0.2, source="other")]) is None


def test_without_noise_the_best_run_is_recommended():
    history = runs(20)
    best = min(history, key=lambda each: each.value)

    found = recommend(BOWL, LOSS, history)

    assert (found.number, found.mean) == (best.number, best.value)
    assert found.reason == "the best observed: the metric shows no noise"
    assert recommend(BOWL, LOSS, history[:2]).reason == "the best observed: too few runs for a model"


@pytest.mark.parametrize("objective", [LOSS, ACCURACY], ids=["minimize", "maximize"])
def test_of_a_noisy_metric_the_best_run_by_the_mean_is_recommended(objective):
    sign = 1 if objective is LOSS else -1
    rng = np.random.default_rng(1)
    history = [run(i, p, sign * (bowl(p) + 0.05 * rng.standard_normal())) for i, p in enumerate(points(60))]
    lucky = run(60, {"x": 0.9, "y": 0.9}, sign * -0.2)

    found = recommend(BOWL, objective, [*history, lucky])

    params = history[found.number].params
    assert bowl(params) < 0.03
    assert abs(found.mean - sign * bowl(params)) < 3 * found.std < 0.2
    assert "run 60 had the best" in found.reason


def test_a_doubtful_value_moves_the_model_little():
    history = runs(20)
    spot = {"x": 0.8, "y": 0.2}

    sure, doubtful = (proposal([*history, run(20, spot, -1.0, std=std)]) for std in (0.0, 10.0))

    assert abs(sure.params["x"] - 0.8) < 0.15
    assert bowl(doubtful.params) < 0.1


def test_runs_that_fail_are_a_risk_and_no_value():
    def fails(params):
        return params["x"] < 0.45  # the best ones fail

    history = [
        run(i, params, None if fails(params) else bowl(params), failed=fails(params))
        for i, params in enumerate(points(30))
    ]
    searcher = BayesSearcher(BOWL, LOSS, 3)
    for i in range(30, 45):
        found = searcher.suggest(history, [], 1)[0]
        failed = fails(found.params)
        history.append(run(i, found.params, None if failed else bowl(found.params), failed=failed))

    assert sum(each.params["x"] < 0.35 for each in history[30:]) <= 3
    assert min(each.value for each in history if each.value is not None) < 0.0275  # at best 0.0225
    assert 0 < found.detail["chance_of_a_score"] <= 1
    assert found.detail["without_score"] == sum(each.value is None for each in history[:-1])
    assert "chance of a score" in found.reason


def test_a_failed_run_has_no_value_even_if_it_logged_one():
    history = runs(12)
    lie = run(12, {"x": 0.9, "y": 0.1}, -5.0, failed=True)

    assert proposal([*history, lie]).detail["observations"] == 12


def test_where_all_runs_fail_points_are_quasi_random_and_say_why():
    failed = [run(i, params, None, failed=True) for i, params in enumerate(points(40))]

    assert proposal(failed).reason == "quasi-random point 41 (Sobol): too few runs have a score for a model"


def test_prior_runs_stand_for_the_initial_design_and_are_not_counted():
    prior = runs(15, source="last week")

    found = proposal(prior)

    assert found.reason.startswith("predicted loss")
    assert bowl(found.params) < 0.05


def test_prior_runs_that_disagree_lose_their_weight():
    def other(params):
        return (params["x"] - 0.95) ** 2 + (params["y"] - 0.05) ** 2

    ours = runs(20, seed=1)
    agreeing, disagreeing = (runs(20, score, seed=2, source="s") for score in (bowl, other))

    assert bowl(proposal([*agreeing, *ours]).params) < 0.02
    assert bowl(proposal([*disagreeing, *ours]).params) < 0.05


def test_prior_runs_on_another_scale_teach_the_shape():
    scaled = runs(25, lambda params: 500 + 40 * bowl(params), seed=2, source="percent")

    assert bowl(proposal([*scaled, *runs(8, seed=1)]).params) < 0.05


def test_repeated_points_tell_the_noise():
    rng = np.random.default_rng(0)
    history = [run(i, p, bowl(p) + 0.05 * rng.standard_normal()) for i, p in enumerate(points(8) * 6)]

    found = recommend(BOWL, LOSS, history)

    assert 0.005 < found.std < 0.05
    assert bowl(history[found.number].params) < min(map(bowl, points(8))) + 0.05


CONDITIONAL = Space.from_spec(
    {
        "kind": {"values": ["sgd", "adam", "none"]},
        "depth": {"min": 1, "max": 4},
        "momentum": {"min": 0.0, "max": 1.0, "when": "kind == 'sgd'"},
        "decay": {"values": ["a", "b"], "when": "depth > 2"},
    }
)


def test_what_is_inactive_is_alike_for_the_model():
    encoding = Encoding(CONDITIONAL)
    rows = encoding.spread(np.random.default_rng(0).random((200, 4)))

    for row in rows:
        point = encoding.decode(row)
        assert encoding.encode(point) == pytest.approx(row.tolist())
        params = CONDITIONAL.nest(point)
        assert ("momentum" in params) == (params["kind"] == "sgd")
    assert len(np.unique(rows[encoding.active(rows).sum(axis=1) == 2], axis=0)) == 2 * 2  # kind and depth alone


def test_conditions_are_searched():
    def score(params):
        return abs(params.get("momentum", 0.7) - 0.4) + 0.1 * params["depth"] + (params.get("decay") == "b")

    history = []
    searcher = BayesSearcher(CONDITIONAL, LOSS, 2)
    for i in range(25):
        found = searcher.suggest(history, [], 1)[0]
        history.append(run(i, found.params, score(found.params)))

    assert min(each.value for each in history) < 0.13


def test_a_fresh_searcher_agrees_with_a_used_one_on_every_kind_of_evidence():
    rng = np.random.default_rng(5)
    history = [run(i, p, bowl(p) + 0.1, source="prior") for i, p in enumerate(points(6, seed=9))]
    used, pending = BayesSearcher(BOWL, LOSS, 4), []
    for i in range(24):
        fresh = BayesSearcher(BOWL, LOSS, 4).suggest(history, pending, 1)
        assert used.suggest(history, pending, 1) == fresh
        pending.append(fresh[0].params)
        if i % 3:
            params = pending.pop(0)
            fate = rng.integers(4)
            value = None if fate == 0 else bowl(params)
            more = {"failed": fate == 0, "std": 0.1 * (fate == 1), "source": "late" if fate == 2 else ""}
            history.append(run(i, params, value, **more))


@pytest.mark.parametrize("std", [float("nan"), float("inf"), -1.0, 1e300])
def test_odd_uncertainties_never_stop_the_search(std):
    history = [*runs(10), run(10, {"x": 0.5, "y": 0.5}, 0.1, std=std)]

    assert proposal(history).reason.startswith("predicted loss")
    assert recommend(BOWL, LOSS, history) is not None


@pytest.mark.parametrize("values", [[1e300, -1e300], [7.0], [1e-300, 2e-300]], ids=str)
@pytest.mark.parametrize("size", [1.0, 1e-300, 1e300])
def test_odd_prior_runs_never_stop_the_search(values, size):
    prior = [run(i, p, values[i % len(values)], source="odd") for i, p in enumerate(points(12, seed=8))]

    assert proposal([*prior, *runs(8, lambda params: size * bowl(params))]).reason.startswith("predicted loss")
