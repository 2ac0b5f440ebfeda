"""What stands before every request: the API key, or else the loopback rules; and the size of bodies."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sweepyard.controller.policy import needed
from sweepyard.controller.problems import problem
from sweepyard.errors import Unavailable
from sweepyard.tracking.apikeys import role_of
from sweepyard.tracking.records import ApiKey, Role

MAX_BODY_BYTES = 1024 * 1024
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """ASGI middleware.

    With API keys, every request but the one for health must show one, whose role `policy` judges: `api_key` is an
    admin's, `keys` gives those of the store. Once there was a key, one is needed. Without any the service is on
    loopback, where any web page that the user visits could reach it through the browser: so the `Host` must be a
    name of this machine (a page that rebinds its name does not have one), and so must the `Origin` of whoever
    wants to change something.
    """

    def __init__(self, app: ASGIApp, *, api_key: str | None, keys: Callable[[], Sequence[ApiKey]]) -> None:
        self._app = app
        self._key = api_key.encode() if api_key else None
        self._keys = keys
        self._is_locked = self._key is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = await self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, _limited(receive), send)

    async def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:12]) > MAX_BODY_BYTES:
            return problem(413, "too-large", _TOO_LARGE)
        try:
            keys = await run_in_threadpool(self._keys)
        except Unavailable as error:
            return problem(503, "unavailable", str(error))
        self._is_locked = self._is_locked or bool(keys)
        if self._is_locked:
            return self._judge(scope, self._role(headers, keys))
        if not _is_loopback(f"//{headers.get('host', '')}"):
            return problem(403, "forbidden", "Without an API key this service answers only to loopback addresses.")
        if "origin" in headers and scope["method"] not in ("GET", "HEAD") and not _is_loopback(headers["origin"]):
            return problem(403, "forbidden", f"Pages of {headers['origin'][:100]} may not change anything here.")
        return None

    def _judge(self, scope: Scope, role: Role | None) -> ASGIApp | None:
        least = needed(scope["app"].state.routes, scope)
        if least is None or (role is not None and role.covers(least)):
            return None
        if role is None:
            return _unauthorized()
        return problem(403, "forbidden", f"This key is of the role '{role}'; that needs the role '{least}'.")

    def _role(self, headers: Headers, keys: Sequence[ApiKey]) -> Role | None:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        shown = shown.strip()
        if scheme.lower() != "bearer":
            return None
        if self._key is not None and hmac.compare_digest(shown.encode(), self._key):
            return Role.admin
        return role_of(shown, keys)


_TOO_LARGE = f"The body is larger than {MAX_BODY_BYTES // 1024} KiB."


def _unauthorized() -> ASGIApp:
    detail = "The API key is missing or wrong. Set SWEEPYARD_API_KEY to one that the service knows."
    return problem(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


def _is_loopback(url: str) -> bool:
    try:
        return urlsplit(url).hostname in LOOPBACK_NAMES
    except ValueError:
        return False


def _limited(receive: Receive) -> Receive:
    """`receive`, ending a body that is longer than its sender said, or that came without a length."""
    taken_bytes = 0

    async def limited() -> Message:
        nonlocal taken_bytes
        message = await receive()
        taken_bytes += len(message.get("body", b""))
        if taken_bytes > MAX_BODY_BYTES:
            raise HTTPException(413, _TOO_LARGE)
        return message

    return limited
