"""The first tables.

Frozen history: nothing here follows the code. The states and moves below are those of `lifecycle` when this was
written, and a test says when they part: then write the next migration.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable

from alembic import op
from sqlalchemy import text

revision = "0001"
down_revision = None

DIALECTS = {
    "sqlite": {
        "key": "INTEGER PRIMARY KEY",
        "id": "INTEGER PRIMARY KEY AUTOINCREMENT",
        "integer": "INTEGER",
        "real": "REAL",
        "flag": "INTEGER",
        "strict": "STRICT",
        "clustered": "STRICT, WITHOUT ROWID",
    },
    "postgresql": {
        "key": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "id": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "integer": "BIGINT",
        "real": "DOUBLE PRECISION",
        "flag": "BOOLEAN",
        "strict": "",
        "clustered": "",
    },
}

SWEEP_MOVES = {
    "pending": ["running", "paused", "finishing", "cancelled"],
    "running": ["paused", "finishing", "cancelled"],
    "paused": ["running", "finishing", "cancelled"],
    "finishing": ["running", "finished", "cancelled"],
    "finished": ["running", "finishing"],
    "cancelled": ["running", "finishing"],
}

RUN_MOVES = {
    "pending": ["running", "crashed", "killed"],
    "running": ["pending", "finished", "stopped", "failed", "crashed", "killed", "preempted", "paused"],
    "preempted": ["pending"],
    "paused": ["pending", "stopped", "killed"],
    "finished": ["pending"],
    "stopped": ["pending"],
    "failed": ["pending"],
    "crashed": ["pending"],
    "killed": ["pending"],
}

ATTEMPT_MOVES = {
    "offered": ["running", "lost", "superseded"],
    "running": ["ended", "lost"],
    "ended": [],
    "lost": [],
    "superseded": [],
}

IMMUTABLE = (("runs", "params"), ("spec_versions", "spec"), ("prior_runs", "params"), ("prior_runs", "value"))

OTHER_SPEC = "OLD.spec <> NEW.spec AND NEW.version <= OLD.version"

FINITE = "BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308"

TABLES = """
CREATE TABLE meta (
    id          {integer} PRIMARY KEY CHECK (id = 1),
    instance_id TEXT NOT NULL,
    epoch       {integer} NOT NULL,
    signing_key TEXT NOT NULL
) {strict};

-- Apart from meta, so that a sign of life waits for no transaction.
CREATE TABLE leader (
    id    {integer} PRIMARY KEY CHECK (id = 1),
    epoch {integer} NOT NULL,
    name  TEXT NOT NULL,
    home  TEXT NOT NULL,
    beat  {integer} NOT NULL
) {strict};

CREATE TABLE projects (
    key    {key},
    entity TEXT NOT NULL,
    name   TEXT NOT NULL,
    UNIQUE (entity, name)
) {strict};

CREATE TABLE sweeps (
    key         {key},
    project_key {integer} NOT NULL REFERENCES projects (key),
    id          TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    seed        {integer} NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ({sweep_states})),
    reason      TEXT NOT NULL,
    version     {integer} NOT NULL CHECK (version >= 1),
    created_at  {real} NOT NULL,
    ended_at    {real},
    spec        TEXT NOT NULL
) {strict};

CREATE TABLE spec_versions (
    sweep_id TEXT NOT NULL REFERENCES sweeps (id),
    version  {integer} NOT NULL CHECK (version >= 1),
    text     TEXT NOT NULL,
    at       {real} NOT NULL,
    spec     TEXT NOT NULL,
    PRIMARY KEY (sweep_id, version)
) {strict};

CREATE TABLE prior_runs (
    sweep_id TEXT NOT NULL REFERENCES sweeps (id),
    n        {integer} NOT NULL CHECK (n >= 1),
    source   TEXT NOT NULL,
    value    {real} CHECK (value {finite}),
    failed   {flag} NOT NULL,
    outside  {flag} NOT NULL,
    note     TEXT NOT NULL,
    params   TEXT NOT NULL,
    curve    TEXT NOT NULL,
    PRIMARY KEY (sweep_id, n)
) {strict};

