"""Finds the service to talk to, and starts one when there is none.

A configured address wins. Otherwise the service is the one of the local directory: it leaves its address in
`<dir>/service.json`, and whoever finds nobody there starts it, one starter at a time (`<dir>/start.lock`).
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sweepyard.clock import SYSTEM_CLOCK
from sweepyard.errors import Unavailable

if TYPE_CHECKING:
    from sweepyard.client import Client
    from sweepyard.settings import Settings

HEALTH_TIMEOUT_S = 2.0
START_DEADLINE_S = 20.0
SILENCE_PATIENCE_S = 5.0
LOOK_EVERY_S = 0.05
IDLE_EXIT_S = 600.0
TAIL_LINES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that answers. `process` is set if this call has started it."""

    url: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def started(self) -> bool:
        return self.process is not None


def ensure_service(settings: Settings, *, lifeline_fd: int | None = None) -> Service:
    """The configured service, or the one of `settings.dir`, which is started if nobody serves there.

    A started one lives in its own session and leaves after ten idle minutes, or, with `lifeline_fd` (the read
    end of a pipe), as soon as the other end is closed.

    Raises:
        Unavailable: it could not be started; the message ends with its last words.
    """
    if settings.url:
        return Service(url=settings.url)
    directory = Path(settings.dir).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    found = find_service(settings)
    if found:
        return found
    with _one_starter(directory):
        return find_service(settings, patience_s=0) or _start(directory, lifeline_fd)


def find_service(settings: Settings, *, patience_s: float = SILENCE_PATIENCE_S) -> Service | None:
    """The configured service, or the one that answers for `settings.dir`; None if nobody does.

    One that is alive and silent is given `patience_s`.
    """
    if settings.url:
        return Service(url=settings.url)
    directory = Path(settings.dir).resolve()
    deadline = SYSTEM_CLOCK.monotonic() + patience_s
    while (note := _read_note(directory)) and _is_alive(note.pid):
        if _answers(note):
            return Service(url=note.url)
        if SYSTEM_CLOCK.monotonic() > deadline:
            break
        time.sleep(LOOK_EVERY_S)
    return None


def has_served(settings: Settings) -> bool:
    """Whether there is a service to talk to, or was one in `settings.dir`."""
    return settings.url is not None or (Path(settings.dir) / "service.lock").exists()


def open_client(dir: Path | None, *, create: bool = False) -> Client:
    """A client of the configured service, or of the local one, which is started if it does not run but has.

    `create`: start it also where none ever ran.

    Raises:
        Unavailable: no service has ever run there, or it could not be started.
    """
    from sweepyard.client import Client
    from sweepyard.settings import load_settings

    settings = load_settings(dir=dir)
    if not create and not has_served(settings):
        raise Unavailable(f"No service has ever run in {settings.dir}. Start one with: sweepyard serve")
    return Client(ensure_service(settings).url, settings.api_key)


@dataclass(frozen=True, slots=True)
class _Note:
    url: str
    pid: int
    instance: str


def _read_note(directory: Path) -> _Note | None:
    try:
        fields = json.loads((directory / "service.json").read_text())
        return _Note(fields["url"], fields["pid"], fields["instance"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _answers(note: _Note) -> bool:
    """Whether the service of this note is who answers at its address. Loopback: no proxy is ever asked."""
    address = urlsplit(note.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=HEALTH_TIMEOUT_S)
    try:
        connection.request("GET", "/api/v1/health")
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return bool(answer.get("instance") == note.instance)


@contextmanager
def _one_starter(directory: Path) -> Iterator[None]:
    with (directory / "start.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(directory: Path, lifeline_fd: int | None) -> Service:
    log = directory / "service.log"
    begin = log.stat().st_size if log.exists() else 0
    process = _launch(directory, log, lifeline_fd)
    deadline = SYSTEM_CLOCK.monotonic() + START_DEADLINE_S
    while SYSTEM_CLOCK.monotonic() < deadline:
        note = _read_note(directory)
        if note and _is_alive(note.pid) and _answers(note):
            ours = note.pid == process.pid  # or of one that was started by hand in this very moment
            return Service(url=note.url, process=process if ours else None)
        if process.poll() is not None and not _is_locked(directory):
            raise Unavailable(f"The local service could not start:\n{_tail(log, begin)}")
        time.sleep(LOOK_EVERY_S)
    process.terminate()
    raise Unavailable(
        f"The local service did not answer within {START_DEADLINE_S:g} s. The end of {log}:\n{_tail(log, begin)}"
    )


def _is_locked(directory: Path) -> bool:
    """Whether a service holds the directory. Asked only when ours has ended: the look takes the lock itself."""
    with (directory / "service.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _launch(directory: Path, log: Path, lifeline_fd: int | None) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-P", "-m", "sweepyard", "serve", "--dir", str(directory), "--port", "0"]
    if lifeline_fd is None:
        argv += ["--idle-exit-s", str(IDLE_EXIT_S)]
    else:
        argv += ["--lifeline", str(lifeline_fd)]
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=() if lifeline_fd is None else (lifeline_fd,),
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def _tail(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:]) or "    (none)"
