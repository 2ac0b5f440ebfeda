"""The public functions that need a service: `sweep` creates a sweep, `agent` works on one."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from sweepyard.agent import functions
from sweepyard.agent.forker import Forker
from sweepyard.agent.link import Link
from sweepyard.agent.options import Options
from sweepyard.errors import SweepyardError, Unavailable, UserError
from sweepyard.redaction import harmless


def sweep(
    sweep: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
    entity: str | None = None,
    project: str | None = None,
    prior_runs: Sequence[str | Path] = (),
) -> str:
    """Create a sweep and return its id. The id and the page of its status are printed.

    `sweep`: what a sweep file holds, as a dict, or a function that returns one. Without a configured address
    (`SWEEPYARD_URL`) the local service in `.sweepyard/` is joined, or started. `prior_runs`: what the sweep shall
    know from elsewhere: ids of runs of its project, `SWEEP` or `SWEEP/RUN` of the service, names of CSV files.

    Raises:
        SpecError: the config cannot run; the message lists all that is wrong.
        Unavailable: the service does not answer.
    """
    from sweepyard.client import Client
    from sweepyard.local import ensure_service
    from sweepyard.priorruns import to_send
    from sweepyard.settings import load_settings

    config = sweep() if callable(sweep) else sweep
    if not isinstance(config, Mapping):
        raise UserError(f"sweep() takes a dict, as a sweep file holds it; got {type(config).__name__}.")
    settings = load_settings()
    with Client(ensure_service(settings).url, settings.api_key) as client:
        known = to_send(prior_runs)
        created = client.create_sweep(config, entity=entity, project=project, prior_runs=known)
    for note in created.notes:
        _say(f"note: {note}")
    _say(f"created sweep {created.id}; status: {created.url}")
    return created.id


def agent(
    sweep_id: str,
    function: Callable[..., object] | None = None,
    entity: str | None = None,
    project: str | None = None,
    count: int | None = None,
    *,
    wait: bool = False,
    forward_signals: bool = False,
    term_timeout: float | None = None,
) -> None:
    """Execute runs of a sweep here, one at a time, until the sweep is done or `count` runs have ended.

    Each run is a process of its own, forked from this one, with its output in a log file: `function` is called
    without arguments, or with the run's config if it takes one parameter. Load data before, but start no GPU work
    and no threads: a fork does not carry them over. Without `function` the sweep's own program is run.
    Failing runs are reported and do not end the agent. Ctrl-C hands the present run back to the sweep, and raises
    KeyboardInterrupt, which ends a script without a traceback. With `wait`
    the agent stays when the sweep is over, for it may be resumed. With `forward_signals` a run gets the
    signal that ends the agent, instead of SIGTERM. `term_timeout`: seconds that a run has to end then (None:
    SWEEPYARD_TERM_GRACE_S).

    Raises:
        UserError: a function that cannot be called with the config alone; no such sweep; nothing to run.
        Unavailable: the service does not answer.
    """
    if function is not None:
        functions.takes_config(function)
    path = "/".join(part for part in (entity, project, sweep_id) if part)
    options = agent_options(
        path, count=count, wait=wait, forward_signals=forward_signals, term_grace_s=term_timeout
    )
    link, process = _start_agent()
    forker = Forker(link, function, _say)
    try:
        with contextlib.suppress(OSError):  # it has ended already, as serve() will find
            link.send({"options": dataclasses.asdict(options), "has_function": function is not None})
        last_word = forker.serve()
    finally:
        link.close()
        process.wait()
    if forker.interrupted_by:
        _say("a run that was under way is back in the sweep: the next agent goes on with it")
        _end_by(forker.interrupted_by)
    if last_word is None:
        raise SweepyardError(f"The agent process ended unexpectedly (exit code {process.returncode}).")
    if last_word["error"]:
        raise (UserError if last_word["done"] == UserError.exit_code else Unavailable)(last_word["error"])


def agent_options(
    sweep: str,
    *,
    count: int | None = None,
    program: str | None = None,
    wait: bool = False,
    forward_signals: bool = False,
    **given: Any,
) -> Options:
    """What to start an agent with. `given`: settings that win over the environment (None: not given).

    Raises:
        Unavailable: no service is configured, and none has ever run here.
    """
    from sweepyard.local import ensure_service, has_served
    from sweepyard.settings import load_settings

    settings = load_settings(**given)
    if not has_served(settings):
        raise Unavailable(
            f"No service has ever run in {settings.dir}. Name one with --url or SWEEPYARD_URL, or start one here "
            "with: sweepyard serve"
        )
    return Options(
        sweep=sweep,
        url=ensure_service(settings).url,
        api_key=settings.api_key.get_secret_value() if settings.api_key else None,
        dir=str(settings.dir),
        term_grace_s=settings.term_grace_s,
        stop_after_s=settings.stop_after_s,
        redis_url=settings.redis_url,
        checkpoint_root=str(settings.checkpoint_root) if settings.checkpoint_root else None,
        checkpoint_keep_days=settings.checkpoint_keep_days,
        count=count,
        program=program,
        wait=wait,
        forward_signals=forward_signals,
    )


def _end_by(number: int) -> None:
    """End as the signal would have ended this process: of Ctrl-C there is no more to say than was said."""
    if number != signal.SIGINT or signal.getsignal(number) is not signal.default_int_handler:
        return signal.raise_signal(number)
    interrupt, before = KeyboardInterrupt(), sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if error is not interrupt:
            before(kind, error, trace)

    sys.excepthook = show
    raise interrupt


def _say(text: str) -> None:
    sys.stdout.write(f"sweepyard: {harmless(text)}\n")
    sys.stdout.flush()


def _start_agent() -> tuple[Link, subprocess.Popen[bytes]]:
    """The agent's own process, in a session of its own: a Ctrl-C reaches it through us."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "sweepyard.agent.main", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    return Link(ours), process
