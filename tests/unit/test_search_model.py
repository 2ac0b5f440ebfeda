"""The parts of Bayesian search: rows, transforms, the Gaussian process, log expected improvement."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

from sweepyard.search.bayes import learning
from sweepyard.search.bayes.acquisition import LogEI, Maximiser, log_improvement
from sweepyard.search.bayes.evidence import Data
from sweepyard.search.bayes.gp import Objective, Posterior, Sample, fit, fresh_starts
from sweepyard.search.bayes.learning import losses_learner, outcomes_learner
from sweepyard.search.bayes.risk import LogSuccess
from sweepyard.search.bayes.warping import make_warp
from sweepyard.search.encoding import Encoding
from sweepyard.search.space import Space

MIXED = Space.from_spec(
    {
        "batch": {"values": [256, 16, 64]},
        "kind": {"values": ["a", {"b": 1}, None, True]},
        "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
        "many": {"min": 1, "max": 100_000},
        "only": {"value": 3},
        "q": {"distribution": "q_uniform", "min": 0.0, "max": 1.0, "q": 0.25},
        "units": {"distribution": "q_log_uniform_values", "min": 16, "max": 256, "q": 16},
        "wide": {"distribution": "normal", "mu": 5, "sigma": 2},
    }
)
UNORDERED = np.array([False, True, False])
THREE = Space.from_spec(
    {"a": {"min": 0.0, "max": 1.0}, "b": {"values": ["x", "y", "z"]}, "c": {"min": 0.0, "max": 1.0}}
)


def slopes(function, at, h=1e-6):
    steps = h * np.eye(len(at))
    return np.array([(function(at + step) - function(at - step)) / (2 * h) for step in steps])


def data(n=24, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.random((n, 3))
    x[:, 1] = rng.integers(3, size=n)
    y = np.sin(3 * x[:, 0]) + 0.5 * (x[:, 1] == 1) + 0.05 * rng.standard_normal(n)
    return x, (y - y.mean()) / y.std()


def test_rows_stand_for_points():
    encoding = Encoding(MIXED)
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = MIXED.sample(rng.random(len(MIXED.parameters)))
        again = encoding.decode(encoding.encode(values))
        assert [type(v) for v in again] == [type(v) for v in values]
        for a, v in zip(again, values, strict=True):
            assert a == v or math.isclose(a, v, rel_tol=1e-9)


def test_numbers_in_a_list_lie_in_their_order_and_other_values_in_none():
    encoding = Encoding(Space.from_spec({"x": {"values": [256, 16, 64]}, "y": {"values": ["b", "a", True]}}))

    assert [encoding.encode([x, "b"])[0] for x in (16, 64, 256)] == pytest.approx([1 / 6, 3 / 6, 5 / 6])
    assert encoding.unordered.tolist() == [False, True]
    assert encoding.encode([17, "b"]) is encoding.encode([16, 1]) is encoding.encode(None) is None


def test_every_move_ends_on_a_point():
    encoding = Encoding(MIXED)
    rng = np.random.default_rng(1)
    rows = encoding.spread(rng.random((50, len(encoding.columns))))
    moved = encoding.mutate(rows, 0.05, rng)

    assert (moved != rows).any(axis=1).mean() > 0.7
    beside = encoding.neighbours(rows[0])
    assert ((beside != rows[0]).sum(axis=1) == 1).all()
    for row in (*rows, *moved, *beside):
        encoded = encoding.encode(encoding.decode(row))
        off = np.abs(np.array(encoded) - row)
        assert (off < 1e-5).all()


def test_the_gradient_of_a_fit_is_right():
    x, y = data()
    objective = Objective(Sample.plain(x, y, UNORDERED))
    theta = objective.prior + np.array([0.4, -0.3, 0.2, 0.1, 0.5])

    assert objective(theta)[1] == pytest.approx(slopes(lambda t: objective(t)[0], theta), rel=1e-5, abs=1e-5)


def test_the_gradient_is_right_with_doubts_and_other_sources():
    x, y = data()
    x = np.hstack([x, (np.arange(len(x)) % 3 == 1)[:, None]])
    sample = Sample(x, y, np.linspace(0.0, 2.0, len(y)), np.append(UNORDERED, True), 1)
    objective = Objective(sample)
    theta = objective.prior + np.array([0.4, -0.3, 0.2, 0.5, 0.1, 0.5])

    assert objective(theta)[1] == pytest.approx(slopes(lambda t: objective(t)[0], theta), rel=1e-5, abs=1e-5)
    posterior = Posterior(theta, sample, x[:1, :3] + 0.05)
    row = np.array([0.31, 1.0, 0.62])
    _, _, by_means, by_std = posterior.gradients(np.array([row, row[::-1]]))
    for found, which in ((by_means[0, 0], 0), (by_std[0], 1)):
        expected = slopes(lambda r, which=which: float(posterior(r[None])[which][0]), row)
        assert found[[0, 2]] == pytest.approx(expected[[0, 2]], rel=1e-4, abs=1e-7)


def test_the_gradient_of_the_risk_is_right():
    encoding = Encoding(Space.from_spec({"a": {"min": 0.0, "max": 1.0}, "b": {"min": 0.0, "max": 1.0}}))
    rng = np.random.default_rng(0)
    rows = rng.random((20, 2))
    losses = np.where(rows[:, 0] > 0.6, np.nan, 1.0)
    none = np.zeros(20, dtype=np.intp)
    success = LogSuccess(outcomes_learner(encoding)(Data(rows, losses, np.zeros(20), none, none).outcomes()))
    row = np.array([0.55, 0.4])

    (value,), (gradient,) = success.gradients(row[None])

    assert value == pytest.approx(float(success(row[None])[0]))
    assert gradient == pytest.approx(slopes(lambda r: float(success(r[None])[0]), row), rel=1e-4)
    assert (
        float(success(np.array([[0.9, 0.5]]))[0])
        < math.log(0.2)
        < math.log(0.8)
        < float(success(rows[:1] * 0.2)[0])
    )


def test_a_fit_finds_what_matters():
    x, y = data(60)

    found = fit(Sample.plain(x, y, UNORDERED), fresh_starts(3), steps=100)

    lengths = np.exp(found.theta[:3])
    assert lengths[2] > 2 * lengths[0]
    mean, std = Posterior(found.theta, Sample.plain(x, y, UNORDERED), np.empty((0, 3)))(x)
    assert np.abs(mean - y).mean() < 0.1
    assert (std < 0.3).all()


@pytest.mark.parametrize("seed", range(4))
def test_noise_is_told_from_short_lengths_wherever_fewer_runs_led(seed):
    x, y = data(80)
    y = y + 0.5 * np.random.default_rng(seed).standard_normal(len(y))
    sample = Sample.plain(x, (y - y.mean()) / y.std(), UNORDERED)
    trap = np.log([0.1, 0.1, 0.1, 1.0, 1e-4])

    trapped = fit(sample, [trap], steps=50)
    found = fit(sample, [trap, *fresh_starts(3)], steps=50)

    assert math.exp(trapped.theta[-1]) < 0.01 < 0.1 < math.exp(found.theta[-1])
    assert found.cost < trapped.cost - 5


@pytest.mark.parametrize("n", [8, 16, 32, 64])
def test_a_model_is_looked_for_everywhere_when_the_runs_have_doubled(n, monkeypatch):
    starts = []
    monkeypatch.setattr(
        learning, "fit", lambda sample, given, **how: starts.append(len(given)) or fit(sample, given, **how)
    )
    x, y = data(n + 1)
    runs = Data(x, y, np.zeros(n + 1), np.zeros(n + 1, dtype=int), np.arange(n + 1))

    losses_learner(Encoding(THREE))(runs)

    assert starts[-1] == 1
    assert max(starts) == (3 if n > 8 else 2)


def test_open_runs_take_uncertainty_away_and_leave_the_mean():
    x, y = data()
    theta = Objective(Sample.plain(x, y, UNORDERED)).prior
    row = np.array([[0.9, 2.0, 0.1]])

    without, with_it = (
        Posterior(theta, Sample.plain(x, y, UNORDERED), open_) for open_ in (np.empty((0, 3)), row)
    )

    assert with_it(row)[0] == pytest.approx(without(row)[0])
    assert with_it(row)[1] < 0.3 * without(row)[1]


def test_open_runs_end_in_ways_that_the_model_finds_likely():
    x, y = data()
    sample = Sample.plain(x, y, UNORDERED)
    theta = Objective(sample).prior
    open_ = np.array([[0.9, 2.0, 0.1], [0.88, 2.0, 0.12], [0.1, 0.0, 0.9]])
    half = np.random.default_rng(0).standard_normal((3, 4000))

    before = Posterior(theta, sample, np.empty((0, 3)))
    means, _ = Posterior(theta, sample, open_, np.hstack([half, -half])).ways(open_)

    mean, std = before(open_)
    assert means.mean(axis=1) == pytest.approx(mean)
    assert means.std(axis=1) == pytest.approx(std, rel=0.05)
    assert np.corrcoef(means[0], means[1])[0, 1] > 0.9 > 0.5 > abs(np.corrcoef(means[0], means[2])[0, 1])


def test_the_gradient_of_log_ei_is_right_where_it_is_tiny_too():
    x, y = data()
    sample = Sample.plain(x, y, UNORDERED)
    draws = np.array([[0.3, -1.0], [1.2, 0.1]])
    posterior = Posterior(Objective(sample).prior, sample, x[:2] + 0.05, draws)
    row = np.array([0.31, 1.0, 0.62])
    for best in (y.min(), -30.0):
        score = LogEI(posterior, np.array([best, best - 0.2]))
        (value,), (gradient,) = score.gradients(row[None])
        assert value == pytest.approx(float(score(row[None])[0]))
        expected = slopes(lambda r, score=score: float(score(r[None])[0]), row)
        assert gradient[[0, 2]] == pytest.approx(expected[[0, 2]], rel=1e-4)


def exact_log_improvement(z):
    """By the repeated integral of the normal tail: a continued fraction far out, a Taylor series near."""
    with localcontext() as context:
        context.prec = 60
        t = Decimal(repr(abs(z)))
        root = (2 * Decimal("3.14159265358979323846264338327950288419716939937510582097494459")).sqrt()
        phi = (-t * t / 2).exp() / root
        total, term, k = Decimal(0), t, 0
        while abs(term) > Decimal(10) ** -70:  # Phi(t) - 1/2 = phi(t) (t + t^3/3 + t^5/15 + ...)
            total, k = total + term, k + 1
            term = term * t * t / (2 * k + 1)
        above = Decimal("0.5") + phi * total
        if z >= 0:
            return float((phi + t * above).ln())
        return float((phi - t * (1 - above)).ln())


@pytest.mark.parametrize("z", [3.0, 0.5, 0.0, -0.5, -0.999, -1.0, -1.5, -4.0, -7.5])
def test_log_improvement_is_exact(z):
    assert float(log_improvement(np.array(z))) == pytest.approx(exact_log_improvement(z), rel=1e-12, abs=1e-12)


def test_log_improvement_is_smooth_far_out():
    z = -np.array([99.9999999, 100.0000001])
    a, b = log_improvement(z)
    assert a - b == pytest.approx(2e-7 * 100, rel=1e-3)
    assert np.isfinite(log_improvement(np.array([-1e10, -1e100]))).all()


def test_the_maximiser_finds_the_top_of_mixed_columns():
    space = Space.from_spec(
        {"c": {"values": ["a", "b", "c"]}, "n": {"min": 1, "max": 9}, "x": {"min": 0.0, "max": 1.0}}
    )
    encoding = Encoding(space)
    rng = np.random.default_rng(3)
    x = encoding.spread(rng.random((40, 3)))
    y = (x[:, 0] != 1) + (x[:, 1] - 0.5) ** 2 + (x[:, 2] - 0.3) ** 2
    y = (y - y.mean()) / y.std()
    theta = fit(Sample.plain(x, y, encoding.unordered), fresh_starts(x.shape[1]), steps=50).theta
    score = LogEI(Posterior(theta, Sample.plain(x, y, encoding.unordered), np.empty((0, 3))), y.min(keepdims=True))

    once, twice = (Maximiser(encoding, score, np.random.default_rng(0), each).climb(x[:5]) for each in (1, 2))

    crowd = encoding.spread(rng.random((20_000, 3)))
    for found in (once, twice):
        assert score(found[:1])[0] >= score(crowd).max() - 1e-6
    assert len(twice) > 2 * len(once)


@pytest.mark.parametrize("kind", ["linear", "log"])
def test_a_transform_has_an_inverse(kind):
    losses = np.array([1e-4, 3e-4, 2e-3, 0.5, 7.0, 1e6])
    warp = make_warp(losses, kind)
    z = warp.forward(losses)

    assert (z.mean(), z.std()) == pytest.approx((0, 1))
    assert warp.back(z)[:4] == pytest.approx(losses[:4])
    inner = losses[1:4]
    slope = np.log((warp.forward(inner + 1e-9) - warp.forward(inner)) / 1e-9).sum()
    assert warp.log_slope(inner) == pytest.approx(slope, rel=1e-3)


def test_errors_that_span_orders_of_magnitude_are_more_likely_as_logarithms():
    losses = 10 ** np.random.default_rng(0).normal(-3, 1.5, 100)
    assert make_warp(losses, "log").log_slope(losses) > make_warp(losses, "linear").log_slope(losses)
