"""The parts of a sweep file as pydantic models: W&B's keys, defaults and limits, one small model a part.

`controller.spec` checks each part alone, so that a mistake in one hides none in another. Validators say in a
sentence what is wrong; `controller.specfields` has those of single values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator

from sweepyard.controller.specfields import (
    Count,
    Label,
    Misplaced,
    Number,
    Positive,
    Text,
    Whole,
    as_argv,
    as_choices,
    as_list,
    as_method,
    as_metric_name,
    as_name,
    as_number,
    as_points,
    as_texts,
    as_weights,
    as_whole,
    as_zips,
    at_least,
    between,
    one_of,
)
from sweepyard.search.space import Order
from sweepyard.tracking.records import Middle, Summary

IMPUTE = ("best", "worst", "latest")
GRID_KINDS = ("constant", "categorical", "int_uniform", "q_uniform")


class Part(BaseModel):
    """One mapping of a sweep file. A key that it does not name is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def plain(self) -> dict[str, Any]:
        """Its values with defaults; keys that were not given and have none are left out."""
        return {key: value for key, value in self.model_dump().items() if value is not None}


class SweepFile(Part):
    """The top level. What is `Any` here is checked by a model of its own."""

    name: Label | None = None
    description: Text | None = None
    entity: Label | None = None
    project: Label | None = None
    method: Annotated[str, PlainValidator(as_method)]
    metric: Any = None
    metrics: Any = None
    parameters: Any
    early_terminate: Any = None
    order: Annotated[str, PlainValidator(one_of(*get_args(Order)))] | None = None
    constraints: Annotated[list[str], PlainValidator(as_texts)] | None = None
    zip: Annotated[list[list[str]], PlainValidator(as_zips)] | None = None
    initial_points: Annotated[list[dict[str, Any]], PlainValidator(as_points)] | None = None
    run_cap: Count | None = None
    repeat: Any = None
    budget: Any = None
    retry: Any = None
    seed: Annotated[int, PlainValidator(at_least(0, as_whole))] | None = None
    run_name: Text | None = None
    program: Text | None = None
    command: Annotated[list[str], PlainValidator(as_argv)] | None = None


class OneOfMetrics(Part):
    """One of several objectives. `impute...`: what W&B's Bayesian search takes for a missing value."""

    name: Annotated[str, PlainValidator(as_metric_name)]
    goal: Annotated[str, PlainValidator(one_of("minimize", "maximize"))] = "minimize"
    impute: Annotated[str, PlainValidator(one_of(*IMPUTE))] | None = None
    impute_while_running: Annotated[str, PlainValidator(one_of(*IMPUTE, "false"))] | None = None


class Metric(OneOfMetrics):
    """The objective. `summary`: what a run's values are summed up to; without it see `records.Objective`."""

    target: Number | None = None
    summary: Annotated[str, PlainValidator(one_of(*get_args(Summary)))] | None = None


class Repeat(Part):
    """How often each point is tried. `seed`: the key of a run's params that holds its seed."""

    times: Annotated[int, PlainValidator(between(1, 1000, as_whole))]
    objective: Annotated[str, PlainValidator(one_of(*get_args(Middle)))] = "mean"
    seed: Annotated[str, PlainValidator(as_name)] = "seed"


class Budget(Part):
    """What a sweep may cost at most; then it takes no new runs. `runs`: `run_cap` under another name."""

    runs: Count | None = None
    hours: Positive | None = None
    failures: Count | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> Budget:
        if self.runs is self.hours is self.failures is None:
            raise ValueError("limits nothing: give runs, hours or failures")
        return self


class Retry(Part):
    """How often, and after which ends, a run is tried again by itself."""

    max: Annotated[int, PlainValidator(between(0, 100, as_whole))] = 1
    on: Annotated[list[str], PlainValidator(as_choices("crashed", "preempted", "failed"))] = Field(
        default_factory=lambda: ["crashed", "preempted"]
    )


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
    values: Annotated[list[Any], PlainValidator(as_list)]


class Weighted(Categorical):
    probabilities: Annotated[list[float], PlainValidator(as_weights)]

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
    sigma: Annotated[int | float, PlainValidator(at_least(0, as_number))] = 1


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
