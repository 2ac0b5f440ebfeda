"""`method: auto`: the method that suits the sweep, and why. The measurements are in `benchmarks/search.md`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sweepyard.plain import Params
from sweepyard.search.port import Observation, Searcher, Suggestion, created

Choice = tuple[str, str]
"""A method and the reason."""

MANY_RUNS = 1000


class AutoSearcher:
    """Asks the searcher that `choose` names for the runs so far; the reason for that is in each suggestion's."""

    def __init__(self, make: Callable[[str], Searcher], *, scored: bool) -> None:
        self._make = make
        self._scored = scored
        self._made: dict[str, Searcher] = {}

    def size(self) -> int | None:
        return self._searcher("sobol").size()

    def suggest(self, history: Sequence[Observation], pending: Sequence[Params], n: int) -> list[Suggestion]:
        method, why = choose(created(history, pending), scored=self._scored)
        found = self._searcher(method).suggest(history, pending, n)
        return [replace(each, reason=f"{each.reason} [auto: {method}, {why}]") for each in found]

    def _searcher(self, method: str) -> Searcher:
        if method not in self._made:
            self._made[method] = self._make(method)
        return self._made[method]


def choose(runs: int, *, scored: bool) -> Choice:
    """For the next of `runs` runs. `scored`: the sweep has a metric."""
    if not scored:
        return "sobol", "without a metric there is nothing to learn from"
    if runs < MANY_RUNS:
        return "bayes", f"the most from each of the first {MANY_RUNS:,} runs"
    return "tpe", "costs next to nothing however many runs there are"
