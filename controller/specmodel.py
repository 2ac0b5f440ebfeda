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

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    def plain(self) -> dict[str, Any]:
        """Its values with defaults; keys that were not given and have none are left out."""
        return {key: value for key, value in self.model_dump().items() if value is not None}


class SweepFile(Part):
    """The top level. What is `Any` here is checked by a model of its own.

    Here and below, docs/sweep-file.md has what is said of each key; what follows `default:` is its default.
    """

    method: Annotated[str, PlainValidator(as_method)]
    """How points are proposed: see [Methods](#methods)"""
    parameters: Any
    """The space: see [Parameters](#parameters)"""
    metric: Any = None
    """What to optimise: see [Metric](#metric)"""
    metrics: Any = None
    """Several to choose between, in place of `metric`: see [Several metrics](#several-metrics)"""
    early_terminate: Any = None
    """Which runs are stopped early: see [Early termination](#early-termination)"""
    program: Text | None = None
    """The script that agents run, as `${program}` of `command`"""
    command: Annotated[list[str], PlainValidator(as_argv)] | None = None
    """The argv of a run, with macros; default: `${env} ${interpreter} ${program} ${args}`"""
    run_cap: Count | None = None
    """The most runs of the sweep, over all agents"""
    budget: Any = None
    """What the sweep may cost: see [Budgets](#budgets-names-retries)"""
    repeat: Any = None
    """How often each point is tried, each time with another seed: see [Repeats](#repeats); default: 1"""
    retry: Any = None
    """Which ends another attempt follows: see [Retries](#budgets-names-retries); default: once after a loss"""
    stall_after_s: Positive | None = None
    """So many seconds a run may log nothing; then it is ended as failed: see [Stalled runs](#stalled-runs)"""
    order: Annotated[str, PlainValidator(one_of(*get_args(Order)))] | None = None
    """Of a grid: `sorted`, `listed` or `random`; default: `sorted`"""
    constraints: Annotated[list[str], PlainValidator(as_texts)] | None = None
    """Expressions that every point satisfies: see [Constraints](#conditions-derived-values-constraints)"""
    zip: Annotated[list[list[str]], PlainValidator(as_zips)] | None = None
    """Parameters that move together: see [there](#parameters-that-move-together)"""
    initial_points: Annotated[list[dict[str, Any]], PlainValidator(as_points)] | None = None
    """Points to be tried first: see [there](#points-of-your-choice)"""
    seed: Annotated[int, PlainValidator(at_least(0, as_whole))] | None = None
    """0 or more; the same seed gives the same points; default: drawn at creation"""
    run_name: Text | None = None
    """A template for the names of runs: see [Names](#budgets-names-retries); default: `run-{number}`"""
    name: Label | None = None
    """A label of the sweep"""
    description: Text | None = None
    """A text for people"""
    project: Label | None = None
    """Where the sweep is listed; default: `uncategorized`"""
    entity: Label | None = None
    """Whose it is; default: `local`"""


class OneOfMetrics(Part):
    """One of several objectives."""

    name: Annotated[str, PlainValidator(as_metric_name)]
    """What runs log it as, at the top level"""
    goal: Annotated[str, PlainValidator(one_of("minimize", "maximize"))] = "minimize"
    """`minimize` or `maximize`"""
    impute: Annotated[str, PlainValidator(one_of(*IMPUTE))] | None = None
    """Kept, but no method here uses it: runs that failed are told as such"""
    impute_while_running: Annotated[str, PlainValidator(one_of(*IMPUTE, "false"))] | None = None
    """Kept, but no method here uses it: runs that go on are told as such"""


class Metric(OneOfMetrics):
    """The objective. Without `summary` see `records.Objective`."""

    target: Number | None = None
    """The first run that reaches it ends the sweep; those that run go on to their end"""
    summary: Annotated[str, PlainValidator(one_of(*get_args(Summary)))] | None = None
    """What the values of a run are summed up to: `last`, `min`, `max`, `best` or `mean`; default: see below"""


class Repeat(Part):
    """How often each point is tried, and what becomes of its results."""

    times: Annotated[int, PlainValidator(between(1, 1000, as_whole))]
    """How often each point is tried"""
    objective: Annotated[str, PlainValidator(one_of(*get_args(Middle)))] = "mean"
    """What the objectives of its runs are summed up to: `mean`, `median` or `worst`"""
    seed: Annotated[str, PlainValidator(as_name)] = "seed"
    """The key beside the parameters under which a run finds its seed"""


class Budget(Part):
    """What a sweep may cost at most."""

    runs: Count | None = None
    """Another name of `run_cap`"""
    hours: Positive | None = None
    """So long after its first run was made the sweep takes no new ones; pauses count"""
    failures: Count | None = None
    """When so many runs have failed or crashed, the sweep takes no new ones"""

    @model_validator(mode="after")
    def _limits_something(self) -> Budget:
        if self.runs is self.hours is self.failures is None:
            raise ValueError("limits nothing: give runs, hours or failures")
        return self


class Retry(Part):
    """How often, and after which ends, a run is tried again by itself."""

    max: Annotated[int, PlainValidator(between(0, 100, as_whole))] = 1
    """How many attempts there may be beyond the first"""
    on: Annotated[list[str], PlainValidator(as_choices("crashed", "preempted", "failed"))] = Field(
        default_factory=lambda: ["crashed", "preempted"]
    )
    """`crashed` (agents were lost), `preempted`, `failed` (an error of your code, or [stalled](#stalled-runs))"""


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
