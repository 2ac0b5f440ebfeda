"""Bayesian search: a Gaussian process and log expected improvement (Ament et al. 2023).

`encoding` makes rows of points, `warping` makes the losses fit for a model, `gp` is the model, `acquisition`
looks for the best row. This module decides what the model sees and says why a point was chosen.

Importing it takes a while (scipy): the registry does it only when a sweep needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from sweepyard.plain import Params
from sweepyard.search.acquisition import LogEI, Maximiser
from sweepyard.search.encoding import Array, Encoding
from sweepyard.search.gp import Fit, Posterior, fit
from sweepyard.search.points import Visited, fresh_points
from sweepyard.search.port import Observation, Suggestion
from sweepyard.search.space import Space
from sweepyard.search.warping import Warp, make_warp
from sweepyard.tracking.records import Objective

_SCORED_MIN = 3
"""The fewest runs with a score that a model can be fitted to."""
_MODEL_RUNS = 300
"""The most runs that the model sees: the time of a fit grows with the cube of their number."""
_OPEN_RUNS = 100
"""The most open runs that it sees, the newest."""
_PROMISING = 5
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(31)


@dataclass(frozen=True, slots=True)
class _Data:
    """Runs of this space in the order in which they ended. `losses`: NaN for a run without a score."""

    rows: Array
    losses: Array

    def first(self, n: int) -> _Data:
        return _Data(self.rows[:n], self.losses[:n])

    def told(self) -> tuple[Array, Array]:
        """What the model sees, runs without a score as the worst: all, or the most telling of many."""
        losses = np.where(np.isnan(self.losses), np.nanmax(self.losses), self.losses)
        kept = _most_telling(self.rows, losses)
        return self.rows[kept], losses[kept]


@dataclass(frozen=True, slots=True)
class _Settings:
    """What is learnt about the losses as a whole: the transform they need and the hyperparameters."""

    warp: str
    theta: Array


class BayesSearcher:
    """Proposes the point whose expected improvement over the best run is largest.

    Runs that have not ended count with the value that the model expects, so that parallel runs spread out. Runs
    that ended without a score count with the worst one. The first points, and those asked for while fewer than
    three runs have a score, are a scrambled Sobol sequence.
    """

    def __init__(self, space: Space, objective: Objective, seed: int) -> None:
        self._space = space
        self._objective = objective
        self._sign = -1.0 if objective.goal == "maximize" else 1.0
        self._seed = seed
        self._visited = Visited(space)
        self._encoding = Encoding(space)
        self._design = max(5, min(2 * len(self._encoding.columns), 10))
        self._known: list[Observation] = []
        self._placed: list[tuple[list[float], float] | None] = []
        self._settings: dict[bytes, _Settings] = {}

    def size(self) -> int | None:
        return self._space.size()

    def suggest(self, history: Sequence[Observation], pending: Sequence[Params], n: int) -> list[Suggestion]:
        suggestions: list[Suggestion] = []
        for _ in range(n):
            suggestion = self._next(history, [*pending, *(each.params for each in suggestions)])
            if suggestion is None:
                break
            suggestions.append(suggestion)
        return suggestions

    def _next(self, history: Sequence[Observation], pending: Sequence[Params]) -> Suggestion | None:
        self._visited.update(history, pending)
        k = len(history) + len(pending)
        rng = np.random.default_rng(np.random.SeedSequence([self._seed, k]))
        fresh = fresh_points(self._space, self._visited, rng)
        if k < self._design:
            return self._from_design(k, fresh, f"initial design {k + 1} of {self._design} (Sobol)")
        data = self._data(history)
        if np.isfinite(data.losses).sum() < _SCORED_MIN or not self._encoding.columns:
            reason = f"quasi-random point {k + 1} (Sobol): too few runs have a score for a model"
            return self._from_design(k, fresh, reason)
        with threadpool_limits(limits=1):  # so that proposals do not fight runs for the cores
            return self._from_model(data, self._open_rows(pending), fresh, rng)

    def _from_design(self, k: int, fresh: Iterator[list[Any]], reason: str) -> Suggestion | None:
        sobol = (values for values in self._sobol(k) if values not in self._visited)
        values = next(chain(sobol, fresh), None)
        return None if values is None else Suggestion(params=self._space.nest(values), reason=reason)

    def _sobol(self, k: int) -> Iterator[list[Any]]:
        """Point `k` of the sequence; nothing if no parameter is free."""
        free = [column.position for column in self._encoding.columns]
        if free:
            sequence = qmc.Sobol(len(free), rng=np.random.default_rng(np.random.SeedSequence([self._seed])))
            quantiles = np.full(len(self._space.parameters), 0.5)
            quantiles[free] = sequence.random_base2(k.bit_length())[k]
            yield self._space.sample(quantiles)

    def _data(self, history: Sequence[Observation]) -> _Data:
        """The runs of this space; others teach nothing. Rows are kept as long as the history only grows."""
        if self._known != list(history[: len(self._known)]):
            self._known, self._placed = [], []
        new = list(history[len(self._known) :])
        self._known += new
        self._placed += map(self._place, new)
        placed = [each for each in self._placed if each is not None]
        rows = np.array([row for row, _ in placed]).reshape(len(placed), len(self._encoding.columns))
        return _Data(rows, np.array([loss for _, loss in placed]))

    def _place(self, run: Observation) -> tuple[list[float], float] | None:
        row = self._encoding.encode(self._space.flatten(run.params))
        return None if row is None else (row, np.nan if run.value is None else self._sign * run.value)

    def _open_rows(self, pending: Sequence[Params]) -> Array:
        encoded = (self._encoding.encode(self._space.flatten(params)) for params in pending[-_OPEN_RUNS:])
        rows = [row for row in encoded if row is not None]
        return np.array(rows).reshape(len(rows), len(self._encoding.columns))

    def _from_model(
        self, data: _Data, pending: Array, fresh: Iterator[list[Any]], rng: np.random.Generator
    ) -> Suggestion | None:
        settings = self._learnt(data)
        rows, losses = data.told()
        warp = make_warp(losses, settings.warp)
        posterior = Posterior(settings.theta, rows, warp.forward(losses), pending, self._encoding.unordered)
        seen = np.vstack([rows, pending])
        means, _ = posterior(seen)
        climbed = Maximiser(self._encoding, LogEI(posterior, float(means.min())), rng).climb(
            seen[np.argsort(means, kind="stable")[:_PROMISING]]
        )
        climbed_points = (self._encoding.decode(row) for row in climbed)
        points = (point for point in climbed_points if point not in self._visited)
        values = next(chain(points, fresh), None)
        if values is None:
            return None
        mean, std = posterior(np.array([self._encoding.encode(values)]))
        reason, detail = self._explain(warp, float(mean[0]), float(std[0]), float(np.nanmin(data.losses)))
        detail |= {"observations": len(rows), "pending": len(pending), "transform": settings.warp}
        return Suggestion(params=self._space.nest(values), reason=reason, detail=detail)

    def _learnt(self, data: _Data) -> _Settings:
        """Learnt from the runs up to a number that is a function of theirs: 20 times while it doubles."""
        n = len(data.losses)
        n -= n % max(1, n // 20)
        return self._learnt_from(data.first(n))

    def _learnt_from(self, data: _Data) -> _Settings:
        """At 8, 16, 32, ... runs with the transform that is the most likely; in between as at the last of these.

        A fit starts where that last one ended. It depends on nothing but the runs, so it can be made again.
        """
        key = blake2b(data.rows.tobytes() + data.losses.tobytes()).digest()
        if key not in self._settings:
            self._settings[key] = self._learn(data)
        return self._settings[key]

    def _learn(self, data: _Data) -> _Settings:
        n = len(data.losses)
        last = 1 << (n - 1).bit_length() - 1  # the largest power of two below n
        before = self._learnt_from(data.first(last)) if last >= 8 and _scored(data.first(last)) else None
        if n != 2 * last:
            warp = before.warp if before else "linear"
            return _Settings(warp, self._fit(data, warp, [before.theta] if before else [], steps=20).theta)
        rated = []
        for kind in ("linear", "log"):
            found = self._fit(data, kind, [before.theta] if before else [], steps=50)
            rated.append((found.cost, kind, found.theta))
        _, kind, theta = min(rated, key=lambda each: each[0])
        return _Settings(kind, theta)

    def _fit(self, data: _Data, kind: str, starts: list[Array], *, steps: int) -> Fit:
        """The fit for one transform. Its cost is that of the losses themselves, comparable between transforms."""
        rows, losses = data.told()
        warp = make_warp(losses, kind)
        found = fit(rows, warp.forward(losses), self._encoding.unordered, starts, steps=steps)
        return Fit(found.theta, found.cost - warp.log_slope(losses))

    def _explain(self, warp: Warp, mean: float, std: float, best: float) -> tuple[str, dict[str, Any]]:
        """In the units of the metric: the losses at a deviation above and below, and the gain over all between."""
        loss, (low, high) = _loss(warp, mean), (_loss(warp, mean - std), _loss(warp, mean + std))
        spread = (high - low) / 2
        ends = warp.back(mean + std * _NODES)
        gain = float(np.maximum(best - ends, 0.0) @ _WEIGHTS / _WEIGHTS.sum())
        predicted, best = self._sign * loss, self._sign * best
        story = f"predicted {self._objective.name} {predicted:.4g} ± {spread:.2g}"
        reason = (
            f"{story} beats the best so far, {best:.4g} (exploiting)"
            if loss < self._sign * best
            else f"{story} may beat the best so far, {best:.4g} (exploring)"
        )
        return reason, {"predicted": predicted, "std": spread, "expected_improvement": gain}


def _scored(data: _Data) -> bool:
    return bool(np.isfinite(data.losses).any())


def _loss(warp: Warp, z: float) -> float:
    return float(warp.back(np.array(z)))


def _most_telling(rows: Array, losses: Array) -> NDArray[np.intp]:
    """The best runs, those most like the best one, and the newest, a third of each; all if they are few."""
    n, third = len(losses), _MODEL_RUNS // 3
    if n <= _MODEL_RUNS:
        return np.arange(n)
    order = np.argsort(losses, kind="stable")
    apart = np.minimum(np.abs(rows - rows[order[0]]), 1.0).sum(axis=1)
    near = np.argsort(apart, kind="stable")[:third]
    return np.unique(np.concatenate([order[:third], near, np.arange(n - third, n)]))
