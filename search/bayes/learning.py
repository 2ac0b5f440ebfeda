"""What the model learns from, and when: a pure function of the runs, with a memory that only saves time."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from sweepyard.search.bayes.evidence import Data
from sweepyard.search.bayes.gp import Fit, Posterior, Sample, fit, fresh_starts, widened
from sweepyard.search.bayes.warping import Warp, make_warp
from sweepyard.search.encoding import Array, Encoding, Mask

SCORED_MIN = 3
"""The fewest runs with a score that a model can be fitted to."""
_MODEL_RUNS = 300
"""The most runs that a model sees: the time of a proposal grows with the square of their number."""
_FIT_RUNS = 200
"""The most that a fit sees: its time grows with the cube."""
_FIT_DISTANCES = 2_500_000
"""The most distances, of two runs in a column, that a fit holds: fewer runs if there are very many columns."""
_REFIT_MOST = 25
"""The most new runs between two fits."""
_IN_BETWEEN, _AT_OCTAVES = 1e-3, 1e-6
"""How exact a fit is: of a cost of 100, to a tenth or to a ten-thousandth."""
_CHAIN = 128
"""Up to this many runs a fit starts where that of half as many ended; beyond, where that of these many ended."""
_DOUBT_MOST = 10.0
"""The largest deviation, in units of the model, that a doubtful loss has."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is learnt about the losses as a whole: the transform that they need and the hyperparameters."""

    kind: str
    theta: Array


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of the losses: `sample` and `theta` make posteriors, `warp` turns losses into their units."""

    warp: Warp
    kind: str
    sample: Sample
    theta: Array

    def posterior(self, pending: Array, draws: Array | None = None) -> Posterior:
        return Posterior(self.theta, self.sample, pending, draws)


class Learner:
    """Models of runs that all have losses. Fitted anew 20 times while their number doubles, and every 25 runs.

    At 8, 16, 32, ... runs the transform, one of `kinds`, is chosen that makes the losses the most likely; it holds
    until the next of these. The hyperparameters are looked for everywhere then, else near those of that time: what
    few runs told may be a trap. Nothing depends on what was asked before.
    """

    def __init__(self, unordered: Mask, kinds: tuple[str, ...]) -> None:
        self._unordered = unordered
        self._kinds = kinds
        self._memory: dict[bytes, Settings] = {}

    def __call__(self, data: Data) -> Model:
        n = len(data)
        early = data.first(n - n % min(max(1, n // 20), _REFIT_MOST))
        settings = self._settings(early)
        told = data.of(_most_telling(data, _MODEL_RUNS)).aligned()
        warp, sample = self._sample(told, settings.kind, data.sources)
        return Model(warp, settings.kind, sample, widened(settings.theta, early.sources, data.sources))

    def _settings(self, data: Data) -> Settings:
        parts = (data.rows, data.losses, data.stds, data.origins)
        key = blake2b(b"".join(part.tobytes() for part in parts)).digest()
        if key not in self._memory:
            self._memory[key] = self._learn(data)
        return self._memory[key]

    def _learn(self, data: Data) -> Settings:
        n = len(data)
        last = 1 << (n - 1).bit_length() - 1  # the largest power of two below n
        ends_octave = n >= 8 and n == 2 * last
        before = data.first(min(last, _CHAIN) if ends_octave else last)
        starts: list[Array] = []
        if len(before) >= 8:
            settings = self._settings(before)
            starts = [widened(settings.theta, before.sources, data.sources)]
            if not ends_octave:
                found = self._fit(data, settings.kind, starts, steps=20, tolerance=_IN_BETWEEN)
                return Settings(settings.kind, found.theta)
        starts += fresh_starts(data.rows.shape[1] + data.sources)
        kinds = self._kinds if ends_octave else self._kinds[:1]
        fits = {kind: self._fit(data, kind, starts, steps=50, tolerance=_AT_OCTAVES) for kind in kinds}
        kind = min(fits, key=lambda kind: fits[kind].cost)
        return Settings(kind, fits[kind].theta)

    def _fit(self, data: Data, kind: str, starts: list[Array], *, steps: int, tolerance: float) -> Fit:
        """The fit for one transform. Its cost is that of the losses themselves, comparable between transforms."""
        columns = data.rows.shape[1] + data.sources
        most = min(_FIT_RUNS, isqrt(2 * _FIT_DISTANCES // columns))
        told = data.of(_most_telling(data, most)).aligned()
        warp, sample = self._sample(told, kind, data.sources)
        found = fit(sample, starts, steps=steps, tolerance=tolerance)
        return Fit(found.theta, found.cost - warp.log_slope(told.losses))

    def _sample(self, data: Data, kind: str, sources: int) -> tuple[Warp, Sample]:
        warp = make_warp(data.losses, kind)
        doubt = np.clip(np.nan_to_num(data.stds * warp.slope(data.losses), nan=0.0), 0.0, _DOUBT_MOST) ** 2
        from_each = (data.origins[:, None] == np.arange(1, sources + 1)).astype(float)
        unordered = np.append(self._unordered, np.ones(sources, dtype=bool))
        return warp, Sample(
            np.hstack([data.rows, from_each]),
            warp.forward(data.losses),
            doubt,
            unordered,
            sources,
        )


def losses_learner(encoding: Encoding) -> Learner:
    """Of runs with a score."""
    return Learner(encoding.unordered, ("linear", "log"))


def outcomes_learner(encoding: Encoding) -> Learner:
    """Of what became of runs: `Data.outcomes`."""
    return Learner(encoding.unordered, ("linear",))


def _most_telling(data: Data, most: int) -> NDArray[np.intp]:
    """The best runs, those most like the best one, and the newest, a third of each; all if they are few."""
    n, third = len(data), max(1, most // 3)
    if n <= most:
        return np.arange(n)
    order = np.argsort(data.losses, kind="stable")
    apart = np.minimum(np.abs(data.rows - data.rows[order[0]]), 1.0).sum(axis=1)
    near = np.argsort(apart, kind="stable")[:third]
    return np.unique(np.concatenate([order[:third], near, np.arange(n - third, n)]))
