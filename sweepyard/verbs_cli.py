"""The commands `sweepyard edit`, `stop` and `retry`: what a person wants of a sweep that lives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweepyard.echo import echo
from sweepyard.local import open_client

SweepId = Annotated[str, typer.Argument(metavar="ID", help="ID, project/ID or entity/project/ID of a sweep.")]
Dir = Annotated[Path | None, typer.Option(help="Directory of the local service. [default: .sweepyard]")]


def edit(
    sweep_id: SweepId,
    wishes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Such as run_cap=80, parameters.lr.max=0.3; repeat it."),
    ] = None,
    file: Annotated[Path | None, typer.Option(metavar="SWEEP.yaml", help="A whole new sweep file.")] = None,
    dir: Dir = None,
) -> None:
    """Change limits, early termination, bounds and values of a sweep; without options list what was changed.

    A value is as in YAML, and null takes a key away. Method, metric and names of parameters can not change.
    """
    from sweepyard.controller.yamlfile import read_text
    from sweepyard.enqueue_cli import wish
    from sweepyard.watch import find_sweep
    from sweepyard.wording import clock

    with open_client(dir) as client:
        found = find_sweep(client, sweep_id)
        if not wishes and file is None:
            for version in client.versions(found.id):
                echo(f"version {version.version}, {clock(version.at)}: {version.text}")
            return
        source = None if file is None else read_text(file)
        named = "edit" if file is None or wishes else str(file)
        made = client.edit(found.id, dict(map(wish, wishes or ())), source=source, source_name=named)
    echo(f"Sweep {found.id} is at version {made.version}: {made.text}")


def stop(
    sweep_id: SweepId,
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Numbers or IDs of runs.")],
    dir: Dir = None,
) -> None:
    """End single runs early; the sweep goes on. (The whole sweep: sweepyard sweep --stop ID)"""
    from sweepyard.watch import find_sweep

    with open_client(dir) as client:
        found = find_sweep(client, sweep_id)
        for ref in runs:
            run = client.stop_run(found.id, ref.lstrip("#"))
            state = "told to stop" if run.state == "running" else f"{run.state}: {run.state_reason}"
            echo(f"Run {run.number} is {state}")


def retry(
    sweep_id: SweepId,
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Numbers or IDs of runs.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All failed runs.")] = False,
    crashed: Annotated[bool, typer.Option("--crashed", help="All crashed runs: their agents were lost.")] = False,
    killed: Annotated[bool, typer.Option("--killed", help="All killed runs.")] = False,
    dir: Dir = None,
) -> None:
    """Try ended runs again, with the same parameters: those named, else all that failed or crashed."""
    from sweepyard.errors import UserError
    from sweepyard.watch import find_sweep

    wishes = {"failed": failed, "crashed": crashed, "killed": killed}
    states = [state for state, wished in wishes.items() if wished]
    if runs and states:
        raise UserError("Give either runs, or states such as --failed, not both.")
    states = states or ["failed", "crashed"]
    with open_client(dir) as client:
        found = find_sweep(client, sweep_id)
        again = client.retry(found.id, [ref.lstrip("#") for ref in runs or ()], states=states)
        state = client.sweep(found.id).state
    if not again:
        echo(f"No run of sweep {found.id} is {' or '.join(states)}: there is nothing to try again.")
        return
    for run in again:
        echo(f"Run {run.number} is {run.state}, attempt {run.attempt}: {run.state_reason}")
    echo(f"Sweep {found.id} is {state}. Agents: sweepyard agent {found.id}")
