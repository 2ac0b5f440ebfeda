"""The `sweepyard audit` command: who did what."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweepyard.echo import echo, echo_json
from sweepyard.errors import UserError
from sweepyard.local import open_client

if TYPE_CHECKING:
    from sweepyard.client import Client
    from sweepyard.views import AuditView

PAGE = 1000


def audit(
    limit: Annotated[int, typer.Option(min=1, help="How many entries at most, newest first.")] = 50,
    prune: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0, help="Forget what is older; that is an entry itself.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    dir: Annotated[Path | None, typer.Option(help="Directory of the local service. [default: .sweepyard]")] = None,
) -> None:
    """Show who changed what: sweeps, runs, agents and keys. With API keys this needs one of an admin."""
    from sweepyard.wording import one_line

    if prune is not None and as_json:
        raise UserError("Give --prune or --json, not both.")
    with open_client(dir) as client:
        if prune is not None:
            echo(f"{client.prune_audit(prune)} entries forgotten")
            return
        entries = _entries(client, limit)
    if as_json:
        echo_json(entries)
        return
    for entry in entries:
        who = f"{entry.actor} ({entry.role}, {entry.address})" if entry.address else entry.actor
        at = f"{datetime.fromtimestamp(entry.at, UTC):%Y-%m-%d %H:%M:%S} UTC"
        echo(one_line(f"{at}  {who}  {entry.verb}  {entry.target}  {entry.text}"))


def _entries(client: Client, limit: int) -> list[AuditView]:
    found: list[AuditView] = []
    before: int | None = None
    while len(found) < limit:
        page = client.audit(before=before, limit=min(PAGE, limit - len(found)))
        found += page.items
        before = page.next_before
        if before is None:
            break
    return found
