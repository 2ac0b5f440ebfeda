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
from sweepyard.search.distributions import Categorical, Distribution
from sweepyard.search.leaf import infer_distribution, make_distribution
from sweepyard.search.operators import ExpressionError
from sweepyard.search.rules import INACTIVE, Entry, Missing, Path, Rules
from sweepyard.search.zipped import Unit, together

Order: TypeAlias = Literal["sorted", "listed", "random"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `path`: its name, after the names of the groups that it is in. `kind`: its `distribution`.

    `zipped`: the paths of all that move together (`zip`), `path` among them; they are one parameter, of the kind
    `zipped`, whose values are tuples of an item for each.
    """

    path: Path
    kind: str
    distribution: Distribution
    zipped: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.zipped or (self.path,)

    @property
    def names(self) -> list[str]:
        """The dotted paths."""
        return [".".join(path) for path in self.paths]

    @property
    def name(self) -> str:
        """Its dotted path; of those that move together all of them."""
        return ", ".join(self.names)

    @property
    def where(self) -> str:
        """Where the sweep file has it."""
        return ".".join(("parameters", *self.path))

    def value_of(self, items: Sequence[Any]) -> Any:
        """The value that has these items, one for each path; `INACTIVE` if one of them is."""
        if not self.zipped:
            return items[0]
        return INACTIVE if any(item is INACTIVE for item in items) else tuple(items)

    def read(self, params: Any) -> Any:
        """Its value in a nested point; `INACTIVE` if it has none there."""
        if not self.zipped:
            return at(params, self.path)
        return self.value_of([at(params, path) for path in self.zipped])

    def write(self, params: Params, value: Any) -> None:
        """Set its value in a nested point."""
        if self.zipped:
            for path, item in zip(self.zipped, value, strict=True):
                put(params, path, item)
        else:
            put(params, self.path, value)

    def items_of(self, value: Any) -> Sequence[Any]:
        return value if self.zipped else (value,)


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
        return cls.from_spec(
            spec["parameters"],
            constraints=spec.get("constraints", ()),
            order=spec.get("order", "sorted"),
            zipped=spec.get("zip", ()),
        )

    @classmethod
    def from_spec(
        cls,
        parameters: Mapping[str, Any],
        *,
        constraints: Sequence[str] = (),
        order: Order = "sorted",
        zipped: Sequence[Sequence[str]] = (),
    ) -> Space:
        """As `of`, from the `parameters` alone."""
        leaves = list(_leaves(parameters, Entry(())))
        if order != "listed":
            leaves.sort(key=lambda item: item[0].path)
        found: list[Parameter] = []
        problems: list[Problem] = []
        for unit in together([leaf for leaf in leaves if leaf[0].expression is None], zipped):
            try:
                found.append(_parameter(unit))
            except ValueError as error:
                where = ".".join(("parameters", *unit[0][0].path))
                problems.append(Problem(path=where if len(unit) == 1 else "zip", message=str(error)))
        if problems:
            raise SpecError(problems)
        places = {path: (i, j) for i, each in enumerate(found) for j, path in enumerate(each.paths)}
        entries = [replace(entry, place=places.get(entry.path)) for entry, _ in leaves]
        return cls(tuple(found), order, Rules.of(entries, constraints))

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
                parameter.write(params, value)
        if not self.rules.is_trivial:
            for path, value in self.rules.derived(values):
                put(params, path, value)
        return params

    def flatten(self, params: Mapping[str, Any]) -> list[Any] | None:
        """The flat values of a point; None if it lacks an active parameter. Other names do not count."""
        values = [each.read(params) for each in self.parameters]
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


def _parameter(unit: Unit) -> Parameter:
    """One parameter of the leaves of a unit. Raises `ValueError` with a sentence."""
    (entry, leaf), *others = unit
    if not others:
        return Parameter(entry.path, infer_distribution(leaf), make_distribution(leaf))
    columns = [leaf["values"] for _, leaf in unit]
    return Parameter(
        entry.path,
        "zipped",
        Categorical.of(list(zip(*columns, strict=True))),
        tuple(entry.path for entry, _ in unit),
    )


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
