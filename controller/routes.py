"""The routes of `/api/v1`: each checks its arguments, asks the store or the engine, and builds a view."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, model_validator
from sse_starlette import EventSourceResponse

from sweepyard.bus.wire import WIRE_VERSION
from sweepyard.clock import Clock
from sweepyard.controller import findings, priors, views
from sweepyard.controller.explanation import explain
from sweepyard.controller.port import AgentVerb, ConnectionInfo, EnginePort, Verb
from sweepyard.controller.problems import responses
from sweepyard.controller.spec import read_spec
from sweepyard.controller.stream import Streams
from sweepyard.controller.yamlfile import from_python
from sweepyard.errors import Conflict, NotFound
from sweepyard.tracking.port import RunSort, Store
from sweepyard.tracking.records import Actor, Role, Run, RunState, Sweep
from sweepyard.views import (
    AgentView,
    AuditPage,
    AuditView,
    Connection,
    EventView,
    Explanation,
    Front,
    Health,
    HistoryPage,
    Importances,
    NewSweep,
    PriorRunPage,
    Pruned,
    Recommendation,
    RunDetail,
    RunPage,
    RunView,
    SweepDetail,
    SweepPage,
    SweepView,
    VersionView,
)

DAY_S = 86_400.0
MOST_ID = 2**63 - 1
"""The largest number that every database holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the routes work with."""

    store: Store
    engine: EnginePort
    connection: ConnectionInfo
    clock: Clock
    sweeps_per_key: int
    closing: threading.Event
    streams: Streams = field(default_factory=Streams)


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


WithParts: TypeAlias = Annotated[Parts, Depends(_parts)]


def _caller(request: Request) -> Actor:
    actor: Actor = request.state.actor  # from the guard
    return actor


Caller: TypeAlias = Annotated[Actor, Depends(_caller)]


def _sweep(parts: WithParts, sweep_id: str) -> Sweep:
    sweep = parts.store.sweep(sweep_id.lower())
    if sweep is None:
        raise NotFound(f"There is no sweep '{sweep_id[:40]}' here. `sweepyard status` lists those that are.")
    return sweep


ThatSweep: TypeAlias = Annotated[Sweep, Depends(_sweep)]


def _run(parts: WithParts, sweep: ThatSweep, ref: str) -> Run:
    run = parts.store.run(sweep.id, ref.lower())
    if run is None and ref.isascii() and ref.isdecimal() and int(ref[:20]) <= MOST_ID:
        run = parts.store.run(sweep.id, int(ref[:20]))
    if run is None:
        raise NotFound(f"Sweep {sweep.id} has no run '{ref[:40]}'. Give a run's number or its id.")
    return run


ThatRun: TypeAlias = Annotated[Run, Depends(_run)]
Offset: TypeAlias = Annotated[int, Query(ge=0, le=MOST_ID, description="How many to skip.")]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=1000, description="How many to answer at most.")]
After: TypeAlias = Annotated[int, Query(ge=0, le=MOST_ID, description="The id of the last event that is known.")]

router = APIRouter(prefix="/api/v1", responses=responses(401, 403, 422, 500, 503))


class CsvFile(BaseModel):
    """The text of a CSV file: a column for each parameter, by its dotted name, and one for the metric."""

    model_config = ConfigDict(extra="forbid")

    name: str
    csv: str


class SweepRequest(BaseModel):
    """A sweep to create: `config` or `yaml`. The other fields win over what these say."""

    model_config = ConfigDict(extra="forbid")

    config: dict[str, Any] | None = None
    yaml: str | None = None
    project: str | None = None
    entity: str | None = None
    name: str | None = None
    lenient: bool = False
    prior_runs: list[str | CsvFile] = []
    """Ids of runs of the project, `SWEEP` or `SWEEP/RUN` of this service, and CSV files."""

    @model_validator(mode="after")
    def _has_one_source(self) -> SweepRequest:
        if (self.config is None) == (self.yaml is None):
            raise ValueError("give either config (a mapping) or yaml (text)")
        return self


@router.post("/sweeps", status_code=201, responses=responses(400, 409, 413))
def create_sweep(
    body: SweepRequest, parts: WithParts, caller: Caller, request: Request, response: Response
) -> NewSweep:
    """Create a sweep."""
    _refuse_too_many(parts, caller)
    source, name = (body.config, "sweep config") if body.yaml is None else (body.yaml, "sweep.yaml")
    wishes = {"project": body.project, "entity": body.entity, "name": body.name}
    spec = read_spec(source or {}, name=name, lenient=body.lenient, overrides=wishes)
    sources = [one if isinstance(one, str) else priors.Csv(one.name, one.csv) for one in body.prior_runs]
    known, notes = priors.gather(parts.store, spec, sources)
    sweep = parts.engine.create_sweep(spec, known, by=caller)
    response.headers["Location"] = f"/api/v1/sweeps/{sweep.id}"
    return views.new_sweep(parts.store, sweep, str(request.base_url), (*spec.notes, *notes))


def _refuse_too_many(parts: Parts, caller: Actor) -> None:
    """Sweeps that are not over cost everybody: the engine has them all in mind. An admin knows that."""
    if caller.role is Role.admin or parts.store.open_sweeps_of(caller.name) < parts.sweeps_per_key:
        return
    raise Conflict(
        f"The key '{caller.name}' has {parts.sweeps_per_key} sweeps that are not over, which is as many as one "
        "may have (SWEEPYARD_SWEEPS_PER_KEY). Stop or cancel some of them."
    )


@router.get("/sweeps")
def list_sweeps(parts: WithParts, request: Request, offset: Offset = 0, limit: Limit = 100) -> SweepPage:
    """All sweeps, newest first."""
    return views.sweep_page(parts.store, str(request.base_url), offset=offset, limit=limit)


@router.get("/sweeps/{sweep_id}", responses=responses(404))
def show_sweep(sweep: ThatSweep, parts: WithParts, request: Request) -> SweepDetail:
    """One sweep: its state, progress, best run, agents and last decisions."""
    return views.sweep_detail(parts.store, sweep, str(request.base_url), parts.clock.wall())


@router.get("/sweeps/{sweep_id}/runs", responses=responses(404))
def list_runs(
    sweep: ThatSweep,
    parts: WithParts,
    state: Annotated[list[RunState] | None, Query(description="Only runs in these states.")] = None,
    sort: RunSort = "number",
    order: Literal["asc", "desc"] = "asc",
    offset: Offset = 0,
    limit: Limit = 100,
) -> RunPage:
    """A sweep's runs. Those without a value to sort by come last."""
    descending = order == "desc"
    return views.run_page(
        parts.store, sweep, states=state, sort=sort, descending=descending, offset=offset, limit=limit
    )


