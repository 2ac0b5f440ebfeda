"""The points of a space as rows of numbers that a model can measure distances between.

Numbers are their quantiles. What has steps (ints, quantised values, `values` that are all numbers) lies on its
steps: the model and the search for the best point see only points that exist. Other categories are counted by
index; they are alike or different, no more (a Hamming distance).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sweepyard.plain import finite
from sweepyard.search.belonging import belongings
from sweepyard.search.distributions import Categorical, Distribution
from sweepyard.search.rules import INACTIVE
from sweepyard.search.space import Space

Array: TypeAlias = "NDArray[np.float64]"
Mask: TypeAlias = "NDArray[np.bool_]"

_STEPS_MAX = 1000
"""More steps than these are as good as a continuum until a row becomes a point."""
_ACTIVE_KEPT = 4096
"""Of how many combinations of values it is kept which parameters they leave active."""


@dataclass(frozen=True, slots=True)
class Column:
    """One free parameter. `steps`: its coordinates if it has steps, rising. `ranks`: the category of each step.

    `categories`: how many, 0 if the parameter has an order.
    """

    position: int
    distribution: Distribution
    steps: Array | None = None
    ranks: tuple[int, ...] = ()
    categories: int = 0

    def coordinate(self, value: Any) -> float:
        """Raises ValueError: the parameter has no such value."""
        if isinstance(self.distribution, Categorical):
            index = self.distribution.index(value)
            return float(index) if self.steps is None else float(self.steps[self.ranks.index(index)])
        return float(self.nearest(np.array([self.distribution.cdf(value)]))[0])

    def value(self, coordinate: float) -> Any:
        if self.categories:
            return self.distribution.value(int(coordinate))
        if self.steps is None:
            return self.distribution.ppf(coordinate)
        step = int(self.step(np.array([coordinate]))[0])
        return self.distribution.value(self.ranks[step] if self.ranks else step)

    def nearest(self, coordinates: Array) -> Array:
        """The nearest coordinates that exist."""
        return coordinates.clip(0.0, 1.0) if self.steps is None else self.steps[self.step(coordinates)]

    def step(self, coordinates: Array) -> NDArray[np.intp]:
        """The number of the step that is nearest to each coordinate."""
        assert self.steps is not None  # noqa: S101 (asked only of columns with steps)
        return np.searchsorted((self.steps[1:] + self.steps[:-1]) / 2, coordinates)


class Encoding:
    """Points of `space` to rows of `columns`, and back. A row has shape (len(columns),)."""

    def __init__(self, space: Space) -> None:
        self._space = space
        free = [(i, each.distribution) for i, each in enumerate(space.parameters) if each.distribution.size() != 1]
        self.columns = tuple(_column(i, distribution) for i, distribution in free)
        self.unordered = np.array([column.categories > 0 for column in self.columns], dtype=bool)
        self.continuous = np.array([not c.categories and c.steps is None for c in self.columns], dtype=bool)
        self._fixed = [each.distribution.ppf(0.5) for each in space.parameters]
        self._median = np.array([column.coordinate(self._fixed[column.position]) for column in self.columns])
        switches = space.rules.switches
        self._switches = [j for j, column in enumerate(self.columns) if column.position in switches]
        self._owners = _owners(space, self.columns)
        self._active: dict[bytes, Mask] = {}

    def encode(self, values: Sequence[Any] | None) -> list[float] | None:
        """The row of a point, with the median where a value does not count; None if the space does not have it."""
        if values is None:
            return None
        values = self._space.filled(values)
        try:
            row = [column.coordinate(values[column.position]) for column in self.columns]
        except ValueError:
            return None
        settled: list[float] = self.settle(np.array([row]))[0].tolist() if self._owners else row
        return settled

    def decode(self, row: Sequence[float] | Array) -> list[Any]:
        """The flat values of the point that a row stands for."""
        values = list(self._fixed)
        for column, coordinate in zip(self.columns, row, strict=True):
            values[column.position] = column.value(float(coordinate))
        return self._space.settle(values)

    def active(self, rows: Array) -> Mask:
        """Which coordinates of each row count: its point has a value for them, and names do not say otherwise."""
        found = np.ones(rows.shape, dtype=bool)
        for choice, counts in self._owners.items():
            found &= counts[rows[:, choice].astype(np.intp)]
        if not self._switches:
            return found
        kinds, kind = np.unique(rows[:, self._switches], axis=0, return_inverse=True)
        for i, switches in enumerate(kinds):
            alike = np.flatnonzero(kind.ravel() == i)
            found[alike] &= self._activity(switches.tobytes(), rows[alike[0]])
        return found

    def _activity(self, key: bytes, row: Array) -> Mask:
        if key not in self._active:
            if len(self._active) >= _ACTIVE_KEPT:
                self._active.clear()
            values = self.decode(row)
            self._active[key] = np.array([values[column.position] is not INACTIVE for column in self.columns])
        return self._active[key]

    def settle(self, rows: Array) -> Array:
        """The rows with the median where nothing counts: alike for the model if all that counts is."""
        if not self._switches and not self._owners:
            return rows
        found: Array = np.where(self.active(rows), rows, self._median)
        return found

    def spread(self, u: Array) -> Array:
        """Rows from numbers of [0, 1), shape (rows, columns): every category as often as the others."""
        rows = u.copy()
        for j, column in enumerate(self.columns):
            if column.categories:
                rows[:, j] = np.floor(u[:, j] * column.categories)
            elif column.steps is not None:
                rows[:, j] = column.nearest(u[:, j])
        return self.settle(rows)

    def mutate(self, rows: Array, width: float, rng: np.random.Generator) -> Array:
        """Each row with some of its coordinates moved: by about `width`, a step at least, to another category."""
        shape = rows.shape
        moved = rng.random(shape) < min(1.0, 2.0 / shape[1])
        moved[np.arange(shape[0]), rng.integers(shape[1], size=shape[0])] = True
        shift = rng.standard_normal(shape) * width
        found = np.where(moved & self.continuous, (rows + shift).clip(0.0, 1.0), rows)
        for j in np.flatnonzero(~self.continuous):
            at = moved[:, j]
            found[at, j] = _moved(self.columns[j], rows[at, j], shift[at, j], rng)
        return self.settle(found)

    def neighbours(self, row: Array) -> Array:
        """The rows that differ by one step or one category (at most 32 of them a column); may be none."""
        found = []
        for j, column in enumerate(self.columns):
            for coordinate in _beside(column, float(row[j])):
                found.append(row.copy())
                found[-1][j] = coordinate
        return self.settle(np.array(found).reshape(-1, len(row)))


def _owners(space: Space, columns: Sequence[Column]) -> dict[int, Mask]:
    """Of each column that others belong to: which columns count with each of its categories."""
    at = {column.position: j for j, column in enumerate(columns)}
    owners: dict[int, Mask] = {}
    for each in belongings(space):
        if each.position in at:
            choice = columns[at[each.choice]]
            counts = owners.setdefault(at[each.choice], np.ones((choice.categories, len(columns)), dtype=bool))
            apart = set(range(choice.categories)).difference(int(choice.coordinate(v)) for v in each.values)
            counts[sorted(apart), at[each.position]] = False
    return owners


def _column(position: int, distribution: Distribution) -> Column:
    if isinstance(distribution, Categorical):
        numbers = [finite(value) for value in distribution.values]
        if None in numbers:
            return Column(position, distribution, categories=distribution.size())
        ranks = tuple(int(i) for i in np.argsort(np.array(numbers, dtype=float), kind="stable"))
        return Column(position, distribution, (np.arange(len(ranks)) + 0.5) / len(ranks), ranks)
    size = distribution.size()
    if size is None or size > _STEPS_MAX:
        return Column(position, distribution)
    return Column(position, distribution, np.array([distribution.cdf(distribution.value(i)) for i in range(size)]))


def _moved(column: Column, old: Array, shift: Array, rng: np.random.Generator) -> Array:
    if column.categories:
        other: Array = (old + rng.integers(1, column.categories, size=len(old))) % column.categories
        return other
    assert column.steps is not None  # noqa: S101 (what is continuous was moved before)
    before, after = column.step(old), column.step(old + shift)
    after = np.where(after == before, before + np.sign(shift).astype(np.intp), after)
    chosen: Array = column.steps[after.clip(0, len(column.steps) - 1)]
    return chosen


def _beside(column: Column, old: float) -> list[float]:
    if column.categories:
        others = [float(i) for i in range(column.categories) if i != old]
        return others[:32]
    if column.steps is None:
        return []
    step = int(column.step(np.array([old]))[0])
    return [float(column.steps[i]) for i in (step - 1, step + 1) if 0 <= i < len(column.steps)]
