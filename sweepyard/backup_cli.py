"""The `sweepyard backup` and `sweepyard restore` commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweepyard.echo import echo

StoreUrl = Annotated[str | None, typer.Option(help="The store. [default: SQLite in --dir]")]
Dir = Annotated[Path | None, typer.Option(help="Directory of the service. [default: .sweepyard]")]


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; must not exist.")],
    store_url: StoreUrl = None,
    dir: Dir = None,
) -> None:
    """Write a snapshot of the SQLite store to a file, whether or not it is being served. It holds secrets."""
    from sweepyard.doctor import store_url_of
    from sweepyard.settings import load_settings
    from sweepyard.tracking.backup import backup

    size_bytes = backup(store_url_of(load_settings(store_url=store_url, dir=dir)), file)
    echo(f"{file}: {size_bytes / 2**20:.1f} MiB")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `sweepyard backup` has written.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the store that is there.")] = False,
    store_url: StoreUrl = None,
    dir: Dir = None,
) -> None:
    """Make the SQLite store what a backup is. The service must not run; end the agents before."""
    from sweepyard.doctor import store_url_of
    from sweepyard.settings import load_settings
    from sweepyard.tracking.backup import restore

    instance_id = restore(store_url_of(load_settings(store_url=store_url, dir=dir)), file, force=force)
    echo(
        f"Restored. The installation is {instance_id} from now on: start agents anew, and Redis' users too if "
        "you have any (sweepyard doctor --acl). Runs that were under way are tried again."
    )
