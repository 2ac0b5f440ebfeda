"""A searcher of another distribution, and what is checked of its answers before anyone runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from sweepyard.errors import SpecError
from sweepyard.plain import Params, dumps, to_plain
from sweepyard.search.inside import locate
from sweepyard.search.points import Visited
from sweepyard.search.port import Observation, Searcher, Suggestion, created
from sweepyard.search.space import Space
from sweepyard.wording import one_line, shorten

MOST_REASON = 1000
"""Letters of a reason that are kept."""
MOST_DETAIL = 16 * 1024
"""What `detail` may have as JSON: it is stored with each run."""


class Foreign:
    """`searcher`, whose suggestions must be of `space`. `method`: its name, for messages."""

    def __init__(self, searcher: Searcher, space: Space, method: str) -> None:
        self._searcher = searcher
        self._space = space
        self._method = method
        self._visited = Visited(space)

    def size(self) -> int | None:
        return self._searcher.size()

    def suggest(self, history: Sequence[Observation], pending: Sequence[Params], n: int) -> list[Suggestion]:
        """As the searcher suggests; it may do with what it is told whatever it likes.

        Raises:
            ValueError: it answers something else than `n` suggestions (fewer if it has no more), a point that is
                not of the space, or, of a finite space, one that there is.
        """
        told = [replace(run, params=deepcopy(run.params)) for run in history]
        found = self._searcher.suggest(told, deepcopy(list(pending)), n)
        if not isinstance(found, Sequence) or len(found) > n:
            raise ValueError(f"{self._method} was asked for {n} suggestions, a list, and answered {_shown(found)}")
        if len(found) < n and not self._has_ended(created(history, pending) + len(found)):
            raise ValueError(
                f"{self._method} was asked for {n} suggestions and answered {len(found)}: "
                f"as if there were no more, but its size() is {_shown(self.size())}"
            )
        if self._space.size() is not None:
            self._visited.update([run for run in history if not run.source], pending)
        return [self._checked(each) for each in found]

    def _has_ended(self, points: int) -> bool:
        size = self.size()
        return isinstance(size, int) and points >= size

    def _checked(self, found: Any) -> Suggestion:
        if not isinstance(found, Suggestion) or not isinstance(found.params, Mapping):
            raise ValueError(f"{self._method} answered {_shown(found)}, which is no search.port.Suggestion")
        try:
            values = locate(self._space, to_plain(found.params))
        except SpecError as error:
            raise ValueError(f"{self._method} suggested {_shown(found.params)}: {error.problems[0]}") from None
        if self._space.size() is not None:
            if values in self._visited:
                raise ValueError(f"{self._method} suggested {_shown(found.params)}: there is such a run")
            self._visited.add(values)
        return Suggestion(params=self._space.nest(values), reason=self._reason(found), detail=_detail(found))

    def _reason(self, found: Suggestion) -> str:
        reason: Any = found.reason
        if isinstance(reason, str) and reason.strip():
            return shorten(one_line(reason), MOST_REASON)
        return f"suggested by {self._method}, which gave no reason"


def _detail(found: Suggestion) -> dict[str, Any]:
    detail: Any = found.detail
    length = len(dumps(detail))
    if length <= MOST_DETAIL and isinstance(detail, Mapping):
        return dict(detail)
    return {"left_out": f"a detail that is no mapping, or too long ({length:,} bytes)"}


def _shown(answer: Any) -> str:
    return shorten(dumps(answer), 200)
