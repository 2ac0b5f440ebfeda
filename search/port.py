"""The port of every search method: what it is told, what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sweepyard.plain import Params


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A run that has ended.

    `value`: its objective as logged (not negated), None if it has no finite one. `std`: how uncertain that is as
    the run's final value, in the metric's units; above 0 for a stopped run whose value is foretold. `failed`: the
    user's code failed or crashed. `source`: the other sweep or file that the run comes from, "" for a run of this
    sweep. `values`: all objectives in the order of the spec's `metrics`; empty if there is one only.
    """

    number: int
    params: Params
    value: float | None
    std: float = 0.0
    failed: bool = False
    source: str = ""
    values: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A point to try, why (a sentence for the user), and the numbers behind it (plain JSON)."""

    params: Params
    reason: str
    detail: dict[str, Any] = field(default_factory=dict)


def created(history: Sequence[Observation], pending: Sequence[Params]) -> int:
    """How many runs of this sweep exist: those of other sources teach, and do not count."""
    return sum(not run.source for run in history) + len(pending)


class Searcher(Protocol):
    """Proposes points. Stateless by contract: the same arguments give the same answer.

    Suggestion k of a sweep draws from `SeedSequence([seed, k])` alone, where k is the number of its runs that
    exist already (`created`). Anything kept between calls is a cache for speed.
    """

    def suggest(self, history: Sequence[Observation], pending: Sequence[Params], n: int) -> list[Suggestion]:
        """Up to `n` points to try next.

        `history`: every run that ended, in the order in which they ended. `pending`: the points of all runs
        that have not. Fewer than `n` means that the space is exhausted.
        """
        ...

    def size(self) -> int | None:
        """How many different points the space has; None if it is not finite."""
        ...