-- A run without a sweep has neither sweep_id nor number.
CREATE TABLE runs (
    key          {key},
    project_key  {integer} NOT NULL REFERENCES projects (key),
    id           TEXT NOT NULL,
    sweep_id     TEXT REFERENCES sweeps (id),
    number       {integer} CHECK (number >= 1),
    name         TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ({run_states})),
    state_reason TEXT NOT NULL,
    spec_version {integer} NOT NULL CHECK (spec_version >= 1),
    repeat_of    {integer} CHECK (repeat_of >= 1 AND repeat_of < number),
    outside      {flag} NOT NULL,
    failed_on    TEXT NOT NULL,
    attempt      {integer} NOT NULL CHECK (attempt >= 1),
    "order"      TEXT CHECK ("order" IN ('pause', 'stop', 'kill')),
    order_reason TEXT NOT NULL,
    objective    {real} CHECK (objective {finite}),
    steps        {integer} NOT NULL CHECK (steps >= 0),
    lines        {integer} NOT NULL CHECK (lines >= 0),
    created_at   {real} NOT NULL,
    started_at   {real},
    ended_at     {real},
    reason       TEXT NOT NULL,
    params       TEXT NOT NULL,
    detail       TEXT NOT NULL,
    config       TEXT NOT NULL,
    summary      TEXT NOT NULL,
    UNIQUE (id, project_key),
    UNIQUE (sweep_id, number),
    CHECK ((sweep_id IS NULL) = (number IS NULL))
) {strict};

CREATE TABLE attempts (
    run_key    {integer} NOT NULL REFERENCES runs (key),
    n          {integer} NOT NULL CHECK (n >= 1),
    state      TEXT NOT NULL CHECK (state IN ({attempt_states})),
    agent_id   TEXT NOT NULL,
    offered_at {real} NOT NULL,
    started_at {real},
    ended_at   {real},
    outcome    TEXT CHECK (outcome IN ('finished', 'stopped', 'failed', 'killed', 'preempted')),
    exit_code  {integer},
    signal     {integer},
    seq        {integer} NOT NULL CHECK (seq >= 0),
    reason     TEXT NOT NULL,
    tail       TEXT NOT NULL,
    PRIMARY KEY (run_key, n)
) {strict};

CREATE UNIQUE INDEX one_open_attempt ON attempts (run_key) WHERE state IN ('offered', 'running');

CREATE TABLE history (
    run_key   {integer} NOT NULL,
    line      {integer} NOT NULL CHECK (line >= 0),
    attempt   {integer} NOT NULL,
    step      {integer} NOT NULL,
    runtime_s {real} NOT NULL,
    logged_at {real} NOT NULL,
    data      TEXT NOT NULL,
    PRIMARY KEY (run_key, line),
    FOREIGN KEY (run_key, attempt) REFERENCES attempts (run_key, n)
) {clustered};

CREATE TABLE points (
    run_key  {integer} NOT NULL,
    attempt  {integer} NOT NULL,
    k        {integer} NOT NULL CHECK (k >= 1),
    position {real} NOT NULL CHECK (position {finite}),
    value    {real} NOT NULL CHECK (value {finite}),
    PRIMARY KEY (run_key, attempt, k),
    FOREIGN KEY (run_key, attempt) REFERENCES attempts (run_key, n)
) {clustered};

CREATE TABLE decisions (
    id          {id},
    run_key     {integer} NOT NULL,
    attempt     {integer} NOT NULL,
    action      TEXT NOT NULL CHECK (action IN ('continue', 'stop', 'pause', 'promote', 'would_stop')),
    rule        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    rung        {real} NOT NULL,
    value       {real},
    threshold   {real},
    peers       {integer} NOT NULL,
    decided_at  {real} NOT NULL,
    probability {real},
    FOREIGN KEY (run_key, attempt) REFERENCES attempts (run_key, n)
) {strict};

CREATE INDEX decisions_of_run ON decisions (run_key, id);

CREATE TABLE events (
    id       {id},
    sweep_id TEXT NOT NULL REFERENCES sweeps (id),
    run_key  {integer} REFERENCES runs (key),
    attempt  {integer},
    agent_id TEXT,
    kind     TEXT NOT NULL,
    text     TEXT NOT NULL,
    at       {real} NOT NULL
) {strict};

CREATE INDEX events_of_sweep ON events (sweep_id, id);

