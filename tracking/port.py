"""The only door to SQL. `sweepyard.tracking.sql` opens it for SQLite and PostgreSQL; one suite judges both.

Writing is for one controller at a time: `take_over` raises the epoch, and a transaction of an older epoch is
refused. Inside a transaction nothing is read back: the caller knows what it writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol, TypeAlias

from sweepyard.tracking.records import (
    Agent,
    ApiKey,
    Attempt,
    AuditEntry,
    Decision,
    Event,
    Leader,
    Point,
    PriorRun,
    Row,
    Run,
    RunState,
    Saved,
    SpecVersion,
    Sweep,
    SweepState,
)

RunSort: TypeAlias = Literal["number", "objective", "state", "created_at", "ended_at", "steps"]


class Transaction(Protocol):
    """Writes that become visible together or not at all."""

    def add_sweep(self, sweep: Sweep) -> None: ...

    def save_sweep(self, sweep: Sweep) -> None:
        """Store `state`, `reason`, `ended_at`, `spec` and `version`.

        The database refuses moves outside `lifecycle`, and another spec without a higher version.
        """

    def add_version(self, version: SpecVersion) -> None: ...

    def add_prior_runs(self, prior_runs: Sequence[PriorRun]) -> None: ...

    def add_run(self, run: Run) -> Run:
        """Store a new run; the answer carries its `key`."""
        ...

    def save_run(self, run: Run) -> None:
        """Store everything of a run that may change (not its id, number, params, reason, detail, spec_version)."""

    def add_attempt(self, attempt: Attempt) -> None:
        """Store a new attempt. The database allows one open attempt per run."""

    def save_attempt(self, attempt: Attempt) -> None: ...

    def add_rows(self, run_key: int, rows: Sequence[Row]) -> None: ...

    def add_points(self, run_key: int, attempt: int, points: Iterable[Point]) -> None:
        """Store finite values of the sweep's metric, k counting from 1 in each attempt."""

    def add_decision(self, decision: Decision) -> None: ...

    def add_event(self, event: Event) -> None: ...

    def save_agent(self, agent: Agent) -> None:
        """Insert or update by id."""

    def add_audit(self, entry: AuditEntry) -> None: ...

    def prune_audit(self, before: float) -> int:
        """Forget the entries that were written before a time: how many there were."""
        ...

    def set_cursor(self, source: str, position: str) -> None: ...


class Store(Protocol):
    """Reads, each seeing only what was committed; and the way to write."""

    @property
    def instance_id(self) -> str:
        """8 characters that name this installation; made at the first opening."""
        ...

    @property
    def signing_key(self) -> bytes:
        """What this installation signs its offers with: 32 bytes, made at the first opening."""
        ...

    def take_over(self, *, name: str = "", home: str = "", seen: int | None = None, above: int = 0) -> int:
        """Become the only writer. The answer is this writer's epoch, which is larger than `above`.

        `name`, `home`: as in `Leader`. `seen`: only if that is still the epoch; its writer is taken for dead then,
        and a transaction that it has left open is rolled back.

        Raises:
            Fenced: somebody else took over since `seen`.
        """
        ...

    def leader(self) -> Leader:
        """Who took over last."""
        ...

    def beat(self, epoch: int) -> None:
        """Let `leader` show that this writer lives. Raises `errors.Fenced` if a younger epoch exists."""
        ...

    def resign(self, epoch: int) -> None:
        """Write no more: let the next one take over at once. Nothing if a younger epoch exists."""
        ...

    def transaction(self, epoch: int) -> AbstractContextManager[Transaction]:
        """Raises `errors.Fenced` if a younger epoch exists. An exception inside rolls everything back."""
        ...

    def sweep(self, sweep_id: str) -> Sweep | None: ...

    def sweeps(self, states: Iterable[SweepState] | None = None) -> list[Sweep]:
        """Newest first."""
        ...

    def unsettled_sweeps(self) -> list[Sweep]:
        """Those that have not ended, and those that have but with attempts that are still open. Newest first."""
        ...

    def versions(self, sweep_id: str) -> list[SpecVersion]:
        """Oldest first."""
        ...

    def prior_runs(self, sweep_id: str, *, offset: int = 0, limit: int | None = None) -> list[PriorRun]:
        """In order of `n`."""
        ...

    def count_prior_runs(self, sweep_id: str) -> int: ...

    def run(self, sweep_id: str, ref: str | int) -> Run | None:
        """By id or number."""
        ...

    def run_of_project(self, entity: str, project: str, run_id: str) -> Run | None:
        """A run by its id, whichever sweep of the project it belongs to."""
        ...

    def find_run(self, run_id: str) -> Run | None:
        """A run of any sweep by its id; the newest, should several projects have one of that id."""
        ...

    def runs(
        self,
        sweep_id: str,
        *,
        states: Iterable[RunState] | None = None,
        sort: RunSort = "number",
        descending: bool = False,
        offset: int = 0,
        limit: int | None = None,
    ) -> list[Run]:
        """Runs without a value to sort by come last, whichever the direction; ties by number."""
        ...

    def count_runs(self, sweep_id: str) -> dict[RunState, int]:
        """Every state, zero included."""
        ...

    def saved(self, sweep_id: str) -> Saved:
        """What early stopping saved against running every stopped run as long as the longest finished one."""
        ...

    def best_run(self, sweep: Sweep) -> Run | None:
        """The run with the best objective among those that count (`RUN_SCORED`); the earlier one of equals."""
        ...

    def attempts(self, run_key: int) -> list[Attempt]: ...

    def open_attempts(self, sweep_id: str) -> list[Attempt]: ...

    def history(self, run_key: int, *, after_line: int = -1, limit: int | None = None) -> list[Row]:
        """Rows of all attempts in order of `line`."""
        ...

    def curves(self, sweep_id: str, *, former: bool = False) -> Mapping[str, list[Point]]:
        """Points of each run's present attempt, by run id; runs without any are missing.

        `former`: those of the last attempt before the present one that has any.
        """
        ...

    def decisions(self, sweep_id: str, run_key: int | None = None, *, newest: int | None = None) -> list[Decision]:
        """In the order in which they were made; with `newest`, only the last that many."""
        ...

    def events(
        self, *, sweep_id: str | None = None, run_key: int | None = None, after_id: int = 0, limit: int = 1000
    ) -> list[Event]: ...

    def agents(self, sweep_id: str | None = None) -> list[Agent]: ...

    def cursor(self, source: str) -> str:
        """Where a source has been read to; "0" if never."""
        ...

    def api_keys(self) -> list[ApiKey]:
        """By name."""
        ...

    def used_api_key(self, name: str, at: float) -> None:
        """Note when a key was last used; nothing if it is not there any more. Anyone may, without an epoch."""
        ...

    def audit(self, *, before_id: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """Newest first, from the one before `before_id` on."""
        ...

    def open_sweeps_of(self, actor: str) -> int:
        """How many sweeps that are not over an actor has created, as far as the audit trail goes back."""
        ...

    def close(self) -> None: ...
