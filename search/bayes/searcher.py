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
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from sweepyard.plain import Params
from sweepyard.search.bayes.acquisition import Elsewhere, LogEI, Maximiser, Score, Sum
from sweepyard.search.bayes.evidence import Data, Reader
from sweepyard.search.bayes.gp import Posterior
from sweepyard.search.bayes.learning import SCORED_MIN, Model, losses_learner, outcomes_learner
from sweepyard.search.bayes.risk import LogSuccess
from sweepyard.search.bayes.warping import Warp
from sweepyard.search.encoding import Array, Encoding
from sweepyard.search.points import Visited, fresh_points, size_of
from sweepyard.search.port import Observation, Suggestion, created
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

_OPEN_RUNS = 100
"""The most open runs that it sees, the newest."""
_WAYS = 16
"""In how many ways the open runs are imagined to end."""
_PROMISING = 5
_FEW = 50
"""Up to so many runs, ended or open, a model answers so quickly that it can be asked about more rows."""
_STALLED = 10
_AMBITION = 0.3
"""After so many results that did not gain this share of the usual doubt, every other proposal must promise it."""
_USUAL = 64
"""Points, drawn evenly, whose median deviation is the usual one."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(31)


class BayesSearcher:
    """Proposes the point whose expected improvement over the best run, times its chance of a score, is largest.

    Runs that have not ended are imagined to end in several ways, so that parallel runs spread out. Runs that ended
    without a score have no value; they say how likely another one is to end so. The first points, and those asked
    for while fewer than three runs have a score, are a scrambled Sobol sequence.
    """

    def __init__(self, space: Space, objective: Objective, seed: int) -> None:
        self._space = space
        self._objective = objective
        self._sign = -1.0 if objective.goal == "maximize" else 1.0
        self._seed = seed
        self._visited = Visited(space)
        self._encoding = Encoding(space)
        self._read = Reader(space, self._encoding, self._sign)
        self._design = max(5, min(2 * len(self._encoding.columns), 10))
        self._threads = ThreadpoolController()
        self._learn_losses = losses_learner(self._encoding)
        self._learn_outcomes = outcomes_learner(self._encoding)

    def size(self) -> int | None:
        return size_of(self._space)

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
        data = self._read(history)
        scored = data.scored()
        prior = int((scored.origins > 0).sum())
        if k + prior < self._design:
            return self._from_design(k, fresh, f"initial design {k + 1} of {self._design - prior} (Sobol)")
        if len(scored) < SCORED_MIN or not self._encoding.columns:
            reason = f"quasi-random point {k + 1} (Sobol): too few runs have a score for a model"
            return self._from_design(k, fresh, reason)
        with self._threads.limit(limits=1):  # so that proposals do not fight runs for the cores
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

    def _open_rows(self, pending: Sequence[Params]) -> Array:
        encoded = (self._encoding.encode(self._space.flatten(params)) for params in pending[-_OPEN_RUNS:])
        rows = [row for row in encoded if row is not None]
        return np.array(rows).reshape(len(rows), len(self._encoding.columns))

    def _from_model(
        self, data: Data, pending: Array, fresh: Iterator[list[Any]], rng: np.random.Generator
    ) -> Suggestion | None:
        scored = data.scored()
        model = self._learn_losses(scored)
        posterior = model.posterior(pending, _draws(len(pending), rng))
        seen = np.vstack([model.sample.x[:, : len(self._encoding.columns)], pending])
        means, _ = posterior(seen)
        gain = _AMBITION * self._doubt(posterior, rng)
        ambitious = (len(data) + len(pending)) % 2 == 0 and self._is_stuck(model, scored, len(pending), gain)
        least = gain if ambitious else 0.0
        parts: list[Score] = [LogEI(posterior, posterior.ways(seen)[0].min(axis=0) - least)]
        if ambitious:
            parts += self._elsewhere(model, scored)
        success = LogSuccess(self._learn_outcomes(data.outcomes())) if len(scored) < len(data) else None
        if success:
            parts.append(success)
        maximiser = Maximiser(self._encoding, Sum(*parts), rng, effort=2 if len(seen) <= _FEW else 1)
        climbed = maximiser.climb(seen[np.argsort(means, kind="stable")[:_PROMISING]])
        climbed_points = (self._encoding.decode(row) for row in climbed)
        points = (point for point in climbed_points if point not in self._visited and self._space.allows(point))
        values = next(chain(points, fresh), None)
        if values is None:
            return None
        row = np.array([self._encoding.encode(values)])
        mean, std = posterior(row)
        reason, detail = self._explain(model.warp, float(mean[0]), float(std[0]), _best(scored))
        detail |= {"observations": len(model.sample.y), "pending": len(pending), "transform": model.kind}
        if ambitious:
            reason += "; a small gain was not enough: the last runs brought no other"
        if success:
            chance = float(np.exp(success(row)[0]))
            detail |= {"chance_of_a_score": chance, "without_score": len(data) - len(scored)}
            reason += f"; chance of a score {chance:.0%}"
        return Suggestion(params=self._space.nest(values), reason=reason, detail=detail)

    def _is_stuck(self, model: Model, scored: Data, pending: int, gain: float) -> bool:
        """Whether the last results together brought no such gain: the valley of the best may not be the best one.

        Runs that are open were proposed before they could know that nothing was better.
        """
        losses = model.warp.forward(scored.losses)
        before = losses[: -_STALLED - pending]
        return len(before) > 0 and float(before.min() - losses.min()) <= gain

    def _elsewhere(self, model: Model, scored: Data) -> list[Elsewhere]:
        """Not the best run's category of the parameter whose categories differ most; nothing if there are none.

        Of a choice that is bad on average the best may be better than all that was seen of the favourite.
        """
        unordered = np.flatnonzero(self._encoding.unordered)
        if not len(unordered):
            return []
        telling = int(unordered[model.theta[unordered].argmin()])
        return [Elsewhere(telling, float(scored.rows[scored.losses.argmin(), telling]))]

    def _doubt(self, posterior: Posterior, rng: np.random.Generator) -> float:
        """The standard deviation of the model at a usual point: where all is known only small gains are left."""
        _, std = posterior(self._encoding.spread(rng.random((_USUAL, len(self._encoding.columns)))))
        return float(np.median(std))

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
        reason += f"; expected gain {gain:.2g}"
        return reason, {"predicted": predicted, "std": spread, "expected_improvement": gain}


def _draws(pending: int, rng: np.random.Generator) -> Array:
    """How open runs may end; every way has its opposite, so that the mean over all is what the model expects."""
    half = rng.standard_normal((pending, _WAYS // 2)) if pending else np.empty((0, 1))
    return np.hstack([half, -half]) if pending else half


def _best(scored: Data) -> float:
    """The smallest loss of ours, of anyone's if we have none."""
    ours = scored.losses[scored.origins == 0]
    return float((ours if len(ours) else scored.losses).min())


def _loss(warp: Warp, z: float) -> float:
    return float(warp.back(np.array(z)))
