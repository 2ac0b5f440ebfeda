"""Which distribution a parameter of a sweep file means, named or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sweepyard.search.distributions import (
    Beta,
    Categorical,
    Constant,
    Distribution,
    IntUniform,
    LogNormal,
    LogUniform,
    Mirrored,
    Normal,
    Quantised,
    Uniform,
)


def infer_distribution(leaf: Mapping[str, Any]) -> str:
    """The distribution that W&B understands by a parameter that may not name one.

    Bounds of which one is an int and the other is not mean `uniform`.

    Raises:
        ValueError: `leaf` has no meaning without a `distribution`; the message says what to write.
    """
    if "distribution" in leaf:
        return str(leaf["distribution"])
    keys = frozenset(leaf)
    if keys in _INFERRED:
        return _INFERRED[keys]
    if keys == {"min", "max"}:
        return "int_uniform" if isinstance(leaf["min"], int) and isinstance(leaf["max"], int) else "uniform"
    given = ", ".join(sorted(keys)) or "nothing"
    raise ValueError(
        f"cannot tell the distribution from {given}: write `value`, `values` (with `probabilities` if you like), "
        f"`min` and `max`, or name a `distribution`"
    )


def make_distribution(leaf: Mapping[str, Any]) -> Distribution:
    """The distribution of one parameter of a sweep file.

    Raises:
        ValueError: no such distribution, or its numbers make none; the message says which.
    """
    kind = infer_distribution(leaf)
    if kind not in _MAKERS:
        raise ValueError(f"there is no distribution '{kind}'. Choose one of: {', '.join(DISTRIBUTIONS)}")
    try:
        return _MAKERS[kind](leaf)
    except KeyError as missing:
        raise ValueError(f"{kind} needs `{missing.args[0]}`") from None


def _normal(leaf: Mapping[str, Any]) -> Normal:
    return Normal(float(leaf.get("mu", 0)), float(leaf.get("sigma", 1)))


def _beta(leaf: Mapping[str, Any]) -> Beta:
    a, b = float(leaf.get("a", 1)), float(leaf.get("b", 1))
    if not (a > 0 and b > 0):
        raise ValueError(f"a beta distribution needs `a` and `b` above 0, not {a:g} and {b:g}")
    return Beta(a, b)


def _settled(make: Callable[[Mapping[str, Any]], Distribution]) -> Callable[[Mapping[str, Any]], Distribution]:
    """The same maker, except that a `sigma` of 0 leaves a constant."""

    def maker(leaf: Mapping[str, Any]) -> Distribution:
        distribution = make(leaf)
        return Constant(distribution.ppf(0.5)) if leaf.get("sigma") == 0 else distribution

    return maker


def _quantised(
    make: Callable[[Mapping[str, Any]], Uniform | LogUniform | Normal | LogNormal | Beta],
) -> Callable[[Mapping[str, Any]], Quantised]:
    def maker(leaf: Mapping[str, Any]) -> Quantised:
        q = leaf.get("q", 1.0)
        written = [leaf[key] for key in ("min", "max", "q") if key in leaf]
        whole = isinstance(q, int) or all(float(number).is_integer() for number in written)
        return Quantised(make(leaf), q, whole)

    return maker


_INFERRED = {
    frozenset({"value"}): "constant",
    frozenset({"values"}): "categorical",
    frozenset({"values", "probabilities"}): "categorical_w_probabilities",
}

_REAL: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "uniform": lambda leaf: Uniform(float(leaf["min"]), float(leaf["max"])),
    "log_uniform": lambda leaf: LogUniform.of_exponents(leaf["min"], leaf["max"]),
    "log_uniform_values": lambda leaf: LogUniform.between(leaf["min"], leaf["max"]),
    "normal": _normal,
    "log_normal": lambda leaf: LogNormal(_normal(leaf)),
    "beta": _beta,
}

_MAKERS: dict[str, Callable[[Mapping[str, Any]], Distribution]] = {
    "constant": lambda leaf: Constant(leaf["value"]),
    "categorical": lambda leaf: Categorical.of(leaf["values"]),
    "categorical_w_probabilities": lambda leaf: Categorical.of(leaf["values"], leaf["probabilities"]),
    "int_uniform": lambda leaf: IntUniform(leaf["min"], leaf["max"]),
    # ln(1/x) uniform is ln(x) uniform: the inverse kinds only write their bounds otherwise.
    "inv_log_uniform": lambda leaf: LogUniform.of_exponents(-leaf["max"], -leaf["min"]),
    "inv_log_uniform_values": lambda leaf: LogUniform.between(leaf["min"], leaf["max"]),
    "reverse_log_uniform_values": lambda leaf: Mirrored(LogUniform.between(leaf["min"], leaf["max"])),
    **{kind: _settled(make) for kind, make in _REAL.items()},
    **{f"q_{kind}": _settled(_quantised(make)) for kind, make in _REAL.items()},
}

DISTRIBUTIONS = tuple(_MAKERS)
"""The names that `distribution` may have."""
