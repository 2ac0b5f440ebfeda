"""`sweepyard serve`: the parts put together, started in order and ended in order.

`<dir>/service.lock` is held for the life of the process, so that a directory has one service, and `<store>.lock`
so that a SQLite store has one; `<dir>/service.json` tells where it answers, for whoever wants to join it.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from sweepyard.bus.controller_side import RedisControllerBus, youngest_epoch
from sweepyard.bus.embedded import EmbeddedRedis, GivenRedis
from sweepyard.clock import SYSTEM_CLOCK
from sweepyard.controller.engine import Engine
from sweepyard.controller.http import ConnectionInfo, let_lead, make_app
from sweepyard.controller.leadership import Leadership, Seat, Standby
from sweepyard.controller.limits import Limits
from sweepyard.errors import Unavailable, UserError
from sweepyard.settings import Settings
from sweepyard.tracking.checkup import file_of
from sweepyard.tracking.port import Store
from sweepyard.tracking.sql import open_store

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
WATCH_S = 0.25

log = logging.getLogger(__name__)


def serve(settings: Settings, *, lifeline_fd: int | None = None) -> int:
    """Run the service until a signal, an idle time-out, or the end of its starter. The answer is the exit code.

    `lifeline_fd`: the read end of a pipe whose other end the starter holds; at its end the service leaves.

    Raises:
        UserError: a bind beyond loopback without an API key, a port that is taken, a directory or a SQLite store
            that is served, a standby without the leader's Redis.
        Unavailable: Redis or the store cannot be reached.
    """
    api_key = settings.api_key.get_secret_value() if settings.api_key else None
    directory = Path(settings.dir).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        home = stack.enter_context(_only_service_of(directory))
        store_url = settings.store_url or f"sqlite:///{directory / 'store.db'}"
        store = open_store(store_url)
        stack.callback(store.close)
        file = file_of(store_url)
        if file is not None:
            stack.enter_context(_only_writer_of(file))
        if settings.host not in LOOPBACK and not (api_key or store.api_keys()):
            raise UserError(
                f"Refusing to listen on {settings.host} without an API key: anyone on that network could run "
                "commands on your agents. Set SWEEPYARD_API_KEY (or --api-key), make a key with "
                "`sweepyard keys create`, or listen on 127.0.0.1."
            )
        listener = stack.enter_context(listen(settings.host, settings.port, directory))
        redis = stack.enter_context(_redis(settings, directory))
        leadership = Leadership(
            store,
            Seat(
                name=f"{url_of(listener)} on {socket.gethostname()}, process {os.getpid()}",
                home=f"{home} on {socket.gethostname()}",  # a copy of the directory is elsewhere
                is_alone=file is not None,
                shares_redis=settings.redis_url is not None,
                epoch_elsewhere=lambda: youngest_epoch(redis.url, prefix_of(store)),
            ),
            lambda epoch: _engine(settings, store, redis.url, epoch),
            lambda engine: let_lead(app, engine),
            lost_after_s=settings.lost_after_s,
            clock=SYSTEM_CLOCK,
        )
        closing = threading.Event()
        app = make_app(
            store=store,
            engine=Standby(leadership),
            connection=ConnectionInfo(
                redis_url=settings.agent_redis_url or redis.url,
                prefix=prefix_of(store),
                heartbeat_s=settings.heartbeat_s,
                lost_after_s=settings.lost_after_s,
            ),
            api_key=api_key,
            clock=SYSTEM_CLOCK,
            limits=Limits(
                requests_per_s=settings.requests_per_s,
                wrong_keys=settings.wrong_keys,
                body_bytes=settings.body_kib * 1024,
                sweeps_per_key=settings.sweeps_per_key,
            ),
            closing=closing,
        )
        leadership.begin()
        stack.callback(leadership.end)
        service = _Service(app, leadership, redis, closing, idle_exit_s=settings.idle_exit_s)
        with _announced(directory, url_of(listener), store.instance_id, service):
            _watch_lifeline(lifeline_fd, service)
            return service.answer(listener)


def prefix_of(store: Store) -> str:
    """What all keys of this installation in Redis begin with."""
    return f"sy-{store.instance_id}"


def _engine(settings: Settings, store: Store, redis_url: str, epoch: int) -> Engine:
    bus = RedisControllerBus(redis_url, prefix_of(store), store.signing_key, epoch)
    return Engine(
        store,
        bus,
        SYSTEM_CLOCK,
        epoch=epoch,
        lost_after_s=settings.lost_after_s,
        proposal_deadline_s=settings.proposal_deadline_s,
    )


@contextmanager
def _redis(settings: Settings, directory: Path) -> Iterator[EmbeddedRedis | GivenRedis]:
    """A Redis that answers: the one of the given URL, or our own for the time being."""
    if settings.redis_url:
        given = GivenRedis(settings.redis_url)
        given.start()
        yield given
        return
    embedded = EmbeddedRedis(directory / "redis", host=settings.host)
    embedded.start()
    try:
        yield embedded
    finally:
        embedded.stop()


@contextmanager
def _only_service_of(directory: Path) -> Iterator[str]:
    """Hold the directory's lock: what names the directory, the same each time."""
    with (directory / "service.lock").open("a+") as lock:
        if not _is_ours(lock):
            url = read_note(directory).get("url", "an address not yet known")
            raise UserError(f"{directory} is already served, at {url}. Use that service, or another --dir.")
        lock.seek(0)
        home = lock.read()
        if not home:
            home = secrets.token_hex(8)
            lock.write(home)
            lock.flush()
        yield home


