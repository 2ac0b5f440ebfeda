"""The store's tables as SQL expressions sees them: names and types.

The migrations own everything else (keys, checks, triggers); a test compares both in a real database.
Columns bear the names of the record fields that they hold.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Boolean, Dialect, Double, TypeDecorator, column, table
from sqlalchemy import Text as SqlText

from sweepyard.plain import dumps, finite
from sweepyard.tracking.records import AttemptState, Outcome, Role, RunState, SweepState


class Text(TypeDecorator[str]):
    """Text that every database holds: PostgreSQL refuses NUL, UTF-8 has no lone surrogates.

    Both occur in what programs print, and must not keep a run from ending.
    """

    impl = SqlText
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        if value is None:
            return None
        return value.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


class Json(TypeDecorator[Any]):
    """Plain values as JSON text."""

    impl = SqlText
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Dialect) -> str:
        return dumps(value)

    def process_result_value(self, value: str | None, _dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class Number(TypeDecorator[float]):
    """A finite float; anything else is stored as NULL, which most columns refuse."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, _dialect: Dialect) -> float | None:
        return finite(value)


class Word(TypeDecorator[StrEnum]):
    """A member of one of the records' enums."""

    impl = SqlText
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: StrEnum | None, _dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, _dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.words(value)


meta = table(
    "meta",
    column("id", BigInteger),
    column("instance_id", Text),
    column("epoch", BigInteger),
    column("signing_key", Text),
)

leader = table(
    "leader",
    column("id", BigInteger),
    column("epoch", BigInteger),
    column("name", Text),
    column("home", Text),
    column("beat", BigInteger),
)

projects = table("projects", column("key", BigInteger), column("entity", Text), column("name", Text))

sweeps = table(
    "sweeps",
    column("key", BigInteger),
    column("project_key", BigInteger),
    column("id", Text),
    column("name", Text),
    column("seed", BigInteger),
    column("state", Word(SweepState)),
    column("reason", Text),
    column("version", BigInteger),
    column("created_at", Number),
    column("ended_at", Number),
    column("spec", Json),
)

spec_versions = table(
    "spec_versions",
    column("sweep_id", Text),
    column("version", BigInteger),
    column("text", Text),
    column("at", Number),
    column("spec", Json),
)

prior_runs = table(
    "prior_runs",
    column("sweep_id", Text),
    column("n", BigInteger),
    column("source", Text),
    column("value", Number),
    column("failed", Boolean),
    column("outside", Boolean),
    column("note", Text),
    column("params", Json),
    column("curve", Json),
)

runs = table(
    "runs",
    column("key", BigInteger),
    column("project_key", BigInteger),
    column("id", Text),
    column("sweep_id", Text),
    column("number", BigInteger),
    column("repeat_of", BigInteger),
    column("name", Text),
    column("state", Word(RunState)),
    column("state_reason", Text),
    column("spec_version", BigInteger),
    column("outside", Boolean),
    column("failed_on", Json),
    column("attempt", BigInteger),
    column("order", Text),
    column("order_reason", Text),
    column("objective", Number),
    column("steps", BigInteger),
    column("lines", BigInteger),
    column("created_at", Number),
    column("started_at", Number),
    column("ended_at", Number),
    column("reason", Text),
    column("params", Json),
    column("detail", Json),
    column("config", Json),
    column("summary", Json),
)

attempts = table(
    "attempts",
    column("run_key", BigInteger),
    column("n", BigInteger),
    column("state", Word(AttemptState)),
    column("agent_id", Text),
    column("offered_at", Number),
    column("started_at", Number),
    column("ended_at", Number),
    column("outcome", Word(Outcome)),
    column("exit_code", BigInteger),
    column("signal", BigInteger),
    column("seq", BigInteger),
    column("reason", Text),
    column("tail", Text),
)

history = table(
    "history",
    column("run_key", BigInteger),
    column("line", BigInteger),
    column("attempt", BigInteger),
    column("step", BigInteger),
    column("runtime_s", Number),
    column("logged_at", Number),
    column("data", Json),
)

points = table(
    "points",
    column("run_key", BigInteger),
    column("attempt", BigInteger),
    column("k", BigInteger),
    column("position", Number),
    column("value", Number),
)

decisions = table(
    "decisions",
    column("id", BigInteger),
    column("run_key", BigInteger),
    column("attempt", BigInteger),
    column("action", Text),
    column("rule", Text),
    column("reason", Text),
    column("rung", Number),
    column("value", Number),
    column("threshold", Number),
    column("peers", BigInteger),
    column("decided_at", Number),
    column("probability", Number),
)

events = table(
    "events",
    column("id", BigInteger),
    column("sweep_id", Text),
    column("run_key", BigInteger),
    column("attempt", BigInteger),
    column("agent_id", Text),
    column("kind", Text),
    column("text", Text),
    column("at", Number),
)

agents = table(
    "agents",
    column("id", Text),
    column("sweep_id", Text),
    column("host", Text),
    column("pid", BigInteger),
    column("version", Text),
    column("first_seen_at", Number),
    column("last_seen_at", Number),
    column("state", Text),
    column("order", Text),
    column("order_reason", Text),
)

api_keys = table(
    "api_keys",
    column("name", Text),
    column("role", Word(Role)),
    column("digest", Text),
    column("created_at", Number),
    column("expires_at", Number),
    column("last_used_at", Number),
)

audit = table(
    "audit",
    column("id", BigInteger),
    column("at", Number),
    column("actor", Text),
    column("role", Word(Role)),
    column("address", Text),
    column("verb", Text),
    column("target", Text),
    column("text", Text),
)

cursors = table("cursors", column("source", Text), column("position", Text))

TABLES = (
    meta,
    leader,
    projects,
    sweeps,
    spec_versions,
    prior_runs,
    runs,
    attempts,
    history,
    points,
    decisions,
    events,
    agents,
    api_keys,
    audit,
    cursors,
)
