"""A searcher of another distribution, and what is checked of its answers before anyone runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sweepyard.errors import SpecError
from sweepyard.plain import Params, dumps
from sweepyard.search.inside import locate
from sweepyard.search.port import Observation, Searcher, Suggestion
from sweepyard.search.space import Space


class Foreign:
    """`searcher`, whose suggestions must be of `space`. `method`: its name, for messages."""

    def __init__(self, searcher: Searcher, space: Space, method: str) -> None:
        self._searcher = searcher
        self._space = space
        self._method = method

    def size(self) -> int | None:
        return self._searcher.size()

    def suggest(self, history: Sequence[Observation], pending: Sequence[Params], n: int) -> list[Suggestion]:
        """As the searcher suggests.

        Raises:
            ValueError: it answers something else than up to `n` suggestions, or a point that is not of the space.
        """
        found = self._searcher.suggest(history, pending, n)
        if not isinstance(found, Sequence) or len(found) > n:
            raise ValueError(f"{self._method} was asked for {n} suggestions, a list, and answered {_shown(found)}")
        return [self._checked(each) for each in found]

    def _checked(self, found: Any) -> Suggestion:
        if not isinstance(found, Suggestion) or not isinstance(found.params, Mapping):
            raise ValueError(f"{self._method} answered {_shown(found)}, which is no search.port.Suggestion")
        try:
            values = locate(self._space, found.params)
        except SpecError as error:
            raise ValueError(f"{self._method} suggested {_shown(found.params)}: {error.problems[0]}") from None
        return replace(found, params=self._space.nest(values), reason=str(found.reason) or self._method)


def _shown(answer: Any) -> str:
    text = dumps(answer)
    return text if len(text) <= 200 else f"{text[:197]}..."
