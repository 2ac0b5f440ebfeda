"""A Gaussian process (Rasmussen and Williams 2006) for few, noisy, mixed observations.

Kernel: Matern-5/2 over r^2 = sum_j d_j^2 / l_j^2, where d_j is the difference of two coordinates, or 0 or 1 for
categories; one length scale l_j a column. The mean is a constant, by generalised least squares (ibid., 2.7).

Hyperparameters are their most probable values. Length scales grow with the square root of the number of columns
a priori (Hvarfner, Hellsten and Nardi 2024, eq. 5), so that many columns do not mean a rougher function.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from sweepyard.search.encoding import Array, Mask

_LENGTH, _LENGTH_SD = np.log(0.6), 1.0
"""A priori ln l is normal around ln(0.6 sqrt(columns)): shorter than in the paper, nearer to its mode."""
_SIGNAL_SD = 1.0
_NOISE, _NOISE_SD = np.log(1e-4), 2.0
_MUCH_NOISE = np.log(0.1)
_LENGTH_BOUNDS = (np.log(5e-3), np.log(1e3))
_SIGNAL_BOUNDS = (np.log(5e-2), np.log(50.0))
_NOISE_BOUNDS = (np.log(1e-6), np.log(1.0))
_OFFSET = 0.25
"""The variance of what another source is better or worse throughout."""
_IMPOSSIBLE = 1e25
_SQRT5 = np.sqrt(5.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a model is fitted to: n rows `x` of shape (n, columns), and `y`, with mean 0 and deviation 1.

    `doubt`: the variance of each y beyond the noise that the model infers. The last `sources` columns are 1 for
    the rows of one other source each, else 0: how far away a source lies is learnt as any length scale is, so that
    one that disagrees loses its weight; what it is better or worse throughout is its own, a priori normal.
    """

    x: Array
    y: Array
    doubt: Array
    unordered: Mask
    sources: int = 0

    @classmethod
    def plain(cls, x: Array, y: Array, unordered: Mask) -> Sample:
        """Of one source, without doubts."""
        return cls(x, y, np.zeros(len(y)), unordered)

    def fixed(self) -> Array:
        """The part of the covariance that has no hyperparameters."""
        origin = self.x[:, self.x.shape[1] - self.sources :]
        return _OFFSET * origin @ origin.T + np.diag(self.doubt)


@dataclass(frozen=True, slots=True)
class Fit:
    """`theta`: logarithms of the length scales, the signal variance and the noise variance, in this order.

    `cost`: minus the log of the marginal likelihood times the prior, up to a constant.
    """

    theta: Array
    cost: float


class Objective:
    """What a fit minimises, with its gradient. All that is symmetric is held once: its lower triangle."""

    def __init__(self, sample: Sample) -> None:
        n, columns = sample.x.shape
        self._sample, self._fixed = sample, sample.fixed()
        self._below = np.tril_indices(n, -1)
        apart = sample.x.T[:, self._below[0]] - sample.x.T[:, self._below[1]]
        self._squares = np.where(sample.unordered[:, None], apart != 0, apart * apart)
        self.prior, self._prior_sd = _prior(columns)

    def __call__(self, theta: Array) -> tuple[float, Array]:
        weights, signal, noise = np.exp(-2 * theta[:-2]), np.exp(theta[-2]), np.exp(theta[-1])
        a = np.sqrt(5.0 * (weights @ self._squares))
        decay = signal * np.exp(-a)
        shape = (1.0 + a + a * a / 3.0) * decay
        kernel = self._fixed.copy()
        kernel[self._below] += shape
        kernel.flat[:: len(kernel) + 1] += signal + noise
        try:
            factor = cholesky(kernel, lower=True, overwrite_a=True, check_finite=False)
        except np.linalg.LinAlgError:
            return _IMPOSSIBLE, np.zeros_like(theta)
        y = self._sample.y
        ones, raw = cho_solve((factor, True), np.column_stack([np.ones_like(y), y]), check_finite=False).T
        centre = (ones @ y) / ones.sum()
        alpha = raw - centre * ones
        inverse = dpotri(factor, lower=1)[0]
        off = (theta - self.prior) / self._prior_sd
        cost = 0.5 * (y - centre) @ alpha + np.log(np.diag(factor)).sum() + 0.5 * off @ off
        slope = alpha[self._below[0]] * alpha[self._below[1]] - inverse[self._below]
        trace = alpha @ alpha - np.trace(inverse)
        by_length = weights * (self._squares @ (slope * (1.0 + a) * decay)) * (5.0 / 3.0)
        by_rest = [slope @ shape + 0.5 * signal * trace, 0.5 * noise * trace]
        return float(cost), off / self._prior_sd - np.concatenate([by_length, by_rest])


def fit(sample: Sample, starts: list[Array], *, steps: int, tolerance: float = 1e-9) -> Fit:
    """The most probable hyperparameters, by L-BFGS from each of `starts`.

    A search ends after so many `steps`, or with one that betters the cost by less than this share of it.
    """
    objective = Objective(sample)
    bounds = [_LENGTH_BOUNDS] * sample.x.shape[1] + [_SIGNAL_BOUNDS, _NOISE_BOUNDS]
    options = {"maxiter": steps, "ftol": tolerance}
    found = [
        minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options) for start in starts
    ]
    best = min(found, key=lambda each: float(each.fun))
    return Fit(np.asarray(best.x, dtype=float), float(best.fun))


