"""The `sweepyard lint` command."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sweepyard.echo import echo
from sweepyard.errors import SpecError


def lint(
    file: Annotated[Path, typer.Argument(metavar="SWEEP.yaml", help="The sweep file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    sample: Annotated[int, typer.Option(min=0, max=1000, help="How many points to show.")] = 5,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the points. [default: the file's, or 0]")
    ] = None,
    lenient: Annotated[bool, typer.Option("--lenient", help="Make unknown keys notes.")] = False,
) -> None:
    """Check a sweep file and show what it means: its space, what to know about it, and some points.

    Needs no service. With exit code 2 the file cannot run, and all that is wrong with it is shown.
    """
    from sweepyard.controller.spec import explain, read_spec
    from sweepyard.controller.yamlfile import read_text
    from sweepyard.lint import Outline

    text = read_text(file)
    try:
        found = Outline.of(read_spec(text, name=str(file), lenient=lenient), samples=sample, seed=seed)
    except SpecError as error:
        if as_json:
            typer.echo(json.dumps({"ok": False, "problems": [asdict(each) for each in error.problems]}, indent=2))
        else:
            echo(explain(error, text), err=True)
        raise typer.Exit(error.exit_code) from None
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        echo(f"{file}: {found.as_text()}")
