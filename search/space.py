"""A search space: every parameter of a sweep, flat and in one order, and the rules between them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sweepyard.errors import Problem, SpecError
from sweepyard.plain import Params
from sweepyard.search.distributions import Distribution, infer_distribution, make_distribution
from sweepyard.search.operators import ExpressionError
from sweepyard.search.rules import INACTIVE, Entry, Missing, Path, Rules

Order: TypeAlias = Literal["sorted", "listed", "random"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `path`: its name, after the names of the groups that it is in. `kind`: its `distribution`."""

    path: Path
    kind: str
    distribution: Distribution

    @property
    def name(self) -> str:
        """Its dotted path."""
        return ".".join(self.path)

    @property
    def where(self) -> str:
        """Where the sweep file has it."""
        return ".".join(("parameters", *self.path))


@dataclass(frozen=True, slots=True)
class Space:
    """Parameters, the rules between them, and how a grid goes through them: `order`.

    They are sorted by name at each level, as W&B's grid sorts them, unless `order` is `listed`: then they stand as
    in the sweep file, whose order of keys the store keeps.

    A point is a list of flat values, one for each parameter, `INACTIVE` for those that the point has not.
    """

    parameters: tuple[Parameter, ...]
    order: Order = "sorted"
    rules: Rules = field(default_factory=Rules)

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Space:
        """The space of a sweep file in normal form.

        Raises:
            SpecError: some parameters make no distribution, or some expressions no rule; all are named.
        """
        constraints, order = spec.get("constraints", ()), spec.get("order", "sorted")
        return cls.from_spec(spec["parameters"], constraints=constraints, order=order)

    @classmethod
    def from_spec(
        cls, parameters: Mapping[str, Any], *, constraints: Sequence[str] = (), order: Order = "sorted"
    ) -> Space:
        """As `of`, from the `parameters` alone."""
        found: list[Parameter] = []
        problems: list[Problem] = []
        leaves = list(_leaves(parameters, Entry(())))
        if order != "listed":
            leaves.sort(key=lambda item: item[0].path)
        for entry, leaf in leaves:
            if entry.expression is not None:
                continue
            try:
                found.append(Parameter(entry.path, infer_distribution(leaf), make_distribution(leaf)))
            except ValueError as error:
                problems.append(Problem(path=".".join(("parameters", *entry.path)), message=str(error)))
        if problems:
            raise SpecError(problems)
        return cls(tuple(found), order, Rules.of([entry for entry, _ in leaves], constraints))

    def size(self) -> int | None:
        """How many points there are if every combination is one; None if they cannot be counted.

        With rules there may be fewer: `points.size_of` counts them.
        """
        sizes = [parameter.distribution.size() for parameter in self.parameters]
        return None if None in sizes else math.prod(size for size in sizes if size is not None)

    @property
    def axes(self) -> list[Distribution]:
        """Where each parameter's values come from."""
        return [parameter.distribution for parameter in self.parameters]

    def sample(self, u: NDArray[np.float64]) -> list[Any]:
        """The point at quantiles `u`, one for each parameter, shape (len(parameters),)."""
        quantiles: list[float] = u.tolist()
        return self.settle([each.distribution.ppf(q) for each, q in zip(self.parameters, quantiles, strict=True)])

    def settle(self, values: Sequence[Any]) -> list[Any]:
        """The point with these flat values: those of inactive parameters are taken out."""
        try:
            return list(values) if self.rules.is_trivial else self.rules.settle(values)
        except ExpressionError:
            return list(values)

    def allows(self, values: Sequence[Any]) -> bool:
        """Whether a point satisfies the constraints. Where an expression cannot be computed, it does not."""
        try:
            return self.rules.is_trivial or not self.rules.broken(values)
        except ExpressionError:
            return False

    def filled(self, values: Sequence[Any]) -> list[Any]:
        """The flat values with the median of its distribution for what is inactive: for models that need all."""
        pairs = zip(self.parameters, values, strict=True)
        return [each.distribution.ppf(0.5) if value is INACTIVE else value for each, value in pairs]

    def nest(self, values: Sequence[Any]) -> Params:
        """The point with these flat values, nested as the sweep file nests it, derived values included."""
        params: Params = {}
        for parameter, value in zip(self.parameters, values, strict=True):
            if value is not INACTIVE:
                put(params, parameter.path, value)
        if not self.rules.is_trivial:
            for path, value in self.rules.derived(values):
                put(params, path, value)
        return params

    def flatten(self, params: Mapping[str, Any]) -> list[Any] | None:
        """The flat values of a point; None if it lacks an active parameter. Other names do not count."""
        values = [at(params, parameter.path) for parameter in self.parameters]
        try:
            values = values if self.rules.is_trivial else self.rules.settle(values)
        except (ExpressionError, Missing):
            return None
        return None if self.rules.is_trivial and any(value is INACTIVE for value in values) else values


def _leaves(parameters: Mapping[str, Any], above: Entry) -> Iterator[tuple[Entry, Mapping[str, Any]]]:
    for name, leaf in parameters.items():
        entry = Entry((*above.path, name), above.when, leaf.get("expression"))
        if "when" in leaf:
            entry = replace(entry, when={**above.when, f"{entry.where}.when": leaf["when"]})
        if "parameters" in leaf:
            yield from _leaves(leaf["parameters"], entry)
        else:
            yield entry, {key: value for key, value in leaf.items() if key != "when"}


def put(params: Params, path: Path, value: Any) -> None:
    """Set the value at `path`, in groups that are made where they lack."""
    for name in path[:-1]:
        params = params.setdefault(name, {})
    params[path[-1]] = value


def at(params: Any, path: Path) -> Any:
    """The value at `path`, `INACTIVE` if there is none."""
    for name in path:
        if not isinstance(params, Mapping) or name not in params:
            return INACTIVE
        params = params[name]
    return params
