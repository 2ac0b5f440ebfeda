"""The port of every search method: what it is told, what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sweepyard.plain import Params


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A run that has ended. `value`: its objective as logged (not negated), None if it has no finite one."""

    number: int
    params: Params
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A point to try, why (a sentence for the user), and the numbers behind it (plain JSON)."""

    params: Params
    reason: str
    detail: dict[str, Any] = field(default_factory=dict)


class Searcher(Protocol):
    """Proposes points. Stateless by contract: the same arguments give the same answer.

    Suggestion k of a sweep draws from `SeedSequence([seed, k])` alone, where k is the number of runs that
    exist already: `len(history) + len(pending)`. Anything kept between calls is a cache for speed.
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
