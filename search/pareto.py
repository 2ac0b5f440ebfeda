"""Which of several runs are worth choosing between when there are several objectives. Pure.

Points are rows of losses, shape (runs, objectives), each to be as small as possible: see `losses`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sweepyard.tracking.records import Objective


def losses(values: Sequence[Sequence[float | None]], objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """Rows of losses; a run that lacks a value has infinite ones and is dominated by every other."""
    rows = np.array([[np.nan if v is None else v for v in row] for row in values], dtype=float)
    rows = rows.reshape(len(values), len(objectives))
    rows *= [-1.0 if objective.goal == "maximize" else 1.0 for objective in objectives]
    rows[~np.isfinite(rows).all(axis=1)] = np.inf
    return rows


def front(points: NDArray[np.float64]) -> list[int]:
    """Indices of the points that no other one beats: none is at most as large in all losses and smaller in one.

    Rising in the first loss, then in the next. Equal points are all in it; points with an infinite loss never are.
    """
    order = [int(i) for i in np.lexsort(points.T[::-1]) if np.isfinite(points[i]).all()]
    kept: list[int] = []
    for i in order:  # who beats a point comes before it
        above = points[kept]
        beaten = (above <= points[i]).all(axis=1) & (above < points[i]).any(axis=1)
        if not beaten.any():
            kept.append(i)
    return kept


def hypervolume(points: NDArray[np.float64], reference: Sequence[float]) -> float:
    """The volume of all that some point beats and `reference` does not: exact, by slices along the last loss.

    Points beyond the reference add nothing. Work grows with runs^(objectives - 1).
    """
    inside = points[(points < reference).all(axis=1)]
    return _volume(inside[front(inside)], np.asarray(reference, dtype=float))


def _volume(points: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(reference[0] - points.min())
    points = points[np.argsort(points[:, -1], kind="stable")]
    edges = np.append(points[1:, -1], reference[-1])
    heights = edges - points[:, -1]
    slices = (_slice(points[: i + 1, :-1], reference[:-1]) for i in range(len(points)) if heights[i] > 0)
    return float(np.dot(heights[heights > 0], np.fromiter(slices, dtype=float)))


def _slice(points: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    return _volume(points[front(points)] if points.shape[1] > 1 else points, reference)
