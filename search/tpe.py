"""Parzen estimators: two densities, of the good runs and of the others (Bergstra et al. 2011, sections 4 and 4.1).

All parameters in one kernel, so that what goes together is seen (Falkner et al. 2018); its width is the same for
all of them and shrinks by Scott's rule, a category's kernel is that of Aitchison and Aitken (1976). Runs that have
not ended count as bad ones, so that parallel runs spread out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.special import ndtr, ndtri

from sweepyard.search.encoding import Array, Encoding
from sweepyard.search.modelled import Runs

_GOOD = 0.15
_GOOD_MOST = 25
_OTHERS_MOST = 500
"""More of the others tell no more: these are drawn from them, so that a proposal's price is bounded."""
_CANDIDATES = 64
_WIDTH = 0.12
_UNKNOWN = 0.05
"""The weight of the kernel that knows nothing. With that of one run, as usual, too many points are far off."""


class Parzen:
    """A mixture of kernels around rows, all alike in weight, and of one that knows nothing.

    Where a parameter does not count, in a kernel's row or in the row asked about, the kernel knows nothing.
    """

    def __init__(self, encoding: Encoding, rows: Array) -> None:
        self._encoding = encoding
        self._rows = np.vstack([rows, np.zeros((1, rows.shape[1]))])
        self._active = np.vstack([encoding.active(rows), np.zeros((1, rows.shape[1]), dtype=bool)])
        n, d = rows.shape
        self._weights = np.append(np.full(n, (1 - _UNKNOWN) / max(n, 1)), _UNKNOWN if n else 1.0)
        self._width = max(_WIDTH * max(n, 1) ** (-1 / (d + 4)), 1 / min(100, n + 1))
        self._other = [(c.categories - 1) / (n + c.categories) for c in encoding.columns]

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Rows, shape (count, columns)."""
        centres = rng.choice(len(self._rows), count, p=self._weights)
        found = self._encoding.spread(rng.random((count, self._rows.shape[1])))
        for j, column in enumerate(self._encoding.columns):
            own, u = self._active[centres, j], rng.random(count)
            centre = self._rows[centres, j]
            if column.categories:
                own &= u >= self._other[j] * column.categories / (column.categories - 1)
                found[own, j] = centre[own]
            else:
                low, high = ndtr((0.0 - centre) / self._width), ndtr((1.0 - centre) / self._width)
                drawn = centre + self._width * ndtri(low + u * (high - low))
                found[own, j] = column.nearest(drawn)[own]
        return self._encoding.settle(found)

    def log_density(self, rows: Array) -> Array:
        """Shape (rows,). Of categories the mass, against that of an even choice."""
        total = np.zeros((len(rows), len(self._rows)))
        active = self._encoding.active(rows)
        for j, column in enumerate(self._encoding.columns):
            own = self._active[:, j]
            at, centre = rows[:, j, None], self._rows[own, j]
            if column.categories:
                same = math.log((1 - self._other[j]) * column.categories)
                other = math.log(self._other[j] / (column.categories - 1) * column.categories)
                terms = np.where(at == centre, same, other)
            else:
                inside = ndtr((1.0 - centre) / self._width) - ndtr((0.0 - centre) / self._width)
                scale = np.log(inside * self._width * math.sqrt(2 * math.pi))
                terms = -0.5 * ((at - centre) / self._width) ** 2 - scale
            total[:, own] += active[:, j, None] * terms
        most = total.max(axis=1, keepdims=True)
        found: Array = most[:, 0] + np.log(np.exp(total - most) @ self._weights)
        return found


def propose(encoding: Encoding, runs: Runs, rng: np.random.Generator) -> tuple[Iterator[Array], str]:
    """Rows drawn from the good runs' density, those first that it favours most over the other one."""
    order = np.argsort(runs.losses, kind="stable")  # NaN last
    good = min(math.ceil(_GOOD * runs.ended), _GOOD_MOST, int(np.isfinite(runs.losses).sum()))
    better, others = order[:good], order[good:]
    if len(others) > _OTHERS_MOST:
        others = rng.choice(others, _OTHERS_MOST, replace=False)
    densities = [Parzen(encoding, runs.rows[part]) for part in (better, others)]
    rows = densities[0].sample(_CANDIDATES, rng)
    gains = densities[0].log_density(rows) - densities[1].log_density(rows)
    best = np.argsort(-gains, kind="stable")
    reason = f"most like the best {good} of {runs.ended} runs, and least like the others"
    return iter(rows[best]), reason
