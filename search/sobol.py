"""Quasi-random search: a scrambled Sobol sequence (Sobol 1967; Owen 1998), as scipy has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from sweepyard.plain import Params
from sweepyard.search.points import MOST_DRAWS, Visited, fresh_points, size_of
from sweepyard.search.port import Observation, Suggestion, created
from sweepyard.search.space import Space

_FIRST = 6
"""The sequence is computed 2**6 points at a time, then twice as far each time."""
_MISSES = 1000
"""How many points in a row may have been visited before a finite space is looked through one by one."""


class SobolSearcher:
    """The first point of the sequence that no run of the sweep has. The sequence depends on the seed alone.

    Fills a space more evenly than random draws do. A finite space is covered without repeats, and comes to an end.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed
        self._visited = Visited(space)
        self._sequence = _sequence(space, seed)
        self._points: list[list[Any]] = []
        self._start = 0  # every point before this one is in the history

    def size(self) -> int | None:
        return size_of(self._space)

    def suggest(self, history: Sequence[Observation], pending: Sequence[Params], n: int) -> list[Suggestion]:
        if not self._visited.update(history, pending):
            self._start = 0
        while self._start < len(self._points) and self._visited.in_history(self._points[self._start]):
            self._start += 1
        first = created(history, pending)
        suggestions: list[Suggestion] = []
        for values, reason in islice(self._fresh(first), n):
            self._visited.add(values)
            reason = f"{reason} (seed {self._seed})"
            suggestions.append(Suggestion(params=self._space.nest(values), reason=reason))
        return suggestions

    def _fresh(self, k: int) -> Iterator[tuple[list[Any], str]]:
        """Points that are not visited, also not meanwhile; suggestion `k` comes first."""
        index, misses = self._start, 0
        while misses < _MISSES:
            if index == len(self._points):
                self._points += islice(self._sequence, 1)
            if index == len(self._points):
                break
            values = self._points[index]
            index += 1
            if values in self._visited:
                misses += 1
            else:
                misses = 0
                yield values, f"Sobol point {index}"
        rng = np.random.default_rng(np.random.SeedSequence([self._seed, k]))
        yield from (
            (values, "random draw where the Sobol points have nothing new")
            for values in fresh_points(self._space, self._visited, rng)
        )


def _sequence(space: Space, seed: int) -> Iterator[list[Any]]:
    """The points of the sequence that the space allows. It ends only where the space allows next to nothing.

    Parameters of one value take part in none of its dimensions.
    """
    from scipy.stats import qmc  # slow to import

    free = [i for i, each in enumerate(space.parameters) if each.distribution.size() != 1]
    engine = qmc.Sobol(max(1, len(free)), seed=np.random.default_rng(np.random.SeedSequence([seed])))
    quantiles = np.full(len(space.parameters), 0.5)
    power, misses = _FIRST, 0
    while misses < MOST_DRAWS:
        for row in engine.random_base2(power):
            quantiles[free] = row[: len(free)]
            values = space.sample(quantiles)
            misses = 0 if space.allows(values) else misses + 1
            if not misses:
                yield values
        power = max(_FIRST, engine.num_generated.bit_length() - 1)
