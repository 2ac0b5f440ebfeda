"""A search space: every parameter of a sweep, flat and in one order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sweepyard.errors import Problem, SpecError
from sweepyard.plain import Params
from sweepyard.search.distributions import Distribution, infer_distribution, make_distribution

Path: TypeAlias = "tuple[str, ...]"
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
    """Parameters, and how a grid goes through them: `order`.

    They are sorted by name at each level, as W&B's grid sorts them, unless `order` is `listed`: then they stand as
    in the sweep file, whose order of keys the store keeps.
    """

    parameters: tuple[Parameter, ...]
    order: Order = "sorted"

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Space:
        """The space of a sweep file in normal form.

        Raises:
            SpecError: some parameters make no distribution; all are named.
        """
        return cls.from_spec(spec["parameters"], order=spec.get("order", "sorted"))

    @classmethod
    def from_spec(cls, parameters: Mapping[str, Any], *, order: Order = "sorted") -> Space:
        """As `of`, from the `parameters` alone."""
        found: list[Parameter] = []
        problems: list[Problem] = []
        leaves = list(_leaves(parameters, ()))
        for path, leaf in leaves if order == "listed" else sorted(leaves, key=lambda item: item[0]):
            try:
                found.append(Parameter(path, infer_distribution(leaf), make_distribution(leaf)))
            except ValueError as error:
                problems.append(Problem(path=".".join(("parameters", *path)), message=str(error)))
        if problems:
            raise SpecError(problems)
        return cls(tuple(found), order)

    def size(self) -> int | None:
        """How many different points there are; None if they cannot be counted."""
        sizes = [parameter.distribution.size() for parameter in self.parameters]
        return None if None in sizes else math.prod(size for size in sizes if size is not None)

    def sample(self, u: NDArray[np.float64]) -> list[Any]:
        """The flat values at quantiles `u`, one for each parameter, shape (len(parameters),)."""
        quantiles: list[float] = u.tolist()
        return [each.distribution.ppf(q) for each, q in zip(self.parameters, quantiles, strict=True)]

    def nest(self, values: Sequence[Any]) -> Params:
        """The point with these flat values, nested as the sweep file nests it."""
        params: Params = {}
        for parameter, value in zip(self.parameters, values, strict=True):
            group = params
            for name in parameter.path[:-1]:
                group = group.setdefault(name, {})
            group[parameter.path[-1]] = value
        return params

    def flatten(self, params: Mapping[str, Any]) -> list[Any] | None:
        """The flat values of a point; None if it lacks a parameter of this space. Other names do not count."""
        try:
            return [_at(params, parameter.path) for parameter in self.parameters]
        except (KeyError, TypeError):
            return None


def _leaves(parameters: Mapping[str, Any], above: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for name, leaf in parameters.items():
        if "parameters" in leaf:
            yield from _leaves(leaf["parameters"], (*above, name))
        else:
            yield (*above, name), leaf


def _at(params: Any, path: Path) -> Any:
    for name in path:
        params = params[name]
    return params
