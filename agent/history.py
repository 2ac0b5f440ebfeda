"""Which row a `log` call belongs to, and when a row is complete: W&B's step rules (wandb-sweeps.md, 8.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import index
from typing import Any

MAX_STEP = 2**63 - 1


class History:
    """Gathers logged values into rows and hands each complete row to `emit(step, row)` once.

    Steps only grow. `warn` gets one sentence, once, when values for a smaller step are dropped.
    """

    __slots__ = ("_emit", "_row", "_warn", "_warned", "step")

    def __init__(
        self, emit: Callable[[int, dict[str, Any]], None], warn: Callable[[str], None], step: int = 0
    ) -> None:
        self.step = step
        """The step of the row that is being gathered."""
        self._emit = emit
        self._warn = warn
        self._warned = False
        self._row: dict[str, Any] = {}

    def log(self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """Add `data` to a row.

        Without `step`: to the current row, which is then complete unless `commit=False`. With a larger `step`:
        the current row is complete, a new one begins there; with an equal one: the values join the current row
        (the later value of a key wins); with a smaller one: the data is dropped. With `step` a row stays open
        unless `commit=True`. An empty row is not emitted but uses up its step.

        Raises:
            TypeError: `data` is no mapping with string keys, or `step` no integer.
            ValueError: `step` needs more than 64 bits.
        """
        _check(data)
        if step is not None:
            step = index(step)
            if step > MAX_STEP:
                raise ValueError(f"log(step={step}): steps go up to {MAX_STEP}")
            if step < self.step:
                return self._refuse(step)
            if step > self.step:
                self.flush()
                self.step = step
        self._row.update(data)
        if commit or (commit is None and step is None):
            self._commit()
        return None

    def flush(self) -> None:
        """Complete the current row if it holds anything."""
        if self._row:
            self._commit()

    def _commit(self) -> None:
        row, self._row = self._row, {}
        if row:
            self._emit(self.step, row)
        self.step += 1

    def _refuse(self, step: int) -> None:
        if not self._warned:
            self._warned = True
            self._warn(
                f"log(step={step}) dropped: the run is already at step {self.step}, and steps only grow. "
                "Log values of one step together, or leave `step` out. (Said once.)"
            )


def _check(data: Any) -> None:
    if not isinstance(data, dict | Mapping):
        raise TypeError(
            f"log() takes a dict of names and values, such as log({{'loss': 0.3}}); got {type(data).__name__}"
        )
    for key in data:
        if not isinstance(key, str):
            raise TypeError(f"log() takes string keys; got {key!r} ({type(key).__name__})")
