"""Points that a person names: are they in the space?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from sweepyard.errors import Problem, SpecError
from sweepyard.plain import Params, finite
from sweepyard.search.distributions import Distribution, Quantised, canonical
from sweepyard.search.operators import ExpressionError
from sweepyard.search.outline import range_of
from sweepyard.search.port import Suggestion
from sweepyard.search.rules import INACTIVE, Missing
from sweepyard.search.space import Parameter, Space, at, put

_CLOSE = 1e-9


def locate(space: Space, given: Mapping[str, Any]) -> list[Any]:
    """The flat values of the point that `given` names: nested as the sweep file is, or by dotted names.

    Parameters of one value may be left out, and so must inactive ones.

    Raises:
        SpecError: it is no point of the space; each problem's path is the name that it is about.
    """
    there_are = ", ".join(each.name for each in space.parameters[:20])
    problems = [
        Problem(path=name, message=f"is no parameter of this sweep (there are {there_are})")
        for name in _strange(space, given)
    ]
    values, named = [], set[str]()
    for parameter in space.parameters:
        value = _said(parameter, given)
        if value is INACTIVE:
            values.append(parameter.distribution.ppf(0.5) if parameter.distribution.size() == 1 else INACTIVE)
            continue
        named.add(parameter.name)
        try:
            values.append(_fitted(parameter.distribution, value))
        except ValueError:
            problems.append(
                Problem(path=parameter.name, message=f"{value!r} is outside the space: {range_of(parameter)}")
            )
            values.append(value)
    if not problems:
        problems = list(_unruly(space, values, named))
    if problems:
        raise SpecError(problems, source="point")
    return space.settle(values)


def lies_inside(space: Space, params: Mapping[str, Any]) -> bool:
    """Whether the point that a run with these `params` tries is in the space. Other names do not count."""
    values = space.flatten(params)
    if values is None:
        return False
    try:
        for parameter, value in zip(space.parameters, values, strict=True):
            if value is not INACTIVE:
                _fitted(parameter.distribution, value)
    except ValueError:
        return False
    return space.allows(values)


def fits(parameter: Parameter, value: Any) -> bool:
    """Whether `value` is one that the parameter takes."""
    try:
        _fitted(parameter.distribution, value)
    except ValueError:
        return False
    return True


def _said(parameter: Parameter, given: Mapping[str, Any]) -> Any:
    """The value that `given` names for a parameter, nested or by its dotted name."""
    nested = ((at(given, path), name) for path, name in zip(parameter.paths, parameter.names, strict=True))
    return parameter.value_of([given.get(name, INACTIVE) if item is INACTIVE else item for item, name in nested])


def wished(spec: Mapping[str, Any], given: Mapping[str, Any], *, outside: bool) -> Suggestion:
    """The point that a user names for the sweep file `spec`, as `locate` understands it; with `outside` any point.

    Raises:
        SpecError: as `locate`, without `outside`.
    """
    space = Space.of(spec)
    try:
        return Suggestion(params=space.nest(locate(space, given)), reason="enqueued by the user")
    except SpecError:
        if not outside:
            raise
    return Suggestion(params=_nested(space, given), reason="enqueued by the user, outside the space")


def _nested(space: Space, given: Mapping[str, Any]) -> Params:
    """What `given` says, a dotted name that a parameter of the space has where that parameter belongs."""
    params: Params = {}
    paths = [path for each in space.parameters for path in each.paths]
    dotted = {name: path for path in paths if len(path) > 1 and (name := ".".join(path)) in given}
    for name, value in given.items():
        if name not in dotted:
            params[name] = deepcopy(value)
    for name, path in dotted.items():
        clashes = any(not isinstance(at(params, path[:i]), Mapping | type(INACTIVE)) for i in range(1, len(path)))
        put(params, (name,) if clashes else path, given[name])
    return params


def _fitted(distribution: Distribution, value: Any) -> Any:
    """`value` as the distribution gives it: an int for 64.0 among ints. Raises `ValueError` if it does not."""
    u = distribution.cdf(value)
    if distribution.size() is None and not isinstance(distribution, Quantised) and 0 < u < 1:
        return float(value)
    steps = distribution.steps if isinstance(distribution, Quantised) else None
    for found in [distribution.ppf(u), *([steps.near(value)] if steps else [])]:
        if finite(found) is None or finite(value) is None:
            same = canonical(found) == canonical(value)
        else:
            same = math.isclose(found, value, rel_tol=_CLOSE, abs_tol=_CLOSE**2)
        if same:
            return found
    raise ValueError


def _unruly(space: Space, values: list[Any], named: set[str]) -> Iterator[Problem]:
    """What is missing, what should not be there, what the constraints say."""
    if space.rules.is_trivial:
        missing = [each.name for each, value in zip(space.parameters, values, strict=True) if value is INACTIVE]
        yield from (Problem(path=name, message="is missing") for name in missing)
        return
    try:
        settled = space.rules.settle(values)
        broken = space.rules.broken(settled)
    except Missing as missing:
        yield Problem(path=str(missing), message="is missing")
        return
    except ExpressionError as error:
        yield Problem(path="", message=str(error))
        return
    for parameter, value in zip(space.parameters, settled, strict=True):
        if value is INACTIVE and parameter.name in named:
            yield Problem(path=parameter.name, message="is inactive at this point: leave it out")
    yield from (Problem(path="", message=f"breaks the constraint {each.text}") for each in broken)


def _strange(space: Space, given: Mapping[str, Any]) -> list[str]:
    """Names that are neither a parameter nor a group."""
    known = {name for each in space.parameters for name in each.names}
    groups = {name[:i] for name in known for i, letter in enumerate(name) if letter == "."}
    return list(_unknown(given, "", known, groups))


def _unknown(given: Mapping[str, Any], above: str, known: set[str], groups: set[str]) -> Iterator[str]:
    for key, value in given.items():
        name = above + key
        if name in groups and isinstance(value, Mapping) and name not in known:
            yield from _unknown(value, f"{name}.", known, groups)
        elif name not in known:
            yield name
