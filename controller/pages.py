"""Pages for people with a browser: all sweeps, and one sweep with its runs. No scripts, nothing from elsewhere.

Every text goes through `tag`, which escapes it: nobody's name or log becomes part of a page.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Annotated, Literal, TypeAlias
from urllib.parse import quote, urlencode

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from sweepyard.controller import views
from sweepyard.controller.routes import ThatSweep, WithParts
from sweepyard.errors import NotFound
from sweepyard.plain import printable
from sweepyard.tracking.records import SWEEP_ENDED, RunState, Sweep
from sweepyard.views import RunView, SweepDetail, SweepView
from sweepyard.wording import constants, duration, many, number, short

ROWS = 100
RENEW_S = 15
"""How often a browser fetches the page of a sweep that goes on."""
LONGEST = 300
"""Of a text in a cell."""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #808080; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0.5rem 0; }
h2 { font-size: 1.1rem; margin: 1.5rem 0 0.5rem; }
nav, .dim { color: var(--dim); }
nav a { margin-right: 1rem; }
progress { width: 20rem; max-width: 100%; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 1rem 0.25rem 0; }
th, td { border-bottom: 1px solid var(--line); }
th { color: var(--dim); font-weight: normal; white-space: nowrap; }
td, dd { overflow-wrap: break-word; font-variant-numeric: tabular-nums; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1.5rem; }
dt { color: var(--dim); }
dd { margin: 0; }
"""
STYLE_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_DIGEST}'; img-src data:; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'none'"
    )
}

