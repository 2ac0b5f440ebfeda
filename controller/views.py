"""Builds the API's answers from the store. Reads only what an answer shows: counts and sums are SQL's."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from functools import lru_cache
from statistics import median
from typing import Any, TypeVar

from sweepyard.controller import findings
from sweepyard.controller.hindsight import look_back
from sweepyard.controller.ledger import Ledger
from sweepyard.controller.metricname import troubles
from sweepyard.controller.repeats import Repeat, best_point
from sweepyard.plain import dumps
from sweepyard.redaction import redact_words
from sweepyard.schedulers.registry import is_dry
from sweepyard.search.registry import points_of
from sweepyard.tracking.port import RunSort, Store
from sweepyard.tracking.records import RUN_ENDED, RUN_SCORED, Run, RunState, SpecVersion, Sweep, SweepState
from sweepyard.views import (
    AgentView,
    AttemptView,
    ConnectedSweep,
    DecisionView,
    EventView,
    HindsightView,
    HistoryPage,
    MetricView,
    NewSweep,
    PointView,
    PriorRunPage,
    PriorRunView,
    Progress,
    Proposing,
    RowView,
    RunDetail,
    RunPage,
    RunView,
    SavedView,
    SweepDetail,
    SweepPage,
    SweepView,
    VersionView,
    View,
)

LAST_DECISIONS = 10
MOST_RUNNING = 100
RATE_RUNS = 20
"""How many of the last ended runs tell how fast a sweep goes."""

STORY_LENGTH = 1000
MOST_DIGITS = 1000

AnyView = TypeVar("AnyView", bound=View)


def of(model: type[AnyView], record: object) -> AnyView:
    """A record as the view that bears its names."""
    return model.model_validate(record)


def shown_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """A spec for everyone who may look: what looks like a secret in its command stays with the agents."""
    return {**spec, "command": redact_words(spec["command"])} if spec.get("command") else spec


def version_view(version: SpecVersion) -> VersionView:
    return of(VersionView, replace(version, spec=shown_spec(version.spec)))


def sweep_view(store: Store, sweep: Sweep, base_url: str) -> SweepView:
    return SweepView(**_short(store, sweep, base_url, store.count_runs(sweep.id)))


def new_sweep(store: Store, sweep: Sweep, base_url: str, notes: tuple[str, ...]) -> NewSweep:
    counts = store.count_runs(sweep.id)
    return NewSweep(**_short(store, sweep, base_url, counts), size=_size(sweep), notes=list(notes))


def sweep_detail(store: Store, sweep: Sweep, base_url: str, now: float) -> SweepDetail:
    counts = store.count_runs(sweep.id)
    running = store.runs(sweep.id, states=[RunState.running], limit=MOST_RUNNING)
    return SweepDetail(
        **_short(store, sweep, base_url, counts),
        config=shown_spec(sweep.spec),
        size=_size(sweep),
        proposing=_proposing(store, sweep),
        front=findings.front(store, sweep) if len(sweep.objectives) > 1 else None,
        progress=_progress(store, sweep, counts, now),
        agents=_agents(store, sweep, running),
        running=[of(RunView, run) for run in running],
        decisions=[of(DecisionView, one) for one in store.decisions(sweep.id, newest=LAST_DECISIONS)],
        saved=of(SavedView, store.saved(sweep.id)),
        dry_run=_dry_run(store, sweep),
        warnings=_warnings(store, sweep, counts),
    )


def sweep_page(store: Store, base_url: str, *, offset: int, limit: int) -> SweepPage:
    """Newest first."""
    sweeps = store.sweeps()
    items = [sweep_view(store, sweep, base_url) for sweep in sweeps[offset : offset + limit]]
    return SweepPage(items=items, total=len(sweeps), offset=offset, limit=limit)


def run_page(
    store: Store,
    sweep: Sweep,
    *,
    states: list[RunState] | None,
    sort: RunSort,
    descending: bool,
    offset: int,
    limit: int,
) -> RunPage:
    counts = store.count_runs(sweep.id)
    runs = store.runs(sweep.id, states=states, sort=sort, descending=descending, offset=offset, limit=limit)
    total = sum(count for state, count in counts.items() if states is None or state in states)
    return RunPage(items=[of(RunView, run) for run in runs], total=total, offset=offset, limit=limit)


def prior_run_page(store: Store, sweep: Sweep, *, offset: int, limit: int) -> PriorRunPage:
    runs = store.prior_runs(sweep.id, offset=offset, limit=limit)
    items = [of(PriorRunView, run) for run in runs]
    return PriorRunPage(items=items, total=store.count_prior_runs(sweep.id), offset=offset, limit=limit)


def run_detail(store: Store, run: Run) -> RunDetail:
    return RunDetail(
        **of(RunView, run).model_dump(),
        detail=run.detail,
        attempts=[of(AttemptView, attempt) for attempt in store.attempts(run.key)],
        decisions=[of(DecisionView, decision) for decision in store.decisions(run.sweep_id, run.key)],
        story=[of(EventView, event) for event in store.events(run_key=run.key, limit=STORY_LENGTH)],
    )


def history_page(store: Store, run: Run, *, keys: list[str] | None, after_line: int, limit: int) -> HistoryPage:
    """Up to `limit` rows; with `keys`, of these rows only those values, and rows without any are left out."""
    rows = store.history(run.key, after_line=after_line, limit=limit)
    views = [of(RowView, row) for row in rows]
    if keys is not None:
        chosen = [{key: view.data[key] for key in keys if key in view.data} for view in views]
        views = [view.model_copy(update={"data": data}) for view, data in zip(views, chosen, strict=True) if data]
    return HistoryPage(rows=views, next_after_line=rows[-1].line if len(rows) == limit else None)


def connected_sweep(sweep: Sweep, base_url: str) -> ConnectedSweep:
    return ConnectedSweep(
        id=sweep.id,
        name=sweep.name,
        entity=sweep.entity,
        project=sweep.project,
        url=page_url(sweep, base_url),
        state=sweep.state,
        reason=sweep.reason,
        program=sweep.spec.get("program"),
        command=sweep.spec.get("command"),
        metric=_metric(sweep),
        run_cap=sweep.run_cap,
    )


def page_url(sweep: Sweep, base_url: str) -> str:
    """Where a browser sees the sweep."""
    return f"{base_url.rstrip('/')}/{sweep.entity}/{sweep.project}/sweeps/{sweep.id}"


def _short(store: Store, sweep: Sweep, base_url: str, counts: dict[RunState, int]) -> dict[str, Any]:
    best, point = _best(store, sweep)
    return {
        "id": sweep.id,
        "entity": sweep.entity,
        "project": sweep.project,
        "name": sweep.name,
        "url": page_url(sweep, base_url),
        "state": sweep.state,
        "reason": sweep.reason,
        "method": sweep.spec["method"],
        "metric": _metric(sweep),
        "metrics": _metrics(sweep),
        "run_cap": sweep.run_cap,
        "version": sweep.version,
        "seed": sweep.seed,
        "created_at": sweep.created_at,
        "ended_at": sweep.ended_at,
        "counts": counts,
        "best": of(RunView, best) if best else None,
        "best_point": point,
    }


def _best(store: Store, sweep: Sweep) -> tuple[Run | None, PointView | None]:
    """The best run; with repeats the best point and its first run."""
    repeat, objective = Repeat.of(sweep.spec), sweep.objective
    if repeat is None or objective is None:
        return store.best_run(sweep), None
    point = best_point(store.runs(sweep.id, states=RUN_SCORED), repeat, objective)
    if point is None:
        return None, None
    view = PointView(
        params=point.params,
        value=point.value(objective),
        objective=repeat.objective,
        spread=point.spread,
        runs=[run.number for run in point.runs],
    )
    return point.runs[0], view


def _metric(sweep: Sweep) -> MetricView | None:
    metric = sweep.spec.get("metric")
    return MetricView(**{key: metric.get(key) for key in MetricView.model_fields}) if metric else None


def _proposing(store: Store, sweep: Sweep) -> Proposing | None:
    last = store.runs(sweep.id, descending=True, limit=RATE_RUNS)
    told = [run.detail for run in last if "cost_ms" in run.detail]
    if not told:
        return None
    cost_ms = median(float(detail["cost_ms"]) for detail in told)
    return Proposing(runs=len(told), cost_ms=cost_ms, unseen=max(int(detail.get("unseen", 0)) for detail in told))


def _metrics(sweep: Sweep) -> list[MetricView]:
    return [MetricView(name=metric["name"], goal=metric["goal"]) for metric in sweep.spec.get("metrics", ())]


def _size(sweep: Sweep) -> int | None:
    """How many points there are to try. None also for a number so long that JSON's readers would refuse it."""
    return _size_of(dumps(sweep.spec))


