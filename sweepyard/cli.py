"""The `sweepyard` command. Each subcommand imports what it needs when it is called."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from sweepyard.agent_cli import agent
from sweepyard.agents_cli import agents
from sweepyard.audit_cli import audit
from sweepyard.backup_cli import backup, restore
from sweepyard.doctor_cli import doctor
from sweepyard.echo import echo, echo_json
from sweepyard.enqueue_cli import enqueue
from sweepyard.errors import SpecError, SweepyardError, UserError
from sweepyard.explain_cli import explain
from sweepyard.findings_cli import best, importance
from sweepyard.keys_cli import app as keys
from sweepyard.lint_cli import lint
from sweepyard.local import open_client
from sweepyard.tracking.port import RunSort
from sweepyard.tracking.records import RunState
from sweepyard.verbs_cli import edit, retry, stop

if TYPE_CHECKING:
    from sweepyard.client import Verb

DEFAULT_LIMIT = 50

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Hyperparameter sweeps on your own machines.",
    epilog="Start here: sweepyard run sweep.yaml",
)
app.command("agent")(agent)
app.command("agents")(agents)
app.command("lint")(lint)
app.command("enqueue")(enqueue)
app.command("explain")(explain)
app.command("edit")(edit)
app.command("stop")(stop)
app.command("retry")(retry)
app.command("best")(best)
app.command("importance")(importance)
app.command("doctor")(doctor)
app.add_typer(keys, name="keys")
app.command("audit")(audit)
app.command("backup")(backup)
app.command("restore")(restore)

SweepId = Annotated[str, typer.Argument(metavar="ID", help="ID, project/ID or entity/project/ID of a sweep.")]
Dir = Annotated[Path | None, typer.Option(help="Directory of the local service. [default: .sweepyard]")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def run(
    what: Annotated[
        str | None, typer.Argument(metavar="SWEEP.yaml", help="A sweep file; with --resume the ID of a sweep.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="How many agents to start.")] = 2,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a sweep: the one named, else the newest unfinished.")
    ] = False,
    project: Annotated[str | None, typer.Option(help="Project of the new sweep.")] = None,
    dir: Dir = None,
) -> None:
    """Run a sweep from its file to its result: service, agents and a live view in one command.

    Everything that it starts ends with it. Ctrl-C loses nothing: --resume goes on.

    Exit code: 0 if the sweep is finished, 3 if it is and every run has failed, 1 if it was cancelled or could not
    go on, 2 if the call or the file is wrong, 130 after Ctrl-C.
    """
    from sweepyard.runner import Interrupted, Runner
    from sweepyard.settings import load_settings
    from sweepyard.watch import make_console

    runner = Runner(settings=load_settings(dir=dir), workers=workers, console=make_console())
    try:
        if resume:
            code = runner.run_again(what)
        elif what is None:
            raise UserError("Which sweep? Give a sweep file: sweepyard run sweep.yaml")
        else:
            code = runner.run_file(Path(what), project=project)
    except Interrupted as interrupt:
        code = interrupt.exit_code
    raise typer.Exit(code)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Where to listen. [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="0: any free one. [default: 7077]")] = None,
    redis_url: Annotated[str | None, typer.Option(help="Redis to use. [default: an embedded Valkey]")] = None,
    store_url: Annotated[str | None, typer.Option(help="Database to use. [default: SQLite in --dir]")] = None,
    dir: Dir = None,
    api_key: Annotated[str | None, typer.Option(help="What clients show. Better: $SWEEPYARD_API_KEY.")] = None,
    idle_exit_s: Annotated[float | None, typer.Option(help="Leave after so long without agents.")] = None,
    lifeline: Annotated[int | None, typer.Option(help="File descriptor; end when its other end closes.")] = None,
) -> None:
    """Run the service that sweeps live in, until Ctrl-C."""
    import logging
    import time

    from sweepyard.clock import SYSTEM_CLOCK
    from sweepyard.controller.serve import serve
    from sweepyard.doctor import diagnose, heed
    from sweepyard.redaction import Redacting
    from sweepyard.settings import known_secrets, load_settings

    settings = load_settings(
        host=host,
        port=port,
        redis_url=redis_url,
        store_url=store_url,
        dir=dir,
        api_key=api_key,
        idle_exit_s=idle_exit_s,
    )
    handler, words = logging.StreamHandler(), "%(asctime)s UTC %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(formatter := Redacting(words, known_secrets(settings)))
    formatter.converter = time.gmtime  # machines of several zones are compared
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    for chatty in ("alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    heed(diagnose(settings, SYSTEM_CLOCK), despite=settings.despite_findings)
    raise typer.Exit(serve(settings, lifeline_fd=lifeline))


@app.command()
def sweep(  # noqa: PLR0913 (each is an option)
    file: Annotated[Path | None, typer.Argument(metavar="SWEEP.yaml", help="The sweep file.")] = None,
    project: Annotated[str | None, typer.Option(help="Project of the sweep.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the sweep.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be created; create nothing.")
    ] = False,
    lenient: Annotated[bool, typer.Option("--lenient", help="Make unknown keys of the file notes.")] = False,
    prior_run: Annotated[
        list[str] | None,
        typer.Option(
            "--prior-run",
            "--prior_run",
            "-R",
            metavar="RUN",
            help="A run, SWEEP, SWEEP/RUN or CSV file to learn from.",
        ),
    ] = None,
    pause: Annotated[str | None, typer.Option(metavar="ID", help="Start no new runs for now.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="ID", help="Go on.")] = None,
    stop: Annotated[str | None, typer.Option(metavar="ID", help="No new runs; present ones end.")] = None,
    cancel: Annotated[str | None, typer.Option(metavar="ID", help="End it and kill its runs.")] = None,
    dir: Dir = None,
) -> None:
    """Create a sweep from a file and say how agents join it; or pause, resume, stop or cancel one."""
    verbs: dict[Verb, str | None] = {"pause": pause, "resume": resume, "stop": stop, "cancel": cancel}
    wishes = [(verb, sweep_id) for verb, sweep_id in verbs.items() if sweep_id is not None]
    if len(wishes) + (file is not None) != 1 or ((dry_run or prior_run) and file is None):
        raise UserError("Give either a sweep file, or one of --pause, --resume, --stop and --cancel with an ID.")
    if file is None:
        _control(*wishes[0], dir)
    elif dry_run:
        _show(file, project=project, name=name, lenient=lenient, prior_runs=prior_run or (), dir=dir)
    else:
        _create(file, project=project, name=name, lenient=lenient, prior_runs=prior_run or (), dir=dir)


@app.command()
def status(
    sweep_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="A sweep. [default: list all]")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay until the sweep has ended.")] = False,
    as_json: AsJson = False,
    dir: Dir = None,
) -> None:
    """Show how a sweep is doing, or list all sweeps."""
    from sweepyard import terminal
    from sweepyard.tables import sweeps_table
    from sweepyard.watch import Story, find_sweep, make_console, open_screen
    from sweepyard.watch import watch as follow

    console = make_console()
    with open_client(dir) as client:
        if sweep_id is None:
            if watch:
                raise UserError("Which sweep? Give its ID: sweepyard status ID --watch")
            sweeps = client.sweeps(limit=DEFAULT_LIMIT).items
            if as_json:
                echo_json(sweeps)
            elif sweeps:
                console.print(sweeps_table(sweeps))
            else:
                console.print("No sweeps yet. Start one with: sweepyard run sweep.yaml")
            return
        found = find_sweep(client, sweep_id)
        if watch:
            story = Story(client, found.id)
            story.skip()
            with open_screen(console) as screen:
                found = follow(story, found.id, screen)
        if as_json:
            echo_json(found)
        else:
            console.print(terminal.status(found))


@app.command()
def runs(
    sweep_id: SweepId,
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Number or ID of one run to show.")] = None,
    state: Annotated[list[RunState] | None, typer.Option(help="Only runs in this state; may be repeated.")] = None,
    sort: Annotated[RunSort, typer.Option(help="Runs without a value come last.")] = "number",
    desc: Annotated[bool, typer.Option("--desc", help="Largest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = DEFAULT_LIMIT,
    as_json: AsJson = False,
    dir: Dir = None,
) -> None:
    """List the runs of a sweep, each with its reason; or show one, with its story and its last lines."""
    from sweepyard.tables import runs_table
    from sweepyard.watch import find_sweep, make_console

    if run is not None:
        _show_run(sweep_id, run, as_json, dir)
        return
    with open_client(dir) as client:
        found = find_sweep(client, sweep_id)
        order: Literal["asc", "desc"] = "desc" if desc else "asc"
        page = client.runs(found.id, states=state or (), sort=sort, order=order, limit=limit)
    if as_json:
        echo_json(page.items)
        return
    console = make_console()
    console.print(runs_table(page.items, found) if page.items else "No runs.")
    if page.total > len(page.items):
        console.print(f"{len(page.items)} of {page.total} runs; --limit shows more.")


def main() -> None:
    """Run a command. Every error that we can explain is a message on standard error and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        app()
    except SpecError as error:
        _fail(_with_carets(error), error)
    except SweepyardError as error:
        _fail(f"sweepyard: {error}", error)


