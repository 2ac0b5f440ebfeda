"""Log expected improvement (Ament et al. 2023) and the search for the row where it is largest."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr
from scipy.stats import qmc

from sweepyard.search.bayes.gp import Posterior
from sweepyard.search.encoding import Array, Encoding

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
_STARTS = 256
_CLIMBERS = 6
_NEAR, _AROUND = 16, (0.1, 0.02)
"""So many rows are looked at around each promising one, in each of these widths."""
_WIDTHS = (0.2, 0.1, 0.05, 0.025, 0.012)
_CHILDREN = 24
_POLISH_STEPS = 10
_FIRST_MOVE = 0.005
"""Of the steepest coordinate."""
_FLAT = 1e-300


def log_improvement(z: Array) -> Array:
    """ln(phi(z) + z Phi(z)) to 11 digits for every z down to -1e100 (Ament et al. 2023, eq. 9).

    The expected improvement of a normal variable that lies z standard deviations below the best is its
    standard deviation times phi(z) + z Phi(z).
    """
    z = np.asarray(z, dtype=float)
    # ln(1 + z Phi / phi), Phi / phi = sqrt(pi/2) erfcx(-z / sqrt 2); far out that cancels and a series is exact
    low = np.clip(z, -100.0, -1.0)
    rest = np.asarray(np.log1p(low * math.sqrt(math.pi / 2) * erfcx(-low / math.sqrt(2))))
    if (far := z < -100.0).any():
        square = 1.0 / (z[far] * z[far])
        rest[far] = np.log(square * (1 - square * (3 - square * (15 - 105 * square))))
    found: Array = np.asarray(rest - 0.5 * z * z - _LOG_SQRT_2PI)
    if (near := z > -1.0).any():
        above = z[near]
        found[near] = np.log(np.exp(-0.5 * above * above - _LOG_SQRT_2PI) + above * ndtr(above))
    return found


def _next_steps(moves: Array, bends: Array, steps: Array) -> Array:
    """Those of Barzilai and Borwein (1988, eq. 5); twice the last ones where the slope does not fall."""
    along = np.einsum("mj,mj->m", moves, bends)
    square = np.einsum("mj,mj->m", moves, moves)
    return np.where(along > 0.0, np.minimum(square / np.maximum(along, _FLAT), 4.0 * steps), 2.0 * steps)


class LogEI:
    """ln of the expected improvement over `best`, with a posterior that is to be as small as possible.

    `best`: shape (ways,), what is to be bettered in each way that the open runs may end. The expectation is over
    all of them (Snoek, Larochelle and Adams 2012, eq. 7).
    """

    def __init__(self, posterior: Posterior, best: Array) -> None:
        self._posterior = posterior
        self._best = best

    def __call__(self, rows: Array) -> Array:
        means, std = self._posterior.ways(rows)
        levels = log_improvement((self._best - means) / std[:, None])
        return _log_mean(levels) + np.log(std)

    def gradients(self, rows: Array) -> tuple[Array, Array]:
        """The value at each row and its gradient there."""
        means, std, by_means, by_std = self._posterior.gradients(rows)
        z = (self._best - means) / std[:, None]
        levels = log_improvement(z)
        level = _log_mean(levels)
        weights = np.exp(levels - level[:, None]) / levels.shape[1]
        steep = np.exp(log_ndtr(z) - levels)  # d level / d z
        by_row = (1.0 - steep * z)[:, :, None] * by_std[:, None, :] - steep[:, :, None] * by_means
        return level + np.log(std), np.einsum("mw,mwj->mj", weights, by_row) / std[:, None]


def _log_mean(levels: Array) -> Array:
    """ln of the mean of exp(levels) over the last axis; `scipy.special.logsumexp` takes four times as long."""
    top = levels.max(axis=-1, keepdims=True)
    found: Array = top[..., 0] + np.log(np.exp(levels - top).mean(axis=-1))
    return found


class Score(Protocol):
    """What a row is worth."""

    def __call__(self, rows: Array) -> Array: ...
    def gradients(self, rows: Array) -> tuple[Array, Array]: ...


class Sum:
    """Of logarithms: the product of what they are of."""

    def __init__(self, *parts: Score) -> None:
        self._parts = parts

    def __call__(self, rows: Array) -> Array:
        found: Array = np.sum([part(rows) for part in self._parts], axis=0)
        return found

    def gradients(self, rows: Array) -> tuple[Array, Array]:
        values, gradients = zip(*(part.gradients(rows) for part in self._parts), strict=True)
        return np.sum(values, axis=0), np.sum(gradients, axis=0)


class Elsewhere:
    """No row that has `category` in `column`; the others are worth what they were."""

    def __init__(self, column: int, category: float) -> None:
        self._column = column
        self._category = category

    def __call__(self, rows: Array) -> Array:
        return np.where(rows[:, self._column] == self._category, -np.inf, 0.0)

    def gradients(self, rows: Array) -> tuple[Array, Array]:
        return self(rows), np.zeros_like(rows)


class Maximiser:
    """Climbs from many starts, by random steps over all columns and by gradients over the continuous ones.

    `effort`: it looks at so many times as many starts, climbers and children, and polishes as much longer.
    """

    def __init__(self, encoding: Encoding, score: Score, rng: np.random.Generator, effort: int = 1) -> None:
        self._encoding = encoding
        self._score = score
        self._rng = rng
        self._effort = effort
        self._rows: list[Array] = []
        self._scores: list[Array] = []

    def climb(self, promising: Array) -> Array:
        """All rows that were looked at, the best first. `promising`: rows to look around at first.

        Half of the climbers start far from these, however poor that looks at first: or one valley takes them all.
        """
        far = self._leaders(self._quasi_random())
        around = np.repeat(promising, self._effort * _NEAR, axis=0)
        near = self._leaders(np.vstack([self._encoding.mutate(around, width, self._rng) for width in _AROUND]))
        climbers, scores = np.vstack([far[0], near[0]]), np.concatenate([far[1], near[1]])
        for width in _WIDTHS:
            climbers, scores = self._step(climbers, scores, width)
        polished, scores = self._polish(climbers)
        beside = self._encoding.neighbours(polished[scores.argmax()])
        if len(beside):
            found = self._look(beside)
            if found.max() > scores.max():
                self._polish(beside[found.argmax()][None, :])
        rows = np.vstack(self._rows)
        return rows[np.argsort(-np.concatenate(self._scores), kind="stable")]

    def _leaders(self, rows: Array) -> tuple[Array, Array]:
        """The best of these rows, with their scores."""
        scores = self._look(rows)
        order = np.argsort(-scores, kind="stable")[: self._effort * _CLIMBERS // 2]
        return rows[order], scores[order]

    def _quasi_random(self) -> Array:
        sequence = qmc.Sobol(len(self._encoding.columns), seed=self._rng)
        return self._encoding.spread(sequence.random(self._effort * _STARTS))

    def _look(self, rows: Array) -> Array:
        scores = self._score(rows)
        self._rows.append(rows)
        self._scores.append(scores)
        return scores

    def _step(self, climbers: Array, scores: Array, width: float) -> tuple[Array, Array]:
        """Each climber at the best of its children, if that one is better."""
        count, each = len(climbers), self._effort * _CHILDREN
        children = self._encoding.mutate(np.repeat(climbers, each, axis=0), width, self._rng)
        found = self._look(children).reshape(count, each)
        best = found.argmax(axis=1)
        best_scores = found[np.arange(count), best]
        better = best_scores > scores
        chosen = children.reshape(count, each, -1)[np.arange(count), best]
        return np.where(better[:, None], chosen, climbers), np.where(better, best_scores, scores)

    def _polish(self, rows: Array) -> tuple[Array, Array]:
        """Each row uphill along its continuous coordinates, with the score that it reached.

        Projected gradients with the steps of Barzilai and Borwein (1988), all rows at once; the best seen counts.
        """
        free = self._encoding.continuous & self._encoding.active(rows)
        if not free.any():
            return rows, self._score(rows)
        scores, slopes = self._score.gradients(rows)
        slopes *= free
        steps = _FIRST_MOVE / np.maximum(np.abs(slopes).max(axis=1), _FLAT)
        best, best_scores = rows, scores
        for _ in range(self._effort * _POLISH_STEPS):
            moved = np.clip(rows + steps[:, None] * slopes, 0.0, 1.0) * free + rows * ~free
            scores, bent = self._score.gradients(moved)
            bent *= free
            better = scores > best_scores
            best, best_scores = np.where(better[:, None], moved, best), np.where(better, scores, best_scores)
            steps = _next_steps(moved - rows, slopes - bent, steps)
            rows, slopes = moved, bent
        settled = self._encoding.settle(best)
        self._look(settled)
        return settled, best_scores
