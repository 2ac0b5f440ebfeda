"""The `sweepyard keys` commands. They work on the store itself: who can write there needs no key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweepyard.tracking.records import Role

if TYPE_CHECKING:
    from sweepyard.tracking.sql import SqlStore

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys, on the machine of the store.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the key is called.")]
StoreUrl = Annotated[str | None, typer.Option(help="The store. [default: SQLite in --dir]")]
Dir = Annotated[Path | None, typer.Option(help="Directory of the service. [default: .sweepyard]")]


@app.command()
def create(
    name: Name,
    role: Annotated[Role, typer.Option(help="Each may do what those before it may.")] = Role.viewer,
    store_url: StoreUrl = None,
    dir: Dir = None,
) -> None:
    """Make a key. It is shown this once."""
    from sweepyard.clock import SYSTEM_CLOCK
    from sweepyard.tracking.apikeys import new_key

    shown, key = new_key(name, role, SYSTEM_CLOCK.wall())
    with _store(store_url, dir) as store:
        store.add_api_key(key)
    typer.echo(shown)


@app.command("list")
def list_keys(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    store_url: StoreUrl = None,
    dir: Dir = None,
) -> None:
    """Show which keys there are; not the keys themselves, which nobody knows."""
    with _store(store_url, dir) as store:
        keys = store.api_keys()
    rows = [(key.name, str(key.role), datetime.fromtimestamp(key.created_at, UTC)) for key in keys]
    if as_json:
        shown = [{"name": name, "role": role, "created_at": at.isoformat()} for name, role, at in rows]
        typer.echo(json.dumps(shown, indent=2))
    else:
        for name, role, at in rows:
            typer.echo(f"{name}  {role}  {at:%Y-%m-%d %H:%M} UTC")


@app.command()
def revoke(name: Name, store_url: StoreUrl = None, dir: Dir = None) -> None:
    """End a key: the next request with it is refused."""
    with _store(store_url, dir) as store:
        store.remove_api_key(name)


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
