"""What the model learns from, and when: a pure function of the runs, with a memory that only saves time."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from sweepyard.search.bayes.gp import Fit, fit
from sweepyard.search.bayes.warping import make_warp
from sweepyard.search.encoding import Array, Mask

_MODEL_RUNS = 300
"""The most runs that the model sees: the time of a fit grows with the cube of their number."""
_FIT_DISTANCES = 5_000_000
"""The most distances, of two runs in a column, that a fit holds: fewer runs if there are more than 55 columns."""


@dataclass(frozen=True, slots=True)
class Data:
    """Runs of one space in the order in which they ended. `losses`: NaN for a run without a score."""

    rows: Array
    losses: Array

    def first(self, n: int) -> Data:
        return Data(self.rows[:n], self.losses[:n])

    def scored(self) -> int:
        """How many runs have a score."""
        return int(np.isfinite(self.losses).sum())

    def told(self, most: int = _MODEL_RUNS) -> tuple[Array, Array]:
        """What the model sees, runs without a score as the worst: all, or about `most` telling ones of more."""
        losses = np.where(np.isnan(self.losses), np.nanmax(self.losses), self.losses)
        kept = _most_telling(self.rows, losses, most)
        return self.rows[kept], losses[kept]


@dataclass(frozen=True, slots=True)
class Settings:
    """What is learnt about the losses as a whole: the transform that they need and the hyperparameters."""

    warp: str
    theta: Array


class Learner:
    """Settings for runs, learnt anew 20 times while their number doubles.

    At 8, 16, 32, ... runs the transform is chosen that makes the losses the most likely; it holds until the next
    of these. A fit starts where the last of these ended. Nothing depends on what was asked before.
    """

    def __init__(self, unordered: Mask) -> None:
        self._unordered = unordered
        self._memory: dict[bytes, Settings] = {}

    def __call__(self, data: Data) -> Settings:
        n = len(data.losses)
        early = data.first(n - n % max(1, n // 20))
        return self._settings(early if early.scored() else data)

    def _settings(self, data: Data) -> Settings:
        key = blake2b(data.rows.tobytes() + data.losses.tobytes()).digest()
        if key not in self._memory:
            self._memory[key] = self._learn(data)
        return self._memory[key]

    def _learn(self, data: Data) -> Settings:
        n = len(data.losses)
        last = 1 << (n - 1).bit_length() - 1  # the largest power of two below n
        known = last >= 8 and data.first(last).scored() > 0
        before = self._settings(data.first(last)) if known else None
        starts = [before.theta] if before else []
        if n != 2 * last:
            warp = before.warp if before else "linear"
            return Settings(warp, self._fit(data, warp, starts, steps=20).theta)
        fits = {kind: self._fit(data, kind, starts, steps=50) for kind in ("linear", "log")}
        kind = min(fits, key=lambda kind: fits[kind].cost)
        return Settings(kind, fits[kind].theta)

    def _fit(self, data: Data, kind: str, starts: list[Array], *, steps: int) -> Fit:
        """The fit for one transform. Its cost is that of the losses themselves, comparable between transforms."""
        rows, losses = data.told(min(_MODEL_RUNS, isqrt(_FIT_DISTANCES // data.rows.shape[1])))
        warp = make_warp(losses, kind)
        found = fit(rows, warp.forward(losses), self._unordered, starts, steps=steps)
        return Fit(found.theta, found.cost - warp.log_slope(losses))


def _most_telling(rows: Array, losses: Array, most: int) -> NDArray[np.intp]:
    """The best runs, those most like the best one, and the newest, a third of each; all if they are few."""
    n, third = len(losses), max(1, most // 3)
    if n <= most:
        return np.arange(n)
    order = np.argsort(losses, kind="stable")
    apart = np.minimum(np.abs(rows - rows[order[0]]), 1.0).sum(axis=1)
    near = np.argsort(apart, kind="stable")[:third]
    return np.unique(np.concatenate([order[:third], near, np.arange(n - third, n)]))
