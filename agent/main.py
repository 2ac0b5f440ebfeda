"""What an agent process does, from its options to its exit code.

`sweep-agent` calls `serve_commands`; `sweepyard.agent(...)` starts `python -m sweepyard.agent.main FD` and forks
the runs itself, at the other end of FD.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import FrameType

from sweepyard.agent import rundir
from sweepyard.agent.command import DEFAULT, Command
from sweepyard.agent.contact import Identity
from sweepyard.agent.launcher import Interrupted, Launcher, start_forker
from sweepyard.agent.leftovers import Heir, claimed
from sweepyard.agent.link import Link
from sweepyard.agent.options import Options
from sweepyard.agent.pump import Limits, Pump
from sweepyard.agent.signals import heeded
from sweepyard.agent.supervisor import GRACE_S, Wish
from sweepyard.bus.agent_side import RedisAgentBus
from sweepyard.bus.wire import WIRE_VERSION, Offer
from sweepyard.client import Client, Connection
from sweepyard.clock import SYSTEM_CLOCK
from sweepyard.errors import SweepyardError, UserError
from sweepyard.garbage import collect_seldom
from sweepyard.tracking.records import SWEEP_ENDED

INITIAL_FAILURES = 5
ASKED = (Wish.preempt, Wish.stall, Wish.pause, Wish.stop)
"""Ends of a run that `term_grace_s` is for."""
DAY_S = 86_400.0
HEIR_GOODBYE_S = 5.0
"""Longer than the round trip in which the heir may be; its locks end with the process at the latest."""


def serve_commands(
    options: Options, function: str | None, lifeline_fd: int | None, say: Callable[[str], object]
) -> int:
    """Be a `sweep-agent` for the sweep's command, or for the function named `module:callable`: the exit code.

    `lifeline_fd`: an inherited file descriptor whose end of file means that our starter is gone.

    Raises:
        UserError: no such sweep, nothing to run, or a function that cannot be imported.
        Unavailable: the service does not answer.
    """
    connection = connect(options)
    if not options.wait and is_over(connection, say):
        return 0
    argv = _function_argv if function else _command_argv(connection, options)
    link, forker = start_forker(function)
    try:
        return work(connection, options, link, argv, say, lifeline_fd)
    finally:
        link.close()
        forker.wait()


def connect(options: Options) -> Connection:
    """Ask the service for the sweep and the way to Redis.

    Raises:
        UserError: there is no such sweep, or the service speaks another version.
        Unavailable: the service does not answer.
    """
    *place, sweep_id = options.sweep.strip("/").split("/")
    with Client(options.url, options.api_key) as client:
        connection = client.connect(sweep_id)
    sweep = connection.sweep
    if place and place != [sweep.entity, sweep.project][-len(place) :]:
        raise UserError(f"Sweep {sweep_id} belongs to {sweep.entity}/{sweep.project}, not to {'/'.join(place)}.")
    if connection.wire_version != WIRE_VERSION:
        raise UserError(
            f"The service at {options.url} speaks wire version {connection.wire_version}, this agent "
            f"{WIRE_VERSION}: install the same version of sweepyard on both sides."
        )
    return connection


def is_over(connection: Connection, say: Callable[[str], object]) -> bool:
    """Whether the sweep has ended already; if so, it is said."""
    sweep = connection.sweep
    if sweep.state not in SWEEP_ENDED:
        return False
    say(f"sweep {sweep.id} is {sweep.state}{': ' + sweep.reason if sweep.reason else ''}. There is nothing to do.")
    return True


def work(
    connection: Connection,
    options: Options,
    link: Link,
    argv: Callable[[Offer, Path], list[str] | None],
    say: Callable[[str], object],
    lifeline_fd: int | None = None,
) -> int:
    """Take and execute runs until there is nothing left to do: the exit code."""
    agent = _identity(connection, options)
    sweep = connection.sweep
    say(f"agent {agent.id} for sweep {sweep.name or sweep.id}; status: {sweep.url}")
    signing_key = bytes.fromhex(connection.signing_key)
    redis_url = options.redis_url or connection.redis_url

    def bus_of(agent_id: str) -> RedisAgentBus:
        return RedisAgentBus(redis_url, connection.prefix, agent_id, signing_key, connection.epoch)

    limits = Limits(
        count=options.count or None,
        max_initial_failures=_max_initial_failures(os.environ),
        heartbeat_s=connection.heartbeat_s,
        stop_after_s=options.stop_after_s,
        grace_s={**GRACE_S, **dict.fromkeys(ASKED, options.term_grace_s)},
        checkpoint_keep_s=DAY_S * options.checkpoint_keep_days,
        wait=options.wait,
        forward_signals=options.forward_signals,
    )
    pump = Pump(agent, bus_of(agent.id), argv, say, limits=limits)
    _heed_signals(pump)
    if lifeline_fd is not None:
        await_end(lifeline_fd, lambda: pump.inbox.put(Interrupted("the end of its starter")))
    heir = Heir(agent, connection.prefix, bus_of, say, heartbeat_s=limits.heartbeat_s, clock=SYSTEM_CLOCK)
    leave = threading.Event()
    with claimed(agent, connection.prefix):
        inheriting = threading.Thread(target=heir.work, args=(leave,), name="heir", daemon=True)
        inheriting.start()
        code = pump.run(Launcher(link, pump.inbox.put))
        leave.set()
        inheriting.join(HEIR_GOODBYE_S)
    return code


def _function_argv(_offer: Offer, _run_dir: Path) -> None:
    """The forker has the function."""


def _command_argv(connection: Connection, options: Options) -> Callable[[Offer, Path], list[str]]:
    sweep = connection.sweep
    command = Command(template=sweep.command or DEFAULT, program=options.program or sweep.program)
    command.check(os.environ)

    def argv(offer: Offer, run_dir: Path) -> list[str]:
        return command.expand(offer.params, json_file=run_dir / rundir.ARGS, environ=os.environ)

    return argv


def _identity(connection: Connection, options: Options) -> Identity:
    directory = Path(options.dir).resolve()
    host = socket.gethostname().partition(".")[0]
    readable = re.sub(r"[^A-Za-z0-9-]", "-", host)[:32]
    return Identity(
        id=f"{readable}-{os.getpid()}-{secrets.token_hex(2)}",
        host=host,
        version=version("sweepyard"),
        sweep=connection.sweep.id,
        project=connection.sweep.project,
        entity=connection.sweep.entity,
        dir=directory,
        checkpoint_root=Path(options.checkpoint_root or directory / "checkpoints").resolve(),
    )


def _max_initial_failures(environ: Mapping[str, str]) -> int | None:
    if environ.get("SWEEPYARD_AGENT_DISABLE_FLAPPING", "").lower() == "true":
        return None
    text = environ.get("SWEEPYARD_AGENT_MAX_INITIAL_FAILURES", str(INITIAL_FAILURES))
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"SWEEPYARD_AGENT_MAX_INITIAL_FAILURES is '{text}'; it should be a number from 1.")
    return int(text)


def _heed_signals(pump: Pump) -> None:
    def interrupt(number: int, _frame: FrameType | None) -> None:
        pump.inbox.put(Interrupted(signal.Signals(number).name, number))

    for number in heeded():
        signal.signal(number, interrupt)


def await_end(fd: int, then: Callable[[], object]) -> None:
    """Call `then`, on a thread of its own, when the other end of the pipe `fd` is closed."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(fd, 1):
                pass
        then()

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """`python -m sweepyard.agent.main FD`: the options come as the first message, the key never as an argument."""
    collect_seldom()
    link = Link.from_fd(int(sys.argv[1]))
    first, *_ = link.receive() or sys.exit(0)
    options = Options(**first["options"])

    def say(text: str) -> None:
        with contextlib.suppress(OSError):
            link.send({"say": text})

    try:
        connection = connect(options)
        argv = _function_argv if first["has_function"] else _command_argv(connection, options)
        is_needless = not options.wait and is_over(connection, say)
        done = {"done": 0 if is_needless else work(connection, options, link, argv, say), "error": ""}
    except SweepyardError as error:
        done = {"done": error.exit_code, "error": str(error)}
    with contextlib.suppress(OSError):
        link.send(done)


if __name__ == "__main__":
    main()
