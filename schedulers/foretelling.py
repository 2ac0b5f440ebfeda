"""Where runs will end, foretold from all curves of the sweep.

The best value so far of a run is followed from knot to knot: 1, 2, 3, 4, 5, 7, 9, ... of the resource. How it
goes on from one knot to the next (a link) is a linear regression on the value and on what the last step gained,
learnt from every run that passed both knots, stopped ones too: what a rule saw when it stopped a run is in the
regression, so being stopped hides nothing of the next step (values missing at random). What the regression
leaves unexplained is shared by runs with like configs: its mean weighted by likeness is added, drawn towards 0
as by one more run. Links are chained up to the end of a whole run. A prior says that each step gains 70 % of
what the last one did, so that there is an answer before any run has finished (a parametric extrapolation); the
curves overrule it soon.

After freeze-thaw Bayesian optimisation (Swersky et al. 2014), the extrapolation of curves (Domhan et al. 2015) and
Klein et al. 2017: not one curve alone, but all of them, tell how training goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sweepyard.plain import Params
from sweepyard.schedulers.likeness import coordinates, flattened, likeness
from sweepyard.schedulers.port import Curve, Foretold
from sweepyard.tracking.records import Objective

Array: TypeAlias = "NDArray[np.float64]"
Counts: TypeAlias = "NDArray[np.intp]"

_GROWTH = 1.3
_MOST = 1e100
"""Larger values are as bad as this; smaller differences between runs are none."""
_PRIOR_RUNS = 1.0
"""How many runs the prior of a link's coefficients is worth."""
_MOST_EXAMPLES = 500
"""Of how many runs, the newest, others are asked whether they are alike."""
_PRIOR_SD = 0.15
"""The spread that the prior expects of one step, as a share of the spread of all runs; worth one run."""


def knots_of(horizon: float) -> Array:
    """The resources at which curves are looked at, rising; the last one is `horizon`."""
    knots = [1.0]
    while (following := max(knots[-1] + 1, np.floor(knots[-1] * _GROWTH))) < horizon:
        knots.append(float(following))
    return np.array([*knots, horizon] if horizon > 1 else [horizon])


@dataclass(frozen=True, slots=True)
class Scale:
    """Losses to a scale on which the difference between good runs counts as much as that between bad ones."""

    sign: float
    best: float
    spread: float

    @classmethod
    def of(cls, objective: Objective, values: Array) -> Scale:
        """`values`: the best of each run."""
        sign = -1.0 if objective.goal == "maximize" else 1.0
        losses = np.sort(np.clip(sign * values, -_MOST, _MOST))
        best = float(losses[0])
        spread = float(np.quantile(losses, 0.5)) - best
        return cls(sign, best, max(spread if spread > 0 else 1e-6 * abs(best), 1 / _MOST))

    def forward(self, values: Array) -> Array:
        away = (np.clip(self.sign * values, -_MOST, _MOST) - self.best) / self.spread
        found: Array = np.sign(away) * np.log1p(4 * np.abs(away))
        return found

    def back(self, z: Array) -> Array:
        away = np.sign(z) * np.expm1(np.minimum(np.abs(z), 50.0)) / 4
        found: Array = self.sign * (self.best + self.spread * away)
        return found


