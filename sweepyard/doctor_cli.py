"""The `sweepyard doctor` command."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweepyard.echo import echo
from sweepyard.errors import UserError

if TYPE_CHECKING:
    from sweepyard.settings import Settings

MARKS = {"ok": "ok     ", "warning": "warning", "wrong": "WRONG  "}


def doctor(
    acl: Annotated[
        bool, typer.Option("--acl", help="Print a Redis ACL file, and the passwords beside it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    redis_url: Annotated[
        str | None, typer.Option(help="Redis of the service. [default: the embedded one]")
    ] = None,
    store_url: Annotated[str | None, typer.Option(help="Its database. [default: SQLite in --dir]")] = None,
    dir: Annotated[Path | None, typer.Option(help="Directory of the service. [default: .sweepyard]")] = None,
) -> None:
    """Look for what would hurt the service of this machine, and say what to do. Exit code 1: it is ill."""
    from sweepyard.clock import SYSTEM_CLOCK
    from sweepyard.doctor import diagnose
    from sweepyard.settings import load_settings

    settings = load_settings(redis_url=redis_url, store_url=store_url, dir=dir)
    if acl:
        _print_acl(settings)
        return
    findings = diagnose(settings, SYSTEM_CLOCK)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            echo(f"{MARKS[finding.state]}  {finding.what}: {finding.text}")
            if finding.remedy:
                echo(f"           {finding.remedy}")
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)


def _print_acl(settings: Settings) -> None:
    """The file on standard output; passwords, which it does not hold, on standard error, this once."""
    import secrets

    from sweepyard.bus.acl import acl_file
    from sweepyard.bus.checkup import examine
    from sweepyard.clock import SYSTEM_CLOCK
    from sweepyard.doctor import store_url_of
    from sweepyard.tracking.sql import open_store

    url = settings.redis_url
    if url is None:
        raise UserError(
            "For which Redis? Its version decides what may stand in the file: give --redis-url. "
            "The embedded one has a password of its own, and needs no file."
        )
    facts = examine(url, SYSTEM_CLOCK)
    store = open_store(store_url_of(settings))
    prefix = f"sy-{store.instance_id}"
    store.close()
    controller, agent = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    typer.echo(acl_file(facts.version, prefix, controller_password=controller, agent_password=agent), nl=False)
    place = url.rpartition("@")[2].rpartition("//")[2]
    scheme = url.partition("://")[0]
    typer.echo(
        "Add a user for administration to this file, name it by `aclfile` in the configuration of Redis\n"
        "and start Redis again. The service needs these, which are shown once:\n"
        f"  SWEEPYARD_REDIS_URL={scheme}://controller:{controller}@{place}\n"
        f"  SWEEPYARD_AGENT_REDIS_URL={scheme}://agent:{agent}@{place}",
        err=True,
    )
