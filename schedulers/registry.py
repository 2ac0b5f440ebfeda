"""The rules of early termination by the name that a sweep file gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from sweepyard.errors import Problem, SpecError
from sweepyard.schedulers.hyperband import Hyperband
from sweepyard.schedulers.port import Scheduler
from sweepyard.tracking.records import Objective

RULES: Mapping[str, Callable[[Mapping[str, Any], Objective], Scheduler]] = MappingProxyType(
    {"hyperband": Hyperband.from_spec}
)


def make_scheduler(early_terminate: Mapping[str, Any] | None, objective: Objective) -> Scheduler | None:
    """The scheduler of a sweep with this `early_terminate`; None if it has none.

    Raises:
        SpecError: no such rule, or its numbers make none.
    """
    if early_terminate is None:
        return None
    kind = str(early_terminate.get("type"))
    if kind not in RULES:
        message = f"there is no rule '{kind}'. Choose one of: {', '.join(RULES)}"
        raise SpecError([Problem(path="early_terminate.type", message=message)])
    return RULES[kind](early_terminate, objective)
