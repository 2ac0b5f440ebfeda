"""What a model is fitted to: losses made comparable, by a transform that the data choose.

Very bad losses are only bad. What is left is either taken as it is or as the logarithm of its distance to the
best, which suits errors that span orders of magnitude; a power transform that adapts, as in HEBO (Cowen-Rivers
et al. 2022), with one parameter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sweepyard.search.encoding import Array

_SHIFTS = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3)
_HUGE = 1e150
"""Squares of losses up to this one are finite."""
_TINY = 1e-150
"""What is divided by is this at least."""


@dataclass(frozen=True, slots=True)
class Warp:
    """Losses to numbers with mean 0 and standard deviation 1, and back. `shift`: None for no logarithm."""

    least: float
    most: float
    shift: float | None
    mean: float
    scale: float

    def forward(self, losses: Array) -> Array:
        return (_bent(np.clip(losses, self.least, self.most), self.least, self.shift) - self.mean) / self.scale

    def back(self, z: Array) -> Array:
        y = z * self.scale + self.mean
        if self.shift is None:
            return y
        found: Array = self.shift * np.exp(np.minimum(y, 50.0)) - self.shift + self.least
        return found

    def slope(self, losses: Array) -> Array:
        """d forward / d loss; beyond the limits what it is at them."""
        if self.shift is None:
            return np.full(len(losses), 1.0 / max(self.scale, _TINY))
        bent = np.clip(losses, self.least, self.most) - self.least + self.shift
        found: Array = 1.0 / np.maximum(bent, _TINY) / max(self.scale, _TINY)
        return found

    def log_slope(self, losses: Array) -> float:
        """The sum of ln(d forward / d loss): what makes likelihoods of different warps comparable."""
        bent = 0.0
        if self.shift is not None:
            bent = float(np.log(np.clip(losses, self.least, self.most) - self.least + self.shift).sum())
        return -bent - len(losses) * math.log(self.scale)


def make_warp(losses: Array, kind: str) -> Warp:
    """`kind`: "linear", or "log" with the shift that makes the losses most nearly normal."""
    losses = np.clip(losses, -_HUGE, _HUGE)
    least, middle = float(losses.min()), float(np.median(losses))
    most = middle + 3 * (middle - least) if middle > least else float(losses.max())
    if kind == "linear" or most <= least:
        return _settled(losses, least, most, None)
    unit = max(middle - least, 1e-3 * (most - least))
    warps = [_settled(losses, least, most, shift * unit) for shift in _SHIFTS]
    return max(warps, key=lambda warp: warp.log_slope(losses))


def _settled(losses: Array, least: float, most: float, shift: float | None) -> Warp:
    bent = _bent(np.clip(losses, least, most), least, shift)
    return Warp(least, most, shift, float(bent.mean()), float(bent.std()) or 1.0)


def _bent(losses: Array, least: float, shift: float | None) -> Array:
    return losses if shift is None else np.log((losses - least) / shift + 1.0)
