"""Random search: every parameter drawn from its own distribution (Bergstra and Bengio 2012)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweepyard.plain import Params
from sweepyard.search.points import Visited, fresh_points, size_of
from sweepyard.search.port import Observation, Suggestion, created
from sweepyard.search.space import Space


class RandomSearcher:
    """Draws that do not look at results. A finite space is drawn without replacement, and so comes to an end."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed
        self._visited = Visited(space)

    def size(self) -> int | None:
        return size_of(self._space)

    def suggest(self, history: Sequence[Observation], pending: Sequence[Params], n: int) -> list[Suggestion]:
        finite = self._space.size() is not None  # of a continuous space no point comes twice
        self._visited.update(history if finite else (), pending if finite else ())
        first = created(history, pending)
        suggestions: list[Suggestion] = []
        for k in range(first, first + n):
            rng = np.random.default_rng(np.random.SeedSequence([self._seed, k]))
            values = next(fresh_points(self._space, self._visited, rng), None)
            if values is None:
                break
            self._visited.add(values)
            reason = f"random draw {k + 1} (seed {self._seed})"
            suggestions.append(Suggestion(params=self._space.nest(values), reason=reason))
        return suggestions