class Posterior:
    """What a sample and open runs at `pending` say about every other row, as one of this sweep.

    Open runs are taken to end in several ways (the fantasies of Snoek, Larochelle and Adams 2012, section 3.2).
    `draws`: shape (pending, ways), standard normal numbers that say how; without them in one way, each with the
    value that the model expects. The uncertainty elsewhere is the same in all ways. The mean over all ways is what
    it would be without open runs, if the draws have mean 0.
    """

    def __init__(self, theta: Array, sample: Sample, pending: Array, draws: Array | None = None) -> None:
        self._lengths, self._signal = np.exp(theta[:-2]), float(np.exp(theta[-2]))
        self.noise = float(np.exp(theta[-1]))
        self._unordered, n = sample.unordered, len(sample.x)
        self._sources = sample.sources
        self._categories = np.flatnonzero(self._unordered)
        self._rows = np.vstack([sample.x, self._ours(pending)])
        self._scaled = self._rows[:, ~self._unordered] / self._lengths[~self._unordered]
        kernel = self._kernel(self._rows)
        kernel[:n, :n] += sample.fixed()
        kernel.flat[:: len(kernel) + 1] += self.noise
        factor = cholesky(kernel, lower=True, check_finite=False)
        self._inverse = solve_triangular(factor, np.eye(len(kernel)), lower=True, check_finite=False)
        seen = self._inverse[:n, :n]
        ones, half = seen.sum(axis=1), seen @ sample.y
        self.centre = float(ones @ half / (ones @ ones))
        self._alpha = np.zeros(len(kernel))
        self._alpha[:n] = seen.T @ (half - self.centre * ones)
        # The last rows of the factor are the deviations of the open runs: their values are mean + those @ draws,
        # and the weights of these values are what is left of the inverse.
        moved = 0.0 if draws is None else self._inverse[n:].T @ draws
        self._alphas = self._alpha[:, None] + moved

    def _ours(self, rows: Array) -> Array:
        """The same rows as those of this sweep."""
        return np.hstack([rows, np.zeros((len(rows), self._sources))]) if self._sources else rows

    def __call__(self, rows: Array) -> tuple[Array, Array]:
        """The mean and the standard deviation, without noise, at each row."""
        kernel = self._kernel(self._ours(rows))
        return self.centre + kernel @ self._alpha, self._std(kernel @ self._inverse.T)

    def ways(self, rows: Array) -> tuple[Array, Array]:
        """The mean in each way, shape (rows, ways), and the standard deviation, shape (rows,)."""
        kernel = self._kernel(self._ours(rows))
        return self.centre + kernel @ self._alphas, self._std(kernel @ self._inverse.T)

    def gradients(self, rows: Array) -> tuple[Array, Array, Array, Array]:
        """As `ways`, and how both change with the coordinates: shapes (rows, ways, columns) and (rows, columns).

        Categories do not change: their entries mean nothing.
        """
        apart = self._ours(rows)[:, None, :] - self._rows
        apart = np.where(self._unordered, apart != 0.0, apart) / self._lengths
        a = _SQRT5 * np.sqrt(np.einsum("mnj,mnj->mn", apart, apart))
        decay = self._signal * np.exp(-a)
        kernel = (1.0 + a + a * a / 3.0) * decay
        slopes = (-5.0 / 3.0 * (1.0 + a) * decay)[:, :, None] * apart / self._lengths
        half = kernel @ self._inverse.T
        std = self._std(half)
        by_std = -np.einsum("mn,mnj->mj", half @ self._inverse, slopes) / std[:, None]
        own = rows.shape[1]
        return self.centre + kernel @ self._alphas, std, (self._alphas.T @ slopes)[..., :own], by_std[:, :own]

    def _std(self, half: Array) -> Array:
        variance = self._signal - np.einsum("mn,mn->m", half, half)
        found: Array = np.sqrt(np.maximum(variance, 1e-12 * self._signal))
        return found

    def _kernel(self, rows: Array) -> Array:
        a = _SQRT5 * np.sqrt(self._squared(rows))
        found: Array = self._signal * (1.0 + a + a * a / 3.0) * np.exp(-a)
        return found

    def _squared(self, rows: Array) -> Array:
        ordered = rows[:, ~self._unordered] / self._lengths[~self._unordered]
        squared = (
            (ordered**2).sum(axis=1)[:, None] + (self._scaled**2).sum(axis=1) - 2.0 * ordered @ self._scaled.T
        )
        for j in self._categories:
            squared += (rows[:, j, None] != self._rows[:, j]) / self._lengths[j] ** 2
        found: Array = np.maximum(squared, 0.0)
        return found


def widened(theta: Array, had: int, have: int) -> Array:
    """`theta` of `had` other sources for `have` of them: what is not known of a source is what is so a priori."""
    prior, _ = _prior(len(theta) - 2 + have - had)
    return np.concatenate([theta[:-2], prior[len(theta) - 2 : -2], theta[-2:]]) if have > had else theta


def fresh_starts(columns: int) -> list[Array]:
    """Where a fit begins that knows nothing: at the prior, and there with much noise.

    What is noise can be told by short length scales, too; from one it does not find its way to the other.
    """
    prior, _ = _prior(columns)
    return [prior, np.append(prior[:-1], _MUCH_NOISE)]


def _prior(columns: int) -> tuple[Array, Array]:
    """Means and standard deviations of the logarithms."""
    means = np.full(columns + 2, _LENGTH + 0.5 * np.log(columns))
    means[-2:] = 0.0, _NOISE
    sds = np.full(columns + 2, _LENGTH_SD)
    sds[-2:] = _SIGNAL_SD, _NOISE_SD
    return means, sds
