"""What the terminal shows: views in, rich renderables or plain lines out. Nothing here asks or waits.

Every state is a word; colours (blue, yellow, magenta: told apart by everyone) only repeat it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweepyard.tables import STYLES, add, agents_table, cut, plain, reading_of, runs_table, state_text
from sweepyard.tracking.records import SWEEP_ENDED, Outcome, RunState, SweepState
from sweepyard.views import (
    EventView,
    Front,
    MetricView,
    PointView,
    RunDetail,
    RunView,
    SweepDetail,
    SweepView,
)
from sweepyard.wording import clock, constants, duration, flat, many, number, one_line, short

TOLD = {
    "run.started": "started",
    "run.finished": "finished",
    "run.stopped": "stopped early",
    "run.failed": "failed",
    "run.crashed": "crashed",
    "run.killed": "killed",
    "run.retried": "goes back to the queue",
    "run.spared": "is spared",
    "run.paused": "pauses",
    "run.promoted": "goes on",
    "sweep.running": "the sweep runs",
    "sweep.edited": "the sweep is edited",
    "sweep.paused": "the sweep is paused",
    "sweep.finishing": "the sweep takes no new runs",
    "sweep.finished": "the sweep is finished",
    "sweep.cancelled": "the sweep is cancelled",
    "sweep.metric_missing": "warning",
}
"""Events that are worth a line, and how they are told. The rest is in the story of each run."""

ACTIONS = {
    "stop": "stop",
    "continue": "go on",
    "pause": "pause",
    "promote": "promote",
    "would_stop": "would stop",
}
LINES_SHOWN = 6


def live(sweep: SweepDetail, story: Sequence[Text]) -> RenderableType:
    """One screen about a sweep: progress, best run, agents, and the last of its story with the reasons."""
    parts: list[RenderableType] = [*_summary(sweep)]
    if sweep.state not in SWEEP_ENDED:
        parts += [Text(), agents_table(sweep)]
    if story:
        parts += [Text(), *story[-LINES_SHOWN:]]
    return Group(*parts)


def status(sweep: SweepDetail) -> RenderableType:
    """A sweep as it is now, with what early termination saved, and its last decisions."""
    parts: list[RenderableType] = [*_summary(sweep)]
    parts += [Text(line) for line in (saved_line(sweep), dry_run_line(sweep), proposing_line(sweep)) if line]
    if any(agent.state == "active" for agent in sweep.agents):
        parts += [Text(), agents_table(sweep)]
    if sweep.decisions:
        parts += [Text(), Text("last decisions", style="dim")]
        parts += [
            plain(f"  run {one.run_number}: {ACTIONS[one.action]}, {one.reason}")
            for one in sweep.decisions[-LINES_SHOWN:]
        ]
    return Group(*parts)


def result(sweep: SweepDetail, top: Sequence[RunView]) -> RenderableType:
    """What came out of a sweep: the best configuration, its rivals, and what early stopping saved."""
    parts: list[RenderableType] = [Text(), header(sweep), Text(counts(sweep)), *warnings(sweep)]
    if sweep.best and sweep.metric:
        parts += [Text(), best(sweep.best, sweep.metric, sweep.best_point)]
    if sweep.front:
        parts += [Text(), front(sweep, sweep.front)]
    if len(top) > 1:
        parts += [Text(), Text(f"top {len(top)} runs", style="bold"), runs_table(top, sweep, why=False)]
    parts += [Text(line) for line in (saved_line(sweep), dry_run_line(sweep)) if line]
    failed = sweep.counts.get(RunState.failed, 0) + sweep.counts.get(RunState.crashed, 0)
    if failed:
        parts.append(plain(f"{many(failed, 'run')} failed: sweepyard runs {sweep.id} --state failed"))
    return Group(*parts)


def header(sweep: SweepView) -> Text:
    """`digits  k3j9x2ab  running  bayes, maximize val_accuracy`."""
    metrics = [sweep.metric] if sweep.metric else sweep.metrics
    goal = "".join(f", {metric.goal} {metric.name}" for metric in metrics)
    line = Text.assemble(
        (one_line(sweep.name) or "sweep", "bold"), "  ", one_line(sweep.id), "  ", state_text(sweep.state), "  "
    )
    line.append(one_line(f"{sweep.method}{goal}"))
    if sweep.version > 1:
        line.append(f", version {sweep.version}")
    if sweep.reason and sweep.state is not SweepState.running:
        line.append(f" ({one_line(sweep.reason)})", style="dim")
    return line


def progress(sweep: SweepDetail) -> RenderableType:
    """A bar towards the number of runs that there will be; only the count where nothing bounds it."""
    now = sweep.progress
    grid = Table.grid(padding=(0, 1))
    if now.total is None:
        grid.add_row(f"{many(now.ended, 'run')} ended, no run_cap")
        return grid
    bar = ProgressBar(
        total=max(now.total, 1), completed=now.ended, width=40, complete_style="blue", finished_style="bold blue"
    )
    left = "" if now.eta_s is None or now.ended >= now.total else f", about {duration(now.eta_s)} left"
    grid.add_row(bar, cut(f"{now.ended} of {many(now.total, 'run')}{left}"))
    return grid


def counts(sweep: SweepView) -> str:
    """`12 finished, 4 stopped, 2 running`; states without a run are left out."""
    present = [f"{sweep.counts[state]} {state}" for state in RunState if sweep.counts.get(state)]
    return ", ".join(present) or "no runs yet"


def best(run: RunView, metric: MetricView, point: PointView | None = None) -> RenderableType:
    """The best run, or the best point with its first run, and all parameters, one per line."""
    grid = Table.grid(padding=(0, 2))
    for name, value in flat(point.params if point else run.params):
        add(grid, f"  {name}", number(value))
    title = Text.assemble(
        "best ", (one_line(f"{metric.name} {reading_of(run, point)}"), "bold"), f"  {_whose(run, point)}"
    )
    if point is None:
        title.append(f" ({run.state} after {many(run.steps, 'step')})", style="dim")
    return Group(title, grid)


def front(sweep: SweepDetail, found: Front) -> RenderableType:
    """The runs that no other one beats in all of several metrics."""
    if not found.runs:
        return Text("No run has a value of every metric yet.")
    title = Text(f"Pareto front: {len(found.runs)} of {many(found.of, 'run')}", style="bold")
    return Group(title, runs_table(found.runs, sweep, why=False))


def _whose(run: RunView, point: PointView | None) -> str:
    if point is None:
        return f"run {run.number}"
    runs = ", ".join(map(str, point.runs))
    return f"{point.objective} of runs {runs}" if len(point.runs) > 1 else f"run {runs}"


def warnings(sweep: SweepDetail) -> Iterator[Text]:
    """What is probably not as it was meant: never cut, since the end says what to do."""
    for words in sweep.warnings:
        yield Text(f"warning: {one_line(words)}", style="magenta")


def run_page(run: RunDetail, sweep: SweepDetail) -> RenderableType:
    """One run with its story: why it was proposed, how it was judged, and how its attempts ended."""
    title = Text.assemble((f"run {run.number}", "bold"), "  ", one_line(run.id), "  ", state_text(run.state), "  ")
    if "run_name" in sweep.config:
        title.append(f"{one_line(run.name)}  ")
    title.append(one_line(run.state_reason), style="dim")
    grid = Table.grid(padding=(0, 2))
    for name, value in flat(run.params):
        add(grid, f"  {name}", number(value))
    reached = (
        f"{sweep.metric.name} {number(run.objective)} after {many(run.steps, 'step')}"
        if sweep.metric
        else ", ".join(f"{metric.name} {number(run.summary.get(metric.name))}" for metric in sweep.metrics)
    )
    parts: list[RenderableType] = [title, plain(f"proposed: {run.reason}")]
    if run.outside:
        parts.append(Text("outside: it is no point of the sweep's space as that is now"))
    if run.detail:
        parts.append(plain(f"  {short(run.detail)}", style="dim"))
    parts += [grid, plain(reached, style="bold")]
    for event in run.story:
        parts.append(plain(f"  {clock(event.at)}  {event.kind.partition('.')[2]}: {event.text}"))
    for one in run.decisions:
        parts.append(plain(f"  judged at rung {one.rung:g}: {one.action}, {one.reason}"))
    for attempt in run.attempts:
        if attempt.tail and attempt.outcome != Outcome.finished:
            parts += [
                Text(),
                Text(f"last lines of attempt {attempt.n}", style="dim"),
                plain(attempt.tail.rstrip()),
            ]
    return Group(*parts)


def story_line(event: EventView, run: RunView | None = None, fixed: Container[str] = ()) -> Text:
    """One of the `TOLD` events as a line; with its run, also how far that got, or what it tries and why.

    `fixed`: names of parameters that are not worth saying.
    """
    what, why = TOLD[event.kind], event.text
    if event.run_number is not None and event.kind.startswith("run."):
        what = f"run {event.run_number} {what}"
    if event.kind == "run.started":
        why = f"{run.reason} ({short(run.params, fixed)})" if run else ""
    elif run is not None and event.kind != "run.retried":
        what += _reached(run)
    style = STYLES.get(event.kind.partition(".")[2], "")
    return Text(one_line(f"{what}: {why}" if why else what), style=style, overflow="ellipsis", no_wrap=True)


def best_line(sweep: SweepDetail) -> str | None:
    """`best so far: val_accuracy 0.9767, run 12 (...)`; of several metrics how many are on the front; or None."""
    if sweep.front is not None:
        size = f"{len(sweep.front.runs)} of {many(sweep.front.of, 'run')}"
        return f"Pareto front: {size} (sweepyard best {sweep.id})"
    reached = best_reached(sweep)
    if sweep.best is None or reached is None:
        return None
    params = sweep.best_point.params if sweep.best_point else sweep.best.params
    return one_line(f"{reached} ({short(params, constants(sweep.config))})")


def best_reached(sweep: SweepDetail) -> str | None:
    """`best so far: val_accuracy 0.9767, run 12`; None without one."""
    if sweep.best is None or sweep.metric is None:
        return None
    reading, whose = reading_of(sweep.best, sweep.best_point), _whose(sweep.best, sweep.best_point)
    return one_line(f"best so far: {sweep.metric.name} {reading}, {whose}")


def saved_line(sweep: SweepDetail) -> str | None:
    """`4 runs stopped early, which saved 41 steps (25 %) and about 3 min`; None before the first."""
    stopped = sweep.counts.get(RunState.stopped, 0)
    if not stopped:
        return None
    saved = (
        f"{many(sweep.saved.steps, 'step')} ({sweep.saved.share:.0%}) and about {duration(sweep.saved.seconds)}"
    )
    return f"{many(stopped, 'run')} stopped early, which saved {saved}."


def dry_run_line(sweep: SweepDetail) -> str | None:
    """What a dry run of early termination would have done, and whether it was right; None if it is none."""
    back = sweep.dry_run
    if back is None:
        return None
    if not back.would_stop:
        return "dry run: no run would have been stopped so far."
    story = f"dry run: {many(len(back.would_stop), 'run')} would have been stopped"
    story += f", which would have saved {many(back.saved_steps, 'step')} ({back.share:.0%})"
    if not back.wrong:
        return f"{story}; right of all {back.ended} that have ended since."
    which = ", ".join(map(str, back.wrong))
    best = f"best {number(back.best_with_stopping)} instead of {number(back.best)}"
    return f"{story}; wrong of {many(len(back.wrong), 'run')} ({which}): {best}."


def proposing_line(sweep: SweepDetail) -> str | None:
    """`suggestions take 12 ms, and know all results but the last one`; None where they are made at once."""
    if sweep.proposing is None:
        return None
    missed = {0: "all results", 1: "all results but the last one"}
    known = missed.get(sweep.proposing.unseen, f"all results but the last {sweep.proposing.unseen} at most")
    return f"suggestions take {round(sweep.proposing.cost_ms)} ms, and know {known}"


def _summary(sweep: SweepDetail) -> Iterable[RenderableType]:
    title = header(sweep)
    title.no_wrap, title.overflow = True, "ellipsis"
    yield title
    yield progress(sweep)
    yield Text(counts(sweep))
    line = best_line(sweep)
    if line:
        yield Text(line, style="bold", overflow="ellipsis", no_wrap=True)
    yield from warnings(sweep)


def _reached(run: RunView | None) -> str:
    if run is None or run.objective is None:
        return ""
    return f" at {number(run.objective)} after {many(run.steps, 'step')}"