Page: TypeAlias = Annotated[int, Query(ge=1, le=10**9, description="Counts from 1.")]


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, *inside: str, **attributes: str) -> Html:
    """An element. What is inside and not `Html` is text, and so is every attribute."""
    shown = "".join(f' {key.rstrip("_").replace("_", "-")}="{_text(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{shown}>{''.join(map(_text, inside))}</{name}>")


def _text(value: str) -> str:
    return value if isinstance(value, Html) else escape(printable(value, keep="\n"))


def sweeps_page(parts: WithParts, request: Request, page: Page = 1) -> HTMLResponse:
    """All sweeps, newest first."""
    found = views.sweep_page(parts.store, str(request.base_url), offset=(page - 1) * ROWS, limit=ROWS)
    body = [
        tag("h1", "Sweeps"),
        _table(("sweep", "name", "project", "state", "runs", "best", "created"), map(_sweep_row, found.items)),
        _paging("sweeps", page, len(found.items), found.total, {}),
        _links(("JSON", "/api/v1/sweeps")),
    ]
    return _page("sweepyard", body)


def sweep_page(
    entity: str,
    project: str,
    sweep: ThatSweep,
    parts: WithParts,
    request: Request,
    page: Page = 1,
    sort: Literal["number", "objective"] = "number",
) -> HTMLResponse:
    """One sweep: its state, progress and best run, and its runs."""
    if (sweep.entity, sweep.project) != (entity, project):
        raise NotFound(f"Sweep {sweep.id} belongs to {sweep.entity}/{sweep.project}.")
    detail = views.sweep_detail(parts.store, sweep, str(request.base_url), parts.clock.wall())
    descending = sort == "objective" and detail.metric is not None and detail.metric.goal == "maximize"
    runs = views.run_page(
        parts.store, sweep, states=None, sort=sort, descending=descending, offset=(page - 1) * ROWS, limit=ROWS
    )
    api = f"/api/v1/sweeps/{sweep.id}"
    body = [
        _links(("all sweeps", "/"), ("JSON", api), ("runs as JSON", f"{api}/runs")),
        tag("h1", sweep.name or "sweep", " ", tag("span", sweep.id, class_="dim")),
        *_summary(detail),
        tag("h2", "Runs"),
        _links(("by number", "?sort=number"), ("best first", "?sort=objective")),
        _runs_table(detail, runs.items),
        _paging("runs", page, len(runs.items), runs.total, {"sort": sort}),
    ]
    return _page(sweep.name or sweep.id, body, renew=not _is_over(sweep))


def _is_over(sweep: Sweep) -> bool:
    return sweep.state in SWEEP_ENDED


def _page(title: str, body: list[Html], *, renew: bool = False) -> HTMLResponse:
    head = [
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<link rel="icon" href="data:,">'),
        Html(f'<meta http-equiv="refresh" content="{RENEW_S}">' if renew else ""),
        tag("title", title),
        tag("style", Html(STYLE)),
    ]
    document = tag("html", tag("head", *head), tag("body", *body), lang="en")
    return HTMLResponse(f"<!doctype html>{document}", headers=HEADERS)


def _summary(sweep: SweepDetail) -> Iterator[Html]:
    now = sweep.progress
    yield tag("p", tag("strong", sweep.state), f": {sweep.reason}" if sweep.reason else "")
    if now.total:
        yield tag("progress", max=str(now.total), value=str(min(now.ended, now.total)))
    left = "" if now.eta_s is None else f", about {duration(now.eta_s)} left"
    of = "" if now.total is None else f" of {now.total}"
    yield tag("p", f"{now.ended}{of} runs ended{left}: {_counts(sweep) or 'none yet'}")
    for words in sweep.warnings:
        yield tag("p", tag("strong", "warning: "), words)
    facts: dict[str, str] = {"method": sweep.method, "metric": _goal(sweep), "best": _best(sweep)}
    if sweep.saved.steps:
        facts["saved by early stopping"] = f"{many(sweep.saved.steps, 'step')} ({sweep.saved.share:.0%})"
    facts["agents"] = str(sum(agent.state == "active" for agent in sweep.agents))
    facts["created"] = _time(sweep.created_at)
    pairs = [element for name, value in facts.items() for element in (tag("dt", name), tag("dd", value))]
    yield tag("dl", *pairs)


def _runs_table(sweep: SweepDetail, runs: list[RunView]) -> Html:
    metrics = [metric.name for metric in sweep.metrics]
    measures = metrics or [sweep.metric.name if sweep.metric else "value", "steps"]
    fixed = constants(sweep.config)

    def row(run: RunView) -> list[str]:
        place = f"/api/v1/sweeps/{sweep.id}/runs/{run.number}"
        values = [number(run.summary.get(name)) for name in metrics] or [number(run.objective), str(run.steps)]
        why = run.state_reason or run.reason
        return [_link(str(run.number), place), run.state, *values, short(run.params, fixed), why]

    return _table(("run", "state", *measures, "parameters", "why"), map(row, runs))


def _sweep_row(sweep: SweepView) -> list[str]:
    page = "/".join(quote(part, safe="") for part in (sweep.entity, sweep.project, "sweeps", sweep.id))
    total, created = sum(sweep.counts.values()), _time(sweep.created_at)
    runs = f"{total} of {sweep.run_cap}" if sweep.run_cap else str(total)
    return [_link(sweep.id, f"/{page}"), sweep.name, sweep.project, sweep.state, runs, _best(sweep), created]


def _table(columns: tuple[str, ...], rows: Iterator[list[str]]) -> Html:
    head = tag("tr", *(tag("th", name) for name in columns))
    body = [
        tag("tr", *(tag("td", cell if isinstance(cell, Html) else _cut(cell)) for cell in row)) for row in rows
    ]
    return tag("div", tag("table", head, *body), class_="scroll")


def _cut(text: str) -> str:
    return text if isinstance(text, Html) or len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _paging(what: str, page: int, here: int, total: int, query: Mapping[str, str]) -> Html:
    first = (page - 1) * ROWS + 1
    told = f"{what} {first} to {first + here - 1} of {total}" if here else f"no {what} here, {total} in all"
    near = [(name, n) for name, n in (("previous", page - 1), ("next", page + 1)) if 0 < n <= -(-total // ROWS)]
    links = [_link(name, f"?{urlencode({**query, 'page': str(n)})}") for name, n in near]
    return tag("nav", f"{told} ", *links)


def _links(*links: tuple[str, str]) -> Html:
    return tag("nav", *(_link(text, place) for text, place in links))


def _link(text: str, place: str) -> Html:
    return tag("a", text, href=place)


def _counts(sweep: SweepView) -> str:
    return ", ".join(f"{sweep.counts[state]} {state}" for state in RunState if sweep.counts.get(state))


def _goal(sweep: SweepView) -> str:
    metrics = [sweep.metric] if sweep.metric else sweep.metrics
    return ", ".join(f"{metric.goal} {metric.name}" for metric in metrics) or "none"


def _best(sweep: SweepView) -> str:
    if sweep.best is None or sweep.metric is None:
        return "-"
    value = sweep.best_point.value if sweep.best_point else sweep.best.objective
    return f"{sweep.metric.name} {number(value)}, run {sweep.best.number} ({short(sweep.best.params)})"


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
