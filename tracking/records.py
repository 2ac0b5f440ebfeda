"""The nouns of the project, as plain frozen records. No SQL, no I/O.

Times are seconds since 1970-01-01 UTC (`_at`). Text that explains (`reason`) is written for the user.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from sweepyard.plain import Params, finite

Goal: TypeAlias = Literal["minimize", "maximize"]
Summary: TypeAlias = Literal["last", "min", "max", "best", "mean"]
Middle: TypeAlias = Literal["mean", "median", "worst"]
"""What several runs of one point are summed up to."""
Order: TypeAlias = Literal["pause", "stop", "kill"]
"""What the controller wants of a running run: `pause` ends its attempt, `stop` ends it early, `kill` now."""
AgentState: TypeAlias = Literal["active", "lost", "left"]
AgentOrder: TypeAlias = Literal["drain", "stop", "quarantine"]
"""What is wanted of an agent: `drain` hands its run back and leaves, `stop` leaves when its run has ended,
`quarantine` takes nothing and stays."""


class SweepState(StrEnum):
    pending = "pending"
    running = "running"
    paused = "paused"
    finishing = "finishing"
    finished = "finished"
    cancelled = "cancelled"


class RunState(StrEnum):
    pending = "pending"
    running = "running"
    finished = "finished"
    stopped = "stopped"
    failed = "failed"
    crashed = "crashed"
    killed = "killed"
    preempted = "preempted"
    paused = "paused"


class AttemptState(StrEnum):
    offered = "offered"
    running = "running"
    ended = "ended"
    lost = "lost"
    superseded = "superseded"


class Outcome(StrEnum):
    """How an agent says an attempt ended."""

    finished = "finished"
    stopped = "stopped"
    failed = "failed"
    killed = "killed"
    preempted = "preempted"


RUN_ENDED = frozenset({RunState.finished, RunState.stopped, RunState.failed, RunState.crashed, RunState.killed})
RUN_SCORED = frozenset({RunState.finished, RunState.stopped})
"""States in which a run's objective counts: for the best run and for the searcher."""
RETRY: dict[str, Any] = {"max": 1, "on": ["crashed", "preempted"]}
"""What `retry` of a sweep file is if it says nothing."""
SWEEP_ENDED = frozenset({SweepState.finished, SweepState.cancelled})
ATTEMPT_OPEN = frozenset({AttemptState.offered, AttemptState.running})


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """The metric that a sweep optimises. Larger is better only if `goal` is `maximize`.

    `summary`: what the values of a run are summed up to, everywhere the same: its objective, what searchers learn
    and what early termination judges. None: the best value, and early termination judges each as its rule says.
    """

    name: str
    goal: Goal = "minimize"
    summary: Summary | None = None

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Objective | None:
        """That of a sweep file in normal form, None if it has none."""
        metric = spec.get("metric")
        return cls(name=metric["name"], goal=metric["goal"], summary=metric.get("summary")) if metric else None

    @classmethod
    def all_of(cls, spec: Mapping[str, Any]) -> tuple[Objective, ...]:
        """Those of a sweep file in normal form: its `metrics`, or its `metric` alone."""
        several = tuple(cls(name=metric["name"], goal=metric["goal"]) for metric in spec.get("metrics", ()))
        one = cls.of(spec)
        return (one,) if one else several

    def better(self, a: float, b: float) -> bool:
        """Whether `a` beats `b`."""
        return a > b if self.goal == "maximize" else a < b

    def summed(self, before: float | None, value: float, k: int) -> float:
        """The summary of a run's first `k` values: `value` is the last of them, `before` sums up the others."""
        if before is None or self.summary == "last":
            return value
        match self.summary:
            case "min":
                return min(before, value)
            case "max":
                return max(before, value)
            case "mean":
                return before + (value - before) / k
        return value if self.better(value, before) else before

    def best(self, values: Iterable[float]) -> float:
        """The best of some values."""
        return max(values) if self.goal == "maximize" else min(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One search. `spec` is the checked sweep file as plain JSON; each edit of it has a higher `version`."""

    id: str
    entity: str
    project: str
    name: str
    spec: dict[str, Any]
    seed: int
    state: SweepState = SweepState.pending
    reason: str = ""
    version: int = 1
    created_at: float = 0.0
    ended_at: float | None = None

    @property
    def objective(self) -> Objective | None:
        """The sweep's metric, None if it has none."""
        return Objective.of(self.spec)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The sweep's metric, or its several metrics; a sweep of several has no `objective`."""
        return Objective.all_of(self.spec)

    @property
    def run_cap(self) -> int | None:
        """The most runs that the sweep may create."""
        return self.spec.get("run_cap")

    @property
    def retry(self) -> dict[str, Any]:
        """`max`: how often a run is tried again by itself, and `on` what: the words of `RunState`."""
        return {**RETRY, **self.spec.get("retry", {})}

    @property
    def stall_after_s(self) -> float | None:
        """So long a run may log nothing before its agent ends it as failed; None: for ever."""
        return self.spec.get("stall_after_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecVersion:
    """A sweep's spec from one edit to the next. `text` says what the edit changed, for the user."""

    sweep_id: str
    version: int
    spec: dict[str, Any]
    text: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorRun:
    """A result from elsewhere that a sweep knew when it was created; it never changes.

    `source`: where it comes from, for the user. `value`: of the sweep's metric, as logged, None if it has none;
    `curve`: pairs of position and finite value from the first to the last, empty if only the one is known.
    `outside`: it is no point of the sweep's space, as `note` says.
    """

    sweep_id: str
    n: int
    source: str
    params: Params
    value: float | None
    failed: bool = False
    curve: list[list[float]] = field(default_factory=list)
    outside: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One parameter point, executed in one or more attempts.

    `key` is the store's own row number, never shown. `params` is what was proposed and never changes;
    `config` is what the user's code added. `objective` sums up the finite values of the sweep's metric
    in the present attempt (`Objective.summary`), `steps` is how many there are. `spec_version`: the sweep's
    when the point was proposed; `outside`: it is no point of the space as that is now. `failed_on`: the agent
    of each attempt that was lost or failed, since the run was proposed or a person last asked to try it again
    ("" where none is known). `repeat_of`: the number of the run whose point this one tries again, with another
    seed.
    """

    id: str
    sweep_id: str
    number: int
    params: Params
    reason: str
    detail: dict[str, Any] = field(default_factory=dict)
    repeat_of: int | None = None
    spec_version: int = 1
    key: int = 0
    name: str = ""
    state: RunState = RunState.pending
    state_reason: str = ""
    attempt: int = 1
    outside: bool = False
    failed_on: list[str] = field(default_factory=list)
    order: Order | None = None
    order_reason: str = ""
    objective: float | None = None
    steps: int = 0
    lines: int = 0
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    created_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None


def values_of(run: Run, objectives: Sequence[Objective]) -> tuple[float | None, ...]:
    """Where a run has ended: the last value of each of several metrics, None for one without a finite value.

    Not the best of each: these may come from different steps, and no such result was ever there.
    """
    if run.state not in RUN_SCORED:
        return (None,) * len(objectives)
    return tuple(finite(run.summary.get(objective.name)) for objective in objectives)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One execution of a run by one agent. `seq` is the last report taken in (0: none)."""

    run_key: int
    n: int
    state: AttemptState = AttemptState.offered
    agent_id: str = ""
    offered_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    outcome: Outcome | None = None
    exit_code: int | None = None
    signal: int | None = None
    seq: int = 0
    reason: str = ""
    tail: str = ""
    """The last lines that the run printed, its traceback among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One committed row of a run's history. `line` counts from 0 over all attempts."""

    line: int
    attempt: int
    step: int
    runtime_s: float
    logged_at: float
    data: dict[str, Any]


class Point(NamedTuple):
    """The `k`-th finite value of the sweep's metric in an attempt, and the resource that was spent by then."""

    k: int
    value: float
    position: float


Action: TypeAlias = Literal["continue", "stop", "pause", "promote", "would_stop"]
"""What was made of a run. `promote`: a paused run goes on; `would_stop`: a dry run would have stopped it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a scheduler decided about a run when a report arrived, and why: see `schedulers.port.Verdict`."""

    run_key: int
    attempt: int
    action: Action
    rule: str
    reason: str
    rung: float
    value: float | None
    threshold: float | None
    peers: int
    decided_at: float
    probability: float | None = None
    run_number: int | None = None
    """Filled in by the store's answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What early stopping has saved: steps (values of the metric), and seconds, against the runs that went all the
    way, as long as they took on average. Not by a run's own pace: a short one's is mostly its start.
    """

    steps: int
    seconds: float
    used_steps: int
    """What all runs of the sweep have taken."""

    @property
    def share(self) -> float:
        """The part of all steps that was saved, of 0 to 1."""
        return self.steps / max(self.steps + self.used_steps, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact in the story of a sweep, run or agent. `id` grows; 0: not stored yet."""

    sweep_id: str
    kind: str
    text: str
    at: float
    id: int = 0
    run_key: int | None = None
    run_number: int | None = None
    attempt: int | None = None
    agent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A process that executes attempts for one sweep."""

    id: str
    sweep_id: str
    host: str
    pid: int
    version: str
    first_seen_at: float
    last_seen_at: float
    state: AgentState = "active"
    order: AgentOrder | None = None
    order_reason: str = ""


Record = TypeVar("Record", Run, Attempt)


def changed(record: Record, **changes: Any) -> Record:
    """As `dataclasses.replace`, in half its time: both change with each report."""
    names = record.__slots__
    return type(record)(**dict(zip(names, attrgetter(*names)(record), strict=True), **changes))


class Role(StrEnum):
    """What the holder of an API key may do; each may also do what those before it may.

    `viewer`: look. `agent`: work on sweeps. `editor`: create and change them. `admin`: everything.
    """

    viewer = "viewer"
    agent = "agent"
    editor = "editor"
    admin = "admin"

    def covers(self, other: Role) -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """Who took the store over last, by its `epoch`.

    `name`: for people; empty if it has resigned. `home`: names a directory in which one service at a time can
    live. `beat` changes while it lives.
    """

    epoch: int
    name: str
    home: str
    beat: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is known of an API key: `digest` is the SHA-256 of what its holder shows, in hex."""

    name: str
    role: Role
    digest: str
    created_at: float
    expires_at: float | None = None
    """When it ends by itself, None: never."""
    last_used_at: float | None = None
    """To the minute; None: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asks for a change: `name` is that of an API key, or says where there is none; `address`: from where."""

    name: str
    role: Role
    address: str = ""


CREATED = "sweep.create"
"""The verb of who creates a sweep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what, to what, and when: written with the change itself, and never changed."""

    at: float
    actor: str
    role: Role
    address: str
    verb: str
    target: str
    text: str = ""
    id: int = 0

    @classmethod
    def of(cls, by: Actor, verb: str, target: str, at: float, text: str = "") -> AuditEntry:
        """That `by` has done it."""
        return cls(at=at, actor=by.name, role=by.role, address=by.address, verb=verb, target=target, text=text)
