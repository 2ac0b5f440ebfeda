"""Connections to Redis, and what its errors mean to us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sweepyard.errors import Unavailable, UserError
from sweepyard.redaction import without_login

CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 5.0


def connect(url: str, *, wait_s: float = 0.0) -> redis.Redis:
    """A lazy client with text answers. `wait_s`: how long its blocking commands may wait in addition.

    A dropped connection is dialled again once; longer outages surface as `redis.RedisError`.

    Raises:
        UserError: the URL is not one of Redis.
    """
    try:
        return redis.Redis.from_url(
            url,
            decode_responses=True,
            encoding_errors="replace",  # one message that is no text must not keep back those behind it
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=ANSWER_TIMEOUT_S + wait_s,
            retry=Retry(NoBackoff(), 1),
        )
    except ValueError as error:
        why = "" if "@" in url else f" ({error})"  # which may hold half of a password
        raise UserError(
            f"'{without_login(url)}' is not a Redis URL{why}. It should look like redis://host:6379/0."
        ) from None


@contextmanager
def reachable(client: redis.Redis) -> Iterator[None]:
    """Turn Redis' errors into `Unavailable`, without the password of the URL.

    A `ValueError` is an answer that was damaged on its way, as far as the client has noticed.
    """
    try:
        yield
    except (redis.RedisError, OSError, ValueError) as error:
        why = str(error).rstrip(".")
        raise Unavailable(f"Redis at {address_of(client)} does not answer: {why}.") from error


def address_of(client: redis.Redis) -> str:
    """Where a client connects to, fit for a message."""
    options = client.connection_pool.connection_kwargs
    return str(options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}")