@contextmanager
def _only_writer_of(file: Path) -> Iterator[None]:
    with file.with_name(f"{file.name}.lock").open("a+") as lock:
        if not _is_ours(lock):
            lock.seek(0)
            raise UserError(
                f"The store {file} is already served, by {lock.read() or 'another process'}. Use that service, or "
                "another --store-url. A standby needs a PostgreSQL store."
            )
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
        yield


def _is_ours(lock: IO[str]) -> bool:
    """Whether nobody else holds the lock; then we do, until it is closed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def listen(host: str, port: int, directory: Path) -> Iterator[socket.socket]:
    """A listening socket; port 0 takes the one of the last time if it is free, so that addresses stay valid."""
    remembered = read_note(directory).get("url", "").rpartition(":")[2]
    wishes = [port] if port else [int(remembered) if remembered.isdigit() else 0, 0]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for wish in wishes:
        # asyncio sends at once (TCP_NODELAY) only on a socket that says TCP; else answers wait 40 ms for an ack.
        with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((host, wish))
            except OSError as error:
                trouble = error
                continue
            listener.listen(128)
            yield listener
            return
    raise UserError(
        f"Cannot listen on {host}:{port}: {trouble.strerror}. Choose another --port (0: any free one)."
    )


def url_of(listener: socket.socket) -> str:
    """Where a listening socket answers on this machine."""
    host, port = listener.getsockname()[:2]
    local = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(host, host)  # noqa: S104
    return f"http://{local}:{port}"


class _Service(uvicorn.Server):
    """uvicorn, with our own reasons to end: signals, another leader, nobody left who needs it."""

    def __init__(
        self,
        app: FastAPI,
        leadership: Leadership,
        redis: EmbeddedRedis | GivenRedis,
        closing: threading.Event,
        *,
        idle_exit_s: float | None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                self._counted,
                interface="asgi3",
                log_config=None,
                lifespan="on",
                access_log=False,
                timeout_graceful_shutdown=3,
            )
        )
        self._app = app
        self._leadership = leadership
        self._redis = redis
        self._closing = closing
        self._idle_exit_s = idle_exit_s
        self._requests = 0
        self._idle_since = SYSTEM_CLOCK.monotonic()
        self.ready = threading.Event()

    def answer(self, listener: socket.socket) -> int:
        """Answer requests until told to end; the exit code: 1 if it neither leads nor stands by any more.

        Raises:
            UserError: it could not go on for what the user can change.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.leave("signal"))
        threading.Thread(target=self._watch, name="watch", daemon=True).start()
        self.run(sockets=[listener])
        ended_by = self._leadership.ended_by
        if isinstance(ended_by, UserError):
            raise ended_by
        return 0 if ended_by is None else 1

    def leave(self, why: str) -> None:
        log.info("leaving: %s", why)
        self._closing.set()
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled in `answer`: uvicorn would raise them again at the end."""
        yield

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._requests += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests -= 1
            self._idle_since = SYSTEM_CLOCK.monotonic()

    def _watch(self) -> None:
        while not self.should_exit:
            if self._leadership.ended_by is not None:
                self.leave(str(self._leadership.ended_by))
            elif self._idle_exit_s is not None and self._idle_s() > self._idle_exit_s:
                self.leave(f"idle for {self._idle_exit_s:g} s")
            self._revive_redis()
            self._closing.wait(WATCH_S)

    def _revive_redis(self) -> None:
        try:
            if not self.should_exit and self._redis.revive():
                log.warning("the embedded Redis had ended and was started again")
        except Unavailable as error:
            log.error("%s", error)

    def _idle_s(self) -> float:
        now = SYSTEM_CLOCK.monotonic()
        if self._requests > 1 or self._leadership.has_agents:  # 1: the lifespan
            self._idle_since = now
        return now - self._idle_since


def _watch_lifeline(fd: int | None, service: _Service) -> None:
    def wait() -> None:
        if fd is not None and os.read(fd, 1) == b"":
            service.leave("whoever started it has ended")

    if fd is not None:
        threading.Thread(target=wait, name="lifeline", daemon=True).start()


@contextmanager
def _announced(directory: Path, url: str, instance: str, service: _Service) -> Iterator[None]:
    """Write `service.json` as soon as requests are answered; remove it at a clean end."""

    def announce() -> None:
        service.ready.wait()
        _write_note(directory, url, instance)
        log.info("serving %s at %s", directory, url)

    threading.Thread(target=announce, name="announce", daemon=True).start()
    yield
    (directory / "service.json").unlink(missing_ok=True)


def read_note(directory: Path) -> dict[str, str]:
    """What `service.json` says; empty if nothing was ever served here."""
    try:
        note = json.loads((directory / "service.json").read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _write_note(directory: Path, url: str, instance: str) -> None:
    note = directory / "service.json.new"
    descriptor = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"url": url, "pid": os.getpid(), "instance": instance}, file)
    note.replace(directory / "service.json")
