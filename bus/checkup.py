"""What a Redis says about itself, as far as we depend on it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from sweepyard.bus.connection import connect, reachable
from sweepyard.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisFacts:
    """`version`: of the commands that it knows, for a Valkey too. `ahead_s`: its clock against ours, positive if
    it is ahead. `trouble`: why it can not write to its disk, empty if it can."""

    version: tuple[int, ...]
    appends: bool
    snapshots: bool
    trouble: str
    eviction: str
    ahead_s: float
    is_local: bool
    has_password: bool


def examine(redis_url: str, clock: Clock) -> RedisFacts:
    """Ask a Redis.

    Raises:
        UserError: the URL is not one of Redis.
        Unavailable: it does not answer, or not to this user.
    """
    client = connect(redis_url)
    with reachable(client):
        info = client.info("all")
        asked_at = clock.wall()
        seconds, micros = client.time()
        ours = (asked_at + clock.wall()) / 2
    assert isinstance(info, dict)  # noqa: S101 (redis-py's type also has its asynchronous answer)
    return RedisFacts(
        version=tuple(int(part) for part in re.findall(r"\d+", str(info["redis_version"]))[:3]),
        appends=bool(info.get("aof_enabled")),
        snapshots=int(info.get("rdb_last_save_time", 0)) > int(seconds) - int(info["uptime_in_seconds"]),
        trouble=_trouble(info),
        eviction=str(info.get("maxmemory_policy", "noeviction")),
        ahead_s=int(seconds) + int(micros) / 1e6 - ours,
        is_local=_is_local(redis_url),
        has_password=bool(urlsplit(redis_url).password),
    )


def _trouble(info: dict[str, object]) -> str:
    if info.get("aof_last_write_status", "ok") != "ok":
        return "its last write to the append-only file failed"
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        return "its last snapshot failed"
    return ""


def _is_local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "unix" or (parts.hostname or "localhost") in ("localhost", "127.0.0.1", "::1")
