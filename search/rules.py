"""What ties the parameters of a space together: conditions, derived values, constraints.

A parameter whose condition does not hold is inactive: it has no value and is in no run's params. An expression
that needs the value of an inactive parameter does not apply: a constraint then holds, a condition does not, and a
derived value is left out.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final, TypeAlias

from sweepyard.errors import Problem, SpecError
from sweepyard.search.expressions import Expression, Undefined, parse
from sweepyard.search.operators import ExpressionError

Path: TypeAlias = "tuple[str, ...]"


class _Inactive:
    """The place of a parameter that has no value, among the flat values of a point."""

    def __repr__(self) -> str:
        return "inactive"


INACTIVE: Final = _Inactive()


class Missing(Exception):
    """A point lacks a parameter that is active."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A name that expressions may use: that of a parameter, or with an `expression` of a derived value.

    `when`: where the sweep file has each of its conditions (its own and those of its groups), and what it says.
    `place`: of a parameter, which of the flat values holds its own, and as which item if several move together.
    """

    path: Path
    when: Mapping[str, str] = field(default_factory=dict)
    expression: str | None = None
    place: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @property
    def where(self) -> str:
        return "parameters." + ".parameters.".join(self.path)


@dataclass(frozen=True, slots=True)
class _Step:
    """One entry, read."""

    path: Path
    name: str
    when: tuple[Expression, ...]
    place: tuple[int, int] | None
    expression: Expression | None

    def value(self, values: Sequence[Any], known: Mapping[str, Any]) -> Any:
        """What it is at a point with these flat values, where others are `known`."""
        if self.expression is not None:
            return self.expression.value(known)
        index, item = self.place or (0, 0)
        value = values[index]
        return value[item] if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class Rules:
    """All of them, checked. `steps`: every name after those that it depends on."""

    steps: tuple[_Step, ...] = ()
    constraints: tuple[Expression, ...] = ()
    is_trivial: bool = True

    @classmethod
    def of(cls, entries: Sequence[Entry], constraints: Sequence[str]) -> Rules:
        """The rules of a space.

        Raises:
            SpecError: expressions that cannot be read, that use unknown names, or that depend on themselves.
        """
        if not constraints and all(entry.expression is None and not entry.when for entry in entries):
            return cls()
        return _Builder(entries).rules(constraints)

    def known(self, values: Sequence[Any]) -> dict[str, Any]:
        """The value of each name that has one, for the flat `values` of a point.

        Raises:
            Missing: an active parameter has no value.
            ExpressionError: an expression cannot be computed.
        """
        known: dict[str, Any] = {}
        for step in self.steps:
            try:
                if not all(condition.holds(known) for condition in step.when):
                    continue
                value = step.value(values, known)
            except Undefined:
                continue
            if value is INACTIVE:
                raise Missing(step.name)
            known[step.name] = value
        return known

    @property
    def conditional(self) -> set[str]:
        """The names that not every point has a value for."""
        found: set[str] = set()
        for step in self.steps:
            if step.when or (step.expression is not None and step.expression.names & found):
                found.add(step.name)
        return found

    @property
    def switches(self) -> set[int]:
        """Where the parameters stand that decide which others are active."""
        wanted = {name for step in self.steps for condition in step.when for name in condition.names}
        found: set[int] = set()
        for step in reversed(self.steps):
            if step.name not in wanted:
                continue
            if step.place is not None:
                found.add(step.place[0])
            wanted |= _needs(step)
        return found

    def settle(self, values: Sequence[Any]) -> list[Any]:
        """The flat values with `INACTIVE` for those that have none. Raises as `known` does."""
        settled: list[Any] = [INACTIVE] * len(values)
        known = self.known(values)
        for step in self.steps:
            if step.place is not None and step.name in known:
                settled[step.place[0]] = values[step.place[0]]
        return settled

    def derived(self, values: Sequence[Any]) -> Iterator[tuple[Path, Any]]:
        """The derived values of a point, by their paths. Raises as `known` does."""
        known = self.known(values)
        return ((step.path, known[step.name]) for step in self.steps if step.expression and step.name in known)

    def broken(self, values: Sequence[Any]) -> list[Expression]:
        """The constraints that a point does not satisfy. Raises as `known` does."""
        known = self.known(values)
        return [constraint for constraint in self.constraints if not _satisfied(constraint, known)]


def _satisfied(constraint: Expression, known: Mapping[str, Any]) -> bool:
    try:
        return constraint.holds(known)
    except Undefined:
        return True


class _Builder:
    """Reads expressions, noting everything that is wrong with them."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._names = Counter(entry.name for entry in entries)
        self._problems: list[Problem] = []

    def rules(self, constraints: Sequence[str]) -> Rules:
        steps = list(self._steps())
        read = [self._read(text, f"constraints[{i}]") for i, text in enumerate(constraints)]
        ordered = self._ordered(steps)
        if self._problems:
            raise SpecError(self._problems)
        return Rules(tuple(ordered), tuple(each for each in read if each), is_trivial=False)

    def _steps(self) -> Iterator[_Step]:
        for entry in self._entries:
            when = [self._read(text, where) for where, text in entry.when.items()]
            expression = self._read(entry.expression, f"{entry.where}.expression") if entry.expression else None
            yield _Step(entry.path, entry.name, tuple(each for each in when if each), entry.place, expression)

    def _read(self, text: str, where: str) -> Expression | None:
        try:
            expression = parse(text)
        except ExpressionError as error:
            self._wrong(where, str(error))
            return None
        for name in sorted(expression.names):
            if not self._names[name]:
                near = difflib.get_close_matches(name, self._names, n=1)
                known = f" (there are {', '.join(self._names)}); a text stands in quotes: '{name}'"
                hint = f"; did you mean {near[0]}?" if near else known
                self._wrong(where, f"there is no parameter {name}{hint}")
            elif self._names[name] > 1:
                self._wrong(where, f"{name} may be two parameters: a dotted name and one in a group")
        return expression

    def _wrong(self, where: str, message: str) -> None:
        problem = Problem(path=where, message=message)
        if problem not in self._problems:  # a group's condition is read with each of its parameters
            self._problems.append(problem)

    def _ordered(self, steps: Sequence[_Step]) -> list[_Step]:
        """Each step after those that it depends on."""
        places = {step.name: place for place, step in enumerate(steps)}
        needs = {place: [places[n] for n in _needs(step) if n in places] for place, step in enumerate(steps)}
        try:
            return [steps[place] for place in TopologicalSorter(needs).static_order()]
        except CycleError as error:
            circle = [self._entries[place] for place in sorted(set(error.args[1]))]
            names = ", ".join(entry.name for entry in circle)
            self._wrong(circle[0].where, f"depends on itself, by way of these: {names}")
            return []


def _needs(step: _Step) -> set[str]:
    expressions = step.when if step.expression is None else (*step.when, step.expression)
    return {name for expression in expressions for name in expression.names}