class Foreteller:
    """Learns from the first `learnt` of some curves, all with values, how runs go on; from all if it is None.

    `horizon`: the resource of a whole run.
    """

    def __init__(
        self, curves: Sequence[Curve], objective: Objective, horizon: float, learnt: int | None = None
    ) -> None:
        self._objective = objective
        self.knots = knots_of(horizon)
        now = np.array([present(curve, objective) for curve in curves])
        self.scale = Scale.of(objective, now[:learnt])
        self._now = self.scale.forward(now)
        self._spread = max(float(np.std(self._now[:learnt])), 1e-3)
        self._states = self.scale.forward(np.array([states_of(curve, objective, self.knots) for curve in curves]))
        self._gains = np.nan_to_num(-np.diff(self._states, axis=1, prepend=self._states[:, :1]))
        self._points = coordinates([_point(curve) for curve in curves], learnt)
        self._learn(slice(learnt))

    def _learn(self, those: slice) -> None:
        """The regressions of all links at once: `_found` (links, 3), `_inverse` (links, 3, 3), `_variances`.

        `_inverse`: covariances of the coefficients in units of the variance, that of the noise.
        """
        states, gains = self._states[those], self._gains[those]
        self._passed = np.isfinite(states[:, 1:]).astype(float)
        x = np.stack([np.ones_like(self._passed), np.nan_to_num(states[:, :-1]), gains[:, :-1]], axis=2)
        weighted = x * self._passed[:, :, None]
        precision = _PRIOR_RUNS * np.diag([1.0, 1.0 / self._spread**2, 4.0])
        self._inverse = np.linalg.inv(np.einsum("nki,nkj->kij", weighted, x) + precision)
        sums = np.einsum("nki,nk->ki", weighted, gains[:, 1:]) + precision @ _PRIOR
        self._found = np.einsum("kij,kj->ki", self._inverse, sums)
        self._left = (gains[:, 1:] - np.einsum("nki,ki->nk", x, self._found)) * self._passed
        self.seen = self._passed.sum(axis=0)
        unexplained = ((self._left - self._likely(those, apart=True) * self._passed) ** 2).sum(axis=0)
        self._variances = (unexplained + (_PRIOR_SD * self._spread) ** 2) / (np.maximum(self.seen - 2, 0) + 1)

    def _likely(self, those: slice | Counts, *, apart: bool = False) -> Array:
        """What runs gain more on each link than the regression says, because those with like points did.

        Shape (those, links). `apart`: those are what was learnt from, and none says anything about itself.
        """
        examples = np.arange(len(self._left))[-_MOST_EXAMPLES:]
        alike = likeness(self._points[those], self._points[examples])
        if apart:
            alike[examples, np.arange(len(examples))] = 0.0
        found: Array = (alike @ self._left[examples]) / (alike @ self._passed[examples] + 1.0)
        return found

    def ends(self, those: Counts | slice = slice(None)) -> tuple[Array, Array]:
        """Means and standard deviations of the values of some runs at their ends, scaled.

        All are followed at once, each from the last knot that it has passed.
        """
        states, gains, now = self._states[those], self._gains[those], self._now[those]
        reached, likely = np.isfinite(states).sum(axis=1) - 1, self._likely(those)
        means, covs = np.column_stack([now, np.zeros(len(now))]), np.zeros((len(now), 2, 2))
        for k, (constant, slope, momentum) in enumerate(self._found):
            arrived, under_way = reached == k, (reached >= 0) & (reached <= k)
            means[arrived] = np.column_stack([states[arrived, k], gains[arrived, k]])
            x = np.column_stack([np.ones(int(under_way.sum())), means[under_way]])
            doubt = self._variances[k] * (1.0 + np.einsum("ij,jk,ik->i", x, self._inverse[k], x))
            step = np.array([[1.0 - slope, -momentum], [slope, momentum]])
            gained = (constant + likely[under_way, k])[:, None] * np.array([-1.0, 1.0])
            means[under_way] = means[under_way] @ step.T + gained
            covs[under_way] = step @ covs[under_way] @ step.T + doubt[:, None, None] * _GAIN_NOISE
        covs[reached < 0, 0, 0] = self._spread**2
        best = np.minimum(means[:, 0], now) if self._objective.summary is None else means[:, 0]
        return best, np.sqrt(covs[:, 0, 0])

    def evidence(self, curve: Curve) -> int:
        """How many runs went before a run on each link that it still has before it, at least."""
        return int(min(self.seen[self.knots[1:] > curve.resource], default=0))


_PRIOR = np.array([0.0, 0.0, 0.7])
_GAIN_NOISE = np.array([[1.0, -1.0], [-1.0, 1.0]])


def present(curve: Curve, objective: Objective) -> float:
    """A run's value as of now: its summary, which is the best one so far if the sweep names none."""
    return objective.best(curve.values) if objective.summary is None else curve.values[-1]


def states_of(curve: Curve, objective: Objective, knots: Array) -> Array:
    """The value as of each knot, before its first value that one; NaN where the run has not been.

    A run that came to its own end stays as it was.
    """
    key = ("states", objective, float(knots[-1]), curve.finished)
    if key not in curve.memo:
        values = np.array(curve.values)
        if objective.summary is None:
            values = (np.maximum if objective.goal == "maximize" else np.minimum).accumulate(values)
        at = np.searchsorted(np.array(curve.positions), knots, side="right") - 1
        there = curve.finished | (knots <= curve.resource)
        curve.memo[key] = np.where(there, values[np.maximum(at, 0)], np.nan)
    found: Array = curve.memo[key]
    return found


def _point(curve: Curve) -> Params:
    if "point" not in curve.memo:
        curve.memo["point"] = flattened(curve.params)
    found: Params = curve.memo["point"]
    return found


def horizon_of(curves: Iterable[Curve], max_iter: float | None) -> float | None:
    """The resource of a whole run: as the user says, or the most that a finished run took; None: nobody knows."""
    if max_iter is not None:
        return max_iter
    return max((curve.resource for curve in curves if curve.finished and curve.values), default=None)


def foretell(ended: Sequence[Curve], objective: Objective, max_iter: float | None = None) -> list[Foretold]:
    """Where each run would have ended.

    `ended`: runs in the order in which they ended, all with values. What finished is certain: its own value and 0.
    So that a searcher need not learn everything anew after each run, regressions are learnt from all but the
    newest tenth of the runs. While nobody knows how long a run is, it is taken for twice the longest so far.
    """
    if not ended:
        return []
    learnt = len(ended) - len(ended) % max(1, len(ended) // 10)
    horizon = horizon_of(ended, max_iter) or 2 * max(curve.resource for curve in ended)
    foreteller = Foreteller(ended, objective, horizon, learnt)
    means, stds = foreteller.ends()
    low, middle, high = (foreteller.scale.back(means + way * stds) for way in (-1, 0, 1))
    return [
        Foretold(present(curve, objective), 0.0) if curve.finished else Foretold(_rounded(value), _rounded(spread))
        for curve, value, spread in zip(ended, middle, np.abs(high - low) / 2, strict=True)
    ]


def _rounded(value: float) -> float:
    """Sums of more runs are made in another order, and differ in their last digits: nothing new was learnt."""
    return float(f"{value:.9g}")
