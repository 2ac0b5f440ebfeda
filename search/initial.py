"""Points that a sweep file wants to be tried first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sweepyard.plain import Params
from sweepyard.search.points import Visited
from sweepyard.search.port import Observation, Searcher, Suggestion
from sweepyard.search.space import Space


class InitialFirst:
    """`points` in their order, as far as no run of the sweep has them; then what `searcher` suggests."""

    def __init__(self, searcher: Searcher, space: Space, points: Sequence[Sequence[Any]]) -> None:
        self._searcher = searcher
        self._space = space
        self._points = points
        self._visited = Visited(space)

    def size(self) -> int | None:
        return self._searcher.size()

    def suggest(self, history: Sequence[Observation], pending: Sequence[Params], n: int) -> list[Suggestion]:
        self._visited.update(history, pending)
        fresh = [(i, values) for i, values in enumerate(self._points, 1) if values not in self._visited]
        first = [
            Suggestion(params=self._space.nest(values), reason=f"initial point {i} of {len(self._points)}")
            for i, values in fresh[:n]
        ]
        if len(first) == n:
            return first
        taken = [*pending, *(suggestion.params for suggestion in first)]
        return first + self._searcher.suggest(history, taken, n - len(first))