def _fail(message: str, error: SweepyardError) -> NoReturn:
    echo(message, err=True)
    raise SystemExit(error.exit_code)


def _with_carets(error: SpecError) -> str:
    from sweepyard.controller.spec import explain

    source = Path(error.source)
    return explain(error, source.read_text()) if source.is_file() else str(error)


def _create(
    file: Path,
    *,
    project: str | None,
    name: str | None,
    lenient: bool,
    prior_runs: Sequence[str],
    dir: Path | None,
) -> None:
    from sweepyard.priorruns import to_send
    from sweepyard.sweepfile import SweepFile

    source = SweepFile.read(file, lenient=lenient)
    wishes: dict[str, Any] = {"project": project, "name": name, "lenient": lenient}
    with open_client(dir, create=True) as client:
        known = to_send(prior_runs)
        created = client.create_sweep(source.text, **wishes, prior_runs=known, source_name=str(file))
    for note in created.notes:
        echo(f"note: {note}")
    size = "continuous" if created.size is None else f"finite: {created.size} points"
    cap = "" if created.run_cap is None else f", run_cap {created.run_cap}"
    echo(f"Created sweep {created.id} ({created.method}; space {size}{cap})")
    echo(f"Status:     sweepyard status {created.id}   {created.url}")
    words = ["sweep-agent", created.id, "--url", client.url, *source.agent_options]
    echo(f"Run agents: {shlex.join(words)}")


