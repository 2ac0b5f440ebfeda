"""The rules of early termination by the name that a sweep file gives them, and several of them as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeAlias, cast

from sweepyard.errors import Problem, SpecError
from sweepyard.schedulers.asha import Asha
from sweepyard.schedulers.hyperband import Hyperband
from sweepyard.schedulers.median import Median
from sweepyard.schedulers.population import Population
from sweepyard.schedulers.port import Curves, Outlook, Promoter, Scheduler, Verdict
from sweepyard.schedulers.promotion import Promotion
from sweepyard.schedulers.single import NotFinite, Patience, Threshold
from sweepyard.search.explore import perturbed
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

Rule: TypeAlias = Mapping[str, Any]


def _foretelling(name: str, rule: Rule, objective: Objective) -> Scheduler:
    from sweepyard.schedulers.curve import CurveRule  # takes a while to import (scipy)

    return CurveRule.auto(rule, objective) if name == "auto" else CurveRule.from_spec(rule, objective)


RULES: Mapping[str, Callable[[Rule, Objective, int], Scheduler]] = MappingProxyType(
    {
        "hyperband": lambda rule, objective, _seed: Hyperband.from_spec(rule, objective),
        "asha": lambda rule, objective, seed: (
            Promotion.from_spec(rule, objective) if rule.get("promote") else Asha.from_spec(rule, objective, seed)
        ),
        "median": lambda rule, objective, _seed: Median.from_spec(rule, objective),
        "patience": lambda rule, objective, _seed: Patience.from_spec(rule, objective),
        "threshold": lambda rule, objective, _seed: Threshold.from_spec(rule, objective),
        "curve": lambda rule, objective, _seed: _foretelling("curve", rule, objective),
        "auto": lambda rule, objective, _seed: _foretelling("auto", rule, objective),
        "nan": lambda _rule, objective, _seed: NotFinite(objective),
    }
)


PRECEDENCE = ("stop", "pause", "continue")


class Rules:
    """Several rules, in the order of the file: the first that says stop is the one whose verdict counts."""

    def __init__(self, rules: Sequence[Scheduler]) -> None:
        self._rules = rules

    @property
    def promoter(self) -> Promoter | None:
        return next((promoter for rule in self._rules if (promoter := promoter_of(rule))), None)

    def judge(self, run_id: str, curves: Curves) -> Verdict | None:
        verdicts = [verdict for rule in self._rules if (verdict := rule.judge(run_id, curves))]
        verdicts.sort(key=lambda each: PRECEDENCE.index(each.action))
        chosen = next(iter(verdicts), None)
        return chosen and replace(chosen, reason=f"{chosen.rule}, {chosen.reason}")

    def outlook(self, run_id: str, curves: Curves) -> list[Outlook]:
        return [each for rule in self._rules for each in rule.outlook(run_id, curves)]


def rules_of(early_terminate: Rule | Sequence[Rule] | None) -> list[Rule]:
    """Each rule that an `early_terminate` asks for; `nan: stop`, alone or beside another, is one, in front."""
    given = [early_terminate] if isinstance(early_terminate, Mapping) else list(early_terminate or ())
    nan = [{"type": "nan"}] if any(rule.get("nan") == "stop" for rule in given) else []
    return [*nan, *(rule for rule in given if "type" in rule)]


def resource_of(early_terminate: Rule | Sequence[Rule] | None) -> str | None:
    """The key of a row by which the user counts the resource; None: the values of the metric are counted."""
    return next((str(rule["resource"]) for rule in rules_of(early_terminate) if "resource" in rule), None)


def max_iter_of(early_terminate: Rule | Sequence[Rule] | None) -> float | None:
    """The resource of a whole run, if a rule says it."""
    return next((float(rule["max_iter"]) for rule in rules_of(early_terminate) if "max_iter" in rule), None)


def is_dry(early_terminate: Rule | Sequence[Rule] | None) -> bool:
    """Whether the rules only say what they would stop."""
    return any(rule.get("dry_run", False) for rule in rules_of(early_terminate))


def promoter_of(scheduler: Scheduler | None) -> Promoter | None:
    """The one that gives paused runs their turns, if there is one."""
    if isinstance(scheduler, Rules):
        return scheduler.promoter
    # Asked at each plan: `isinstance` of a protocol would take longer than the plan.
    return cast(Promoter, scheduler) if hasattr(scheduler, "turns") else None


def make_scheduler(
    early_terminate: Rule | Sequence[Rule] | None,
    objective: Objective,
    seed: int = 0,
    space: Callable[[], Space] | None = None,
) -> Scheduler | None:
    """The scheduler of a sweep with this `early_terminate`; None if it has none.

    `space`: what a population varies; no other rule needs it.

    Raises:
        SpecError: no such rule, or its numbers make none.
    """
    made = [_make(rule, objective, seed, space) for rule in rules_of(early_terminate)]
    return made[0] if len(made) == 1 else Rules(made) if made else None


def _make(rule: Rule, objective: Objective, seed: int, space: Callable[[], Space] | None) -> Scheduler:
    kind = str(rule.get("type"))
    if kind == "population" and space is not None:
        varied = space()
        return Population.from_spec(rule, objective, seed, lambda params, rng: perturbed(varied, params, rng))
    if kind not in RULES:
        message = f"there is no rule '{kind}'. Choose one of: {', '.join((*RULES, 'population'))}"
        raise SpecError([Problem(path="early_terminate.type", message=message)])
    return RULES[kind](rule, objective, seed)
