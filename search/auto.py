"""`method: auto`: the method that suits the sweep, and why. The measurements are in `benchmarks/search.md`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sweepyard.plain import Params
from sweepyard.search.encoding import Encoding
from sweepyard.search.port import Observation, Searcher, Suggestion, created
from sweepyard.search.space import Space

Choice = tuple[str, str]
"""A method and the reason."""

MANY_RUNS = 1000


class AutoSearcher:
    """Asks the searcher that `choose` names; each suggestion's reason ends with that choice's."""

    def __init__(self, space: Space, make: Callable[[str], Searcher], *, scored: bool) -> None:
        self._space = space
        self._make = make
        self._scored = scored
        self._made: dict[str, Searcher] = {}

    def size(self) -> int | None:
        return self._searcher("sobol").size()

    def suggest(self, history: Sequence[Observation], pending: Sequence[Params], n: int) -> list[Suggestion]:
        method, why = choose(self._space, created(history, pending), scored=self._scored)
        found = self._searcher(method).suggest(history, pending, n)
        return [replace(each, reason=f"{each.reason} [auto: {method}, {why}]") for each in found]

    def _searcher(self, method: str) -> Searcher:
        if method not in self._made:
            self._made[method] = self._make(method)
        return self._made[method]


def choose(space: Space, runs: int, *, scored: bool) -> Choice:
    """For the next run when there are `runs`. `scored`: the sweep has a metric.

    How many agents ask at once decides nothing: with 1, 8 and 64 of them the same method is ahead.
    """
    if not scored:
        return "sobol", "as there is no metric to learn from"
    if runs < MANY_RUNS:
        return "bayes", f"which makes the most of each of the first {MANY_RUNS:,} runs"
    if space.rules.is_trivial and not Encoding(space).unordered.any():
        return "cmaes", f"which goes on best after {MANY_RUNS:,} runs where all parameters are numbers"
    return "tpe", f"which costs little after {MANY_RUNS:,} runs and knows categories and conditions"