def _show(
    file: Path,
    *,
    project: str | None,
    name: str | None,
    lenient: bool,
    prior_runs: Sequence[str],
    dir: Path | None,
) -> None:
    from sweepyard.client import Client
    from sweepyard.controller.spec import read_spec
    from sweepyard.lint import Outline, would_create
    from sweepyard.local import find_service
    from sweepyard.priorruns import foretold
    from sweepyard.settings import load_settings
    from sweepyard.sweepfile import SweepFile

    source = SweepFile.read(file, lenient=lenient)
    spec = read_spec(source.text, name=str(file), lenient=lenient, overrides={"project": project, "name": name})
    echo(f"{file}: {Outline.of(spec).as_text()}\n{would_create(source, spec)}")
    settings = load_settings(dir=dir)
    service = find_service(settings) if prior_runs else None  # none is started for a look
    client = Client(service.url, settings.api_key) if service else None
    for line in foretold(spec, prior_runs, client):
        echo(line)


def _control(verb: Verb, sweep_id: str, dir: Path | None) -> None:
    from sweepyard.watch import find_sweep

    with open_client(dir) as client:
        changed = client.control(find_sweep(client, sweep_id).id, verb)
    echo(f"Sweep {changed.id} is {changed.state}: {changed.reason}")


def _show_run(sweep_id: str, ref: str, as_json: bool, dir: Path | None) -> None:
    from sweepyard import terminal
    from sweepyard.watch import find_sweep, make_console

    with open_client(dir) as client:
        found = find_sweep(client, sweep_id)
        detail = client.run(found.id, ref.lstrip("#"))
    if as_json:
        echo_json(detail)
    else:
        make_console().print(terminal.run_page(detail, found))
