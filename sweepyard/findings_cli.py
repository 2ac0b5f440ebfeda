"""The `sweepyard best` and `sweepyard importance` commands: what a sweep has found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweepyard.echo import echo_json
from sweepyard.errors import UserError
from sweepyard.local import open_client

SweepId = Annotated[str, typer.Argument(metavar="ID", help="ID, project/ID or entity/project/ID of a sweep.")]
Dir = Annotated[Path | None, typer.Option(help="Directory of the local service. [default: .sweepyard]")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def best(sweep_id: SweepId, as_json: AsJson = False, dir: Dir = None) -> None:
    """Show the best run and the one to use, which may be another where the metric is noisy; of several metrics
    the Pareto front."""
    from sweepyard import findings, tables, terminal
    from sweepyard.watch import find_sweep, make_console

    console = make_console()
    with open_client(dir) as client:
        found = find_sweep(client, sweep_id)
        if found.front is not None:
            if as_json:
                echo_json(found.front)
            else:
                console.print(terminal.front(found, found.front))
            return
        if found.metric is None:
            raise UserError(f"Sweep {found.id} has no metric, so none of its runs is the best.")
        choice = client.recommendation(found.id)
    if as_json:
        echo_json(found.best_point or choice)
    elif found.best is None:
        console.print(tables.plain(f"No run of sweep {found.id} has a value of {found.metric.name} yet."))
    else:
        console.print(terminal.best(found.best, found.metric, found.best_point))
        if found.best_point is None:
            console.print(findings.recommended(choice, found.metric))


def importance(
    sweep_id: SweepId,
    metric: Annotated[str | None, typer.Option(help="Of several metrics this one. [default: the first]")] = None,
    as_json: AsJson = False,
    dir: Dir = None,
) -> None:
    """Show which parameters matter for the metric, and how sure that is."""
    from sweepyard import findings
    from sweepyard.watch import find_sweep, make_console

    with open_client(dir) as client:
        found = client.importance(find_sweep(client, sweep_id).id, metric)
    if as_json:
        echo_json(found)
    else:
        make_console().print(findings.importance(found))
