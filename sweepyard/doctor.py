"""Looks for what would hurt a service: in its Redis, its store, its disk, its clock and its agents.

Changes nothing: a store that is not there is not made, an old one is not migrated, no Redis is started.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from sweepyard.bus.checkup import RedisFacts, examine
from sweepyard.bus.embedded import EmbeddedRedis
from sweepyard.clock import Clock
from sweepyard.errors import SweepyardError, UserError
from sweepyard.settings import Settings
from sweepyard.tracking.checkup import StoreFacts, examine_store, file_of

OLDEST_REDIS = (6, 2)
MOST_SKEW_S = 2.0
LEAST_FREE_BYTES = 2**30
NETWORK_FILE_SYSTEMS = (
    "nfs nfs4 cifs smb3 smbfs 9p afs ceph glusterfs lustre gpfs beegfs orangefs pvfs2 panfs virtiofs "
    "fuse.sshfs fuse.glusterfs fuse.s3fs fuse.ceph fuse.juicefs"
)
"""Kinds of file systems, as Linux calls them, on which SQLite's locks can not be trusted."""

log = logging.getLogger(__name__)

State = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `remedy`: what to do, empty if it is ok. `loses_data`: results get lost."""

    what: str
    state: State
    text: str
    remedy: str = ""
    loses_data: bool = False


def diagnose(settings: Settings, clock: Clock) -> list[Finding]:
    """All findings about the installation that `settings` name."""
    return [*_redis(settings, clock), *_store(settings), *_disk(settings)]


def heed(findings: Iterable[Finding], *, despite: bool) -> None:
    """Log what is not ok, before a service starts.

    Nothing that Redis does can lose a result: the store is the truth, and agents send again what it has not
    acknowledged. So no finding about Redis is a reason to refuse. A store whose file locks are not kept is one.

    Raises:
        UserError: results would be lost, unless the service is wanted `despite` that.
    """
    for finding in findings:
        if finding.loses_data and not despite:
            raise UserError(
                f"{finding.what}: {finding.text}. {finding.remedy} To serve all the same, and lose results, set "
                "SWEEPYARD_DESPITE_FINDINGS=true."
            )
        if finding.state != "ok":
            level = logging.ERROR if finding.state == "wrong" else logging.WARNING
            log.log(level, "%s: %s. %s", finding.what, finding.text, finding.remedy)


def redis_url_of(settings: Settings) -> str | None:
    """The Redis of an installation: the given one, or the embedded one if that runs."""
    return settings.redis_url or EmbeddedRedis(Path(settings.dir).resolve() / "redis").running_url()


def store_url_of(settings: Settings) -> str:
    return settings.store_url or f"sqlite:///{Path(settings.dir).resolve() / 'store.db'}"


def _redis(settings: Settings, clock: Clock) -> Iterator[Finding]:
    url = redis_url_of(settings)
    if url is None:
        yield Finding("redis", "ok", "none runs here; the service starts one of its own")
        return
    try:
        facts = examine(url, clock)
    except SweepyardError as error:
        yield Finding("redis", "wrong", str(error), "Start it, or correct SWEEPYARD_REDIS_URL.")
        return
    yield from of_redis(facts)


def of_redis(facts: RedisFacts) -> Iterator[Finding]:
    """What to make of what a Redis says. Pure."""
    shown = ".".join(map(str, facts.version))
    if facts.version < OLDEST_REDIS:
        yield Finding("redis version", "wrong", f"{shown} is too old", "Install Redis 6.2 or newer, or Valkey.")
    else:
        yield Finding("redis version", "ok", shown)
    yield _persistence(facts)
    if facts.eviction != "noeviction":
        text = f"maxmemory-policy is {facts.eviction}: offers and reports may vanish"
        yield Finding("redis eviction", "wrong", text, "CONFIG SET maxmemory-policy noeviction")
    else:
        yield Finding("redis eviction", "ok", "noeviction")
    if abs(facts.ahead_s) > MOST_SKEW_S:
        text = f"this machine is {abs(facts.ahead_s):.1f} s {'behind' if facts.ahead_s > 0 else 'ahead of'} Redis"
        remedy = "Run NTP on both. Nothing is decided by it, but times shown will disagree."
        yield Finding("clock", "warning", text, remedy)
    else:
        yield Finding("clock", "ok", f"within {MOST_SKEW_S:g} s of Redis")
    if not (facts.is_local or facts.has_password):
        text = "it is reached over the network without a password"
        remedy = "Give it users: sweepyard doctor --acl > users.acl, and aclfile users.acl in its configuration."
        yield Finding("redis access", "wrong", text, remedy)


def _persistence(facts: RedisFacts) -> Finding:
    what = "redis persistence"
    if facts.trouble:
        return Finding(what, "wrong", facts.trouble, "Look at its log and at the room on its disk.")
    if facts.appends:
        return Finding(what, "ok", "append-only file")
    text = "snapshots only" if facts.snapshots else "no append-only file, and no snapshot since it started"
    remedy = "CONFIG SET appendonly yes. No result depends on it: agents send again what was not acknowledged."
    return Finding(what, "warning", text, remedy)


def _store(settings: Settings) -> Iterator[Finding]:
    try:
        facts = examine_store(store_url_of(settings))
    except SweepyardError as error:
        yield Finding("store", "wrong", str(error), "Start the database, or correct SWEEPYARD_STORE_URL.")
        return
    file = file_of(store_url_of(settings))
    if file is not None:
        yield of_file_system(file, file_system_of(_existing(file)))
    if facts is None:
        yield Finding("store", "ok", "none yet; the service makes one when it starts")
        return
    yield of_schema(facts)
    yield of_agents(facts.agents, version("sweepyard"))


def of_schema(facts: StoreFacts) -> Finding:
    if facts.schema == facts.newest_schema:
        return Finding("store schema", "ok", facts.schema)
    if facts.schema > facts.newest_schema:
        text = f"{facts.schema}; this sweepyard knows schemas up to {facts.newest_schema}"
        return Finding("store schema", "wrong", text, "A newer sweepyard wrote it: upgrade this one.")
    text = f"{facts.schema or 'none'}, older than {facts.newest_schema}"
    return Finding("store schema", "warning", text, "Make a backup; the service migrates it when it starts.")


def of_file_system(file: Path, kind: str) -> Finding:
    if kind in NETWORK_FILE_SYSTEMS.split():
        remedy = "SQLite needs a local disk: move SWEEPYARD_DIR, or use PostgreSQL (SWEEPYARD_STORE_URL)."
        return Finding(
            "store file system", "wrong", f"{file} is on {kind}, a network file system", remedy, loses_data=True
        )
    return Finding("store file system", "ok", kind or "unknown on this system")


def of_agents(versions: dict[str, str], ours: str) -> Finding:
    """`versions`: of the agents that are there, by id."""
    others = sorted(f"{agent} ({theirs})" for agent, theirs in versions.items() if theirs != ours)
    if not others:
        return Finding(
            "agents", "ok", f"{len(versions)} there, all of version {ours}" if versions else "none there"
        )
    text = f"{len(others)} of {len(versions)} differ from {ours}: {', '.join(others[:5])}"
    return Finding("agents", "wrong", text, f"Install sweepyard {ours} on their machines and start them again.")


def _disk(settings: Settings) -> Iterator[Finding]:
    directory = _existing(Path(settings.dir).resolve())
    free_bytes = shutil.disk_usage(directory).free
    shown = f"{free_bytes / 2**30:.1f} GiB free for {settings.dir}"
    if free_bytes < LEAST_FREE_BYTES:
        yield Finding("disk", "wrong", shown, "Make room: below 1 GiB the store may soon refuse results.")
    else:
        yield Finding("disk", "ok", shown)


def file_system_of(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The kind of file system that `path` is on, by Linux' table of mounts; empty where there is none."""
    if not mounts.exists():
        return ""
    place, found = os.path.realpath(path), ("", "")
    for line in mounts.read_text(errors="replace").splitlines():
        _, mount, kind, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        if len(mount) >= len(found[0]) and (place + "/").startswith(mount.rstrip("/") + "/"):
            found = (mount, kind)
    return found[1]


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())
