"""Points that are tried before a method has a say: those of the sweep file, or else baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sweepyard.plain import Params
from sweepyard.search.points import Visited
from sweepyard.search.port import Observation, Searcher, Suggestion
from sweepyard.search.space import Space

Point = tuple[Sequence[Any], str]
"""Flat values, and why they are tried."""


class InitialFirst:
    """`points` in their order, as far as no run of the sweep has them; then what `searcher` suggests.

    `unasked`: nobody asked for them, so they come only where nothing is known yet: as the first runs of a sweep
    without prior runs.
    """

    def __init__(
        self, searcher: Searcher, space: Space, points: Sequence[Point], *, unasked: bool = False
    ) -> None:
        self._searcher = searcher
        self._space = space
        self._points = points
        self._unasked = unasked
        self._visited = Visited(space)

    def size(self) -> int | None:
        return self._searcher.size()

    def suggest(self, history: Sequence[Observation], pending: Sequence[Params], n: int) -> list[Suggestion]:
        first = [
            Suggestion(params=self._space.nest(values), reason=why)
            for values, why in self._fresh(history, pending)[:n]
        ]
        if len(first) == n:
            return first
        taken = [*pending, *(suggestion.params for suggestion in first)]
        return first + self._searcher.suggest(history, taken, n - len(first))

    def _fresh(self, history: Sequence[Observation], pending: Sequence[Params]) -> Sequence[Point]:
        points = self._points
        if self._unasked:
            known = any(run.source for run in history[: len(points)])
            points = () if known else points[len(history) + len(pending) :]
        if not points:
            return ()
        self._visited.update(history, pending)
        return [(values, why) for values, why in points if values not in self._visited]
