"""The tracking store in SQL: SQLite by default, PostgreSQL by URL. The contract is `port.Store`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, case, delete, exists, func, insert, nulls_last, or_, select, update

from sweepyard.errors import Conflict, Fenced, NotFound
from sweepyard.tracking.database import Database, connect, end_writers
from sweepyard.tracking.migrations import migrate
from sweepyard.tracking.port import RunSort
from sweepyard.tracking.records import (
    ATTEMPT_OPEN,
    CREATED,
    RUN_SCORED,
    SWEEP_ENDED,
    Actor,
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
from sweepyard.tracking.schema import (
    agents,
    api_keys,
    attempts,
    audit,
    cursors,
    decisions,
    events,
    history,
    leader,
    meta,
    points,
    prior_runs,
    projects,
    runs,
    spec_versions,
    sweeps,
)
from sweepyard.tracking.transaction import SqlTransaction

Record = TypeVar(
    "Record", Sweep, SpecVersion, PriorRun, Run, Attempt, Row, Decision, Event, Agent, ApiKey, AuditEntry
)

SWEEPS = select(
    projects.c.entity,
    projects.c.name.label("project"),
    *(column for column in sweeps.c if column.name not in ("key", "project_key")),
).join_from(sweeps, projects, projects.c.key == sweeps.c.project_key)
RUNS = select(*(column for column in runs.c if column.name != "project_key"))
ATTEMPTS = select(*attempts.c).join_from(attempts, runs, runs.c.key == attempts.c.run_key)
ROWS = select(*(column for column in history.c if column.name != "run_key"))
DECISIONS = select(
    *(column for column in decisions.c if column.name != "id"), runs.c.number.label("run_number")
).join_from(decisions, runs, runs.c.key == decisions.c.run_key)
EVENTS = select(*events.c, runs.c.number.label("run_number")).join_from(
    events, runs, runs.c.key == events.c.run_key, isouter=True
)
EARLIER = points.alias()
LAST_BEFORE = (
    select(func.max(EARLIER.c.attempt))
    .where(EARLIER.c.run_key == runs.c.key, EARLIER.c.attempt < runs.c.attempt)
    .correlate(runs)
    .scalar_subquery()
)
"""The last attempt of a run before its present one that has any points."""
EPOCH = select(meta.c.epoch).with_for_update()


def open_store(url: str) -> SqlStore:
    """Open the store at `url`, and make or migrate its tables where that is due.

    `url`: `sqlite:////path/to/file.db` (its directory is made) or `postgresql://user:password@host/database`.

    Raises:
        UserError: not a store's URL, or a newer sweepyard has written the store.
        Unavailable: the database cannot be reached or used.
    """
    database = connect(url)
    try:
        migrate(database)
        return SqlStore(database)
    except BaseException:
        database.close()
        raise


class SqlStore:
    """`port.Store` on a database whose tables are there: see `open_store`. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._instance_id = str(self._scalar(select(meta.c.instance_id)))
        self._signing_key = bytes.fromhex(self._scalar(select(meta.c.signing_key)))

    @property
    def instance_id(self) -> str:
        return self._instance_id

    @property
    def signing_key(self) -> bytes:
        return self._signing_key

    def take_over(self, *, name: str = "", home: str = "", seen: int | None = None, above: int = 0) -> int:
        raised = update(meta).values(epoch=case((meta.c.epoch < above, above), else_=meta.c.epoch) + 1)
        with self._database.writing() as connection:
            if seen is not None:
                end_writers(connection, "meta", "leader")
                raised = raised.where(meta.c.epoch == seen)
            epoch = connection.execute(raised.returning(meta.c.epoch)).scalar()
            if epoch is None:
                raise Fenced(f"Another controller has taken over the store {self._database.name} meanwhile.")
            connection.execute(update(leader).values(epoch=epoch, name=name, home=home, beat=0))
        return int(epoch)

    def leader(self) -> Leader:
        chosen = select(*(column for column in leader.c if column.name != "id"))
        with self._database.reading() as connection:
            return Leader(**connection.execute(chosen).mappings().one())

    def beat(self, epoch: int) -> None:
        beaten = update(leader).where(leader.c.epoch == epoch).values(beat=leader.c.beat + 1)
        with self._database.writing() as connection:
            if not connection.execute(beaten).rowcount:
                raise self._fenced(epoch)

    def resign(self, epoch: int) -> None:
        with self._database.writing() as connection:
            connection.execute(update(leader).where(leader.c.epoch == epoch).values(name=""))

    @contextmanager
    def transaction(self, epoch: int) -> Iterator[SqlTransaction]:
        """Raises:
        Fenced: a younger epoch exists.
        IllegalTransition: the database refuses a write of the transaction.
        Unavailable: the database cannot be reached or used.
        """
        with self._database.writing() as connection:
            present = connection.execute(EPOCH).scalar_one()
            if present != epoch:
                raise self._fenced(epoch)
            written = SqlTransaction(connection)
            yield written
            written.flush()

    def sweep(self, sweep_id: str) -> Sweep | None:
        return self._first(Sweep, SWEEPS.where(sweeps.c.id == sweep_id))

    def sweeps(self, states: Iterable[SweepState] | None = None) -> list[Sweep]:
        chosen = SWEEPS if states is None else SWEEPS.where(sweeps.c.state.in_(list(states)))
        return self._all(Sweep, chosen.order_by(sweeps.c.key.desc()))

    def unsettled_sweeps(self) -> list[Sweep]:
        going_on = sweeps.c.state.not_in(list(SWEEP_ENDED))
        open_here = (runs.c.sweep_id == sweeps.c.id, attempts.c.state.in_(list(ATTEMPT_OPEN)))
        with_open = exists().where(attempts.c.run_key == runs.c.key, *open_here)
        return self._all(Sweep, SWEEPS.where(or_(going_on, with_open)).order_by(sweeps.c.key.desc()))

    def run(self, sweep_id: str, ref: str | int) -> Run | None:
        named = runs.c.number == ref if isinstance(ref, int) else runs.c.id == ref
        return self._first(Run, RUNS.where(runs.c.sweep_id == sweep_id, named))

    def versions(self, sweep_id: str) -> list[SpecVersion]:
        chosen = select(*spec_versions.c).where(spec_versions.c.sweep_id == sweep_id)
        return self._all(SpecVersion, chosen.order_by(spec_versions.c.version))

    def prior_runs(self, sweep_id: str, *, offset: int = 0, limit: int | None = None) -> list[PriorRun]:
        chosen = select(*prior_runs.c).where(prior_runs.c.sweep_id == sweep_id).order_by(prior_runs.c.n)
        return self._all(PriorRun, chosen.offset(offset or None).limit(limit))

    def count_prior_runs(self, sweep_id: str) -> int:
        return int(self._scalar(select(func.count(prior_runs.c.n)).where(prior_runs.c.sweep_id == sweep_id)))

    def run_of_project(self, entity: str, project: str, run_id: str) -> Run | None:
        named = (projects.c.entity == entity, projects.c.name == project, runs.c.id == run_id)
        there = RUNS.join_from(runs, projects, projects.c.key == runs.c.project_key)
        return self._first(Run, there.where(*named, runs.c.sweep_id.is_not(None)))

    def find_run(self, run_id: str) -> Run | None:
        return self._first(Run, RUNS.where(runs.c.id == run_id).order_by(runs.c.key.desc()))

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
        chosen = RUNS.where(runs.c.sweep_id == sweep_id)
        if states is not None:
            chosen = chosen.where(runs.c.state.in_(list(states)))
        ordered = chosen.order_by(*_order(runs.c[sort], descending))
        return self._all(Run, ordered.offset(offset or None).limit(limit))

    def count_runs(self, sweep_id: str) -> dict[RunState, int]:
        counted = select(runs.c.state, func.count()).where(runs.c.sweep_id == sweep_id).group_by(runs.c.state)
        with self._database.reading() as connection:
            return dict.fromkeys(RunState, 0) | dict(connection.execute(counted).all())

    def saved(self, sweep_id: str) -> Saved:
        finished = (runs.c.sweep_id == sweep_id, runs.c.state == RunState.finished)
        longest = self._scalar(select(func.max(runs.c.steps)).where(*finished)) or 0
        lasted_s = runs.c.ended_at - runs.c.started_at
        whole_s = self._scalar(select(func.avg(lasted_s)).where(*finished, runs.c.steps == longest)) or 0.0
        short = (runs.c.state == RunState.stopped) & (runs.c.steps < longest)
        sums = select(
            func.sum(case((short, longest - runs.c.steps), else_=0)),
            func.sum(case((short & (lasted_s < whole_s), whole_s - lasted_s), else_=0.0)),
            func.sum(runs.c.steps),
        ).where(runs.c.sweep_id == sweep_id)
        with self._database.reading() as connection:
            steps, seconds, used = connection.execute(sums).one()
        return Saved(steps=int(steps or 0), seconds=float(seconds or 0), used_steps=int(used or 0))

    def best_run(self, sweep: Sweep) -> Run | None:
        if sweep.objective is None:
            return None
        scored = RUNS.where(
            runs.c.sweep_id == sweep.id, runs.c.state.in_(list(RUN_SCORED)), runs.c.objective.is_not(None)
        )
        best_first = _order(runs.c.objective, descending=sweep.objective.goal == "maximize")
        return self._first(Run, scored.order_by(*best_first))

    def attempts(self, run_key: int) -> list[Attempt]:
        return self._all(Attempt, ATTEMPTS.where(attempts.c.run_key == run_key).order_by(attempts.c.n))

    def open_attempts(self, sweep_id: str) -> list[Attempt]:
        still_open = ATTEMPTS.where(runs.c.sweep_id == sweep_id, attempts.c.state.in_(list(ATTEMPT_OPEN)))
        return self._all(Attempt, still_open.order_by(runs.c.number))

    def history(self, run_key: int, *, after_line: int = -1, limit: int | None = None) -> list[Row]:
        newer = ROWS.where(history.c.run_key == run_key, history.c.line > after_line)
        return self._all(Row, newer.order_by(history.c.line).limit(limit))

    def curves(self, sweep_id: str, *, former: bool = False) -> Mapping[str, list[Point]]:
        chosen = (
            select(runs.c.id, points.c.k, points.c.value, points.c.position)
            .join_from(runs, points, runs.c.key == points.c.run_key)
            .where(points.c.attempt == (LAST_BEFORE if former else runs.c.attempt))
            .where(runs.c.sweep_id == sweep_id)
            .order_by(runs.c.number, points.c.k)
        )
        with self._database.reading() as connection:
            by_run = groupby(connection.execute(chosen), key=itemgetter(0))
            return {run_id: [Point(*point) for _, *point in curve] for run_id, curve in by_run}

    def decisions(self, sweep_id: str, run_key: int | None = None, *, newest: int | None = None) -> list[Decision]:
        chosen = DECISIONS.where(runs.c.sweep_id == sweep_id)
        if run_key is not None:
            chosen = chosen.where(decisions.c.run_key == run_key)
        return self._all(Decision, chosen.order_by(decisions.c.id.desc()).limit(newest))[::-1]

    def events(
        self, *, sweep_id: str | None = None, run_key: int | None = None, after_id: int = 0, limit: int = 1000
    ) -> list[Event]:
        chosen = EVENTS.where(events.c.id > after_id)
        if sweep_id is not None:
            chosen = chosen.where(events.c.sweep_id == sweep_id)
        if run_key is not None:
            chosen = chosen.where(events.c.run_key == run_key)
        return self._all(Event, chosen.order_by(events.c.id).limit(limit))

    def agents(self, sweep_id: str | None = None) -> list[Agent]:
        chosen = select(*agents.c).order_by(agents.c.first_seen_at, agents.c.id)
        return self._all(Agent, chosen if sweep_id is None else chosen.where(agents.c.sweep_id == sweep_id))

    def cursor(self, source: str) -> str:
        return self._scalar(select(cursors.c.position).where(cursors.c.source == source)) or "0"

    def api_keys(self) -> list[ApiKey]:
        return self._all(ApiKey, select(*api_keys.c).order_by(api_keys.c.name))

    def used_api_key(self, name: str, at: float) -> None:
        with self._database.writing() as connection:
            connection.execute(update(api_keys).where(api_keys.c.name == name).values(last_used_at=at))

    def audit(self, *, before_id: int | None = None, limit: int = 100) -> list[AuditEntry]:
        chosen = select(*audit.c).order_by(audit.c.id.desc()).limit(limit)
        return self._all(AuditEntry, chosen if before_id is None else chosen.where(audit.c.id < before_id))

    def open_sweeps_of(self, actor: str) -> int:
        theirs = (audit.c.actor == actor, audit.c.verb == CREATED, audit.c.target == sweeps.c.id)
        going_on = sweeps.c.state.not_in(list(SWEEP_ENDED))
        return int(self._scalar(select(func.count(sweeps.c.key)).where(going_on, exists().where(*theirs))))

    def add_api_key(self, key: ApiKey, by: Actor) -> None:
        """Keys are no part of what a controller writes: whoever can open the store may add one.

        Raises:
            Conflict: there is one of that name.
        """
        with self._database.writing() as connection:
            if connection.execute(select(api_keys.c.name).where(api_keys.c.name == key.name)).first():
                raise Conflict(f"There is a key '{key.name}' already. Revoke it first, or choose another name.")
            connection.execute(insert(api_keys).values(**asdict(key)))
            told = AuditEntry.of(by, "key.create", key.name, key.created_at, f"of the role {key.role}")
            SqlTransaction(connection).add_audit(told)

    def remove_api_key(self, name: str, by: Actor, now: float) -> None:
        """Raises `NotFound` if there is none of that name."""
        with self._database.writing() as connection:
            if not connection.execute(delete(api_keys).where(api_keys.c.name == name)).rowcount:
                raise NotFound(f"There is no key '{name}'. `sweepyard keys list` shows those that are.")
            SqlTransaction(connection).add_audit(AuditEntry.of(by, "key.revoke", name, now))

    def close(self) -> None:
        self._database.close()

    def _fenced(self, epoch: int) -> Fenced:
        now = self.leader()
        return Fenced(
            f"Another controller has taken over the store {self._database.name}: {now.name or 'an unnamed one'} "
            f"(its epoch is {now.epoch}, ours was {epoch}). This one must end."
        )

    def _all(self, record: type[Record], chosen: Select[Any]) -> list[Record]:
        with self._database.reading() as connection:
            result = connection.execute(chosen)
            fields = list(result.keys())
            return [record(**dict(zip(fields, row, strict=True))) for row in result]

    def _first(self, record: type[Record], chosen: Select[Any]) -> Record | None:
        found = self._all(record, chosen.limit(1))
        return found[0] if found else None

    def _scalar(self, chosen: Select[Any]) -> Any:
        with self._database.reading() as connection:
            return connection.execute(chosen).scalar()


def _order(column: ColumnElement[Any], descending: bool) -> tuple[ColumnElement[Any], ...]:
    """Missing values last, ties by number."""
    return nulls_last(column.desc() if descending else column.asc()), runs.c.number.asc()
