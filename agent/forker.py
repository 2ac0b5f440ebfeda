"""The single-threaded process that starts runs: it forks, waits, and signals on the agent's behalf.

It forks because a training function is an object in memory, and stays single-threaded because a fork of a process
with threads may deadlock. Each run leads a session of its own, so that one signal reaches all that it started.
Agent and forker watch each other through their socket: when the agent is gone, however it died, the forker kills
every run; when the forker is gone, the agent does (`launcher`). A run begins only after the agent was told of it.

    agent -> forker    {"start": ref, "dir": path, "env": {...}, "argv": [...] or null: the training function}
                       {"signal": ref, "number": n}      {"say": text}      {"done": exit code, "error": text}
    forker -> agent    {"started": ref, "pid": n}        {"exited": ref, "code": n or null, "signal": n or null}
                       {"interrupt": n}                  {"ready": true}    {"error": text}

It runs in two places: in the user's own process for `agent(function=...)`, and as
`python -m sweepyard.agent.forker FD [module:callable]` beside `sweep-agent`.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

from sweepyard.agent import checkpoints, rundir
from sweepyard.agent.link import Link
from sweepyard.agent.signals import DRAINING, heeded
from sweepyard.errors import UserError

POLL_S = 0.01
"""How often ended runs are looked for where the system has no pidfd."""
NOT_FOUND_EXIT_CODE = 127


@dataclass(frozen=True, slots=True)
class _Child:
    ref: str
    pid: int
    pidfd: int | None


class Forker:
    """Serves one agent over `link` until it says that it is done, or is gone.

    `function` is what a run without `argv` executes; `say` gets each line that the agent has for the user.
    """

    def __init__(self, link: Link, function: Callable[..., object] | None, say: Callable[[str], object]) -> None:
        self.interrupted_by: int | None = None
        """The last signal that was passed on to the agent."""
        self._link = link
        self._function = function
        self._say = say
        self._children: dict[str, _Child] = {}
        self._last_word: dict[str, Any] | None = None

    def serve(self) -> dict[str, Any] | None:
        """Work until the agent is done or gone: its last message, or None if it went without a word.

        Signals that ask us to end are passed on to the agent meanwhile, which decides how.
        """
        try:
            with self._relayed_signals():
                while self._last_word is None and self._turn():
                    pass
        except OSError:  # the agent is gone
            pass
        finally:
            self._kill_all()
        return self._last_word

    def _turn(self) -> bool:
        """Wait for one thing and deal with it; False when the agent is gone."""
        pidfds = [child.pidfd for child in self._children.values() if child.pidfd is not None]
        patience = POLL_S if len(pidfds) < len(self._children) else None
        ready, _, _ = select.select([self._link.fileno(), *pidfds], [], [], patience)
        for child in list(self._children.values()):
            self._reap(child)
        if self._link.fileno() not in ready:
            return True
        messages = self._link.receive()
        for message in messages or []:
            self._obey(message)
        return messages is not None

    def _obey(self, message: dict[str, Any]) -> None:
        if "start" in message:
            self._start(message)
        elif "signal" in message:
            child = self._children.get(message["signal"])
            if child is not None:
                _signal(child.pid, message["number"])
        elif "say" in message:
            self._say(message["say"])
        elif "done" in message:
            self._last_word = message

    def _start(self, message: dict[str, Any]) -> None:
        go_read, go_write = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        # A signal in the child must not run the handlers of this process.
        signal.pthread_sigmask(signal.SIG_BLOCK, DRAINING)
        try:
            pid = os.fork()
            if pid == 0:
                os.close(go_write)
                self._become(message, go_read)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, DRAINING)
        os.close(go_read)
        pidfd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
        child = _Child(message["start"], pid, pidfd)
        self._children[child.ref] = child
        try:
            self._link.send({"started": child.ref, "pid": pid})
            os.write(go_write, b"!")
        finally:
            os.close(go_write)

    def _reap(self, child: _Child) -> None:
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if not pid:
            return
        kill_group(child.pid)
        del self._children[child.ref]
        if child.pidfd is not None:
            os.close(child.pidfd)
        code = os.waitstatus_to_exitcode(status)
        ended = {"code": code, "signal": None} if code >= 0 else {"code": None, "signal": -code}
        self._link.send({"exited": child.ref, **ended})

    def _kill_all(self) -> None:
        for child in self._children.values():
            _signal(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
        self._children.clear()

    @contextlib.contextmanager
    def _relayed_signals(self) -> Iterator[None]:
        """Pass on what the agent obeys. In another thread than the main one nothing can be caught."""

        def relay(number: int, _frame: FrameType | None) -> None:
            self.interrupted_by = number
            with contextlib.suppress(OSError):
                self._link.send({"interrupt": number})

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, relay) for number in heeded()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _become(self, message: dict[str, Any], go_read: int) -> NoReturn:
        """What a forked child does for the rest of its life."""
        code = 1
        try:
            os.setsid()
            if not os.read(go_read, 1):
                os._exit(code)
            os.close(go_read)
            self._link.let_go()
            _restore_signals()
            _redirect(message["dir"])
            os.environ.update(message["env"])
            signal.pthread_sigmask(signal.SIG_UNBLOCK, DRAINING)
            checkpoints.begin(os.environ)
            code = _execute(message["argv"]) if message["argv"] else _train(self._function)
        except BaseException:
            traceback.print_exc()
        finally:
            # Those of before are still in the hands of loggers.
            for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
                with contextlib.suppress(Exception):
                    stream.flush()  # type: ignore[union-attr]
            os._exit(code)


def kill_group(pid: int) -> None:
    """End all that is left of a run whose first process was `pid`."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for zombies
        os.killpg(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    """Signal a run that has not been waited for, with all that it started."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):  # it has not come to setsid() yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _restore_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD, *heeded()):
        signal.signal(number, signal.SIG_DFL)


def _redirect(run_dir: str) -> None:
    """Output to the run's log, nothing to read from: below Python too, for what the run itself starts."""
    log = os.open(os.path.join(run_dir, rundir.OUTPUT), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    # sys.stdout may be a notebook's or a test's; and the run's last lines must survive its SIGKILL.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    for name, fd in (("stdout", 1), ("stderr", 2)):
        raw = _Output(fd, "wb", closefd=False)
        setattr(sys, name, io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True))


class _Output(io.FileIO):
    """What a full disk does not take is lost: no `print` ends a training."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _execute(argv: list[str]) -> int:
    try:
        os.execvp(argv[0], argv)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"sweepyard: cannot run '{argv[0]}': {error.strerror}\n")
    return NOT_FOUND_EXIT_CODE


def _train(function: Callable[..., object] | None) -> int:
    from sweepyard.agent import functions

    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Python has it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if function is None:
        raise RuntimeError("a run without argv, and no training function")
    return functions.run_as_process(function)


def main() -> None:
    """`python -m sweepyard.agent.forker FD [module:callable]`, started by `sweep-agent`."""
    link = Link.from_fd(int(sys.argv[1]))
    # Some starters leave it ignored, and nothing could be waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    function = None
    if len(sys.argv) > 2:
        from sweepyard.agent import functions

        try:
            function = functions.load(sys.argv[2])
        except UserError as error:
            link.send({"error": str(error)})
            return
    try:
        link.send({"ready": True})
    except OSError:  # the agent was killed meanwhile
        return
    Forker(link, function, sys.stdout.write).serve()


if __name__ == "__main__":
    main()