CREATE INDEX events_of_run ON events (run_key, id);

CREATE TABLE agents (
    id            TEXT NOT NULL PRIMARY KEY,
    sweep_id      TEXT NOT NULL REFERENCES sweeps (id),
    host          TEXT NOT NULL,
    pid           {integer} NOT NULL,
    version       TEXT NOT NULL,
    first_seen_at {real} NOT NULL,
    last_seen_at  {real} NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('active', 'lost', 'left')),
    "order"       TEXT CHECK ("order" IN ('drain', 'stop', 'quarantine')),
    order_reason  TEXT NOT NULL
) {strict};

CREATE TABLE api_keys (
    name         TEXT NOT NULL PRIMARY KEY,
    role         TEXT NOT NULL CHECK (role IN ('viewer', 'agent', 'editor', 'admin')),
    digest       TEXT NOT NULL UNIQUE,
    created_at   {real} NOT NULL,
    expires_at   {real},
    last_used_at {real}
) {strict};

CREATE TABLE audit (
    id      {id},
    at      {real} NOT NULL,
    actor   TEXT NOT NULL,
    role    TEXT NOT NULL CHECK (role IN ('viewer', 'agent', 'editor', 'admin')),
    address TEXT NOT NULL,
    verb    TEXT NOT NULL,
    target  TEXT NOT NULL,
    text    TEXT NOT NULL
) {strict};

CREATE INDEX audit_by_time ON audit (at);

CREATE TABLE cursors (
    source   TEXT NOT NULL PRIMARY KEY,
    position TEXT NOT NULL
) {strict};
"""

GUARDS = {
    "sqlite": """
        CREATE TRIGGER {table}_{column}_guard BEFORE UPDATE OF {column} ON {table}
        WHEN {forbidden}
        BEGIN SELECT RAISE(ABORT, '{message}'); END
    """,
    "postgresql": """
        CREATE TRIGGER {table}_{column}_guard BEFORE UPDATE OF {column} ON {table}
        FOR EACH ROW WHEN ({forbidden}) EXECUTE FUNCTION sweepyard_refuse('{message}')
    """,
}

REFUSE = """
    CREATE FUNCTION sweepyard_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation'; END $$
"""


def upgrade() -> None:
    dialect = op.get_context().dialect.name
    words = {
        **DIALECTS[dialect],
        "finite": FINITE,
        "sweep_states": _quoted(SWEEP_MOVES),
        "run_states": _quoted(RUN_MOVES),
        "attempt_states": _quoted(ATTEMPT_MOVES),
    }
    for statement in TABLES.format(**words).split(";\n"):
        if statement.strip():
            op.execute(statement)
    if dialect == "postgresql":
        op.execute(REFUSE)
    for table, moves in {"sweeps": SWEEP_MOVES, "runs": RUN_MOVES, "attempts": ATTEMPT_MOVES}.items():
        _guard(dialect, table, "state", _not_among(moves), f"illegal move of {table}.state")
    for table, column in IMMUTABLE:
        _guard(dialect, table, column, f"OLD.{column} <> NEW.{column}", f"{table}.{column} never changes")
    _guard(dialect, "sweeps", "spec", OTHER_SPEC, "another spec needs a higher version")
    for column in ("at", "actor", "role", "address", "verb", "target", "text"):
        _guard(dialect, "audit", column, f"OLD.{column} <> NEW.{column}", "the audit trail never changes")
    first = text("INSERT INTO meta (id, instance_id, epoch, signing_key) VALUES (1, :name, 0, :key)")
    op.execute(first.bindparams(name=_new_id(), key=secrets.token_hex(32)))
    op.execute("INSERT INTO leader (id, epoch, name, home, beat) VALUES (1, 0, '', '', 0)")


def _guard(dialect: str, table: str, column: str, forbidden: str, message: str) -> None:
    op.execute(GUARDS[dialect].format(table=table, column=column, forbidden=forbidden, message=message))


def _not_among(moves: dict[str, list[str]]) -> str:
    allowed = _quoted(f"{old} to {new}" for old, then in moves.items() for new in then)
    return f"OLD.state <> NEW.state AND OLD.state || ' to ' || NEW.state NOT IN ({allowed})"


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _new_id() -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
