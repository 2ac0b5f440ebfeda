"""The `sweep-agent` command, which is also `sweepyard agent`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

import typer

from sweepyard.echo import echo
from sweepyard.errors import SweepyardError, UserError
from sweepyard.garbage import collect_seldom

app = typer.Typer(add_completion=False)


@app.command()
def agent(  # noqa: PLR0913 (each is an option)
    sweep_id: Annotated[str, typer.Argument(help="ID, project/ID or entity/project/ID.")],
    count: Annotated[int | None, typer.Option(min=0, help="End after so many runs. 0: no limit.")] = None,
    url: Annotated[str | None, typer.Option(help="Address of the service. Default: the local one.")] = None,
    api_key: Annotated[str | None, typer.Option(help="Its key. Better: $SWEEPYARD_API_KEY.")] = None,
    function: Annotated[str | None, typer.Option(help="module:callable to run instead of a program.")] = None,
    program: Annotated[str | None, typer.Option(help="File to run instead of the sweep's program.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="So many runs at a time. [default: 1; with --gpus as many as fit]")
    ] = None,
    gpus: Annotated[
        str | None, typer.Option(help="Share these out: auto, none, or names such as 0,1. [default: leave alone]")
    ] = None,
    gpus_per_run: Annotated[int, typer.Option(min=1, help="With --gpus: how many a run gets.")] = 1,
    wait: Annotated[bool, typer.Option("--wait", help="Stay when the sweep is over: it may be resumed.")] = False,
    forward_signals: Annotated[
        bool, typer.Option("--forward-signals", "-f", help="Runs get a signal as it is, not SIGTERM.")
    ] = False,
    term_timeout: Annotated[
        float | None, typer.Option("--term-timeout", "-t", min=0, help="Seconds until SIGKILL. [default: 10]")
    ] = None,
    lifeline: Annotated[int | None, typer.Option(help="File descriptor; end when its other end closes.")] = None,
    worker: Annotated[int | None, typer.Option(hidden=True)] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Take runs of a sweep and execute them here until the sweep is done: one at a time, or --workers.

    Ctrl-C, SIGTERM and SIGUSR1 hand the present runs back to the sweep; a second one does not wait for them.
    """
    from sweepyard.agent.gpus import shares
    from sweepyard.agent.main import serve_commands
    from sweepyard.face import agent_options
    from sweepyard.workers import Workers

    if function and program:
        raise UserError("Give --function or --program, not both.")
    if gpus is None and gpus_per_run > 1:
        raise UserError("--gpus-per-run needs --gpus: which GPUs are there to share out?")
    options = agent_options(
        sweep_id,
        count=count,
        program=program,
        wait=wait,
        forward_signals=forward_signals,
        url=url,
        api_key=api_key,
        term_grace_s=term_timeout,
    )
    environments: list[dict[str, str]] = [{}] * (workers or 1)
    if gpus is not None:
        environments = shares(gpus, os.environ, per_run=gpus_per_run, workers=workers)
    say = _say(quiet, worker)
    if len(environments) == 1:
        os.environ.update(environments[0])
        raise typer.Exit(serve_commands(options, function, lifeline, say))
    raise typer.Exit(Workers(options, function, environments, say, quiet=quiet).run(lifeline))


def _say(quiet: bool, worker: int | None) -> Callable[[str], object]:
    if quiet:
        return lambda _: None
    return echo if worker is None else lambda text: echo(f"[{worker}] {text}")


def main() -> None:
    collect_seldom()
    try:
        app()
    except SweepyardError as error:
        echo(f"sweep-agent: {error}", err=True)
        raise SystemExit(error.exit_code) from None
