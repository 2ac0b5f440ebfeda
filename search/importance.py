"""Which parameters tell good runs from the rest: PED-ANOVA (Watanabe, Bansal and Hutter 2023).

For each parameter the values of the best runs are compared with those of all: by how much, in squares, their
densities differ (the Pearson divergence). What as many runs drawn by chance would differ is taken off, and how
often chance differs as much is told, so that few runs claim little. Effects that need two parameters at once are
not seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sweepyard.search.encoding import Column, Encoding
from sweepyard.search.rules import INACTIVE
from sweepyard.search.space import Space

Array: TypeAlias = "NDArray[np.float64]"

LEAST_RUNS = 10
"""With fewer nothing is said."""
SURE, LIKELY = 0.01, 0.1
"""Chances below which a parameter matters for sure, or likely."""
_DRAWS = 999
_GRID = 48
_SMOOTHED = 0.1
"""The share of a category's weight that is spread over all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """`share` of all that parameters explain, 0 to 1. `chance`: how often as many runs drawn by chance differ as
    much. `runs`: how many have the parameter; it is judged by these, and its share is less if they are not all."""

    name: str
    share: float
    chance: float
    runs: int


def importance(
    space: Space, points: Sequence[Sequence[object] | None], losses: Sequence[float | None]
) -> list[Importance]:
    """The parameters that vary, the most important first; nothing with fewer than `LEAST_RUNS` scored runs.

    `points`: flat values of `space`, None for a run that is not of it. `losses`: the smaller, the better.
    """
    encoding, pairs = Encoding(space), zip(points, losses, strict=True)
    scored = [
        (p, loss) for p, loss in pairs if loss is not None and p is not None and encoding.encode(p) is not None
    ]
    if len(scored) < LEAST_RUNS:
        return []
    ties = np.random.default_rng(0).permutation(len(scored))  # or of equal losses the first ones would be the best
    ranked = [scored[i][0] for i in np.lexsort((ties, np.array([loss for _, loss in scored])))]
    found = [_judge(column, [values[column.position] for values in ranked]) for column in encoding.columns]
    total = sum(gain for gain, _, _ in found) or 1.0
    names = [space.parameters[column.position].name for column in encoding.columns]
    shares = [
        Importance(name=name, share=gain / total, chance=chance, runs=runs)
        for name, (gain, chance, runs) in zip(names, found, strict=True)
    ]
    return sorted(shares, key=lambda one: (-one.share, one.chance, one.name))


def verdict(found: Sequence[Importance], runs: int) -> str:
    """A sentence on how sure it is."""
    if not found:
        return f"{runs} runs have a value: too few to tell, at least {LEAST_RUNS} are needed."
    sure = [one.name for one in found if one.chance <= SURE]
    likely = [one.name for one in found if SURE < one.chance <= LIKELY]
    parts = [f"{', '.join(names)} {word}" for names, word in ((sure, "for sure"), (likely, "likely")) if names]
    if not parts:
        return f"From {runs} runs: no parameter can be told from chance."
    rest = "" if len(sure) + len(likely) == len(found) else "; the others cannot be told from chance"
    return f"From {runs} runs: what matters is {' and '.join(parts)}{rest}."


def _judge(column: Column, ranked: Sequence[object]) -> tuple[float, float, int]:
    """What one parameter explains beyond chance, the chance, and the number of runs that have it, best first."""
    values = [column.coordinate(value) for value in ranked if value is not INACTIVE]
    n = len(values)
    if n < LEAST_RUNS:
        return 0.0, 1.0, n
    best = max(n // 10, min(n // 2, round(2 * math.sqrt(n))))
    kernels = _kernels(column, np.array(values))
    baseline = kernels.mean(axis=0)
    rng = np.random.default_rng(0)
    drawn = np.array([rng.permutation(n)[:best] for _ in range(_DRAWS)])
    chosen = np.zeros((_DRAWS + 1, n))
    chosen[0, :best] = 1.0
    np.put_along_axis(chosen[1:], drawn, 1.0, axis=1)
    ratios = (chosen @ kernels / best) / baseline - 1.0
    differ = (ratios**2 * baseline).sum(axis=1)
    chance = float((differ[1:] >= differ[0]).sum() + 1) / (_DRAWS + 1)
    return max(0.0, float(differ[0] - differ[1:].mean())) * n / len(ranked), chance, n


def _kernels(column: Column, values: Array) -> Array:
    """How each run's value is spread over the cells of the parameter, rows that add up to 1."""
    if column.categories:
        alike = np.equal.outer(values, np.arange(column.categories))
        kept = np.flatnonzero(alike.any(axis=0))
        spread: Array = (1 - _SMOOTHED) * alike[:, kept] + _SMOOTHED / len(kept)
        return spread
    cells = (np.arange(_GRID) + 0.5) / _GRID
    width = max(1.06 * float(values.std()) * len(values) ** -0.2, 0.5 / _GRID)
    bells: Array = np.exp(-0.5 * np.square(np.subtract.outer(values, cells) / width)) + 1e-12
    bells /= bells.sum(axis=1, keepdims=True)
    return bells
