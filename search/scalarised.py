"""Several objectives, by any method that knows one: each suggestion weighs them anew (ParEGO; Knowles 2006).

Suggestion k looks at one loss, the augmented Tchebycheff distance of a run's losses from the best of each, weighed
by a vector that follows from k. Whoever minimises it approaches one spot of the Pareto front; in turn, all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from sweepyard.plain import Params
from sweepyard.search.pareto import front, losses
from sweepyard.search.port import Observation, Searcher, Suggestion, created
from sweepyard.tracking.records import Objective

WEIGHINGS = 16
"""How many vectors take turns: each keeps what its searcher has learnt."""
_AUGMENTED = 0.05


class Scalarised:
    """`make`: a searcher for one objective. Its reasons are about the weighed loss and name the weights."""

    def __init__(self, make: Callable[[Objective], Searcher], objectives: Sequence[Objective], seed: int) -> None:
        self._objectives = tuple(objectives)
        self._weights = _weights(len(objectives), seed)
        self._searchers = [make(Objective(name=self._named(weights))) for weights in self._weights]

    def size(self) -> int | None:
        return self._searchers[0].size()

    def suggest(self, history: Sequence[Observation], pending: Sequence[Params], n: int) -> list[Suggestion]:
        points = _normal(losses([run.values for run in history], self._objectives))
        suggestions: list[Suggestion] = []
        for _ in range(n):
            taken = [*pending, *(each.params for each in suggestions)]
            turn = created(history, taken) % WEIGHINGS
            weighed = _weighed(points, self._weights[turn])
            seen = [_with_value(run, value) for run, value in zip(history, weighed.tolist(), strict=True)]
            found = self._searchers[turn].suggest(seen, taken, 1)
            suggestions += [self._told(each, turn) for each in found]
            if not found:
                break
        return suggestions

    def _told(self, suggestion: Suggestion, turn: int) -> Suggestion:
        names = (objective.name for objective in self._objectives)
        weights = dict(zip(names, self._weights[turn].round(3).tolist(), strict=True))
        return replace(suggestion, detail=suggestion.detail | {"weights": weights})

    def _named(self, weights: NDArray[np.float64]) -> str:
        parts = zip(self._objectives, weights, strict=True)
        return "weighed loss (" + ", ".join(f"{objective.name} {weight:.2f}" for objective, weight in parts) + ")"


def _weights(objectives: int, seed: int) -> NDArray[np.float64]:
    """Vectors that add up to 1, spread evenly over all there are, shape (WEIGHINGS, objectives)."""
    quantiles = qmc.Sobol(objectives, seed=np.random.default_rng(np.random.SeedSequence([seed]))).random(WEIGHINGS)
    shares = -np.log1p(-quantiles.clip(0.02, 0.98))
    found: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
    return found


def _normal(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Losses in units of the front's own width, from its best ones: 0 to 1 on the front."""
    best = points[front(points)]
    if not len(best):
        return points
    low, high = best.min(axis=0), best.max(axis=0)
    known = points[np.isfinite(points).all(axis=1)]
    width = np.where(high > low, high - low, np.median(known, axis=0) - low)
    normal: NDArray[np.float64] = (points - low) / np.where(width > 0, width, 1.0)
    return normal


def _weighed(points: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = (points * weights).max(axis=1) + _AUGMENTED * (points @ weights)
    return found


def _with_value(run: Observation, value: float) -> Observation:
    return replace(run, value=value if np.isfinite(value) else None)
