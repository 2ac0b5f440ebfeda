"""The port of every early-termination rule: what it is told, what it decides."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from sweepyard.plain import Params
from sweepyard.tracking.records import Point

Action: TypeAlias = Literal["continue", "stop", "pause", "promote"]


@dataclass(slots=True, kw_only=True)
class Curve:
    """A run as rules see it: its point, and the finite values of the sweep's metric in its present attempt.

    `values` are as logged, oldest first. `positions[i]` is the resource that was spent when `values[i]` was
    logged: 1, 2, 3, ... unless the user names a key (`resource: epoch`), then the largest value of that key so
    far. So positions never fall, and several values may share one. `ended`: it gets no more values. `finished`: it
    came to its own end. `paused`: it waits to go on. `broken`: its newest value was not finite (and is none of
    `values`). `source`: the other sweep that it was run in, of a prior run.
    """

    number: int
    params: Params = field(default_factory=dict)
    values: list[float] = field(default_factory=list)
    positions: list[float] = field(default_factory=list)
    ended: bool = False
    finished: bool = False
    paused: bool = False
    broken: bool = False
    source: str = ""
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    """What rules have worked out of its values; forgotten at each new one."""

    @property
    def resource(self) -> float:
        """How far it has come; 0 before its first value."""
        return self.positions[-1] if self.positions else 0.0

    def index_at(self, rung: float) -> int | None:
        """Which value is the first at `rung` or later; None if it has not come that far."""
        index = bisect_left(self.positions, rung)
        return index if index < len(self.values) else None

    def add(self, value: float, position: float | None = None) -> None:
        """Take a new value in. `position`: what the user's key says, None: the values are counted."""
        self.values.append(value)
        self.positions.append(float(len(self.values)) if position is None else max(self.resource, position))
        self.broken = False
        self.memo.clear()

    def extend(self, points: Iterable[Point]) -> None:
        """Take in values as they were stored, after those that it has: positions do not fall any more."""
        stored = list(points)
        self.values += [point.value for point in stored]
        self.positions += [point.position for point in stored]
        self.broken = False
        self.memo.clear()

    def points(self) -> list[Point]:
        """Its values as they are stored."""
        return [Point(k, *pair) for k, pair in enumerate(zip(self.values, self.positions, strict=True), 1)]

    def until(self, rung: float) -> Curve:
        """The curve of a run that was stopped at `rung`: up to its first value there."""
        length = (self.index_at(rung) or 0) + 1
        values, positions = self.values[:length], self.positions[:length]
        return replace(self, values=values, positions=positions, ended=True, finished=False, memo={})


Curves: TypeAlias = Mapping[str, Curve]
"""All runs of the sweep in any state, prior runs among them, by id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a rule decided about a run, and why (a sentence for the user).

    `rung`: the resource at which the run was judged; `value`: what was compared, in the metric's units;
    `threshold`: what it had to reach (None: nothing to compare with); `peers`: how many runs set the threshold,
    this one included; `probability`: that the run would have become the best, from rules that foretell it.
    """

    action: Action
    rule: str
    reason: str
    rung: float
    value: float | None
    threshold: float | None = None
    peers: int = 1
    probability: float | None = None


class Rung(NamedTuple):
    """A resource at which a run was or will be judged, as things are now.

    `value`: what the run had there (None: it has not come that far); `threshold`: what it would have to reach
    (None: nothing to compare with); `peers`: how many runs have come there.
    """

    at: float
    value: float | None
    threshold: float | None
    peers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """How a run stands with a rule: for a person who asks why it was stopped, or why not.

    `text`: a sentence about what the rule waits for or looks at. `rungs`: of a rule that has some, those that the
    run has passed and the next one.
    """

    rule: str
    text: str
    rungs: tuple[Rung, ...] = ()


class Foretold(NamedTuple):
    """The value that a run would have at its end, and how uncertain that is, in the metric's units."""

    value: float
    std: float


class Scheduler(Protocol):
    """Decides which runs to stop. A pure function of the curves; what it keeps between calls is a cache.

    A decision takes less than 50 ms with 1,000 curves.
    """

    def judge(self, run_id: str, curves: Curves) -> Verdict | None:
        """Judge `run_id`, whose newest value (or the news that it is not finite) has just arrived.

        None: nothing to decide at this point.
        """
        ...

    def outlook(self, run_id: str, curves: Curves) -> list[Outlook]:
        """How `run_id`, one of `curves`, stands with each rule that this scheduler consists of."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What becomes of a paused run for which there is a slot now: it goes on, or another takes its place.

    `reason`: a sentence. `successor`: a new run that takes its place, and begins with the checkpoint of `parent`.
    """

    run_id: str
    rule: str
    reason: str
    rung: float
    value: float | None = None
    threshold: float | None = None
    peers: int = 1
    parent: str | None = None
    successor: Params | None = None


class Promoter(Protocol):
    """A scheduler whose verdicts may be `pause`, and that says which paused run goes on when there is a slot."""

    @property
    def members(self) -> int | None:
        """How many runs the search is to propose; None: as many as it may."""
        ...

    def judge(self, run_id: str, curves: Curves) -> Verdict | None: ...

    def outlook(self, run_id: str, curves: Curves) -> list[Outlook]: ...

    def turns(self, curves: Curves) -> list[Turn]:
        """What there is to do with paused runs, most urgent first; each takes a slot."""
        ...
