"""Runs as a model sees them: rows, losses, how sure these are, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sweepyard.search.encoding import Array, Encoding, Mask
from sweepyard.search.port import Observation
from sweepyard.search.space import Space

Counts: TypeAlias = "NDArray[np.intp]"

_SOURCES_MAX = 4
"""The most other sources that are told apart; the rest counts as one of them."""

_LABEL_STD = 0.2
"""How far an outcome is from certain: a model that had to meet each exactly would have a wall around each."""
_ALIGN_MIN = 4
"""The fewest losses of ours that tell where losses lie."""
_HUGE, _NARROW = 1e150, 1e-100
"""Sizes and ratios that do not overflow when they are multiplied."""


@dataclass(frozen=True, slots=True)
class Data:
    """Runs of one space in the order in which they ended.

    `losses`: the smaller the better, NaN for a run without a score. `stds`: how uncertain they are, in their
    units. `origins`: 0 for a run of this sweep; 1, 2, ... for other sources, in the order in which they appear.
    `numbers`: of the runs, within their source.
    """

    rows: Array
    losses: Array
    stds: Array
    origins: Counts
    numbers: Counts

    @classmethod
    def empty(cls, columns: int) -> Data:
        none = np.empty(0, dtype=np.intp)
        return cls(np.empty((0, columns)), np.empty(0), np.empty(0), none, none)

    def __len__(self) -> int:
        return len(self.losses)

    def of(self, chosen: Mask | Counts | slice) -> Data:
        return Data(*(getattr(self, each.name)[chosen] for each in fields(self)))

    def and_then(self, other: Data) -> Data:
        pairs = ((getattr(self, each.name), getattr(other, each.name)) for each in fields(self))
        return Data(*(np.concatenate(pair) for pair in pairs))

    def first(self, n: int) -> Data:
        return self.of(slice(n))

    @property
    def sources(self) -> int:
        """How many other sources there are."""
        return int(self.origins.max(initial=0))

    def aligned(self) -> Data:
        """The same runs, with the losses of a source that lie far from all of ours moved and scaled onto ours."""
        ours = self.losses[self.origins == 0]
        if len(ours) < _ALIGN_MIN or not self.sources:
            return self
        losses, stds = self.losses.clip(-_HUGE, _HUGE), self.stds.copy()
        low, middle, high = np.quantile(losses[self.origins == 0], [0.25, 0.5, 0.75])
        reach = 3.0 * (middle - losses[self.origins == 0].min())
        for origin in np.unique(self.origins[self.origins > 0]):
            theirs = self.origins == origin
            first, second, third = np.quantile(losses[theirs], [0.25, 0.5, 0.75])
            if abs(second - middle) > reach:
                scale = (high - low) / (third - first) if third - first > _NARROW * (high - low) else 1.0
                losses[theirs] = middle + (losses[theirs] - second) * scale
                stds[theirs] *= scale
        return replace(self, losses=losses, stds=stds)

    def scored(self) -> Data:
        return self.of(np.isfinite(self.losses))

    def outcomes(self) -> Data:
        """The same runs with 1 for the loss of one without a score and 0 for that of any other, neither surely."""
        labels = np.isnan(self.losses).astype(float)
        return replace(
            self, losses=labels, stds=np.full(len(self), _LABEL_STD), origins=np.zeros_like(self.origins)
        )


class Reader:
    """Reads runs; those outside the space teach nothing. It keeps what it read while the history only grows."""

    def __init__(self, space: Space, encoding: Encoding, sign: float) -> None:
        self._space = space
        self._encoding = encoding
        self._sign = sign
        self._none = Data.empty(len(encoding.columns))
        self._known: list[Observation] = []
        self._sources = [""]
        self._data = self._none

    def __call__(self, history: Sequence[Observation]) -> Data:
        if self._known != list(history[: len(self._known)]):
            self._known, self._sources, self._data = [], [""], self._none
        new = list(history[len(self._known) :])
        self._known += new
        self._data = self._data.and_then(self._read(new))
        return self._data

    def _read(self, runs: Sequence[Observation]) -> Data:
        encoded = [(self._encoding.encode(self._space.flatten(run.params)), run) for run in runs]
        found = [(row, run) for row, run in encoded if row is not None]
        return Data(
            np.array([row for row, _ in found], dtype=float).reshape(len(found), len(self._encoding.columns)),
            np.array([self._loss(run) for _, run in found], dtype=float),
            np.array([run.std for _, run in found], dtype=float),
            np.array([self._origin(run.source) for _, run in found], dtype=np.intp),
            np.array([run.number for _, run in found], dtype=np.intp),
        )

    def _loss(self, run: Observation) -> float:
        return np.nan if run.failed or run.value is None else self._sign * run.value

    def _origin(self, source: str) -> int:
        if source not in self._sources:
            self._sources.append(source)
        return min(self._sources.index(source), _SOURCES_MAX)
