"""Where runs will end, foretold from all curves of the sweep.

The best value so far of a run is followed from knot to knot: 1, 2, 3, 4, 5, 7, 9, ... of the resource. How it goes
on from one knot to the next is a linear regression on the value and on what the last step gained, learnt from
every run that passed both knots, stopped ones too: what a rule saw when it stopped a run is in the regression, so
being stopped hides nothing of the next step (values missing at random). Links are chained up to the end of a whole
run. A prior says that each step gains 70 % of what the last one did, so that there is an answer before any run has
finished (a parametric extrapolation); the curves overrule it soon.

After freeze-thaw Bayesian optimisation (Swersky et al. 2014), the extrapolation of curves (Domhan et al. 2015) and
Klein et al. 2017: not one curve alone, but all of them, tell how training goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sweepyard.schedulers.port import Curve, Foretold
from sweepyard.tracking.records import Objective

Array: TypeAlias = "NDArray[np.float64]"

_GROWTH = 1.3
_MOST = 1e100
"""Larger values are as bad as this; smaller differences between runs are none."""
_PRIOR_RUNS = 3.0
"""How many runs the prior of a link's coefficients is worth."""
_PRIOR_SD = 0.3
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


@dataclass(frozen=True, slots=True)
class Link:
    """The gain from one knot to the next, by Bayesian linear regression on (1, value, last gain).

    `found`: coefficients; `inverse`: their covariance in units of `variance`, that of the noise; `seen`: by how
    many runs.
    """

    found: Array
    inverse: Array
    variance: float
    seen: int


class Foreteller:
    """Learns from some curves, all with values, how runs go on. `horizon`: the resource of a whole run."""

    def __init__(self, curves: Sequence[Curve], objective: Objective, horizon: float) -> None:
        self._objective = objective
        self.knots = knots_of(horizon)
        now = np.array([present(curve, objective) for curve in curves])
        self.scale = Scale.of(objective, now)
        self._spread = max(float(np.std(self.scale.forward(now))), 1e-3)
        states = self._states(curves)
        self._links = [self._link(states, k) for k in range(len(self.knots) - 1)]

    def _states(self, curves: Sequence[Curve]) -> Array:
        """Shape (curves, knots), scaled."""
        return self.scale.forward(np.array([states_of(curve, self._objective, self.knots) for curve in curves]))

    def ends(self, curves: Sequence[Curve]) -> tuple[Array, Array]:
        """Means and standard deviations, shape (curves,): the value of each run at its end, scaled.

        All runs are followed at once, each from the last knot that it has passed.
        """
        states = self._states(curves)
        now = self.scale.forward(np.array([present(curve, self._objective) for curve in curves]))
        reached = np.isfinite(states).sum(axis=1) - 1
        means, covs = np.column_stack([now, np.zeros(len(now))]), np.zeros((len(now), 2, 2))
        for k, link in enumerate(self._links):
            arrived, under_way = reached == k, (reached >= 0) & (reached <= k)
            means[arrived] = np.column_stack([states[arrived, k], _gain(states[arrived], k)])
            x = np.column_stack([np.ones(int(under_way.sum())), means[under_way]])
            doubt = link.variance * (1.0 + np.einsum("ij,jk,ik->i", x, link.inverse, x))
            constant, slope, momentum = link.found
            step = np.array([[1.0 - slope, -momentum], [slope, momentum]])
            means[under_way] = means[under_way] @ step.T + np.array([-constant, constant])
            covs[under_way] = step @ covs[under_way] @ step.T + doubt[:, None, None] * _GAIN_NOISE
        covs[reached < 0, 0, 0] = self._spread**2
        best = np.minimum(means[:, 0], now) if self._objective.summary is None else means[:, 0]
        return best, np.sqrt(covs[:, 0, 0])

    def evidence(self, curve: Curve) -> int:
        """How many runs went before a run on each link that it still has before it, at least."""
        ahead = [
            link.seen for link, knot in zip(self._links, self.knots[1:], strict=True) if knot > curve.resource
        ]
        return min(ahead, default=0)

    def _link(self, states: Array, k: int) -> Link:
        both = states[np.isfinite(states[:, k]) & np.isfinite(states[:, k + 1])]
        x = np.column_stack([np.ones(len(both)), both[:, k], _gain(both, k)])
        gained = both[:, k] - both[:, k + 1]
        precision = _PRIOR_RUNS * np.diag([1.0, 1.0 / self._spread**2, 4.0])
        inverse = np.linalg.inv(x.T @ x + precision).astype(np.float64)
        found = inverse @ (x.T @ gained + precision @ _PRIOR)
        left = gained - x @ found
        expected = (_PRIOR_SD * self._spread) ** 2
        variance = (left @ left + expected) / (max(len(gained) - 2, 0) + 1)
        return Link(found, inverse, float(variance), len(gained))


_PRIOR = np.array([0.0, 0.0, 0.7])
_GAIN_NOISE = np.array([[1.0, -1.0], [-1.0, 1.0]])


def _gain(states: Array, k: int) -> Array:
    """What each run gained on its way to knot `k` from the one before."""
    return np.nan_to_num(states[:, k - 1] - states[:, k]) if k else np.zeros(len(states))


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
    learnt = ended[: len(ended) - len(ended) % max(1, len(ended) // 10)]
    horizon = horizon_of(ended, max_iter) or 2 * max(curve.resource for curve in ended)
    foreteller = Foreteller(learnt, objective, horizon)
    means, stds = foreteller.ends(ended)
    low, middle, high = (foreteller.scale.back(means + way * stds) for way in (-1, 0, 1))
    return [
        Foretold(present(curve, objective), 0.0) if curve.finished else Foretold(float(value), float(spread))
        for curve, value, spread in zip(ended, middle, np.abs(high - low) / 2, strict=True)
    ]
