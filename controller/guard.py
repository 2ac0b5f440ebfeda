"""What stands before every request: limits, the API key or else the loopback rules, and the headers of answers."""

from __future__ import annotations

import hmac
import logging
import math
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sweepyard.clock import Clock
from sweepyard.controller.limits import BURST_S, GUESS_AGAIN_S, Limits, Meter, caller_at
from sweepyard.controller.policy import needed
from sweepyard.controller.problems import problem
from sweepyard.errors import Unavailable
from sweepyard.tracking.apikeys import key_of, shown_key
from sweepyard.tracking.records import Actor, ApiKey, Role

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
READS = ("GET", "HEAD")
USED_AGAIN_S = 60.0
"""The store learns at most this often that a key is used."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer, unless its route says otherwise."""

log = logging.getLogger(__name__)


class KeyRing(Protocol):
    """What the guard needs of the store."""

    def api_keys(self) -> Sequence[ApiKey]: ...

    def used_api_key(self, name: str, at: float) -> None: ...


class Guard:
    """ASGI middleware. Routes find who asks as `request.state.actor`.

    With API keys, every request but the one for health must show one, whose role `policy` judges: `api_key` is an
    admin's, `keys` has those of the store. Once there was a key, one is needed. Without any the service is on
    loopback, where any web page that the user visits could reach it through the browser: so the `Host` must be a
    name of this machine (a page that rebinds its name does not have one). A page of another origin may change
    nothing, key or not.

    Who asks too often, by address, waits (429). So does who has shown too many wrong keys; a key of the store is
    let in even then, since nobody guesses 256 random bits: neighbours behind one address do not shut each other
    out.
    """

    def __init__(self, app: ASGIApp, *, api_key: str | None, keys: KeyRing, clock: Clock, limits: Limits) -> None:
        self._app = app
        self._key = api_key.encode() if api_key else None
        self._keys = keys
        self._clock = clock
        self._limits = limits
        self._asked = Meter(limits.requests_per_s, BURST_S * limits.requests_per_s)
        self._guessed = Meter(1 / GUESS_AGAIN_S, limits.wrong_keys)
        self._used_at: dict[str, float] = {}
        self._is_locked = self._key is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(scope, Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, _with_headers(send))
            return
        await self._app(scope, self._limited(receive), _with_headers(send))

    async def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        address = (scope.get("client") or ("", 0))[0]
        if wait_s := self._asked.take(caller_at(address), self._clock.monotonic()):
            return _wait(wait_s, "too-many-requests", "Too many requests from this address.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:12]) > self._limits.body_bytes:
            return problem(413, "too-large", self._too_large)
        if scope["method"] not in READS and not _is_same_origin(headers):
            return problem(403, "forbidden", f"Pages of {headers['origin'][:100]} may not change anything here.")
        try:
            keys = await run_in_threadpool(self._keys.api_keys)
        except Unavailable as error:
            return problem(503, "unavailable", str(error))
        self._is_locked = self._is_locked or bool(keys)
        if self._is_locked:
            return await self._judge(scope, headers, keys, address)
        scope.setdefault("state", {})["actor"] = Actor(name="without a key", role=Role.admin, address=address)
        if not _is_loopback(f"//{headers.get('host', '')}"):
            return problem(403, "forbidden", "Without an API key this service answers only to loopback addresses.")
        return None

    async def _judge(self, scope: Scope, headers: Headers, keys: Sequence[ApiKey], address: str) -> ASGIApp | None:
        least = needed(scope["app"].state.routes, scope)
        if least is None:
            return None
        shown, now_s = shown_key(headers.get("authorization", ""), scope["method"]), self._clock.monotonic()
        key = key_of(shown, keys) if shown else None
        if key is not None and key.expires_at is not None and key.expires_at <= self._clock.wall():
            return _unauthorized(scope, f"The API key '{key.name}' has expired. Ask for a new one.")
        if key is not None:
            await self._note_use(key)
            actor = Actor(name=key.name, role=key.role, address=address)
        elif wait_s := self._guessed.wait_s(caller_at(address), now_s) if shown else 0.0:
            return _wait(wait_s, "locked-out", "Too many wrong API keys from this address.")
        elif shown and self._key is not None and hmac.compare_digest(shown.encode(), self._key):
            actor = Actor(name="SWEEPYARD_API_KEY", role=Role.admin, address=address)
        else:
            if shown:
                self._guessed.take(caller_at(address), now_s)
                log.warning("a wrong API key from %s", address)
            return _unauthorized(
                scope, "The API key is missing or wrong. Set SWEEPYARD_API_KEY to one that the service knows."
            )
        scope.setdefault("state", {})["actor"] = actor
        if actor.role.covers(least):
            return None
        return problem(403, "forbidden", f"This key is of the role '{actor.role}'; that needs the role '{least}'.")

    async def _note_use(self, key: ApiKey) -> None:
        now_s = self._clock.monotonic()
        if now_s - self._used_at.get(key.digest, float("-inf")) < USED_AGAIN_S:
            return
        self._used_at[key.digest] = now_s
        try:
            await run_in_threadpool(self._keys.used_api_key, key.name, self._clock.wall())
        except Unavailable as error:  # what the request wants may still work
            log.warning("%s", error)

    @property
    def _too_large(self) -> str:
        return f"The body is larger than {self._limits.body_bytes // 1024} KiB (SWEEPYARD_BODY_KIB)."

    def _limited(self, receive: Receive) -> Receive:
        """`receive`, ending a body that is longer than its sender said, or that came without a length."""
        taken_bytes = 0

        async def limited() -> Message:
            nonlocal taken_bytes
            message = await receive()
            taken_bytes += len(message.get("body", b""))
            if taken_bytes > self._limits.body_bytes:
                raise HTTPException(413, self._too_large)
            return message

        return limited


def _wait(wait_s: float, kind: str, why: str) -> ASGIApp:
    seconds = math.ceil(wait_s)
    return problem(429, kind, f"{why} Try again in {seconds} s.", headers={"Retry-After": str(seconds)})


def _unauthorized(scope: Scope, detail: str) -> ASGIApp:
    """What a browser understands on a page: it asks for a password, which is the key."""
    ask = "Bearer" if scope["path"].startswith("/api/") else 'Basic realm="sweepyard: the API key as password"'
    return problem(401, "unauthorized", detail, headers={"WWW-Authenticate": ask})


def _is_same_origin(headers: Headers) -> bool:
    """Whether the request comes from a page of ours, or from no page at all."""
    origin = headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:
        return False


def _is_loopback(url: str) -> bool:
    try:
        return urlsplit(url).hostname in LOOPBACK_NAMES
    except ValueError:
        return False


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
