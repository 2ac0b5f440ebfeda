"""What the terminal shows in rows: sweeps, runs and agents; and the small parts that pictures are made of.

Every state is a word; colours (blue, yellow, magenta: told apart by everyone) only repeat it.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sweepyard.plain import printable
from sweepyard.views import AgentView, PointView, RunView, SweepDetail, SweepView
from sweepyard.wording import ago, constants, number, one_line, short

STYLES = {
    "running": "blue",
    "finished": "bold blue",
    "finishing": "blue",
    "stopped": "yellow",
    "paused": "yellow",
    "preempted": "yellow",
    "failed": "magenta",
    "crashed": "magenta",
    "killed": "magenta",
    "cancelled": "magenta",
    "lost": "magenta",
}
"""How a state's word is coloured; other states are not."""

LOST_AGENTS_SHOWN = 2
LONG_COLUMNS = ("parameters", "why")
"""What is cut where a line is too short."""


def sweeps_table(sweeps: Sequence[SweepView]) -> Table:
    """Sweeps in the given order."""
    table = table_of("sweep", "name", "project", "state", "runs", "best")
    for sweep in sweeps:
        found = (
            f"{sweep.metric.name} {reading_of(sweep.best, sweep.best_point)}"
            if sweep.best and sweep.metric
            else "-"
        )
        total = sum(sweep.counts.values())
        cap = f" of {sweep.run_cap}" if sweep.run_cap else ""
        add(table, sweep.id, sweep.name, sweep.project, state_text(sweep.state), f"{total}{cap}", found)
    return table


def runs_table(runs: Sequence[RunView], sweep: SweepDetail, *, why: bool = True) -> Table:
    """Runs in the given order; with `why`, each with its reason: why it ended, or why it was proposed."""
    metrics, fixed = [metric.name for metric in sweep.metrics], constants(sweep.config)
    named = "run_name" in sweep.config
    measures = metrics or [sweep.metric.name if sweep.metric else "", "steps"]
    table = table_of(
        "run", *(["name"] if named else []), "state", *measures, "parameters", *(["why"] if why else [])
    )
    for run in runs:
        cells: list[str | Text] = [
            str(run.number),
            *([one_line(run.name)] if named else []),
            state_text(run.state),
        ]
        cells += [number(run.summary.get(name)) for name in metrics] or [number(run.objective), str(run.steps)]
        cells.append(cut(short(run.params, fixed)))
        if why:
            outside = "outside the space; " if run.outside else ""
            cells.append(cut(outside + (run.state_reason or run.reason)))
        add(table, *cells)
    return table


def agents_table(sweep: SweepDetail) -> RenderableType:
    """One line per agent that is there, and the last ones that were lost."""
    metric, fixed = sweep.metric.name if sweep.metric else "", constants(sweep.config)
    runs = {run.number: run for run in sweep.running}
    there = [agent for agent in sweep.agents if agent.state == "active"]
    lost = [agent for agent in sweep.agents if agent.state == "lost"][-LOST_AGENTS_SHOWN:]
    if not there and not lost:
        return plain(f"waiting for agents (sweep-agent {sweep.id} starts one)", style="dim")
    table = table_of("agent", "run", "step", metric or "last value", "parameters")
    for agent in [*there, *lost]:
        for row in _agent_rows(agent, runs, metric, fixed):
            add(table, *row)
    return table


def agents_list(agents: Sequence[AgentView], now: float) -> RenderableType:
    """All agents that a sweep has had, with what is wanted of them and why."""
    table = table_of("agent", "host", "pid", "state", "run", "last seen", "version", "why")
    for agent in agents:
        runs = " ".join(map(str, agent.runs)) or "-"
        seen, why = ago(now - agent.last_seen_at), cut(agent.order_reason)
        add(table, agent.id, agent.host, str(agent.pid), agent_state(agent), runs, seen, agent.version, why)
    return table


def agent_state(agent: AgentView) -> str:
    """Whether an agent is there, or what it is told to do while it is."""
    if agent.state != "active" or agent.order is None:
        return agent.state
    return {"drain": "draining", "stop": "stopping", "quarantine": "quarantined"}[agent.order]


def state_text(state: str) -> Text:
    return Text(one_line(state), style=STYLES.get(state, ""))


def reading_of(run: RunView, point: PointView | None) -> str:
    """`0.9767`, or `0.9767 ± 0.012` of a point with repeats."""
    return f"{number(point.value)} ± {number(point.spread, 2)}" if point else number(run.objective)


def plain(text: str, style: str = "") -> Text:
    """Such a text with its lines as they are."""
    return Text(printable(text, keep="\n\t"), style=style)


def cut(text: str) -> Text:
    """A cell that gives way where the line is too short."""
    return Text(one_line(text), overflow="ellipsis", no_wrap=True)


def _agent_rows(
    agent: AgentView, runs: Mapping[int, RunView], metric: str, fixed: Container[str]
) -> Iterator[list[str | Text]]:
    who = f"{agent.host}/{agent.pid}"
    if agent.state == "lost":
        yield [who, state_text("lost")]
        return
    present = [runs[n] for n in agent.runs if n in runs]
    if not present:
        yield [who, Text(agent_state(agent) if agent.order else "waiting", style="dim")]
    for run in present:
        value = number(run.summary.get(metric)) if metric else "-"
        ordered = Text(f"{run.number} ({run.order})", style="yellow") if run.order else str(run.number)
        yield [who, ordered, str(run.steps), value, cut(short(run.params, fixed))]


def add(table: Table, *cells: str | Text) -> None:
    """A row whose text is taken as it is: rich would read markup in plain strings."""
    table.add_row(*(plain(cell) if isinstance(cell, str) else cell for cell in cells))


def table_of(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(plain(name), no_wrap=name not in LONG_COLUMNS)
    return table