@router.get("/sweeps/{sweep_id}/runs/{ref}", responses=responses(404))
def show_run(run: ThatRun, parts: WithParts) -> RunDetail:
    """One run, by number or id: its values, attempts, decisions and story."""
    return views.run_detail(parts.store, run)


@router.get("/sweeps/{sweep_id}/runs/{ref}/explanation", responses=responses(404))
def explain_run(run: ThatRun, sweep: ThatSweep, parts: WithParts) -> Explanation:
    """Why a run was stopped early, or was not: rungs, values, thresholds, peers, decisions and reasons."""
    return explain(parts.store, sweep, run)


@router.get("/runs/{run_id}/explanation", responses=responses(404))
def explain_run_by_id(run_id: str, parts: WithParts) -> Explanation:
    """The same of a run whose sweep the caller does not know."""
    run = parts.store.find_run(run_id.lower())
    if run is None:
        raise NotFound(f"There is no run '{run_id[:40]}' here. Give a sweep and the number of one of its runs.")
    return explain(parts.store, _sweep(parts, run.sweep_id), run)


@router.get("/sweeps/{sweep_id}/runs/{ref}/history", responses=responses(404))
def show_history(
    run: ThatRun,
    parts: WithParts,
    keys: Annotated[str | None, Query(description="Only these metrics, separated by commas.")] = None,
    after_line: Annotated[int, Query(ge=-1, le=MOST_ID)] = -1,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> HistoryPage:
    """The rows that a run has logged, oldest first."""
    chosen = None if keys is None else keys.split(",")
    return views.history_page(parts.store, run, keys=chosen, after_line=after_line, limit=limit)


@router.get("/sweeps/{sweep_id}/front", responses=responses(404, 409))
def show_front(sweep: ThatSweep, parts: WithParts) -> Front:
    """What a sweep with several metrics lets its user choose between: its Pareto front."""
    return findings.front(parts.store, sweep)


@router.get("/sweeps/{sweep_id}/recommendation", responses=responses(404, 409))
def show_recommendation(sweep: ThatSweep, parts: WithParts) -> Recommendation:
    """The run to use by the model's mean, beside the best one observed."""
    return findings.recommendation(parts.store, sweep)


@router.get("/sweeps/{sweep_id}/importance", responses=responses(404, 409))
def show_importance(
    sweep: ThatSweep,
    parts: WithParts,
    metric: Annotated[str | None, Query(description="Of several metrics this one. Default: the first.")] = None,
) -> Importances:
    """Which parameters matter, and how sure that is."""
    return findings.importances(parts.store, sweep, metric)


@router.get("/sweeps/{sweep_id}/events", responses=responses(404))
def list_events(sweep: ThatSweep, parts: WithParts, after: After = 0, limit: Limit = 1000) -> list[EventView]:
    """A sweep's story, oldest first."""
    events = parts.store.events(sweep_id=sweep.id, after_id=after, limit=limit)
    return [views.of(EventView, event) for event in events]


class RunRequest(BaseModel):
    """A point to try: its parameters, nested or by dotted names. `outside`: also if it is not in the space."""

    model_config = ConfigDict(extra="forbid")

    params: dict[str, Any]
    outside: bool = False


@router.post("/sweeps/{sweep_id}/runs", status_code=201, responses=responses(404, 409, 413))
def enqueue_run(sweep: ThatSweep, body: RunRequest, parts: WithParts, caller: Caller) -> RunView:
    """Let the sweep try a point of the user's choice: the next free agent takes it."""
    params = from_python(body.params, name="point").value
    return views.of(RunView, parts.engine.enqueue(sweep.id, params, outside=body.outside, by=caller))


class EditRequest(BaseModel):
    """What to change of a sweep: a whole new sweep file (`config` or `yaml`), values by dotted path (`set`; null
    takes a key away), or both."""

    model_config = ConfigDict(extra="forbid")

    config: dict[str, Any] | None = None
    yaml: str | None = None
    set: dict[str, Any] = {}

    @model_validator(mode="after")
    def _says_something(self) -> EditRequest:
        if self.config is not None and self.yaml is not None:
            raise ValueError("give config (a mapping) or yaml (text), not both")
        return self


@router.patch("/sweeps/{sweep_id}", responses=responses(400, 404, 409, 413))
def edit_sweep(sweep: ThatSweep, body: EditRequest, parts: WithParts, caller: Caller) -> VersionView:
    """Change limits, early termination, bounds and values of a sweep, in any state. Runs whose points are no
    longer in the space are marked."""
    source = body.config if body.yaml is None else body.yaml
    return views.version_view(parts.engine.edit(sweep.id, source, body.set, by=caller))


@router.get("/sweeps/{sweep_id}/prior_runs", responses=responses(404))
def list_prior_runs(sweep: ThatSweep, parts: WithParts, offset: Offset = 0, limit: Limit = 100) -> PriorRunPage:
    """What a sweep knew from elsewhere when it was created."""
    return views.prior_run_page(parts.store, sweep, offset=offset, limit=limit)


@router.get("/sweeps/{sweep_id}/versions", responses=responses(404))
def list_versions(sweep: ThatSweep, parts: WithParts) -> list[VersionView]:
    """A sweep's spec through all its edits, oldest first."""
    return [views.version_view(version) for version in parts.store.versions(sweep.id)]


class RetryRequest(BaseModel):
    """Which ended runs to try again: `runs`, by number or id, else all in `states`."""

    model_config = ConfigDict(extra="forbid")

    runs: list[str | int] = []
    states: list[RunState] = [RunState.failed, RunState.crashed]


@router.post("/sweeps/{sweep_id}/retry", responses=responses(404, 409, 413))
def retry_runs(sweep: ThatSweep, body: RetryRequest, parts: WithParts, caller: Caller) -> list[RunView]:
    """Try ended runs again, with the same parameters, each as its next attempt. A sweep that has ended takes
    these up and nothing else."""
    return [views.of(RunView, run) for run in parts.engine.retry(sweep.id, body.runs, body.states, by=caller)]


@router.get("/sweeps/{sweep_id}/agents", responses=responses(404))
def list_agents(sweep: ThatSweep, parts: WithParts) -> list[AgentView]:
    """A sweep's agents, those that are gone too, in the order of their arrival."""
    return views.agents(parts.store, sweep)


@router.post("/sweeps/{sweep_id}/agents/{agent_id}/{verb}", responses=responses(404))
def order_agent(sweep: ThatSweep, agent_id: str, verb: AgentVerb, parts: WithParts, caller: Caller) -> AgentView:
    """Drain (hand its run back and leave), stop (leave when its run has ended) or quarantine an agent (take
    nothing and stay), or release it (take runs again)."""
    changed = parts.engine.order_agent(sweep.id, agent_id, verb, by=caller)
    return next(view for view in views.agents(parts.store, sweep) if view.id == changed.id)


@router.post("/sweeps/{sweep_id}/runs/{ref}/stop", responses=responses(404, 409))
def stop_run(run: ThatRun, parts: WithParts, caller: Caller) -> RunView:
    """End one run early, as early termination would. The sweep goes on."""
    return views.of(RunView, parts.engine.stop_run(run.sweep_id, run.id, by=caller))


@router.post("/sweeps/{sweep_id}/{verb}", responses=responses(404, 409))
def control_sweep(sweep: ThatSweep, verb: Verb, parts: WithParts, caller: Caller, request: Request) -> SweepView:
    """Pause (no new runs), resume, stop (no new runs, running ones finish) or cancel (kill everything)."""
    changed = parts.engine.control(sweep.id, verb, by=caller)
    return views.sweep_view(parts.store, changed, str(request.base_url))


@router.get("/audit")
def show_audit(
    parts: WithParts,
    before: Annotated[int | None, Query(ge=1, le=MOST_ID, description="Entries older than this id.")] = None,
    limit: Limit = 100,
) -> AuditPage:
    """Who did what, newest first."""
    entries = parts.store.audit(before_id=before, limit=limit)
    next_before = entries[-1].id if len(entries) == limit else None
    return AuditPage(items=[views.of(AuditView, entry) for entry in entries], next_before=next_before)


@router.delete("/audit")
def prune_audit(
    parts: WithParts,
    caller: Caller,
    older_than_days: Annotated[float, Query(ge=0, le=36_500, description="Keep what is younger.")],
) -> Pruned:
    """Forget old entries of the audit trail. That it was done is an entry itself."""
    before = parts.clock.wall() - DAY_S * older_than_days
    return Pruned(entries=parts.engine.prune_audit(before, by=caller))


@router.get("/connect", responses=responses(404))
def connect(
    parts: WithParts, request: Request, sweep: Annotated[str, Query(description="The sweep's id.")]
) -> Connection:
    """What an agent needs to work on a sweep."""
    base_url = str(request.base_url)
    return Connection(
        instance=parts.store.instance_id,
        redis_url=_reachable(parts.connection.redis_url, request.url.hostname or "127.0.0.1"),
        prefix=parts.connection.prefix,
        signing_key=parts.store.signing_key.hex(),
        wire_version=WIRE_VERSION,
        heartbeat_s=parts.connection.heartbeat_s,
        lost_after_s=parts.connection.lost_after_s,
        epoch=parts.store.leader().epoch,
        sweep=views.connected_sweep(_sweep(parts, sweep), base_url),
    )


@router.get("/stream", responses=responses(404), response_class=EventSourceResponse)
def stream(
    parts: WithParts,
    sweep: Annotated[str | None, Query(description="Only events of this sweep.")] = None,
    after: After = 0,
    last_event_id: Annotated[
        str | None, Header(description="As `after`; sent by browsers that reconnect.")
    ] = None,
) -> EventSourceResponse:
    """Events as server-sent events, those above `after` first, then each as it happens."""
    sweep_id = None if sweep is None else _sweep(parts, sweep).id
    if last_event_id and last_event_id.isascii() and last_event_id.isdecimal():
        after = min(int(last_event_id[:20]), MOST_ID)
    return parts.streams.start(parts.store, parts.closing, sweep_id=sweep_id, after=after)


@router.get("/health")
def health(parts: WithParts, request: Request) -> Health:
    """Whether the service works. Needs no API key."""
    said = {**parts.engine.health(), "version": request.app.version, "instance": parts.store.instance_id}
    return Health.model_validate(said)


def _reachable(redis_url: str, host: str) -> str:
    """A Redis URL; one that says "on all interfaces" names the host that the caller has used instead."""
    parts = urlsplit(redis_url)
    if parts.hostname not in ("0.0.0.0", "::"):  # noqa: S104
        return redis_url
    login, at, _ = parts.netloc.rpartition("@")
    shown = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"{login}{at}{shown}{port}"))
