"""The parts of a sweep file as pydantic models: W&B's keys, defaults and limits, one small model a part.

`controller.spec` checks each part alone, so that a mistake in one hides none in another. Validators say in a
sentence what is wrong; numbers given as text ("1e-5") are taken as numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, PlainValidator, model_validator

from sweepyard.controller.spelling import show, suggest
from sweepyard.controller.yamlfile import number
from sweepyard.search.registry import METHODS
from sweepyard.search.space import Order

IMPUTE = ("best", "worst", "latest")
GRID_KINDS = ("constant", "categorical", "int_uniform", "q_uniform")
PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class Misplaced(ValueError):
    """A sentence about one key of a part, for checks that look at several."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def _number(value: Any) -> int | float:
    found = number(value) if isinstance(value, str) else value
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError(f"{show(value)} is not a number")
    return found


def _whole(value: Any) -> int:
    found = _number(value)
    if found != int(found):
        raise ValueError(f"{show(value)} is not a whole number")
    if not -(2**63) <= found < 2**63:
        raise ValueError(f"{show(value)} needs more than 64 bits")
    return int(found)


def _at_least(least: float, read: Callable[[Any], Any], *, above: bool = False) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        found = read(value)
        if found < least or (above and found == least):
            raise ValueError(
                f"{show(value)} is too small: it must be {'above' if above else 'at least'} {least:g}"
            )
        return found

    return check


