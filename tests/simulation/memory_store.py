"""A store in memory, for the simulator: as strict as the real ones (one suite judges all), and a hundred times as
fast, because nothing of it outlives the process."""

from __future__ import annotations

import json
import math
import threading
from collections import ChainMap, defaultdict
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from itertools import count
from operator import attrgetter
from statistics import fmean
from typing import Any, TypeAlias

from sqlalchemy.dialects import sqlite

from sweepyard.errors import Fenced, IllegalTransition
from sweepyard.plain import dumps
from sweepyard.tracking.lifecycle import ATTEMPT_MOVES, RUN_MOVES, SWEEP_MOVES, Table
from sweepyard.tracking.port import RunSort
from sweepyard.tracking.records import (
    ATTEMPT_OPEN,
    CREATED,
    RUN_SCORED,
    SWEEP_ENDED,
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
from sweepyard.tracking.schema import Text
from sweepyard.tracking.transaction import RUN_CHANGES, SWEEP_CHANGES

Rows: TypeAlias = MutableMapping[Any, Any]

TABLES = (
    "sweeps",
    "versions",
    "priors",
    "runs",
    "attempts",
    "rows",
    "points",
    "decisions",
    "events",
    "agents",
    "audit",
    "cursors",
)

RUN_KEPT = [name for name in Run.__slots__ if name not in RUN_CHANGES]
_kept = attrgetter(*RUN_KEPT)

_FLAT = {str, int, bool, type(None)}
_TEXT, _DIALECT = Text(), sqlite.dialect()


class Tables:
    """What a closed store leaves behind, by primary key; shared by all that opened it."""

    def __init__(self) -> None:
        self.data: dict[str, dict[Any, Any]] = {name: {} for name in TABLES}
        self.runs_of: dict[str, list[int]] = defaultdict(list)
        self.attempts_of: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.names: set[tuple[Any, ...]] = set()
        """What no two runs share: a number in a sweep, an id in a project."""
        self.keys = count(1)
        self.epoch = 0
        self.leader = Leader(epoch=0, name="", home="", beat=0)
        self.writing = threading.RLock()
        self.looking = threading.RLock()
        self.last: dict[str, dict[Any, Any]] = {name: {} for name in TABLES}
        """What the last transaction wrote."""


class MemoryStore:
    """`port.Store` over `tables`, empty ones unless some are given."""

    def __init__(self, tables: Tables | None = None) -> None:
        self._tables = tables or Tables()

    @property
    def last_written(self) -> Mapping[str, Mapping[Any, Any]]:
        """Records that the last transaction wrote, by table and key."""
        return self._tables.last

    @property
    def instance_id(self) -> str:
        return "memory00"

    @property
    def signing_key(self) -> bytes:
        return bytes(32)

    def api_keys(self) -> list[ApiKey]:
        return []

    def used_api_key(self, name: str, at: float) -> None:
        """There are none."""

    def audit(self, *, before_id: int | None = None, limit: int = 100) -> list[AuditEntry]:
        mine = [each for each in self._all("audit") if before_id is None or each.id < before_id]
        return mine[::-1][:limit]

    def open_sweeps_of(self, actor: str) -> int:
        theirs = {each.target for each in self._all("audit") if (each.actor, each.verb) == (actor, CREATED)}
        return sum(each.id in theirs and each.state not in SWEEP_ENDED for each in self._all("sweeps"))

    def take_over(self, *, name: str = "", home: str = "", seen: int | None = None, above: int = 0) -> int:
        with self._tables.writing:
            if seen not in (None, self._tables.epoch):
                raise Fenced("Another controller has taken over meanwhile.")
            self._tables.epoch = max(self._tables.epoch, above) + 1
            self._tables.leader = Leader(epoch=self._tables.epoch, name=name, home=home, beat=0)
            return self._tables.epoch

    def leader(self) -> Leader:
        return self._tables.leader

    def beat(self, epoch: int) -> None:
        with self._tables.writing:
            if epoch != self._tables.epoch:
                raise Fenced(f"Another controller has taken over: its epoch is {self._tables.epoch}.")
            self._tables.leader = replace(self._tables.leader, beat=self._tables.leader.beat + 1)

    def resign(self, epoch: int) -> None:
        with self._tables.writing:
            if epoch == self._tables.epoch:
                self._tables.leader = replace(self._tables.leader, name="")

    def transaction(self, epoch: int) -> MemoryTransaction:
        return MemoryTransaction(self._tables, epoch)

    def sweep(self, sweep_id: str) -> Sweep | None:
        with self._tables.looking:
            return self._tables.data["sweeps"].get(sweep_id)

    def sweeps(self, states: Iterable[SweepState] | None = None) -> list[Sweep]:
        wanted = set(SweepState) if states is None else set(states)
        return [sweep for sweep in reversed(self._all("sweeps")) if sweep.state in wanted]

    def unsettled_sweeps(self) -> list[Sweep]:
        return [sweep for sweep in self.sweeps() if sweep.state not in SWEEP_ENDED or self.open_attempts(sweep.id)]

    def versions(self, sweep_id: str) -> list[SpecVersion]:
        mine = [each for each in self._all("versions") if each.sweep_id == sweep_id]
        return sorted(mine, key=lambda each: each.version)

    def prior_runs(self, sweep_id: str, *, offset: int = 0, limit: int | None = None) -> list[PriorRun]:
        mine = [each for each in self._all("priors") if each.sweep_id == sweep_id]
        return _page(sorted(mine, key=lambda each: each.n), offset, limit)

    def count_prior_runs(self, sweep_id: str) -> int:
        return len(self.prior_runs(sweep_id))

    def run(self, sweep_id: str, ref: str | int) -> Run | None:
        found = (
            run for run in self.runs(sweep_id) if ref in ((run.number,) if isinstance(ref, int) else (run.id,))
        )
        return next(found, None)

    def run_of_project(self, entity: str, project: str, run_id: str) -> Run | None:
        for sweep in self._all("sweeps"):
            if (sweep.entity, sweep.project) == (entity, project) and (run := self.run(sweep.id, run_id)):
                return run
        return None

    def find_run(self, run_id: str) -> Run | None:
        return next((run for run in reversed(self._all("runs")) if run.id == run_id), None)

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
        with self._tables.looking:
            runs = [self._tables.data["runs"][key] for key in self._tables.runs_of[sweep_id]]
        if states is not None:
            wanted = set(states)
            runs = [run for run in runs if run.state in wanted]
        runs.sort(key=lambda run: run.number)  # sorting is stable, reversed too: ties stay in this order
        with_value = [run for run in runs if getattr(run, sort) is not None]
        with_value.sort(key=lambda run: getattr(run, sort), reverse=descending)
        return _page(with_value + [run for run in runs if getattr(run, sort) is None], offset, limit)

    def count_runs(self, sweep_id: str) -> dict[RunState, int]:
        counts = dict.fromkeys(RunState, 0)
        for run in self.runs(sweep_id):
            counts[run.state] += 1
        return counts

    def saved(self, sweep_id: str) -> Saved:
        runs = self.runs(sweep_id)
        finished = [run for run in runs if run.state is RunState.finished]
        longest = max((run.steps for run in finished), default=0)
        short = [run for run in runs if run.state is RunState.stopped and run.steps < longest]
        whole_s = fmean([_lasted_s(run) for run in finished if run.steps == longest] or [0.0])
        return Saved(
            steps=sum(longest - run.steps for run in short),
            seconds=sum(max(0.0, whole_s - _lasted_s(run)) for run in short),
            used_steps=sum(run.steps for run in runs),
        )

    def best_run(self, sweep: Sweep) -> Run | None:
        if sweep.objective is None:
            return None
        runs = self.runs(
            sweep.id, states=RUN_SCORED, sort="objective", descending=sweep.objective.goal == "maximize"
        )
        return runs[0] if runs and runs[0].objective is not None else None

    def attempts(self, run_key: int) -> list[Attempt]:
        with self._tables.looking:
            return [self._tables.data["attempts"][key] for key in sorted(self._tables.attempts_of[run_key])]

    def open_attempts(self, sweep_id: str) -> list[Attempt]:
        attempts = (each for run in self.runs(sweep_id) for each in self.attempts(run.key))
        return [attempt for attempt in attempts if attempt.state in ATTEMPT_OPEN]

    def history(self, run_key: int, *, after_line: int = -1, limit: int | None = None) -> list[Row]:
        with self._tables.looking:
            rows = self._tables.data["rows"].get(run_key, {})
            return _page([rows[line] for line in sorted(rows) if line > after_line], 0, limit)

    def curves(self, sweep_id: str, *, former: bool = False) -> Mapping[str, list[Point]]:
        curves = {}
        for run in self.runs(sweep_id):
            attempts = range(run.attempt - 1, 0, -1) if former else [run.attempt]
            with self._tables.looking:
                kept = (self._tables.data["points"].get((run.key, attempt), {}) for attempt in attempts)
                points = next((points for points in kept if points), {})
            if points:
                curves[run.id] = [points[k] for k in sorted(points)]
        return curves

    def decisions(self, sweep_id: str, run_key: int | None = None, *, newest: int | None = None) -> list[Decision]:
        number = {run.key: run.number for run in self.runs(sweep_id)}
        mine = [each for each in self._all("decisions") if each.run_key in number]
        mine = [replace(each, run_number=number[each.run_key]) for each in mine if run_key in (None, each.run_key)]
        return mine if newest is None else mine[len(mine) - newest :]

    def events(
        self, *, sweep_id: str | None = None, run_key: int | None = None, after_id: int = 0, limit: int = 1000
    ) -> list[Event]:
        with self._tables.looking:
            newer = [(id, event) for id, event in self._tables.data["events"].items() if id > after_id]
        mine = [
            replace(each, id=id)
            for id, each in newer
            if sweep_id in (None, each.sweep_id) and run_key in (None, each.run_key)
        ]
        return mine[:limit]

    def agents(self, sweep_id: str | None = None) -> list[Agent]:
        agents = [agent for agent in self._all("agents") if sweep_id in (None, agent.sweep_id)]
        return sorted(agents, key=lambda agent: (agent.first_seen_at, agent.id))

    def cursor(self, source: str) -> str:
        with self._tables.looking:
            return str(self._tables.data["cursors"].get(source, "0"))

    def close(self) -> None:
        """There is nothing to close."""

    def _all(self, table: str) -> list[Any]:
        with self._tables.looking:
            return list(self._tables.data[table].values())


class MemoryTransaction:
    """`port.Transaction`: writes beside the tables until it is left."""

    def __init__(self, tables: Tables, epoch: int) -> None:
        self._tables = tables
        self._epoch = epoch
        self._new: dict[str, dict[Any, Any]] = defaultdict(dict)
        self._names: set[tuple[Any, ...]] = set()
        self._runs: list[Run] = []
        self._attempts: list[tuple[int, int]] = []
        """Keys of those that are new."""
        self._pruned: list[int] = []

    def __enter__(self) -> MemoryTransaction:
        self._tables.writing.acquire()
        if self._epoch != self._tables.epoch:
            self._tables.writing.release()
            raise Fenced(f"Another controller has taken over: its epoch is {self._tables.epoch}.")
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        try:
            if error is None:
                with self._tables.looking:
                    self._commit()
        finally:
            self._tables.writing.release()

    def _commit(self) -> None:
        data = self._tables.data
        for run in self._runs:
            self._tables.runs_of[run.sweep_id].append(run.key)
        for key in self._attempts:
            self._tables.attempts_of[key[0]].append(key)
        self._tables.names |= self._names
        self._tables.last = self._new
        for name, written in self._new.items():
            if name in ("rows", "points"):
                for key, value in written.items():
                    data[name].setdefault(key, {}).update(value)
            else:
                data[name].update(written)
        for id in self._pruned:
            data["audit"].pop(id, None)

    def add_sweep(self, sweep: Sweep) -> None:
        self._add("sweeps", sweep.id, sweep)

    def save_sweep(self, sweep: Sweep) -> None:
        old = self._there("sweeps", sweep.id)
        _check_move(SWEEP_MOVES, old.state, sweep.state, f"sweeps (id={sweep.id}, state={sweep.state})")
        same = sweep.spec == old.spec and sweep.version == old.version
        if not same and sweep.version <= old.version:
            raise IllegalTransition("another spec needs a higher version")
        self._new["sweeps"][sweep.id] = replace(old, **{name: getattr(sweep, name) for name in SWEEP_CHANGES})

    def add_version(self, version: SpecVersion) -> None:
        self._there("sweeps", version.sweep_id)
        self._add("versions", (version.sweep_id, version.version), version)

    def add_prior_runs(self, prior_runs: Sequence[PriorRun]) -> None:
        for run in prior_runs:
            self._there("sweeps", run.sweep_id)
            self._add("priors", (run.sweep_id, run.n), run)

    def add_run(self, run: Run) -> Run:
        sweep = self._there("sweeps", run.sweep_id)
        names = {(run.sweep_id, run.number), (sweep.entity, sweep.project, run.id)}
        if names & self._names or names & self._tables.names:
            raise IllegalTransition(f"run {run.number} is there already")
        self._names |= names
        stored = _with_number(replace(run, key=next(self._tables.keys)))
        self._new["runs"][stored.key] = stored
        self._runs.append(stored)
        return stored

    def save_run(self, run: Run) -> None:
        old = self._there("runs", run.key)
        _check_move(RUN_MOVES, old.state, run.state, f"runs (key={run.key}, state={run.state})")
        if _kept(run) != _kept(old):
            run = replace(run, **dict(zip(RUN_KEPT, _kept(old), strict=True)))
        self._new["runs"][run.key] = _with_number(run)

    def add_attempt(self, attempt: Attempt) -> None:
        self._there("runs", attempt.run_key)
        self._check_only_open(attempt)
        self._add("attempts", (attempt.run_key, attempt.n), attempt)
        self._attempts.append((attempt.run_key, attempt.n))

    def save_attempt(self, attempt: Attempt) -> None:
        old = self._there("attempts", (attempt.run_key, attempt.n))
        _check_move(ATTEMPT_MOVES, old.state, attempt.state, f"attempts (n={attempt.n}, state={attempt.state})")
        tail, reason = _text(attempt.tail), _text(attempt.reason)
        if (tail, reason) != (attempt.tail, attempt.reason):
            attempt = replace(attempt, tail=tail, reason=reason)
        self._new["attempts"][attempt.run_key, attempt.n] = attempt

    def add_rows(self, run_key: int, rows: Sequence[Row]) -> None:
        for row in rows:
            _check_finite(row.runtime_s, row.logged_at)
            self._there("attempts", (run_key, row.attempt))
            self._add_nested("rows", run_key, row.line, _as_read(row))

    def add_points(self, run_key: int, attempt: int, points: Iterable[Point]) -> None:
        for point in points:
            _check_finite(point.value, point.position)
            self._there("attempts", (run_key, attempt))
            self._add_nested("points", (run_key, attempt), point.k, point)

    def add_decision(self, decision: Decision) -> None:
        self._there("attempts", (decision.run_key, decision.attempt))
        _check_finite(decision.value, decision.threshold)
        self._add("decisions", next(self._tables.keys), decision)

    def add_event(self, event: Event) -> None:
        self._there("sweeps", event.sweep_id)
        if event.run_key is not None:
            self._there("runs", event.run_key)
        text = _text(event.text)
        self._add("events", next(self._tables.keys), event if text == event.text else replace(event, text=text))

    def save_agent(self, agent: Agent) -> None:
        self._there("sweeps", agent.sweep_id)
        self._new["agents"][agent.id] = agent

    def add_audit(self, entry: AuditEntry) -> None:
        id = next(self._tables.keys)
        self._add("audit", id, replace(entry, id=id, text=_text(entry.text)))

    def prune_audit(self, before: float) -> int:
        gone = [id for id, entry in self._view("audit").items() if entry.at < before]
        for id in gone:
            self._new["audit"].pop(id, None)
            self._pruned.append(id)
        return len(gone)

    def set_cursor(self, source: str, position: str) -> None:
        self._new["cursors"][source] = position

    def _view(self, table: str) -> ChainMap[Any, Any]:
        return ChainMap(self._new[table], self._tables.data[table])

    def _there(self, table: str, key: Any) -> Any:
        found = self._new[table].get(key, self._tables.data[table].get(key))
        if found is None:
            raise IllegalTransition(f"{table}: {key} is not there")
        return found

    def _add(self, table: str, key: Any, record: Any) -> None:
        if key in self._new[table] or key in self._tables.data[table]:
            raise IllegalTransition(f"{table}: {key} is there already")
        self._new[table][key] = record

    def _add_nested(self, table: str, key: Any, inner: Any, record: Any) -> None:
        mine = self._new[table].setdefault(key, {})
        if inner in mine or inner in self._tables.data[table].get(key, {}):
            raise IllegalTransition(f"{table}: {key}, {inner} is there already")
        mine[inner] = record

    def _check_only_open(self, attempt: Attempt) -> None:
        keys = [*self._tables.attempts_of[attempt.run_key], *self._attempts]
        others = (self._there("attempts", key) for key in keys if key[0] == attempt.run_key)
        if attempt.state in ATTEMPT_OPEN and any(other.state in ATTEMPT_OPEN for other in others):
            raise IllegalTransition(f"attempts: run {attempt.run_key} has an open one already")


def _check_move(table: Table[Any, Any], before: Any, after: Any, what: str) -> None:
    if before is not after and after not in {to for (state, _), to in table.items() if state is before}:
        raise IllegalTransition(f"{what}: no move from '{before}'")


def _with_number(run: Run) -> Run:
    is_number = run.objective is None or math.isfinite(run.objective)
    return run if is_number else replace(run, objective=None)


def _as_read(row: Row) -> Row:
    """The row as it comes back from JSON, which takes its time: words and numbers come back as they are."""
    is_flat = all(
        type(each) in _FLAT or (type(each) is float and math.isfinite(each)) for each in row.data.values()
    )
    return (
        row
        if is_flat and {str}.issuperset(map(type, row.data))
        else replace(row, data=json.loads(dumps(row.data)))
    )


def _text(text: str) -> str:
    return text and (_TEXT.process_bind_param(text, _DIALECT) or "")


def _check_finite(*values: float | None) -> None:
    if any(value is not None and not math.isfinite(value) for value in values):
        raise IllegalTransition("number columns hold finite values only")


def _page(found: list[Any], offset: int, limit: int | None) -> list[Any]:
    return found[offset : None if limit is None else offset + limit]


def _lasted_s(run: Run) -> float:
    return (run.ended_at or 0.0) - (run.started_at or 0.0)
