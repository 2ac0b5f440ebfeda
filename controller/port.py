"""What the HTTP API needs from the rest of the controller."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from sweepyard.controller.spec import Spec
from sweepyard.plain import Params
from sweepyard.tracking.records import Actor, Agent, PriorRun, Run, RunState, SpecVersion, Sweep

Verb: TypeAlias = Literal["pause", "resume", "stop", "cancel"]
AgentVerb: TypeAlias = Literal["drain", "stop", "quarantine", "release"]
"""`records.AgentOrder`, or none any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionInfo:
    """What agents are told about the bus."""

    redis_url: str = field(repr=False)
    prefix: str
    heartbeat_s: float
    lost_after_s: float


class EnginePort(Protocol):
    """The only way to change anything. Calls return when the change is committed, and with it that `by` wanted it.

    They raise `UserError` (`NotFound`, `Conflict`) for what cannot be done, and `Unavailable`.
    """

    def create_sweep(self, spec: Spec, prior_runs: Sequence[PriorRun] = (), *, by: Actor) -> Sweep:
        """A new sweep, and what it knows from elsewhere (the `sweep_id` of which is filled in)."""
        ...

    def control(self, sweep_id: str, verb: Verb, *, by: Actor) -> Sweep: ...

    def stop_run(self, sweep_id: str, ref: str | int, *, by: Actor) -> Run:
        """End one run early."""
        ...

    def retry(
        self, sweep_id: str, refs: Sequence[str | int], states: Collection[RunState], *, by: Actor
    ) -> list[Run]:
        """Try the named runs again, or all in `states` if none is named; the answer has those."""
        ...

    def edit(
        self, sweep_id: str, source: str | Mapping[str, Any] | None, wishes: Mapping[str, Any], *, by: Actor
    ) -> SpecVersion:
        """Change a sweep's spec: by a whole new file, by single values, or both. The answer: what it is now."""
        ...

    def enqueue(self, sweep_id: str, params: Params, *, outside: bool, by: Actor) -> Run:
        """A run of a sweep with the point that `params` names; of its space, unless `outside`."""
        ...

    def order_agent(self, sweep_id: str, agent_id: str, verb: AgentVerb, *, by: Actor) -> Agent:
        """Want something of an agent of a sweep."""
        ...

    def prune_audit(self, before: float, *, by: Actor) -> int:
        """Forget what the audit trail says of the time before: how many entries that were."""
        ...

    def health(self) -> Mapping[str, Any]:
        """`status` ("ok", "degraded" or "standby"), `engine` and `redis` ("ok", or what is wrong), `epoch`, and on
        a standby `leader`: who leads."""
        ...
