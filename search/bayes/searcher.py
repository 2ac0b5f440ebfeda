"""Bayesian search: a Gaussian process and log expected improvement (Ament et al. 2023).

`encoding` makes rows of points, `warping` makes the losses fit for a model, `gp` is the model, `learning` decides
what it is fitted to and when, `acquisition` looks for the best row. This module puts them together and says why a
point was chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from scipy.stats import qmc
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from sweepyard.plain import Params
from sweepyard.search.bayes.acquisition import LogEI, Maximiser
from sweepyard.search.bayes.gp import Posterior
from sweepyard.search.bayes.learning import Data, Learner
from sweepyard.search.bayes.warping import Warp, make_warp
from sweepyard.search.encoding import Array, Encoding
from sweepyard.search.points import Visited, fresh_points
from sweepyard.search.port import Observation, Suggestion, created
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

_SCORED_MIN = 3
"""The fewest runs with a score that a model can be fitted to."""
_OPEN_RUNS = 100
"""The most open runs that it sees, the newest."""
_PROMISING = 5
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(31)


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
        self._learner = Learner(self._encoding.unordered)

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
        k = created(history, pending)
        rng = np.random.default_rng(np.random.SeedSequence([self._seed, k]))
        fresh = fresh_points(self._space, self._visited, rng)
        if k < self._design:
            return self._from_design(k, fresh, f"initial design {k + 1} of {self._design} (Sobol)")
        data = self._data(history)
        if data.scored() < _SCORED_MIN or not self._encoding.columns:
            reason = f"quasi-random point {k + 1} (Sobol): too few runs have a score for a model"
            return self._from_design(k, fresh, reason)
        with threadpool_limits(limits=1):  # so that proposals do not fight runs for the cores
            return self._from_model(data, self._open_rows(pending), fresh, rng)

    def _from_design(self, k: int, fresh: Iterator[list[Any]], reason: str) -> Suggestion | None:
        sobol = (values for values in self._sobol(k) if values not in self._visited and self._space.allows(values))
        values = next(chain(sobol, fresh), None)
        return None if values is None else Suggestion(params=self._space.nest(values), reason=reason)

    def _sobol(self, k: int) -> Iterator[list[Any]]:
        """Point `k` of the sequence; nothing if no parameter is free."""
        free = [column.position for column in self._encoding.columns]
        if free:
            sequence = qmc.Sobol(len(free), seed=np.random.default_rng(np.random.SeedSequence([self._seed])))
            quantiles = np.full(len(self._space.parameters), 0.5)
            quantiles[free] = sequence.random_base2(k.bit_length())[k]
            yield self._space.sample(quantiles)

    def _data(self, history: Sequence[Observation]) -> Data:
        """The runs of this space; others teach nothing. Rows are kept as long as the history only grows."""
        if self._known != list(history[: len(self._known)]):
            self._known, self._placed = [], []
        new = list(history[len(self._known) :])
        self._known += new
        self._placed += map(self._place, new)
        placed = [each for each in self._placed if each is not None]
        rows = np.array([row for row, _ in placed]).reshape(len(placed), len(self._encoding.columns))
        return Data(rows, np.array([loss for _, loss in placed]))

    def _place(self, run: Observation) -> tuple[list[float], float] | None:
        row = self._encoding.encode(self._space.flatten(run.params))
        return None if row is None else (row, np.nan if run.value is None else self._sign * run.value)

    def _open_rows(self, pending: Sequence[Params]) -> Array:
        encoded = (self._encoding.encode(self._space.flatten(params)) for params in pending[-_OPEN_RUNS:])
        rows = [row for row in encoded if row is not None]
        return np.array(rows).reshape(len(rows), len(self._encoding.columns))

    def _from_model(
        self, data: Data, pending: Array, fresh: Iterator[list[Any]], rng: np.random.Generator
    ) -> Suggestion | None:
        settings = self._learner(data)
        rows, losses = data.told()
        warp = make_warp(losses, settings.warp)
        posterior = Posterior(settings.theta, rows, warp.forward(losses), pending, self._encoding.unordered)
        seen = np.vstack([rows, pending])
        means, _ = posterior(seen)
        climbed = Maximiser(self._encoding, LogEI(posterior, float(means.min())), rng).climb(
            seen[np.argsort(means, kind="stable")[:_PROMISING]]
        )
        climbed_points = (self._encoding.decode(row) for row in climbed)
        points = (point for point in climbed_points if point not in self._visited and self._space.allows(point))
        values = next(chain(points, fresh), None)
        if values is None:
            return None
        mean, std = posterior(np.array([self._encoding.encode(values)]))
        reason, detail = self._explain(warp, float(mean[0]), float(std[0]), float(np.nanmin(data.losses)))
        detail |= {"observations": len(rows), "pending": len(pending), "transform": settings.warp}
        return Suggestion(params=self._space.nest(values), reason=reason, detail=detail)

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


def _loss(warp: Warp, z: float) -> float:
    return float(warp.back(np.array(z)))
