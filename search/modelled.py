"""What the methods share that learn from ranks: which runs they see, when they begin, what never comes twice.

Such a method is a function, `Propose`: of the columns of the space, the runs so far and a source of dice it gives
rows, the best first. This module takes the first one that is a new point of the space.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol

import numpy as np

from sweepyard.plain import Params
from sweepyard.search.encoding import Array, Encoding
from sweepyard.search.points import Visited, fresh_points, size_of
from sweepyard.search.port import Observation, Suggestion, created
from sweepyard.search.sobol import SobolSearcher
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

_ROWS_TRIED = 1000
"""How many rows of one proposal are looked at before a random point is taken."""


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs that ended, in their order, then those that have not.

    `rows`: shape (runs, columns). `losses`: shape (runs,), the smaller the better; infinite without a score, NaN
    of a run that has not ended.
    """

    rows: Array
    losses: Array

    @property
    def ended(self) -> int:
        return int(np.count_nonzero(~np.isnan(self.losses)))


class Propose(Protocol):
    def __call__(self, encoding: Encoding, runs: Runs, rng: np.random.Generator) -> tuple[Iterator[Array], str]:
        """Rows to try, the best first, and why, for the user."""
        ...


class ModelledSearcher:
    """The first new point that `propose` gives; a Sobol sequence until `design` runs exist and one has a score."""

    def __init__(self, space: Space, objective: Objective, seed: int, propose: Propose, design: int) -> None:
        self._space = space
        self._sign = -1.0 if objective.goal == "maximize" else 1.0
        self._seed = seed
        self._propose = propose
        self._design = design
        self._sobol = SobolSearcher(space, seed)
        self._visited = Visited(space)
        self._encoding = Encoding(space)
        self._known: list[Observation] = []
        self._placed: list[tuple[list[float], float]] = []

    def size(self) -> int | None:
        return size_of(self._space)

    def suggest(self, history: Sequence[Observation], pending: Sequence[Params], n: int) -> list[Suggestion]:
        suggestions: list[Suggestion] = []
        while len(suggestions) < n:
            found = self._next(history, [*pending, *(each.params for each in suggestions)])
            if not found:
                break
            suggestions += found
        return suggestions

    def _next(self, history: Sequence[Observation], pending: Sequence[Params]) -> list[Suggestion]:
        k = created(history, pending)
        runs = self._runs(history, pending)
        if k < self._design or not np.isfinite(runs.losses).any() or not self._encoding.columns:
            return self._sobol.suggest(history, pending, 1)
        self._visited.update(history, pending)
        rng = np.random.default_rng(np.random.SeedSequence([self._seed, k]))
        rows, reason = self._propose(self._encoding, runs, rng)
        points = (self._encoding.decode(row) for row in islice(rows, _ROWS_TRIED))
        new = (values for values in points if values not in self._visited and self._space.allows(values))
        found = next(((values, reason) for values in new), None) or next(
            ((values, "random draw: the model has nothing new") for values in self._fresh(rng)), None
        )
        return [Suggestion(params=self._space.nest(found[0]), reason=found[1])] if found else []

    def _fresh(self, rng: np.random.Generator) -> Iterator[list[Any]]:
        return fresh_points(self._space, self._visited, rng)

    def _runs(self, history: Sequence[Observation], pending: Sequence[Params]) -> Runs:
        """The runs of this space; others teach nothing. Rows are kept as long as the history only grows."""
        grown = len(history) >= len(self._known) and all(
            a is b for a, b in zip(self._known, history, strict=False)
        )
        if not grown:
            self._known, self._placed = [], []
        for run in history[len(self._known) :]:
            self._known.append(run)
            if (row := self._row(run.params)) is not None:
                self._placed.append((row, np.inf if run.value is None else self._sign * run.value))
        opened = ((row, np.nan) for row in map(self._row, pending) if row is not None)
        every = list(chain(self._placed, opened))
        rows = np.array([row for row, _ in every], dtype=float).reshape(len(every), len(self._encoding.columns))
        return Runs(rows, np.array([loss for _, loss in every], dtype=float))

    def _row(self, params: Params) -> list[float] | None:
        return self._encoding.encode(self._space.flatten(params))
