"""Bayesian search: a Gaussian process and expected improvement (Jones, Schonlau and Welch 1998).

scikit-optimize's `Optimizer` fits the model and finds the best point in its continuous picture of the space.
That point, rounded to what the space really has, then competes with fresh points drawn from the space.

Importing this module takes a second (scikit-optimize): the registry does it only when a sweep needs it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc
from skopt import Optimizer
from skopt import space as dimensions
from skopt.acquisition import gaussian_ei
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from sweepyard.plain import Params
from sweepyard.search.distributions import Categorical, Distribution
from sweepyard.search.points import Visited, fresh_points
from sweepyard.search.port import Observation, Suggestion
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

Coordinates: TypeAlias = "list[float]"
"""A point as the model sees it: the quantiles of its numbers and the indices of its categories."""

_SCORED_MIN = 3
"""The fewest runs with a score that a model can be fitted to."""
_MODEL_RUNS = 150
"""The most runs that the model sees: the time of a fit grows with the cube of their number."""
_CANDIDATES = 500


@dataclass(frozen=True, slots=True)
class _Scores:
    """What the model is fitted to: points, and their losses with mean 0 and standard deviation 1.

    A loss is `y * scale + mean`; it is the objective, negated if the goal is to maximise. `best`: the least one.
    """

    x: list[Coordinates]
    y: list[float]
    mean: float
    scale: float
    best: float


class BayesSearcher:
    """Proposes the point whose expected improvement over the best run is largest.

    Runs that have not ended count with the mean of all scores (the constant liar of Ginsbourger, Le Riche and
    Carraro 2010), so that parallel runs spread out. Runs that ended without a score count with the worst one.
    The first points, and those asked for while fewer than three runs have a score, are a scrambled Sobol sequence.
    """

    def __init__(self, space: Space, objective: Objective, seed: int) -> None:
        self._space = space
        self._objective = objective
        self._sign = -1.0 if objective.goal == "maximize" else 1.0
        self._seed = seed
        self._visited = Visited(space)
        self._free = [i for i, each in enumerate(space.parameters) if each.distribution.size() != 1]
        self._design = max(5, min(2 * len(self._free), 10))

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
        seeds = np.random.SeedSequence([self._seed, k])
        fresh = fresh_points(self._space, self._visited, np.random.default_rng(seeds))
        if k < self._design:
            return self._from_design(k, fresh, f"initial design {k + 1} of {self._design} (Sobol)")
        scores = self._scores(history)
        if scores is None:
            reason = f"quasi-random point {k + 1} (Sobol): too few runs have a score for a model"
            return self._from_design(k, fresh, reason)
        with _quiet_single_thread():
            return self._from_model(scores, pending, fresh, int(seeds.generate_state(1)[0]))

    def _from_design(self, k: int, fresh: Iterator[list[Any]], reason: str) -> Suggestion | None:
        sobol = (values for values in self._sobol(k) if values not in self._visited and self._space.allows(values))
        values = next(chain(sobol, fresh), None)
        return None if values is None else Suggestion(params=self._space.nest(values), reason=reason)

    def _sobol(self, k: int) -> Iterator[list[Any]]:
        """Point `k` of the sequence; nothing if no parameter is free."""
        if self._free:
            sequence = qmc.Sobol(len(self._free), seed=np.random.default_rng(np.random.SeedSequence([self._seed])))
            quantiles = np.full(len(self._space.parameters), 0.5)
            quantiles[self._free] = sequence.random_base2(k.bit_length())[k]
            yield self._space.sample(quantiles)

    def _from_model(
        self, scores: _Scores, pending: Sequence[Params], fresh: Iterator[list[Any]], seed: int
    ) -> Suggestion | None:
        lies = [x for params in pending if (x := self._encode(self._space.flatten(params))) is not None]
        optimizer = self._optimizer(seed)
        optimizer.tell(scores.x + lies, scores.y + [0.0] * len(lies))
        asked = self._decode(optimizer.ask())
        points = [asked] if asked not in self._visited and self._space.allows(asked) else []
        points += islice(fresh, _CANDIDATES)
        if not points:
            return None
        x = optimizer.space.transform([self._encode(values) for values in points])
        gains = gaussian_ei(x, optimizer.models[-1], y_opt=min(scores.y))
        best = int(np.argmax(gains))
        mean, std = optimizer.models[-1].predict(x[best : best + 1], return_std=True)
        reason, detail = self._explain(scores, float(mean[0]), float(std[0]), float(gains[best]))
        return Suggestion(
            params=self._space.nest(points[best]), reason=reason, detail=detail | {"pending": len(lies)}
        )

    def _optimizer(self, seed: int) -> Optimizer:
        return Optimizer(
            [
                dimensions.Categorical(range(each.size())) if isinstance(each, Categorical) else (0.0, 1.0)
                for each in self._free_distributions()
            ],
            base_estimator="GP",
            acq_func="EI",
            n_initial_points=1,
            random_state=seed,
            acq_optimizer_kwargs={"n_points": 2000},
        )

    def _free_distributions(self) -> list[Distribution]:
        return [self._space.parameters[i].distribution for i in self._free]

    def _encode(self, values: Sequence[Any] | None) -> Coordinates | None:
        """Where the model has a point; None if the space does not have it: a foreign run teaches nothing."""
        if values is None:
            return None
        values = self._space.filled(values)
        pairs = zip(self._free_distributions(), (values[i] for i in self._free), strict=True)
        try:
            return [each.index(v) if isinstance(each, Categorical) else each.cdf(v) for each, v in pairs]
        except ValueError:
            return None

    def _decode(self, x: Coordinates) -> list[Any]:
        values = [parameter.distribution.ppf(0.5) for parameter in self._space.parameters]
        for i, each, coordinate in zip(self._free, self._free_distributions(), x, strict=True):
            values[i] = each.value(int(coordinate)) if isinstance(each, Categorical) else each.ppf(coordinate)
        return self._space.settle(values)

    def _scores(self, history: Sequence[Observation]) -> _Scores | None:
        """None: too few runs of this space have a score."""
        placed = [(self._encode(self._space.flatten(each.params)), each.value) for each in history]
        known = [(x, None if value is None else self._sign * value) for x, value in placed if x is not None]
        losses = [loss for _, loss in known if loss is not None]
        if len(losses) < _SCORED_MIN:
            return None
        y = np.array([max(losses) if loss is None else loss for _, loss in known])
        kept = _most_telling(y)
        tamed = _tamed(y[kept])
        mean, scale = float(tamed.mean()), float(tamed.std()) or 1.0
        return _Scores([known[i][0] for i in kept], ((tamed - mean) / scale).tolist(), mean, scale, min(losses))

    def _explain(self, scores: _Scores, mean: float, std: float, gain: float) -> tuple[str, dict[str, Any]]:
        loss, spread = mean * scores.scale + scores.mean, std * scores.scale
        predicted, best = self._sign * loss, self._sign * scores.best
        story = f"predicted {self._objective.name} {predicted:.4g} ± {spread:.2g}"
        reason = (
            f"{story} beats the best so far, {best:.4g} (exploiting)"
            if loss < scores.best
            else f"{story} may beat the best so far, {best:.4g} (exploring)"
        )
        return reason, {
            "predicted": predicted,
            "std": spread,
            "expected_improvement": gain * scores.scale,
            "observations": len(scores.y),
        }


def _most_telling(y: NDArray[np.float64]) -> list[int]:
    """The best runs and the newest ones, half of each, in their order; all if they are few."""
    if len(y) <= _MODEL_RUNS:
        return list(range(len(y)))
    half = _MODEL_RUNS // 2
    best = np.argsort(y, kind="stable")[:half].tolist()
    return sorted({*best, *range(len(y) - half, len(y))})


def _tamed(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The losses, very bad ones only bad: a run that diverged must not make all the others look the same."""
    y = np.clip(y, -1e150, 1e150)  # so that squares stay finite
    middle, best = np.median(y), y.min()
    return np.minimum(y, middle + 3 * (middle - best)) if middle > best else y


@contextmanager
def _quiet_single_thread() -> Iterator[None]:
    """Room for scikit-optimize to fit, with one thread so that proposals do not fight runs for the cores.

    It warns of fits at the edge of their bounds, variances rounded below zero, points asked for twice: none
    of them an error, and what comes out is looked at.
    """
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        warnings.simplefilter("ignore")
        yield
