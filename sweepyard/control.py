"""The public functions that steer a sweep from Python. Each returns when the change is committed.

`sweep_id`: id, project/id or entity/project/id. Without a configured address (`SWEEPYARD_URL`) the local service
in `.sweepyard/` is meant.

All of them raise `NotFound` if there is no such sweep or run, `Conflict` if its state does not allow the verb, and
`Unavailable` if the service does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweepyard.client import Client, Verb
    from sweepyard.views import RunView, SweepView, VersionView


def pause(sweep_id: str) -> SweepView:
    """Start no new runs for now. Present ones go on, and agents wait."""
    return _control(sweep_id, "pause")


def resume(sweep_id: str) -> SweepView:
    """Go on, from whatever state. Agents that have left must be started again."""
    return _control(sweep_id, "resume")


def stop(sweep_id: str) -> SweepView:
    """Start no new runs; present ones end, and each agent leaves when its run has ended."""
    return _control(sweep_id, "stop")


def cancel(sweep_id: str) -> SweepView:
    """End the sweep and kill its runs; agents leave."""
    return _control(sweep_id, "cancel")


def stop_run(sweep_id: str, run: str | int) -> RunView:
    """End one run early, by number or id, as early termination would; its agent takes the next one."""
    with _found(sweep_id) as (client, found_id):
        return client.stop_run(found_id, run)


def retry(sweep_id: str, *runs: str | int, states: Sequence[str] = ("failed", "crashed")) -> list[RunView]:
    """Try runs that have ended again, with the same parameters, each as its next attempt.

    `runs`: numbers or ids; without any, all runs in `states`. A sweep that has ended takes these up and nothing
    else. The answer has the runs that will be tried again.
    """
    with _found(sweep_id) as (client, found_id):
        return client.retry(found_id, runs, states=states)


def edit(
    sweep_id: str, changes: Mapping[str, Any] | None = None, *, config: Mapping[str, Any] | None = None
) -> VersionView:
    """Change limits, early termination, bounds and values of a sweep, in whatever state it is.

    `changes`: values by dotted path, such as `{"run_cap": 80, "parameters.lr.max": 0.3}`; None takes a key away.
    `config`: a whole new sweep config. Method, metric and the names of parameters can not change.

    Raises:
        SpecError: it is no sweep that can run, or changes what can not change.
    """
    with _found(sweep_id) as (client, found_id):
        return client.edit(found_id, changes, source=config)


def _control(sweep_id: str, verb: Verb) -> SweepView:
    with _found(sweep_id) as (client, found_id):
        return client.control(found_id, verb)


@contextmanager
def _found(sweep_id: str) -> Iterator[tuple[Client, str]]:
    from sweepyard.local import open_client
    from sweepyard.watch import find_sweep

    with open_client(None) as client:
        yield client, find_sweep(client, sweep_id).id