@lru_cache(maxsize=1000)
def _size_of(spec: str) -> int | None:
    size = points_of(json.loads(spec))
    return size if size is not None and size < 10**MOST_DIGITS else None


def _progress(store: Store, sweep: Sweep, counts: dict[RunState, int], now: float) -> Progress:
    created, ended = sum(counts.values()), sum(counts[state] for state in RUN_ENDED)
    size, repeat = _size(sweep), Repeat.of(sweep.spec)
    limits = [sweep.run_cap, size * repeat.times if size is not None and repeat else size]
    total = min((limit for limit in limits if limit is not None), default=None)
    expected = {SweepState.running: total, SweepState.finishing: created}.get(sweep.state)
    return Progress(
        created=created,
        ended=ended,
        total=total,
        fraction=min(ended / total, 1.0) if total else None,
        eta_s=None if expected is None else _eta_s(store, sweep, expected - ended, now),
    )


def _eta_s(store: Store, sweep: Sweep, missing: int, now: float) -> float | None:
    """Seconds until `missing` more runs have ended, at the rate of the last ones; None with fewer than two."""
    last = store.runs(sweep.id, states=RUN_ENDED, sort="ended_at", descending=True, limit=RATE_RUNS)
    if len(last) < 2 or last[-1].ended_at is None:
        return None
    return max(0.0, missing * (now - last[-1].ended_at) / (len(last) - 1))