def _between(least: float, most: float, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        found = _at_least(least, read)(value)
        if found > most:
            raise ValueError(f"{show(value)} is too big: it must be at most {most:g}")
        return found

    return check


def _one_of(*choices: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value is False and "false" in choices:
            return "false"
        if value not in choices:
            raise ValueError(f"{show(value)} is not known{suggest(value, choices)}")
        return str(value)

    return check


def _method(value: Any) -> str:
    if value == "custom":
        raise ValueError(f"custom is not supported: choose {', '.join(METHODS)}")
    return _one_of(*METHODS)(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{show(value)} is neither true nor false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        hint = ": put quotes around it" if isinstance(value, bool | int | float) else ""
        raise ValueError(f"{show(value)} is not text{hint}")
    if not value.strip():
        raise ValueError("is empty")
    return value


def _label(value: Any) -> str:
    text = _text(value)
    if len(text) > 128 or re.search(r"[/\\#?%:\x00-\x1f]", text):
        raise ValueError(f"{show(text)} cannot name it: up to 128 characters, none of / \\ # ? % :")
    return text


def _metric_name(value: Any) -> str:
    text = _text(value)
    if text != text.strip():
        raise ValueError(f"{show(text)} begins or ends with a space: no run will ever log it under that name")
    return text


def _some_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"needs a list, such as [a, b], not {show(value)}")
    if not value:
        raise ValueError("is an empty list")
    return value


def _weights(value: Any) -> list[float]:
    weights = [_at_least(0, _number)(item) for item in _some_list(value)]
    if not math.isclose(total := math.fsum(weights), 1.0, rel_tol=1e-6):
        raise ValueError(f"the probabilities add up to {total:g}, not to 1")
    return weights


def _argv(value: Any) -> list[str]:
    for item in _some_list(value):
        if not isinstance(item, str):
            raise ValueError(f"each item must be text: put quotes around {show(item)}")
    return list(value)


def _texts(value: Any) -> list[str]:
    for item in (texts := _some_list(value)):
        if not isinstance(item, str) or not item.strip():
            raise ValueError(f"each must be an expression in text, such as 'a * b <= 64', not {show(item)}")
    return texts


def _points(value: Any) -> list[dict[str, Any]]:
    for item in (points := _some_list(value)):
        if not isinstance(item, dict):
            raise ValueError(f"each must be a mapping of parameters to values, not {show(item)}")
    return points


Number: TypeAlias = Annotated[int | float, PlainValidator(_number)]
Whole: TypeAlias = Annotated[int, PlainValidator(_whole)]
Count: TypeAlias = Annotated[int, PlainValidator(_at_least(1, _whole))]
Positive: TypeAlias = Annotated[int | float, PlainValidator(_at_least(0, _number, above=True))]
Text: TypeAlias = Annotated[str, PlainValidator(_text)]
Label: TypeAlias = Annotated[str, PlainValidator(_label)]


class Part(BaseModel):
    """One mapping of a sweep file. A key that it does not name is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def plain(self) -> dict[str, Any]:
        """Its values with defaults; keys that were not given and have none are left out."""
        return {key: value for key, value in self.model_dump().items() if value is not None}


class SweepFile(Part):
    """The top level. `metric`, `early_terminate` and `parameters` are checked by their own models."""

    name: Label | None = None
    description: Text | None = None
    entity: Label | None = None
    project: Label | None = None
    method: Annotated[str, PlainValidator(_method)]
    metric: Any = None
    parameters: Any
    early_terminate: Any = None
    order: Annotated[str, PlainValidator(_one_of(*get_args(Order)))] | None = None
    constraints: Annotated[list[str], PlainValidator(_texts)] | None = None
    initial_points: Annotated[list[dict[str, Any]], PlainValidator(_points)] | None = None
    run_cap: Count | None = None
    seed: Annotated[int, PlainValidator(_at_least(0, _whole))] | None = None
    program: Text | None = None
    command: Annotated[list[str], PlainValidator(_argv)] | None = None


class Metric(Part):
    """The objective. `impute`, `impute_while_running`: what W&B's Bayesian search takes for a missing value."""

    name: Annotated[str, PlainValidator(_metric_name)]
    goal: Annotated[str, PlainValidator(_one_of("minimize", "maximize"))] = "minimize"
    target: Number | None = None
    impute: Annotated[str, PlainValidator(_one_of(*IMPUTE))] | None = None
    impute_while_running: Annotated[str, PlainValidator(_one_of(*IMPUTE, "false"))] | None = None


class Hyperband(Part):
    """Early termination: `min_iter`, or `max_iter` and `s`."""

    type: Annotated[str, PlainValidator(_one_of("hyperband"))]
    min_iter: Annotated[int, PlainValidator(_between(1, 1e9, _whole))] | None = None
    max_iter: Annotated[int, PlainValidator(_between(1, 1e9, _whole))] | None = None
    s: Annotated[int, PlainValidator(_between(1, 100, _whole))] | None = None
    eta: Annotated[int | float, PlainValidator(_between(1, 1000, _at_least(1, _number, above=True)))] = 3
    strict: Annotated[bool, PlainValidator(_flag)] = True

    @model_validator(mode="after")
    def _has_a_rung(self) -> Hyperband:
        if self.max_iter is None and self.min_iter is None:
            raise ValueError("needs min_iter, or max_iter and s")
        if self.max_iter is None and self.s is not None:
            raise Misplaced("s", "belongs to max_iter: give max_iter, too, or leave s out")
        if self.max_iter is not None and self.s is None:
            raise Misplaced("max_iter", "needs s, the number of brackets, beside it")
        if self.max_iter is not None and self.max_iter < self.eta:
            raise Misplaced("max_iter", f"{self.max_iter} is below eta {self.eta:g}: no run would ever be judged")
        return self

    def plain(self) -> dict[str, Any]:
        """As `Part.plain`; where both forms are given, `max_iter` wins, as in W&B."""
        return {key: value for key, value in super().plain().items() if key != "min_iter" or self.max_iter is None}


class Group(Part):
    """Parameters under one name; further down the same again."""

    parameters: Any


class Derived(Part):
    """A value that follows from others."""

    expression: Text


class Condition(Part):
    """When a parameter, a group or a derived value is there."""

    when: Text


class Constant(Part):
    value: Any


class Categorical(Part):
    values: Annotated[list[Any], PlainValidator(_some_list)]


class Weighted(Categorical):
    probabilities: Annotated[list[float], PlainValidator(_weights)]

    @model_validator(mode="after")
    def _one_each(self) -> Weighted:
        if len(self.probabilities) != len(self.values):
            found = f"{len(self.probabilities)} probabilities for {len(self.values)} values"
            raise Misplaced("probabilities", f"{found}: each value needs one")
        return self


class IntUniform(Part):
    min: Whole
    max: Whole

    @model_validator(mode="after")
    def _rises(self) -> IntUniform:
        _check_rises(self.min, self.max)
        return self


class Uniform(Part):
    min: Number
    max: Number

    def value_at(self, bound: float) -> float:
        """What is drawn at a bound."""
        return bound

    @model_validator(mode="after")
    def _rises(self) -> Uniform:
        _check_rises(self.min, self.max)
        low, high = sorted((self.value_at(self.min), self.value_at(self.max)))
        if not math.isfinite(high - low):
            raise Misplaced("max", f"the range from {self.min} to {self.max} is too wide for a float")
        q = getattr(self, "q", 0)
        if q > high - low:
            raise Misplaced("q", f"q is {q:g}, but the range is only {high - low:g} wide: give a smaller q")
        if q and max(abs(low), abs(high)) / q > 2**63:
            raise Misplaced("q", f"q is {q:g}: far too small for a range from {low:g} to {high:g}")
        return self


class QUniform(Uniform):
    q: Positive = 1


class LogValues(Uniform):
    min: Positive


class QLogValues(LogValues):
    q: Positive = 1


class Exponents(Uniform):
    """Bounds are exponents of e."""

    def value_at(self, bound: float) -> float:
        return math.exp(bound) if bound < 700 else math.inf


class QExponents(Exponents):
    q: Positive = 1


class InverseExponents(Exponents):
    def value_at(self, bound: float) -> float:
        return super().value_at(-bound)


class Normal(Part):
    mu: Number = 0
    sigma: Annotated[int | float, PlainValidator(_at_least(0, _number))] = 1


class QNormal(Normal):
    q: Positive = 1


class LogNormal(Normal):
    @model_validator(mode="after")
    def _stays_finite(self) -> LogNormal:
        if self.mu + 10 * self.sigma > 700:
            raise ValueError("mu and sigma are those of ln(x): with these the values would overflow")
        return self


class QLogNormal(LogNormal):
    q: Positive = 1


class Beta(Part):
    a: Positive = 1
    b: Positive = 1


class QBeta(Beta):
    q: Positive = 1


DISTRIBUTIONS: Mapping[str, type[Part]] = {
    "constant": Constant,
    "categorical": Categorical,
    "categorical_w_probabilities": Weighted,
    "int_uniform": IntUniform,
    "uniform": Uniform,
    "q_uniform": QUniform,
    "log_uniform_values": LogValues,
    "q_log_uniform_values": QLogValues,
    "inv_log_uniform_values": LogValues,
    "reverse_log_uniform_values": LogValues,
    "log_uniform": Exponents,
    "q_log_uniform": QExponents,
    "inv_log_uniform": InverseExponents,
    "normal": Normal,
    "q_normal": QNormal,
    "log_normal": LogNormal,
    "q_log_normal": QLogNormal,
    "beta": Beta,
    "q_beta": QBeta,
}
"""What may stand under `distribution`, and the keys that each takes."""


def _check_rises(low: float, high: float) -> None:
    if low >= high:
        raise Misplaced("min", f"min {low} is not below max {high}")
