"""What runs of every kind tell Bayesian search: doubtful, failed, repeated, from elsewhere, conditional."""

from __future__ import annotations

import numpy as np
import pytest

from sweepyard.search.bayes import BayesSearcher, recommend
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
