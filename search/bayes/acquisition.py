"""Log expected improvement (Ament et al. 2023) and the search for the row where it is largest."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from scipy.optimize import minimize
from scipy.special import erfcx, log_ndtr, ndtr
from scipy.stats import qmc

from sweepyard.search.bayes.gp import Posterior
from sweepyard.search.encoding import Array, Encoding

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
_STARTS = 512
_CLIMBERS = 6
_AROUND = (0.1, 0.02)
_WIDTHS = (0.2, 0.1, 0.05, 0.025, 0.012)
_CHILDREN = 24


def log_improvement(z: Array) -> Array:
    """ln(phi(z) + z Phi(z)) to 11 digits for every z down to -1e100 (Ament et al. 2023, eq. 9).

    The expected improvement of a normal variable that lies z standard deviations below the best is its
    standard deviation times phi(z) + z Phi(z).
    """
    z = np.asarray(z, dtype=float)
    near, low = np.maximum(z, -1.0), np.minimum(z, -1.0)
    above = np.log(np.exp(-0.5 * near * near - _LOG_SQRT_2PI) + near * ndtr(near))
    # ln(1 + z Phi / phi), Phi / phi = sqrt(pi/2) erfcx(-z / sqrt 2); far out that cancels and a series is exact
    close, square = np.maximum(low, -100.0), np.minimum(low, -100.0) ** -2.0
    rest = np.log1p(close * math.sqrt(math.pi / 2) * erfcx(-close / math.sqrt(2)))
    series = np.log(square * (1 - square * (3 - square * (15 - 105 * square))))
    tail = np.where(low > -100.0, rest, series)
    return np.where(z > -1.0, above, -0.5 * low * low - _LOG_SQRT_2PI + tail)


class LogEI:
    """ln of the expected improvement over `best`, with a posterior that is to be as small as possible."""

    def __init__(self, posterior: Posterior, best: float) -> None:
        self._posterior = posterior
        self._best = best

    def __call__(self, rows: Array) -> Array:
        mean, std = self._posterior(rows)
        return log_improvement((self._best - mean) / std) + np.log(std)

    def gradient(self, row: Array) -> tuple[float, Array]:
        """The value at one row and its gradient there."""
        mean, std, by_mean, by_std = self._posterior.gradient(row)
        z = (self._best - mean) / std
        level = float(log_improvement(np.array(z)))
        steep = math.exp(float(log_ndtr(z)) - level)  # d level / d z
        return level + math.log(std), (-steep * by_mean + (1.0 - steep * z) * by_std) / std


class Score(Protocol):
    """What a row is worth."""

    def __call__(self, rows: Array) -> Array: ...
    def gradient(self, row: Array) -> tuple[float, Array]: ...


class Sum:
    """Of logarithms: the product of what they are of."""

    def __init__(self, *parts: Score) -> None:
        self._parts = parts

    def __call__(self, rows: Array) -> Array:
        found: Array = np.sum([part(rows) for part in self._parts], axis=0)
        return found

    def gradient(self, row: Array) -> tuple[float, Array]:
        values, gradients = zip(*(part.gradient(row) for part in self._parts), strict=True)
        return float(sum(values)), np.sum(gradients, axis=0)


class Maximiser:
    """Climbs from many starts, by random steps over all columns and by gradients over the continuous ones."""

    def __init__(self, encoding: Encoding, score: Score, rng: np.random.Generator) -> None:
        self._encoding = encoding
        self._score = score
        self._rng = rng
        self._rows: list[Array] = []
        self._scores: list[Array] = []

    def climb(self, promising: Array) -> Array:
        """All rows that were looked at, the best first. `promising`: rows to look around at first.

        Half of the climbers start far from these, however poor that looks at first: or one valley takes them all.
        """
        far = self._leaders(self._quasi_random())
        near = self._leaders(
            np.vstack(
                [self._encoding.mutate(np.repeat(promising, 32, axis=0), width, self._rng) for width in _AROUND]
            )
        )
        climbers, scores = np.vstack([far[0], near[0]]), np.concatenate([far[1], near[1]])
        for width in _WIDTHS:
            climbers, scores = self._step(climbers, scores, width)
        half = len(far[0])
        self._finish(climbers[:half][scores[:half].argmax()])
        self._finish(climbers[half:][scores[half:].argmax()])
        rows = np.vstack(self._rows)
        return rows[np.argsort(-np.concatenate(self._scores), kind="stable")]

    def _leaders(self, rows: Array) -> tuple[Array, Array]:
        """The best of these rows, with their scores."""
        scores = self._look(rows)
        order = np.argsort(-scores, kind="stable")[: _CLIMBERS // 2]
        return rows[order], scores[order]

    def _quasi_random(self) -> Array:
        sequence = qmc.Sobol(len(self._encoding.columns), seed=self._rng)
        return self._encoding.spread(sequence.random(_STARTS))

    def _look(self, rows: Array) -> Array:
        scores = self._score(rows)
        self._rows.append(rows)
        self._scores.append(scores)
        return scores

    def _step(self, climbers: Array, scores: Array, width: float) -> tuple[Array, Array]:
        """Each climber at the best of its children, if that one is better."""
        count = len(climbers)
        children = self._encoding.mutate(np.repeat(climbers, _CHILDREN, axis=0), width, self._rng)
        found = self._look(children).reshape(count, _CHILDREN)
        best = found.argmax(axis=1)
        best_scores = found[np.arange(count), best]
        better = best_scores > scores
        chosen = children.reshape(count, _CHILDREN, -1)[np.arange(count), best]
        return np.where(better[:, None], chosen, climbers), np.where(better, best_scores, scores)

    def _finish(self, row: Array) -> None:
        """Uphill by gradient, by single steps of the others, and by gradient again."""
        row = self._polish(row)
        beside = self._encoding.neighbours(row)
        if len(beside):
            scores = self._look(beside)
            if scores.max() > float(self._score(row[None, :])[0]):
                self._polish(beside[int(scores.argmax())])

    def _polish(self, row: Array) -> Array:
        free = self._encoding.continuous & self._encoding.active(row[None, :])[0]
        if not free.any():
            return row

        def downhill(part: Array) -> tuple[float, Array]:
            full = row.copy()
            full[free] = part
            value, gradient = self._score.gradient(full)
            return -value, -gradient[free]

        bounds = [(0.0, 1.0)] * int(free.sum())
        options = {"maxiter": 15}
        found = minimize(downhill, row[free], jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        polished = row.copy()
        polished[free] = found.x.clip(0.0, 1.0)
        settled = self._encoding.settle(polished[None, :])
        self._look(settled)
        found_row: Array = settled[0]
        return found_row