def _dry_run(store: Store, sweep: Sweep) -> HindsightView | None:
    if not is_dry(sweep.spec.get("early_terminate")):
        return None
    back = look_back(Ledger.read(store, sweep))
    return of(HindsightView, back) if back else None


def _warnings(store: Store, sweep: Sweep, counts: dict[RunState, int]) -> list[str]:
    if not counts[RunState.finished]:
        return []
    longest = store.runs(sweep.id, sort="steps", descending=True, limit=1)[0]
    if longest.steps:
        return troubles(sweep.spec, longest)
    return troubles(sweep.spec, store.runs(sweep.id, states=[RunState.finished], sort="ended_at", limit=1)[0])


def agents(store: Store, sweep: Sweep) -> list[AgentView]:
    """A sweep's agents with what they execute now."""
    return _agents(store, sweep, store.runs(sweep.id, states=[RunState.running]))


def _agents(store: Store, sweep: Sweep, running: list[Run]) -> list[AgentView]:
    number = {run.key: run.number for run in running}
    busy = defaultdict[str, list[int]](list)
    for attempt in store.open_attempts(sweep.id):
        if attempt.run_key in number:
            busy[attempt.agent_id].append(number[attempt.run_key])
    agents = store.agents(sweep.id)
    return [of(AgentView, agent).model_copy(update={"runs": busy[agent.id]}) for agent in agents]
