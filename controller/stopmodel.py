"""The rules of early termination in a sweep file as pydantic models, by their `type`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import PlainValidator, model_validator

from sweepyard.controller.specfields import (
    Count,
    Misplaced,
    Number,
    Positive,
    Text,
    as_flag,
    as_number,
    as_whole,
    at_least,
    between,
    one_of,
)
from sweepyard.controller.specmodel import Part

Resource: TypeAlias = Annotated[int | float, PlainValidator(at_least(0, as_number))]
Rung: TypeAlias = Annotated[int, PlainValidator(between(1, 1e9, as_whole))]
Eta: TypeAlias = Annotated[int | float, PlainValidator(between(1, 1000, at_least(1, as_number, above=True)))]


class Rule(Part):
    """What every rule takes.

    `resource`: the key that counts it; `nan`: what becomes of a run that logs one; `dry_run`: nothing is stopped,
    by this rule or one beside it, only told.
    """

    type: str
    resource: Text | None = None
    nan: Annotated[str, PlainValidator(one_of("stop"))] | None = None
    dry_run: Annotated[bool, PlainValidator(as_flag)] | None = None


class Hyperband(Rule):
    """`min_iter`, or `max_iter` and `s`."""

    min_iter: Rung | None = None
    max_iter: Rung | None = None
    s: Annotated[int, PlainValidator(between(1, 100, as_whole))] | None = None
    eta: Eta = 3
    strict: Annotated[bool, PlainValidator(as_flag)] = True
    reevaluate: Annotated[bool, PlainValidator(as_flag)] | None = None
    min_peers: Count | None = None

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


class Asha(Rule):
    """`brackets` above 1 need `max_iter`, and a rung each."""

    min_iter: Rung = 1
    max_iter: Rung | None = None
    eta: Eta = 3
    brackets: Annotated[int, PlainValidator(between(1, 20, as_whole))] = 1
    min_peers: Count | None = None
    promote: Annotated[bool, PlainValidator(as_flag)] | None = None

    @model_validator(mode="after")
    def _can_promote(self) -> Asha:
        if self.promote:
            _check_goes_on(self, "promote")
            for key, given in (("brackets", self.brackets > 1), ("min_peers", self.min_peers is not None)):
                if given:
                    raise Misplaced(key, "does not go with promote")
        return self

    @model_validator(mode="after")
    def _has_rungs(self) -> Asha:
        if self.max_iter is None:
            if self.brackets > 1:
                raise Misplaced("brackets", "needs max_iter, the resource of a whole run, beside it")
            return self
        if self.max_iter <= self.min_iter:
            raise Misplaced("max_iter", f"{self.max_iter} is not above min_iter {self.min_iter}: there is no rung")
        rungs = math.ceil(math.log(self.max_iter / self.min_iter) / math.log(self.eta) - 1e-9)
        if self.brackets > rungs + 1:
            given = f"min_iter {self.min_iter}, max_iter {self.max_iter} and eta {self.eta:g} give {rungs} rungs"
            raise Misplaced("brackets", f"{self.brackets} is too big: {given}, so up to {rungs + 1} brackets")
        return self


class Median(Rule):
    min_iter: Resource = 1
    min_peers: Count = 5


class Patience(Rule):
    patience: Positive
    min_delta: Resource = 0
    min_iter: Resource = 1


class Threshold(Rule):
    at: Resource
    value: Number


class CurveRule(Rule):
    """`probability`: the chance to become the best below which a run is stopped."""

    probability: Annotated[float, PlainValidator(between(0, 0.5, at_least(0, as_number, above=True)))] = 0.05
    max_iter: Rung | None = None
    min_iter: Resource = 1
    min_peers: Count = 5


class Auto(Rule):
    max_iter: Rung | None = None
    min_iter: Resource = 1


class Population(Rule):
    """`size`: how many members; each pauses after every `interval`."""

    size: Annotated[int, PlainValidator(between(2, 1000, as_whole))]
    interval: Positive
    quantile: Annotated[int | float, PlainValidator(between(0, 0.5, as_number))] = 0.25
    max_iter: Rung | None = None

    @model_validator(mode="after")
    def _can_go_on(self) -> Population:
        _check_goes_on(self, "a population")
        return self


def _check_goes_on(rule: Rule, what: str) -> None:
    if rule.resource is None:
        raise ValueError(f"{what} needs resource, the key that says how far a run is: it goes on from checkpoints")
    if rule.dry_run:
        raise Misplaced("dry_run", f"does not go with {what}: nothing would be paused")


class NotFinite(Rule):
    """`type: nan`."""


class Nan(Part):
    """`nan: stop` alone."""

    nan: Annotated[str, PlainValidator(one_of("stop"))]


RULES: Mapping[str, type[Rule]] = {
    "hyperband": Hyperband,
    "asha": Asha,
    "median": Median,
    "population": Population,
    "patience": Patience,
    "threshold": Threshold,
    "curve": CurveRule,
    "auto": Auto,
    "nan": NotFinite,
}
"""What may stand under `type`, and the keys that each takes."""


class AnyRule(Rule):
    """A rule whose type is missing or unknown."""

    type: Annotated[str, PlainValidator(one_of(*RULES))]


def model_of(raw: Mapping[str, Any]) -> type[Part]:
    """The model that checks this rule."""
    if "type" not in raw and "nan" in raw:
        return Nan
    kind = raw.get("type")
    return RULES.get(kind, AnyRule) if isinstance(kind, str) else AnyRule
