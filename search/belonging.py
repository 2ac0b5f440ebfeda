"""What names say about which parameters count together.

`rpart.cp` counts only where the learner is `rpart`, and `max_depth` where XGBoost's `booster` grows trees. Where
nothing else says so, a model would have to find it out from runs, for every parameter of every learner.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sweepyard.search.distributions import Categorical, Distribution
from sweepyard.search.manuals import MANUALS
from sweepyard.search.space import Space

GROUP = re.compile(r"[./:]|__")
"""What ends the name of a group."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """The parameter at `position` counts only where the choice at `choice` has one of these `values`."""

    position: int
    choice: int
    values: tuple[str, ...]


def belongings(space: Space) -> list[Belonging]:
    """What the names of groups say, and what manuals say of names (`manuals.MANUALS`).

    A parameter with a `when` says itself where it counts: it neither belongs to anything nor owns anything.
    """
    free = {
        each.name: i
        for i, each in enumerate(space.parameters)
        if not each.zipped and each.name not in space.rules.conditional
    }
    return [*_grouped(space, free), *_documented(space, free)]


def _grouped(space: Space, free: dict[str, int]) -> list[Belonging]:
    """Each parameter in a group (`svm.c`, `svm/c`, `svm:c`, `svm__c`, or nested) named as a value of a choice.

    A name that is a value of two choices says nothing. A choice that belongs somewhere itself owns nothing.
    """
    values = [(value, i) for i, each in enumerate(space.parameters) for value in _texts(each.distribution)]
    times = Counter(value for value, _ in values)
    conditional = space.rules.conditional
    choices = {
        value: i for value, i in values if times[value] == 1 and space.parameters[i].name not in conditional
    }
    found = [
        Belonging(i, choices[word], (word,))
        for name, i in free.items()
        for word in sorted(choices.keys() & GROUP.split(name)[:-1])
        if choices[word] != i
    ]
    dependent = {each.position for each in found}
    return [each for each in found if each.choice not in dependent]


def _documented(space: Space, free: dict[str, int]) -> Iterator[Belonging]:
    """Each parameter beside a choice whose name and values a manual knows: in the same group, or both in none.

    So a choice that belongs somewhere itself may own: all that it owns belongs there, too.
    """
    for name, choice in free.items():
        at = max((match.end() for match in GROUP.finditer(name)), default=0)
        manual, values = MANUALS.get(name[at:]), _values(space.parameters[choice].distribution)
        if manual is None or not all(value is None or manual.knows(value) for value in values):
            continue
        for other, having in manual.counts.items():
            position = free.get(name[:at] + other)
            counts = tuple(value for value in values if value in having)
            if position is not None and 0 < len(counts) < len(values):
                yield Belonging(position, choice, counts)


def _values(distribution: Distribution) -> Sequence[Any]:
    """All values of a choice; none if there is no other one to choose, or no end of them."""
    return distribution.values if isinstance(distribution, Categorical) and len(distribution.values) > 1 else ()


def _texts(distribution: Distribution) -> set[str]:
    return {value for value in _values(distribution) if isinstance(value, str) and value}
