"""What a space looks like to a person: a line for each parameter."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sweepyard.search.distributions import (
    Beta,
    Categorical,
    Constant,
    IntUniform,
    LogNormal,
    LogUniform,
    Mirrored,
    Normal,
    Quantised,
    Uniform,
)
from sweepyard.search.space import Parameter, Space

LONGEST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One parameter or derived value.

    `name`: its dotted path. `count`: how many values it has; None if they cannot be counted.
    """

    name: str
    kind: str
    range: str
    count: int | None
    when: str = ""


def outline(space: Space) -> list[Line]:
    """The parameters of a space, in its order, and then its derived values."""
    steps = space.rules.steps
    when = {step.name: " and ".join(condition.text for condition in step.when) for step in steps}
    drawn = [
        Line(
            name=each.name,
            kind=each.kind,
            range=range_of(each),
            count=each.distribution.size(),
            when=when.get(each.names[0], ""),
        )
        for each in space.parameters
    ]
    derived = [
        Line(name=step.name, kind="derived", range=step.expression.text, count=1, when=when[step.name])
        for step in steps
        if step.expression is not None
    ]
    return drawn + derived


def range_of(parameter: Parameter) -> str:
    """What its values are, in words: `1 to 10`, `adam, sgd`."""
    return _words(parameter.distribution)


def _words(distribution: Any) -> str:
    return _WORDS[type(distribution)](distribution)


def _listed(distribution: Categorical) -> str:
    steps = distribution.cumulative
    if steps is None:
        return _short(", ".join(map(_shown, distribution.values)))
    shares = [step - before for before, step in zip((0.0, *steps), steps, strict=False)]
    pairs = zip(distribution.values, shares, strict=True)
    return _short(", ".join(f"{_shown(value)} ({share:.3g})" for value, share in pairs))


def _bounds(distribution: Uniform | LogUniform | IntUniform) -> str:
    return f"{distribution.low:g} to {distribution.high:g}"


def _normal(distribution: Normal) -> str:
    return f"around {distribution.mu:g}, sigma {distribution.sigma:g}"


_WORDS: Mapping[type, Callable[[Any], str]] = MappingProxyType(
    {
        Constant: lambda each: _short(_shown(each.only)),
        Categorical: _listed,
        IntUniform: lambda each: f"{each.low} to {each.high}",
        Uniform: _bounds,
        LogUniform: _bounds,
        Mirrored: lambda each: f"{_bounds(each.base)}, most near {each.base.high:g}",
        Normal: _normal,
        LogNormal: lambda each: f"its logarithm {_normal(each.log)}",
        Beta: lambda each: f"0 to 1, a {each.a:g}, b {each.b:g}",
        Quantised: lambda each: f"{_words(each.base)}, in steps of {each.q:g}",
    }
)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
