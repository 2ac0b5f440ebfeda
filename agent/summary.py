"""`run.summary`: the last value of everything logged, and what the user sets by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Summary(Mapping[str, Any]):
    """A dict of last values. A value set by hand lasts until its key is logged again."""

    def __init__(self, changed: Callable[[dict[str, Any]], None]) -> None:
        self._values: dict[str, Any] = {}
        self._changed = changed

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def update(self, values: Mapping[str, Any]) -> None:
        self._values.update(values)
        self._changed(dict(values))

    def take_row(self, row: Mapping[str, Any]) -> None:
        """Follow a complete row; the reader of the history does the same on its side."""
        self._values.update(row)
