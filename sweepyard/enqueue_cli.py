"""The `sweepyard enqueue` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sweepyard.echo import echo
from sweepyard.errors import UserError
from sweepyard.local import open_client


def enqueue(
    sweep_id: Annotated[str, typer.Argument(metavar="ID", help="ID, project/ID or entity/project/ID of a sweep.")],
    wishes: Annotated[
        list[str], typer.Option("--set", metavar="NAME=VALUE", help="A parameter's value, as in YAML; repeat it.")
    ],
    outside: Annotated[bool, typer.Option("--outside", help="Also if it is no point of the space.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    dir: Annotated[Path | None, typer.Option(help="Directory of the local service. [default: .sweepyard]")] = None,
) -> None:
    """Let a sweep try a point of your choice: the next free agent takes it. It counts against run_cap."""
    from sweepyard.watch import find_sweep
    from sweepyard.wording import short

    params = dict(map(wish, wishes))
    with open_client(dir) as client:
        run = client.enqueue(find_sweep(client, sweep_id).id, params, outside=outside)
    echo(run.model_dump_json(indent=2) if as_json else f"Run {run.number} is {run.state}: {short(run.params)}")


def wish(text: str) -> tuple[str, Any]:
    """`NAME=VALUE`, the value as YAML means it.

    Raises:
        UserError: it is not of that form.
    """
    from sweepyard.controller.yamlfile import load

    name, sign, value = text.partition("=")
    if not (name and sign):
        raise UserError(f"--set {text}: write it as NAME=VALUE, such as --set lr=0.01")
    return name, load(value, name=f"--set {text}").value
