"""The `sweep-agent` command, which is also `sweepyard agent`."""

from __future__ import annotations

from typing import Annotated

import typer

from sweepyard.errors import SweepyardError, UserError

app = typer.Typer(add_completion=False)


@app.command()
def agent(  # noqa: PLR0913 (each is an option)
    sweep_id: Annotated[str, typer.Argument(help="ID, project/ID or entity/project/ID.")],
    count: Annotated[int | None, typer.Option(min=0, help="End after so many runs. 0: no limit.")] = None,
    url: Annotated[str | None, typer.Option(help="Address of the service. Default: the local one.")] = None,
    api_key: Annotated[str | None, typer.Option(help="Its key. Better: $SWEEPYARD_API_KEY.")] = None,
    function: Annotated[str | None, typer.Option(help="module:callable to run instead of a program.")] = None,
    program: Annotated[str | None, typer.Option(help="File to run instead of the sweep's program.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Stay when the sweep is over: it may be resumed.")] = False,
    lifeline: Annotated[int | None, typer.Option(help="File descriptor; end when its other end closes.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Take runs of a sweep, one at a time, and execute them here until the sweep is done.

    Ctrl-C hands the present run back to the sweep; a second one does not wait for it.
    """
    from sweepyard.agent.main import serve_commands
    from sweepyard.face import agent_options

    if function and program:
        raise UserError("Give --function or --program, not both.")
    options = agent_options(sweep_id, count=count, program=program, wait=wait, url=url, api_key=api_key)
    say = (lambda _: None) if quiet else typer.echo
    raise typer.Exit(serve_commands(options, function, lifeline, say))


def main() -> None:
    try:
        app()
    except SweepyardError as error:
        typer.echo(f"sweep-agent: {error}", err=True)
        raise SystemExit(error.exit_code) from None
