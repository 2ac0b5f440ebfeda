"""How alike points are, whatever their parameters mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sweepyard.plain import Params, finite

Array: TypeAlias = "NDArray[np.float64]"

_MOST_KINDS = 10
"""The most values that are no numbers that are told apart in a parameter, the most frequent ones."""
_APART = 0.7
"""Two points with different such values are this far apart times the root of 2: as far as numbers can be."""
_NEAR = 0.3
"""Points at this distance are alike by exp(-1/2): a third of the range of one parameter."""


def flattened(params: Params, path: str = "") -> Params:
    """Values by their path, without maps."""
    flat: Params = {}
    for key, value in params.items():
        flat |= flattened(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return flat


def coordinates(flat: Sequence[Params], learnt: int | None = None) -> Array:
    """Shape (points, columns). A number counts by its rank, from 0 to 1, among those of its parameter.

    Only the first `learnt` points say what ranks and values there are: another one moves none of the rest.
    """
    names = sorted({name for each in flat[:learnt] for name in each})
    columns = [column for name in names for column in _columns([each.get(name) for each in flat], learnt)]
    return np.column_stack(columns) if columns else np.zeros((len(flat), 1))


def likeness(some: Array, others: Array) -> Array:
    """Shape (some, others), from 0 to 1, for coordinates of the same `coordinates`."""
    some, others = some / _NEAR, others / _NEAR
    found: Array = some @ others.T
    found -= (some**2).sum(axis=1)[:, None] / 2  # in place: with a million pairs new arrays are what costs
    found -= (others**2).sum(axis=1) / 2
    return np.exp(np.minimum(found, 0.0, out=found), out=found)


def _columns(values: Sequence[Any], learnt: int | None) -> Iterator[Array]:
    numbers = np.array([number if (number := finite(value)) is not None else np.nan for value in values])
    known = np.isfinite(numbers)
    if known[:learnt].any():
        among = np.sort(numbers[:learnt][known[:learnt]])
        ranks = np.full(len(values), 0.5)
        sides = [np.searchsorted(among, numbers[known], side) for side in ("left", "right")]
        ranks[known] = np.mean(sides, axis=0) / len(among)
        yield ranks
    if not known[:learnt].all():
        kinds = [None if there else repr(value) for value, there in zip(values, known, strict=True)]
        for kind, _ in Counter(kinds[:learnt]).most_common(_MOST_KINDS):
            yield np.array([_APART * (each == kind) for each in kinds])
