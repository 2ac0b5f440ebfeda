"""Parameters that move together: the first value of each, or the second of each, and so on."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from sweepyard.errors import Problem, SpecError
from sweepyard.search.leaf import infer_distribution
from sweepyard.search.rules import Entry

Leaf: TypeAlias = "tuple[Entry, Mapping[str, Any]]"
Unit: TypeAlias = "list[Leaf]"
"""What is drawn in one: a parameter, or those that move together."""


def together(leaves: Sequence[Leaf], zipped: Sequence[Sequence[str]]) -> list[Unit]:
    """The `leaves` in units: those of a group of names where the first of them stood, all others alone.

    Raises:
        SpecError: groups that cannot move together, each with the reason.
    """
    named = {entry.name: (entry, leaf) for entry, leaf in leaves}
    twice = [name for name, count in Counter(entry.name for entry, _ in leaves).items() if count > 1]
    problems = [
        Problem(path="zip", message=sentence) for group in zipped for sentence in _mistakes(group, named, twice)
    ]
    if problems:
        raise SpecError(problems)
    group_of = {name: group for group in zipped for name in group}
    units: dict[tuple[str, ...], Unit] = {}
    for entry, leaf in leaves:
        group = group_of.get(entry.name)
        units.setdefault(
            tuple(group) if group else entry.path, [named[name] for name in group] if group else [(entry, leaf)]
        )
    return list(units.values())


def _mistakes(group: Sequence[str], named: Mapping[str, Leaf], twice: Sequence[str]) -> Iterator[str]:
    for name in group:
        if name not in named:
            near = difflib.get_close_matches(name, named, n=1)
            hint = f"; did you mean {near[0]}?" if near else f" (there are {', '.join(named)})"
            yield f"there is no parameter {name}{hint}"
        elif name in twice:
            yield f"{name} may be two parameters: a dotted name and one in a group"
        elif (kind := infer_distribution(named[name][1])) != "categorical":
            yield f"{name} is {kind}: parameters that move together need lists of values"
    known = {name: named[name] for name in group if name in named and "values" in named[name][1]}
    lengths = {name: len(leaf["values"]) for name, (_, leaf) in known.items()}
    if len(set(lengths.values())) > 1:
        counts = " and ".join(f"{length} of {name}" for name, length in lengths.items())
        yield f"not the same number of values: {counts}"
    if len({tuple(entry.when.values()) for entry, _ in known.values()}) > 1:
        yield f"{' and '.join(known)} have different conditions: give them the same, or put them into one group"
