"""The agent's handle on its forker: start runs, signal them, hear how they end."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from sweepyard.agent.forker import kill_group
from sweepyard.agent.link import Link
from sweepyard.bus.wire import AttemptRef
from sweepyard.errors import UserError


@dataclass(frozen=True, slots=True)
class ChildStarted:
    ref: AttemptRef
    pid: int


@dataclass(frozen=True, slots=True)
class ChildExited:
    ref: AttemptRef
    code: int | None
    signal: int | None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Someone asked the agent to end. `number`: by which signal."""

    by: str
    number: int | None = None


@dataclass(frozen=True, slots=True)
class ForkerGone:
    """The process that starts runs has ended; whatever it had started was killed."""


Event: TypeAlias = ChildStarted | ChildExited | Interrupted | ForkerGone


class Launcher:
    """Speaks to a forker over `link`. `tell` gets its events, on a thread of its own after `listen`."""

    def __init__(self, link: Link, tell: Callable[[Event], None]) -> None:
        self._link = link
        self._tell = tell
        self._pids: dict[AttemptRef, int] = {}

    def listen(self) -> None:
        threading.Thread(target=self._listen, name="forker", daemon=True).start()

    def start(self, ref: AttemptRef, run_dir: Path, env: dict[str, str], argv: list[str] | None) -> None:
        """Start a run. `argv` None: the training function."""
        self._send({"start": str(ref), "dir": str(run_dir), "env": env, "argv": argv})

    def signal(self, ref: AttemptRef, number: int) -> None:
        self._send({"signal": str(ref), "number": number})

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._link.send(message)
        except OSError:
            # The listener sees the same end and tells it.
            return

    def _listen(self) -> None:
        while (messages := self._link.receive()) is not None:
            for message in messages:
                event = _read(message)
                if isinstance(event, ChildStarted):
                    self._pids[event.ref] = event.pid
                elif isinstance(event, ChildExited):
                    self._pids.pop(event.ref, None)
                self._tell(event)
        for pid in self._pids.values():
            kill_group(pid)
        self._tell(ForkerGone())


def _read(message: dict[str, Any]) -> Event:
    if "started" in message:
        return ChildStarted(AttemptRef.parse(message["started"]), message["pid"])
    if "exited" in message:
        return ChildExited(AttemptRef.parse(message["exited"]), message["code"], message["signal"])
    return Interrupted("the process that started this agent", message["interrupt"])


def start_forker(function: str | None) -> tuple[Link, subprocess.Popen[bytes]]:
    """Start a forker for commands, or for the function named `module:callable`, and wait until it is ready.

    It ends when the link is closed. It leads its own session, so that whoever kills this agent's process group
    does not kill the forker too.

    Raises:
        UserError: the function cannot be imported.
    """
    ours, theirs = socket.socketpair()
    argv = [sys.executable, "-P", "-m", "sweepyard.agent.forker", str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen(
            [*argv, function] if function else argv,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    link = Link(ours)
    for message in link.receive() or [{"error": "The process that starts runs ended before it was ready."}]:
        if "error" in message:
            link.close()
            process.wait()
            raise UserError(message["error"])
    return link, process
