"""The `sweepyard explain` command, and how an explanation looks in a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweepyard.echo import echo_json
from sweepyard.local import open_client

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sweepyard.views import Explanation, RungView

DONE = {
    "stop": "stopped",
    "continue": "went on",
    "pause": "paused",
    "promote": "promoted",
    "would_stop": "would be stopped",
}


def explain(
    ref: Annotated[str, typer.Argument(metavar="SWEEP", help="A sweep's ID, as elsewhere; or a run's id alone.")],
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="Number or id of a run.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    dir: Annotated[Path | None, typer.Option(help="Directory of the local service. [default: .sweepyard]")] = None,
) -> None:
    """Say why a run was stopped early, or why not: rungs, values, thresholds, peers, decisions and reasons."""
    from sweepyard.watch import find_sweep, make_console

    with open_client(dir) as client:
        sweep_id = find_sweep(client, ref).id if run else None
        found = client.explain(run.lstrip("#") if run else ref, sweep_id)
    if as_json:
        echo_json(found)
    else:
        make_console().print(explanation(found))


def explanation(found: Explanation) -> RenderableType:
    """The answer first, then what it rests on."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from sweepyard.tables import plain, state_text
    from sweepyard.wording import number, one_line

    run = found.run
    title = Text.assemble((f"run {run.number}", "bold"), "  ", one_line(run.id), "  ", state_text(run.state), "  ")
    title.append(one_line(f"sweep {found.sweep_id}"), style="dim")
    parts: list[RenderableType] = [title, Text(one_line(found.answer))]
    parts.append(Text(f"Proposed: {one_line(run.reason)}."))
    if found.lineage:
        parts.append(Text(f"It goes on from run {', which goes on from run '.join(map(str, found.lineage))}."))
    if found.hindsight:
        parts.append(Text(one_line(found.hindsight)))
    if found.metric:
        parts.append(plain(f"{found.metric} by {found.resource}; it has come to {found.position:g}", style="dim"))
    if found.rungs:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for name in ("rung", "rule", "value", "threshold", "peers", "decision", "why"):
            table.add_column(name, no_wrap=name != "why")
        for rung in found.rungs:
            cells = [f"{rung.at:g}", rung.rule, number(rung.value), number(rung.threshold), str(rung.peers)]
            table.add_row(*(plain(cell) for cell in (*cells, _decision(rung), one_line(rung.reason) or "-")))
        parts += [Text(), table]
    for each in found.outlook:
        parts.append(plain(f"{each.rule}: {one_line(each.text)}", style="dim"))
    return Group(*parts)


def _decision(rung: RungView) -> str:
    from sweepyard.wording import clock

    if rung.action is None or rung.decided_at is None:
        return "none" if rung.value is not None else "not reached"
    return f"{DONE[rung.action]} {clock(rung.decided_at)}"
