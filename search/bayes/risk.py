"""The risk that a run ends without a score: it failed, or what it logged was no number.

A Gaussian process over what became of the runs, 1 for one without a score and 0 for any other, and the probability
that a new one lies below the middle: least-squares classification (Rasmussen and Williams 2006, 6.5).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import log_ndtr

from sweepyard.search.bayes.learning import Model
from sweepyard.search.encoding import Array

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class LogSuccess:
    """ln of the probability of a score, at rows."""

    def __init__(self, outcomes: Model) -> None:
        columns = outcomes.sample.x.shape[1]
        self._posterior = outcomes.posterior(np.empty((0, columns)))
        self._middle = float(outcomes.warp.forward(np.array(0.5)))

    def __call__(self, rows: Array) -> Array:
        mean, std = self._posterior(rows)
        found: Array = log_ndtr((self._middle - mean) / np.sqrt(std**2 + self._posterior.noise))
        return found

    def gradients(self, rows: Array) -> tuple[Array, Array]:
        """The value at each row and its gradient there."""
        means, std, by_means, by_std = self._posterior.gradients(rows)
        mean, by_mean = means[:, 0], by_means[:, 0]
        wide = np.sqrt(std**2 + self._posterior.noise)
        t = (self._middle - mean) / wide
        level = log_ndtr(t)
        steep = np.exp(-0.5 * t * t - _LOG_SQRT_2PI - level) / wide
        return level, steep[:, None] * (-by_mean - (t * std / wide)[:, None] * by_std)
