"""What only the space as a whole tells about a sweep file: whether it can be searched, and how big it is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sweepyard.controller.macros import MACRO
from sweepyard.controller.runnames import mistakes
from sweepyard.errors import Problem, SpecError
from sweepyard.search.baseline import baselines
from sweepyard.search.belonging import belongings
from sweepyard.search.distributions import Distribution
from sweepyard.search.feasible import examine
from sweepyard.search.grid import GridSearcher
from sweepyard.search.inside import locate
from sweepyard.search.points import MOST_COUNTED, key_of, tally
from sweepyard.search.registry import learns
from sweepyard.search.rules import Rules
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective
from sweepyard.wording import some

MOST_UNCAPPED = 10**6
"""The most points of a grid that may be meant to be tried all, and the most combinations to look through."""
RARE = 0.2
"""Constraints that leave less of a space than this are worth a note."""

SOME_VALUES = 100
"""How many values of a parameter are tried in a template of names."""

SOME_NAMES = 3
"""How many parameters a note names."""

_UNCAPPED = (
    "the grid has {} points, more than {}: add run_cap, the most runs to spend on it,"
    " or choose method random or sobol, or give fewer values"
)
_UNRULED = (
    "the grid has {} combinations, more than {}: too many to look through for those that the conditions and"
    " constraints leave. Choose method random or sobol, or give fewer values"
)


def check_space(data: dict[str, Any]) -> tuple[list[Problem], list[str]]:
    """Problems, by dotted paths in the sweep file, and notes; of `data` in normal form without other problems."""
    try:
        space = Space.of(data)
        grid = GridSearcher(space) if data["method"] == "grid" else None
    except SpecError as error:
        return list(error.problems), []
    if grid and (too_big := _too_big(data, space, grid)):
        return [Problem(path="parameters", message=too_big)], []
    notes: list[str] = []
    rules = list(_rules(data, space, grid, notes))
    if learns(data["method"]) and Objective.all_of(data):
        notes += [*_named(space), *_baselines(data, space)]
    problems = [*rules, *_points(data, space), *_command(data, space.rules), *_run_name(data, space)]
    return problems, notes


def _too_big(data: dict[str, Any], space: Space, grid: GridSearcher) -> str | None:
    if grid.combinations <= MOST_UNCAPPED or (space.rules.is_trivial and "run_cap" in data):
        return None
    sentence = _UNCAPPED if space.rules.is_trivial else _UNRULED
    return sentence.format(tally(grid.combinations), tally(MOST_UNCAPPED))


def _rules(data: dict[str, Any], space: Space, grid: GridSearcher | None, notes: list[str]) -> Iterator[Problem]:
    """Whether conditions and constraints leave enough points, and how many."""
    if space.rules.is_trivial:
        return
    axes = grid.axes if grid else None if space.size() is None else space.axes
    finding = examine(space, axes)
    if finding.trouble:
        yield Problem(path="constraints" if "constraints" in data else "parameters", message=finding.trouble)
    if axes is not None and (combinations := math.prod(axis.size() or 1 for axis in axes)) > MOST_COUNTED:
        uncounted = "what conditions and constraints leave of it is not counted"
        notes.append(f"the number of points, {tally(combinations)}, is an upper bound: {uncounted}")
    if finding.share < RARE:
        notes.append(f"constraints: only about {finding.share:.1%} of all combinations satisfy them")


def _named(space: Space) -> Iterator[str]:
    """What a method that learns takes names to say: the user may have meant something else by them."""
    found: dict[int, list[str]] = {}
    for each in belongings(space):
        name = space.parameters[each.position].name
        found.setdefault(each.choice, []).append(f"{name} with {' or '.join(each.values)}")
    for choice, named in found.items():
        yield (
            f"{space.parameters[choice].where}: by their names some parameters are taken to matter with some of"
            f" its values only: {some(named, SOME_NAMES)}. `when` says it for sure,"
            " `when: 'true'` that it is not so"
        )


def _baselines(data: dict[str, Any], space: Space) -> Iterator[str]:
    """Which points nobody asked for come first."""
    if "initial_points" not in data:
        for number, baseline in enumerate(baselines(space), 1):
            yield f"run {number} has {baseline}. `initial_points: []` begins without"


def _points(data: dict[str, Any], space: Space) -> Iterator[Problem]:
    """Whether the initial points are points of the space, each another one."""
    seen: dict[Any, int] = {}
    for index, given in enumerate(data.get("initial_points", ())):
        path = f"initial_points[{index}]"
        try:
            first = seen.setdefault(key_of(locate(space, given)), index)
        except SpecError as error:
            for problem in error.problems:
                yield replace(problem, path=f"{path}.{problem.path}".rstrip("."))
            continue
        if first != index:
            yield Problem(path=path, message=f"the same point as initial_points[{first}]: keep one of them")


def _run_name(data: dict[str, Any], space: Space) -> Iterator[Problem]:
    """Whether the names of runs can be made."""
    if "run_name" not in data:
        return
    values: dict[str, list[Any]] = {step.name: [] for step in space.rules.steps}
    for parameter in space.parameters:
        some = [parameter.items_of(value) for value in _some(parameter.distribution)]
        values |= dict(zip(parameter.names, map(list, zip(*some, strict=True)), strict=True))
    if "repeat" in data:
        values[data["repeat"]["seed"]] = [0]
    yield from (Problem(path="run_name", message=sentence) for sentence in mistakes(data["run_name"], values))


def _some(distribution: Distribution) -> list[Any]:
    """Values that tell what kinds there are."""
    size = distribution.size()
    return (
        [distribution.ppf(0.5)] if size is None else [distribution.value(i) for i in range(min(size, SOME_VALUES))]
    )


def _command(data: dict[str, Any], rules: Rules) -> Iterator[Problem]:
    """Whether each parameter that `command` names is in every run."""
    for index, item in enumerate(data.get("command", ())):
        for name in sorted({name for escaped, name in MACRO.findall(item) if not escaped} & rules.conditional):
            message = f"${{{name}}} is not in every run, because of a condition: use ${{args}} or ${{args_json}}"
            yield Problem(path=f"command[{index}]", message=message)
