"""A question to a searcher and its answer, and a random point in place of a searcher that failed.

Searchers are stateless: whoever asks the same question anywhere gets the same answer.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sweepyard.plain import Params
from sweepyard.search.port import Observation, Searcher, Suggestion, created
from sweepyard.search.registry import searcher_of
from sweepyard.tracking.records import Objective
from sweepyard.wording import one_line, shorten

MOST_WHY = 500
"""Letters of a failure that are told: an exception may say a megabyte."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Everything that a suggestion depends on. `waiting`: an agent has nothing to do until the answer comes.

    `version`: that of `spec`.
    """

    sweep_id: str
    spec: dict[str, Any]
    objective: Objective | None
    seed: int
    history: Sequence[Observation]
    pending: Sequence[Params]
    n: int
    waiting: bool = True
    version: int = 1

    @property
    def method(self) -> str:
        return str(self.spec["method"])

    @property
    def created(self) -> int:
        """How many runs there are."""
        return created(self.history, self.pending)

    def answered(self, suggestions: Sequence[Suggestion]) -> Answer:
        return Answer(
            sweep_id=self.sweep_id,
            version=self.version,
            created=self.created,
            ended=self.created - len(self.pending),
            n=self.n,
            waiting=self.waiting,
            suggestions=suggestions,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`created`, `ended`: how many runs there were, and how many of them had ended, when the question was asked.

    Fewer suggestions than `n`: the space is exhausted.
    """

    sweep_id: str
    created: int
    ended: int
    n: int
    waiting: bool
    suggestions: Sequence[Suggestion]
    version: int = 1


def suggest(question: Question, method: str = "") -> Answer:
    """Answer a question here and now, by another `method` than the sweep's if one is named."""
    method = method or question.method
    version, searcher = _searchers.get((question.sweep_id, method), (0, None))
    if searcher is None or version != question.version:
        searcher = searcher_of(question.spec, question.objective, question.seed, method)
        _searchers[question.sweep_id, method] = question.version, searcher
    return question.answered(searcher.suggest(question.history, question.pending, question.n))


_searchers: dict[tuple[str, str], tuple[int, Searcher]] = {}
"""A searcher keeps nothing but caches: one will do for each sweep and method, of the last version of its spec."""


def instead(question: Question, why: str) -> list[Suggestion]:
    """Random points in place of a searcher that failed, with its failure in the reason."""
    why = shorten(one_line(why), MOST_WHY)
    log.warning("sweep %s: %s search failed: %s", question.sweep_id, question.method, why)
    return [
        replace(
            point,
            reason=f"{point.reason}, in place of {question.method} search: {why}",
            detail=point.detail | {"fallback": why},
        )
        for point in suggest(question, "random").suggestions
    ]


def aged(suggestion: Suggestion, unseen: int) -> Suggestion:
    """The suggestion, with the number of results that came in after it was asked for."""
    if not unseen:
        return suggestion
    came = "result came" if unseen == 1 else f"{unseen} results came"
    reason = f"{suggestion.reason}; asked for before the last {came} in"
    return replace(suggestion, reason=reason, detail=suggestion.detail | {"unseen": unseen})
