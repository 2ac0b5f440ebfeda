"""Grid search: every point once, in W&B's order or another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from sweepyard.errors import Problem, SpecError
from sweepyard.plain import Params
from sweepyard.search.distributions import Axis, Quantised
from sweepyard.search.permutation import Permutation
from sweepyard.search.points import Visited, combination, count, tally
from sweepyard.search.port import Observation, Suggestion
from sweepyard.search.space import Parameter, Space


class GridSearcher:
    """The parameters in the order of the space, the last varies fastest, values as listed; or all shuffled.

    The product is never laid out: a point is computed from its number. The next point is the first that no run
    of the sweep has, in whatever state that run is. `seed` shuffles a space whose order is `random`.

    `combinations`: how many there are before the rules of the space take some out.

    Raises:
        SpecError: parameters whose values cannot be listed.
    """

    def __init__(self, space: Space, seed: int = 0) -> None:
        self._space = space
        self.axes = _axes(space)
        self.combinations = math.prod(axis.size() or 1 for axis in self.axes)
        self._shuffled = Permutation(self.combinations, seed) if space.order == "random" else None
        self._allowed: list[int] = []  # of a space with rules: the combinations that stand for points, as far as
        self._seen = 0  # they have been looked through
        self._visited = Visited(space)
        self._start = 0  # every point before this one is in the history

    def size(self) -> int:
        return self._size

    @cached_property
    def _size(self) -> int:
        return count(self._space, self.axes)

    def suggest(self, history: Sequence[Observation], pending: Sequence[Params], n: int) -> list[Suggestion]:
        if not self._visited.update(history, pending):
            self._start = 0
        while (values := self._point(self._start)) is not None and self._visited.in_history(values):
            self._start += 1
        suggestions: list[Suggestion] = []
        index = self._start
        while len(suggestions) < n and (values := self._point(index)) is not None:
            index += 1
            if values not in self._visited:
                reason = f"grid point {tally(index)} of {tally(self._size)}"
                suggestions.append(Suggestion(params=self._space.nest(values), reason=reason))
        return suggestions

    def _point(self, place: int) -> list[Any] | None:
        """The point at `place` of the grid; None behind its end."""
        if self._space.rules.is_trivial:
            return self._combination(place) if place < self.combinations else None
        while place >= len(self._allowed) and self._seen < self.combinations:
            if self._combination(self._seen) is not None:
                self._allowed.append(self._seen)
            self._seen += 1
        return self._combination(self._allowed[place]) if place < len(self._allowed) else None

    def _combination(self, index: int) -> list[Any] | None:
        return combination(self._space, self.axes, self._shuffled(index) if self._shuffled else index)


def _axes(space: Space) -> list[Axis]:
    axes = [(parameter, _axis(parameter)) for parameter in space.parameters]
    problems = [
        Problem(
            path=parameter.where,
            message=f"grid search cannot list the values of {parameter.kind}. Use value, values, int_uniform or "
            "q_uniform here, or `method: random` or `method: bayes`",
        )
        for parameter, axis in axes
        if axis is None
    ]
    if problems:
        raise SpecError(problems)
    return [axis for _, axis in axes if axis is not None]


def _axis(parameter: Parameter) -> Axis | None:
    distribution = parameter.distribution
    if parameter.kind in ("constant", "categorical", "zipped", "int_uniform"):
        return distribution
    return distribution.steps if isinstance(distribution, Quantised) else None
