"""Whether the rules of a space leave anything to search: looked at once, when a sweep is created."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweepyard.search.distributions import Axis
from sweepyard.search.operators import ExpressionError
from sweepyard.search.points import MOST_COUNTED, point_at
from sweepyard.search.space import Space
from sweepyard.wording import shorten

_DRAWS = 10_000
_ENOUGH = 100
"""So many allowed points are proof enough that there are more."""
_FEWEST = 5
"""Fewer allowed draws than this are too few to search by drawing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`trouble`: why the space cannot be searched, empty if it can. `share`: what the constraints leave of it."""

    trouble: str = ""
    share: float = 1.0


def examine(space: Space, axes: Sequence[Axis] | None) -> Finding:
    """Look through the combinations on `axes` if they are given and few; else at points drawn with seed 0."""
    if space.rules.is_trivial:
        return Finding()
    combinations = math.inf if axes is None else math.prod(axis.size() or 1 for axis in axes)
    if axes is not None and combinations <= MOST_COUNTED:
        every = (space.settle(point_at(axes, index)) for index in range(int(combinations)))
        return _judge(space, every, enough=MOST_COUNTED, fewest=1)
    return _judge(space, _draws(space), enough=_ENOUGH, fewest=_FEWEST)


def _draws(space: Space) -> Iterator[list[Any]]:
    rng = np.random.default_rng(0)
    return (space.sample(rng.random(len(space.parameters))) for _ in range(_DRAWS))


def _judge(space: Space, points: Iterator[list[Any]], *, enough: int, fewest: int) -> Finding:
    seen, good, broken = 0, 0, Counter[str]()
    for point in points:
        try:
            failed = space.rules.broken(point)
        except ExpressionError as error:
            return Finding(f"{error} (for {_shown(space, point)})", 0.0)
        seen += 1
        good += not failed
        broken.update({constraint.text for constraint in failed})
        if good >= enough:
            break
    if good >= fewest:
        return Finding(share=good / seen)
    shares = "; ".join(f"{text} holds for {1 - count / seen:.2%}" for text, count in broken.items())
    few = "no point satisfies" if not good else f"only {good} points satisfy"
    return Finding(f"{few} all constraints, of {seen:,} that were looked at: {shares}", good / seen)


def _shown(space: Space, point: Sequence[Any]) -> str:
    pairs = zip(space.parameters, point, strict=True)
    return shorten(", ".join(f"{parameter.name} {value}" for parameter, value in pairs), 200)
