"""Where to begin: at the defaults of the libraries whose parameters a sweep has.

They are what a user would compare with anyway, and better than most points: people have chosen them with care.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from sweepyard.plain import finite
from sweepyard.search.belonging import GROUP, belongings
from sweepyard.search.distributions import Categorical, Constant, Distribution
from sweepyard.search.manuals import COMMON, DEFAULTS, UNLIMITED
from sweepyard.search.rules import INACTIVE
from sweepyard.search.space import Space
from sweepyard.wording import number, some

_MOST = 5
"""Of ten learners not each has its turn before anything is learnt."""
_FEWEST = 2
"""One name that a library has, too, is chance."""
_MOST_VALUES = 20
"""A choice of more values is none between learners."""
_SOME_NAMES = 4


@dataclass(frozen=True, slots=True)
class Baseline:
    """A point of a space, by its flat `values`.

    `defaults`: the parameters that have a library's default there, or the nearest value that the space has; all
    others have the median of their distribution. `learners`: whose defaults they are.
    """

    values: list[Any]
    defaults: Mapping[str, Any]
    learners: list[str]

    def __str__(self) -> str:
        said = some([f"{name} {number(value, 3)}" for name, value in self.defaults.items()], _SOME_NAMES)
        whose = " and ".join(self.learners)
        return f"the defaults of {whose}, as near as the space has them ({said}); medians for all else"


@dataclass(frozen=True, slots=True)
class _Known:
    value: Any
    learners: tuple[str, ...]


def baselines(space: Space) -> list[Baseline]:
    """The points where all that a manual knows has its default: none, one, or one for each learner to choose.

    What does not count at a point is not said of it: it is inactive there, or belongs to another learner.
    """
    known = _known(space)
    if not known:
        return []
    middle = [each.distribution.ppf(0.5) for each in space.parameters]
    plain = [known[i].value if i in known else value for i, value in enumerate(middle)]
    owned = belongings(space)
    found: dict[tuple[int, ...], Baseline] = {}
    deciding = (space.rules.switches | {each.choice for each in owned}) - known.keys()
    for values in _choices(space, plain, deciding):
        settled = space.settle(values)
        idle = {each.position for each in owned if values[each.choice] not in each.values}
        counting = tuple(i for i in known if i not in idle and settled[i] is not INACTIVE)
        if len(counting) >= _FEWEST and space.allows(settled):
            defaults = {space.parameters[i].name: settled[i] for i in counting}
            learners = sorted({learner for i in counting for learner in known[i].learners})
            found.setdefault(counting, Baseline(settled, defaults, learners))
    return list(found.values())[:_MOST]


def _choices(space: Space, plain: list[Any], deciding: Set[int]) -> Iterator[list[Any]]:
    """`plain`, and with each value of each choice that decides what counts: some of them choose a learner."""
    yield plain
    for i in sorted(deciding):
        choice = space.parameters[i].distribution
        if isinstance(choice, Categorical) and len(choice.values) <= _MOST_VALUES:
            yield from ([*plain[:i], value, *plain[i + 1 :]] for value in choice.values)


def _known(space: Space) -> dict[int, _Known]:
    """By position the defaults that the space can have, of the learners that its names tell, group by group."""
    names = {each.name: i for i, each in enumerate(space.parameters) if not each.zipped}
    groups = dict.fromkeys(["", *(name[: end.end()] for name in names for end in GROUP.finditer(name))])
    known: dict[int, _Known] = {}
    for group in groups:
        fitting = {learner: _fitting(space, names, group, learner) for learner in DEFAULTS}
        most = max(map(len, fitting.values()))
        if most < _FEWEST:
            continue
        best = {learner: values for learner, values in fitting.items() if len(values) == most}
        first, *others = best.values()
        for i, value in first.items():
            if all(values.get(i) == value for values in others):
                known[i] = _Known(value, tuple(best))
    return known


def _fitting(space: Space, names: Mapping[str, int], group: str, learner: str) -> dict[int, Any]:
    """By position the defaults of a learner in a group; none if all its names there are common ones."""
    found, telling = dict[int, Any](), False
    for name, default in DEFAULTS[learner].items():
        if (i := names.get(group + name)) is not None:
            value = _nearest(space.parameters[i].distribution, default)
            if value is not INACTIVE:
                found[i] = value
                telling |= name not in COMMON
    return found if telling else {}


def _nearest(distribution: Distribution, default: Any) -> Any:
    """The value that is nearest to `default`: `INACTIVE` if none is like it at all."""
    if isinstance(distribution, Constant):
        return INACTIVE
    if isinstance(distribution, Categorical):
        return _listed(distribution.values, default)
    aim = finite(default)
    if aim is None:
        return distribution.ppf(1.0) if default == UNLIMITED else INACTIVE
    near = distribution.ppf(distribution.cdf(aim))
    return type(near)(aim) if math.isclose(near, aim) else near


def _listed(values: Sequence[Any], default: Any) -> Any:
    """The one that is the same but for how it is written (`TRUE`, true), or the nearest number."""
    numbers = {each: value for value in values if (each := finite(value)) is not None}
    if default == UNLIMITED:
        if None in values or not numbers:
            return None if None in values else INACTIVE
        least = min(numbers)
        return numbers[least if least <= 0 else max(numbers)]
    written = {str(value).casefold(): value for value in values}
    if (same := str(default).casefold()) in written:
        return written[same]
    number = finite(default)
    return (
        INACTIVE if number is None or not numbers else numbers[min(numbers, key=lambda each: abs(each - number))]
    )
