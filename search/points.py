"""What the searchers share: which points a sweep has had, and where to find others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from operator import is_
from typing import Any, TypeAlias

import numpy as np

from sweepyard.plain import Params
from sweepyard.search.distributions import Axis, canonical
from sweepyard.search.port import Observation
from sweepyard.search.rules import INACTIVE
from sweepyard.search.space import Space

Key: TypeAlias = "tuple[Any, ...]"

MOST_COUNTED = 10**5
"""Of a space with rules: how many combinations are worth looking through to count its points."""
MOST_DRAWS = 10**5
"""How many draws one question is worth where rules refuse some. `feasible` keeps out spaces of which they leave
next to nothing."""
_DRAWS = 128
"""How many draws of a finite space may hit visited points before the rest is looked through one by one."""


class Visited:
    """The points that runs of a sweep already have.

    Keys of the history are kept between calls, as long as the history only grows; the answers are those of
    an object that was just made.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._known: list[Params] = []
        self._past: set[Key] = set()
        self._open: set[Key] = set()

    def update(self, history: Sequence[Observation], pending: Iterable[Params]) -> bool:
        """Make these runs the visited ones. False: the history is not the one of the last call, grown."""
        grown = len(history) >= len(self._known) and all(
            map(is_, self._known, (observation.params for observation in history))
        )
        if not grown:
            self._known, self._past = [], set()
        new = [observation.params for observation in history[len(self._known) :]]
        self._known += new
        self._past.update(self._keys(new))
        self._open = set(self._keys(pending))
        return grown

    def add(self, values: Sequence[Any]) -> None:
        """Count the point with these flat values as visited until the next update."""
        self._open.add(key_of(values))

    def __contains__(self, values: Sequence[Any]) -> bool:
        key = key_of(values)
        return key in self._past or key in self._open

    def in_history(self, values: Sequence[Any]) -> bool:
        """Whether a run that ended had this point."""
        return key_of(values) in self._past

    def _keys(self, points: Iterable[Params]) -> Iterator[Key]:
        flat = (self._space.flatten(params) for params in points)
        return (key_of(values) for values in flat if values is not None)


def tally(count: int) -> str:
    """A number of points as people read it; one of very many digits only about."""
    return f"{count:,}" if count < 10**15 else f"about 10^{round(math.log10(2) * count.bit_length())}"


def key_of(values: Sequence[Any]) -> Key:
    """Equal for equal points: numbers compare by value, booleans are not numbers."""
    return tuple(canonical(value) for value in values)


def point_at(axes: Sequence[Axis], index: int) -> list[Any]:
    """Point `index` of the product of `axes`, the last of which varies fastest."""
    values = []
    for axis in reversed(axes):
        index, digit = divmod(index, axis.size() or 1)
        values.append(axis.value(digit))
    return values[::-1]


def fresh_points(space: Space, visited: Visited, rng: np.random.Generator) -> Iterator[list[Any]]:
    """Unvisited points of `space`, drawn from its distributions; an iterator that ends if there are no more.

    A finite space is drawn from first, then walked through to the end in a random order: what is rare under
    the distributions still comes, and nothing is missed.
    """
    size = space.size()
    draws = (space.sample(rng.random(len(space.parameters))) for _ in repeat(None))
    points: Iterator[list[Any]]
    if size is not None:
        points = chain(islice(draws, _DRAWS), _walk(space, size, rng))
    elif space.rules.is_trivial:
        points = draws
    else:
        points = islice(draws, MOST_DRAWS)
    return (values for values in points if values not in visited and space.allows(values))


def combination(space: Space, axes: Sequence[Axis], index: int) -> list[Any] | None:
    """The point that combination `index` of the values on `axes` stands for; None: it stands for none.

    Of the combinations that differ only in inactive parameters, the first one stands for their point.
    """
    values = point_at(axes, index)
    if space.rules.is_trivial:
        return values
    point = space.settle(values)
    first = all(
        settled is not INACTIVE or canonical(value) == canonical(axis.value(0))
        for axis, value, settled in zip(axes, values, point, strict=True)
    )
    return point if first and space.allows(point) else None


def count(space: Space, axes: Sequence[Axis]) -> int:
    """How many points the combinations on `axes` stand for: of very many combinations only an upper bound."""
    combinations = math.prod(axis.size() or 1 for axis in axes)
    if space.rules.is_trivial or combinations > MOST_COUNTED:
        return combinations
    return sum(combination(space, axes, index) is not None for index in range(combinations))


def size_of(space: Space) -> int | None:
    """How many points a space has, counted as `count` does; None if they cannot be counted."""
    return None if space.size() is None else count(space, space.axes)


def _walk(space: Space, size: int, rng: np.random.Generator) -> Iterator[list[Any]]:
    """Every point once: steps of a length that shares no divisor with `size`, from a random start."""
    axes = space.axes
    index, step = int(rng.random() * size) % size, int(rng.random() * size) | 1
    while math.gcd(step, size) != 1:
        step += 2 if size % 2 == 0 else 1
    for _ in range(size if space.rules.is_trivial else min(size, 10 * MOST_DRAWS)):
        yield space.settle(point_at(axes, index))
        index = (index + step) % size
