"""What a store's transaction writes. The contract is `port.Transaction`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from sqlalchemy import (
    Connection,
    CursorResult,
    Delete,
    Insert,
    TableClause,
    Update,
    bindparam,
    delete,
    exc,
    exists,
    insert,
    select,
    update,
)

from sweepyard.errors import IllegalTransition
from sweepyard.tracking.database import first_line
from sweepyard.tracking.records import (
    Agent,
    Attempt,
    AuditEntry,
    Decision,
    Event,
    Point,
    PriorRun,
    Row,
    Run,
    SpecVersion,
    Sweep,
)
from sweepyard.tracking.schema import (
    Text,
    agents,
    attempts,
    audit,
    cursors,
    decisions,
    events,
    history,
    points,
    prior_runs,
    projects,
    runs,
    spec_versions,
    sweeps,
)

Values: TypeAlias = dict[str, Any]

SWEEP_CHANGES = ("state", "reason", "ended_at", "spec", "version")
RUN_CHANGES = (
    "name",
    "state",
    "state_reason",
    "attempt",
    "outside",
    "failed_on",
    "order",
    "order_reason",
    "objective",
    "steps",
    "lines",
    "config",
    "summary",
    "started_at",
    "ended_at",
)


def _bound(name: str) -> Any:
    return bindparam(name, type_=Text)


IN_PROJECT = (projects.c.entity == _bound("of_entity"), projects.c.name == _bound("of_project"))

# A statement's columns are those that its values name; `of_...` is what they are looked up by.
ADD_PROJECT = insert(projects).from_select(
    ["entity", "name"], select(_bound("of_entity"), _bound("of_project")).where(~exists().where(*IN_PROJECT))
)
ADD_SWEEP = insert(sweeps).values(project_key=select(projects.c.key).where(*IN_PROJECT).scalar_subquery())
SAVE_SWEEP = update(sweeps).where(sweeps.c.id == _bound("of_id"))
ADD_VERSION = insert(spec_versions)
ADD_PRIOR_RUNS = insert(prior_runs)
ADD_RUN = (
    insert(runs)
    .values(project_key=select(sweeps.c.project_key).where(sweeps.c.id == _bound("of_sweep")).scalar_subquery())
    .returning(runs.c.key)
)
SAVE_RUN = update(runs).where(runs.c.key == bindparam("of_key"))
ADD_ATTEMPT = insert(attempts)
SAVE_ATTEMPT = update(attempts).where(attempts.c.run_key == bindparam("of_run"), attempts.c.n == bindparam("of_n"))
ADD_ROWS = insert(history)
ADD_POINTS = insert(points)
ADD_DECISION = insert(decisions)
ADD_EVENT = insert(events)
ADD_AGENT = insert(agents)
SAVE_AGENT = update(agents).where(agents.c.id == _bound("of_id"))
ADD_AUDIT = insert(audit)
PRUNE_AUDIT = delete(audit).where(audit.c.at < bindparam("before"))
ADD_CURSOR = insert(cursors)
SAVE_CURSOR = update(cursors).where(cursors.c.source == _bound("of_source"))


class SqlTransaction:
    """`port.Transaction` on a connection that a store has begun.

    Every method raises `IllegalTransition` where the database refuses the write: a forbidden move of a state,
    a second open attempt, a record twice, or one whose sweep, run or attempt is not there. For rows and points
    `flush` does, which ends a transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: list[Values] = []
        self._points: list[Values] = []

    def flush(self) -> None:
        """Write what has been gathered: the rows and points of many reports go to the database at once."""
        self._write_all(ADD_ROWS, self._rows)
        self._write_all(ADD_POINTS, self._points)

    def add_sweep(self, sweep: Sweep) -> None:
        values = _values(sweep)
        place = {"of_entity": values.pop("entity"), "of_project": values.pop("project")}
        self._write(ADD_PROJECT, place)
        self._write(ADD_SWEEP, values | place)

    def save_sweep(self, sweep: Sweep) -> None:
        self._change(SAVE_SWEEP, _some(sweep, SWEEP_CHANGES) | {"of_id": sweep.id})

    def add_version(self, version: SpecVersion) -> None:
        self._write(ADD_VERSION, _values(version))

    def add_prior_runs(self, prior_runs: Sequence[PriorRun]) -> None:
        self._write_all(ADD_PRIOR_RUNS, [_values(run) for run in prior_runs])

    def add_run(self, run: Run) -> Run:
        values = _values(run)
        del values["key"]
        return replace(run, key=self._write(ADD_RUN, values | {"of_sweep": run.sweep_id}).scalar_one())

    def save_run(self, run: Run) -> None:
        self._change(SAVE_RUN, _some(run, RUN_CHANGES) | {"of_key": run.key})

    def add_attempt(self, attempt: Attempt) -> None:
        self._write(ADD_ATTEMPT, _values(attempt))

    def save_attempt(self, attempt: Attempt) -> None:
        values = _values(attempt)
        self._change(SAVE_ATTEMPT, values | {"of_run": values.pop("run_key"), "of_n": values.pop("n")})

    def add_rows(self, run_key: int, rows: Sequence[Row]) -> None:
        self._rows += [_values(row) | {"run_key": run_key} for row in rows]

    def add_points(self, run_key: int, attempt: int, points: Iterable[Point]) -> None:
        common = {"run_key": run_key, "attempt": attempt}
        self._points += [common | point._asdict() for point in points]

    def add_decision(self, decision: Decision) -> None:
        values = _values(decision)
        del values["run_number"]
        self._write(ADD_DECISION, values)

    def add_event(self, event: Event) -> None:
        values = _values(event)
        del values["id"], values["run_number"]
        self._write(ADD_EVENT, values)

    def save_agent(self, agent: Agent) -> None:
        values = _values(agent)
        self._upsert(SAVE_AGENT, ADD_AGENT, values, {"of_id": agent.id})

    def add_audit(self, entry: AuditEntry) -> None:
        values = _values(entry)
        del values["id"]
        self._write(ADD_AUDIT, values)

    def prune_audit(self, before: float) -> int:
        return self._write(PRUNE_AUDIT, {"before": before}).rowcount

    def set_cursor(self, source: str, position: str) -> None:
        self._upsert(SAVE_CURSOR, ADD_CURSOR, {"source": source, "position": position}, {"of_source": source})

    def _upsert(self, change: Update, add: Insert, values: Values, which: Values) -> None:
        if not self._write(change, values | which).rowcount:
            self._write(add, values)

    def _change(self, statement: Update, values: Values) -> None:
        if not self._write(statement, values).rowcount:
            raise _refused(statement, values, "it is not there")

    def _write_all(self, statement: Insert, values: list[Values]) -> None:
        if values:
            self._write(statement, values)

    def _write(self, statement: Insert | Update | Delete, values: Values | list[Values]) -> CursorResult[Any]:
        try:
            return self._connection.execute(statement, values)
        except exc.IntegrityError as error:
            raise _refused(statement, values, first_line(error.orig or error)) from error


def _values(record: Any) -> Values:
    return _some(record, record.__slots__)


def _some(record: Any, names: Iterable[str]) -> Values:
    return {name: getattr(record, name) for name in names}


def _refused(statement: Insert | Update | Delete, values: Values | list[Values], cause: str) -> IllegalTransition:
    telling = ("of_id", "of_key", "of_run", "of_n", "id", "run_key", "n", "number", "state")
    facts = values if isinstance(values, dict) else values[0]
    shown = ", ".join(f"{name.removeprefix('of_')}={facts[name]}" for name in telling if name in facts)
    table = statement.table.name if isinstance(statement.table, TableClause) else "?"
    return IllegalTransition(f"The store refused to write to {table} ({shown}): {cause}.")
