"""What names say about which parameters count together.

`rpart.cp` counts only where the learner is `rpart`. Where nothing else says so, a model would have to find it out
from runs, for every parameter of every learner; most flat spaces of several learners are named like that.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from sweepyard.search.distributions import Categorical, Distribution
from sweepyard.search.space import Space

_GROUP = re.compile(r"[./:]|__")
"""What ends the name of a group."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """The parameter at `position` counts only where the choice at `choice` has this `value`."""

    position: int
    choice: int
    value: str


def belongings(space: Space) -> list[Belonging]:
    """Each parameter in a group (`svm.c`, `svm/c`, `svm:c`, `svm__c`, or nested) named as a value of a choice.

    A name that is a value of two choices says nothing, nor does that of a parameter with a `when`, which says
    itself where it counts. A choice that counts only somewhere itself has nothing that belongs to it.
    """
    conditional = space.rules.conditional
    values = [(value, i) for i, each in enumerate(space.parameters) for value in _texts(each.distribution)]
    times = Counter(value for value, _ in values)
    choices = {
        value: i for value, i in values if times[value] == 1 and space.parameters[i].name not in conditional
    }
    found = [
        Belonging(i, choices[word], word)
        for i, each in enumerate(space.parameters)
        if not each.zipped and each.name not in conditional
        for word in sorted(choices.keys() & _GROUP.split(each.name)[:-1])
        if choices[word] != i
    ]
    dependent = {each.position for each in found}
    return [each for each in found if each.choice not in dependent]


def _texts(distribution: Distribution) -> set[str]:
    """The values that are texts; none if there is no other value to choose."""
    values = distribution.values if isinstance(distribution, Categorical) else ()
    return {value for value in values if isinstance(value, str) and value} if len(values) > 1 else set()
