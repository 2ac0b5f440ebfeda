"""The `sweepyard keys` commands. They work on the store itself: who can write there needs no key."""

from __future__ import annotations

import getpass
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweepyard.echo import echo
from sweepyard.errors import UserError
from sweepyard.plain import printable
from sweepyard.tracking.records import Actor, ApiKey, Role

if TYPE_CHECKING:
    from sweepyard.tracking.sql import SqlStore

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys, on the machine of the store.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the key is called.")]
StoreUrl = Annotated[str | None, typer.Option(help="The store. [default: SQLite in --dir]")]
TIMES = ("created_at", "expires_at", "last_used_at")

Dir = Annotated[Path | None, typer.Option(help="Directory of the service. [default: .sweepyard]")]


@app.command()
def create(
    name: Name,
    role: Annotated[Role, typer.Option(help="Each may do what those before it may.")] = Role.viewer,
    expires: Annotated[
        str | None, typer.Option(metavar="WHEN", help="90d, 12h, or a day such as 2027-01-31. [default: never]")
    ] = None,
    store_url: StoreUrl = None,
    dir: Dir = None,
) -> None:
    """Make a key. It is shown this once."""
    from sweepyard.clock import SYSTEM_CLOCK
    from sweepyard.tracking.apikeys import new_key

    now = SYSTEM_CLOCK.wall()
    ends_at = None if expires is None else _time_of(expires, now)
    shown, key = new_key(name, role, now, expires_at=ends_at)
    with _store(store_url, dir) as store:
        store.add_api_key(key, _me())
    typer.echo(shown)


@app.command("list")
def list_keys(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    store_url: StoreUrl = None,
    dir: Dir = None,
) -> None:
    """Show which keys there are; not the keys themselves, which nobody knows."""
    from sweepyard.clock import SYSTEM_CLOCK

    with _store(store_url, dir) as store:
        keys = store.api_keys()
    if as_json:
        rows = [asdict(key) | {name: _iso(getattr(key, name)) for name in TIMES} for key in keys]
        typer.echo(json.dumps([{k: v for k, v in row.items() if k != "digest"} for row in rows], indent=2))
        return
    now = SYSTEM_CLOCK.wall()
    for key in keys:
        echo("  ".join(_told(key, now)))


@app.command()
def revoke(name: Name, store_url: StoreUrl = None, dir: Dir = None) -> None:
    """End a key: the next request with it is refused."""
    from sweepyard.clock import SYSTEM_CLOCK

    with _store(store_url, dir) as store:
        store.remove_api_key(name, _me(), SYSTEM_CLOCK.wall())


def _told(key: ApiKey, now: float) -> Iterator[str]:
    yield printable(key.name)
    yield str(key.role)
    yield f"made {_day(key.created_at)}"
    yield f"last used {_day(key.last_used_at)}" if key.last_used_at is not None else "never used"
    if key.expires_at is not None:
        yield f"{'expired' if key.expires_at <= now else 'expires'} {_day(key.expires_at)}"


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()


def _time_of(text: str, now: float) -> float:
    """When `90d`, `12h` or a day (its beginning, UTC) is."""
    span = re.fullmatch(r"(\d{1,5})([dh])", text)
    if span:
        return now + int(span[1]) * (86_400 if span[2] == "d" else 3_600)
    try:
        at = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise UserError(f"--expires {text}: write 90d, 12h, or a day such as 2027-01-31.") from None
    if at <= now:
        raise UserError(f"--expires {text}: that is over already.")
    return at


def _me() -> Actor:
    """Who stands at the machine of the store."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    return Actor(name=f"user {name}", role=Role.admin, address="the machine of the store")


@contextmanager
def _store(store_url: str | None, dir: Path | None) -> Iterator[SqlStore]:
    from sweepyard.doctor import store_url_of
    from sweepyard.settings import load_settings
    from sweepyard.tracking.sql import open_store

    store = open_store(store_url_of(load_settings(store_url=store_url, dir=dir)))
    try:
        yield store
    finally:
        store.close()
