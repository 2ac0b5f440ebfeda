"""The command `sweepyard agents`: who works on a sweep, and what a person wants of one of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweepyard.clock import SYSTEM_CLOCK
from sweepyard.echo import echo, echo_json
from sweepyard.errors import NotFound, UserError
from sweepyard.local import open_client

if TYPE_CHECKING:
    from sweepyard.client import AgentVerb
    from sweepyard.views import AgentView


def agents(
    sweep_id: Annotated[str, typer.Argument(metavar="ID", help="ID, project/ID or entity/project/ID of a sweep.")],
    drain: Annotated[
        str | None, typer.Option(metavar="AGENT", help="It hands its run back, as at SIGTERM, and leaves.")
    ] = None,
    stop: Annotated[str | None, typer.Option(metavar="AGENT", help="It leaves when its run has ended.")] = None,
    quarantine: Annotated[
        str | None, typer.Option(metavar="AGENT", help="It takes no more runs, and stays.")
    ] = None,
    release: Annotated[str | None, typer.Option(metavar="AGENT", help="It may take runs again.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    dir: Annotated[Path | None, typer.Option(help="Directory of the local service. [default: .sweepyard]")] = None,
) -> None:
    """List the agents of a sweep; or drain, stop, quarantine or release one: its ID, or HOST/PID."""
    from sweepyard.tables import agent_state, agents_list
    from sweepyard.watch import find_sweep, make_console

    verbs: dict[AgentVerb, str | None] = {
        "drain": drain,
        "stop": stop,
        "quarantine": quarantine,
        "release": release,
    }
    wishes = [(verb, ref) for verb, ref in verbs.items() if ref is not None]
    if len(wishes) > 1:
        raise UserError("One thing at a time: give one of --drain, --stop, --quarantine and --release.")
    with open_client(dir) as client:
        found = find_sweep(client, sweep_id)
        known = client.agents(found.id)
        for verb, ref in wishes:
            changed = client.order_agent(found.id, _find(known, ref, found.id).id, verb)
            echo(f"Agent {changed.id} is {agent_state(changed)}")
    if wishes:
        return
    if as_json:
        echo_json(known)
    else:
        make_console().print(agents_list(known, SYSTEM_CLOCK.wall()) if known else "No agents yet.")


def _find(known: list[AgentView], ref: str, sweep_id: str) -> AgentView:
    """By id, or by host and process: the last one that was seen."""
    found = [agent for agent in known if ref in (agent.id, f"{agent.host}/{agent.pid}")]
    if not found:
        raise NotFound(f"There is no agent '{ref}'. `sweepyard agents {sweep_id}` lists them.")
    return max(found, key=lambda agent: agent.last_seen_at)
