"""What travels through Redis: JSON only, one version number, checked on arrival.

An attempt's reports are numbered from 1 without gaps (`seq`): the controller takes each in once and in order,
and the agent keeps it until it is acknowledged.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from sweepyard.tracking.records import Outcome

WIRE_VERSION: Literal[1] = 1


def other_version(text: str) -> str:
    """Why a message can not be read, if that is because its sender is of another version; else nothing."""
    try:
        message = json.loads(text)
    except ValueError:
        return ""
    if not isinstance(message, dict) or message.get("v", WIRE_VERSION) == WIRE_VERSION:
        return ""
    who = f"agent {message['agent']}" if "agent" in message else "the service"
    return (
        f"{who} speaks wire version {message['v']}, this side {WIRE_VERSION}: install the same version of "
        "sweepyard on both sides"
    )


def order_of(position: str) -> tuple[int, ...]:
    """What positions in the stream of messages are compared by."""
    return tuple(map(int, position.split("-")))


class AttemptRef(NamedTuple):
    """Names one attempt of one run; printed as `r<run>-<attempt>` (also the rq job id)."""

    run: str
    attempt: int

    def __str__(self) -> str:
        return f"r{self.run}-{self.attempt}"

    @classmethod
    def parse(cls, text: str) -> AttemptRef:
        run, _, attempt = text.removeprefix("r").rpartition("-")
        return cls(run, int(attempt))


class _Wire(BaseModel):
    # Lists and dicts that are empty by default come from factories: any other default is copied for each message.
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Offer(_Wire):
    """May be taken by one agent: run this attempt.

    `step`: where the steps of its history go on. `parent`: the run whose checkpoint is where it begins. `epoch`:
    of the controller that makes the offer. `stall_after_s`: so long it may log nothing; None: for ever.
    """

    v: Literal[1] = WIRE_VERSION
    sweep: str
    run: str
    number: int
    attempt: int
    name: str
    params: dict[str, Any]
    step: int = 0
    parent: str | None = None
    stall_after_s: float | None = None
    epoch: int = 0

    @property
    def ref(self) -> AttemptRef:
        return AttemptRef(self.run, self.attempt)


Int64: TypeAlias = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Finite: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]


class WireRow(NamedTuple):
    """A committed history row as the training process logged it; `data` is plain."""

    step: Int64
    runtime_s: Finite
    logged_at: Finite
    data: dict[str, Any]


class Started(_Wire):
    kind: Literal["started"] = "started"
    host: str
    pid: Int64


class Rows(_Wire):
    """New rows, and changes of the user's config and summary (merged key by key)."""

    kind: Literal["rows"] = "rows"
    rows: list[WireRow] = Field(default_factory=list)
    config: dict[str, Any] = Field(default_factory=dict)
    summary: dict[str, Any] = Field(default_factory=dict)


class Ended(_Wire):
    """`reason`: one sentence; `tail`: the last lines that the run printed."""

    kind: Literal["ended"] = "ended"
    outcome: Outcome
    exit_code: Int64 | None = None
    signal: Int64 | None = None
    reason: str = ""
    tail: str = ""


class Report(_Wire):
    """The next numbered fact about an attempt."""

    type: Literal["report"] = "report"
    v: Literal[1] = WIRE_VERSION
    sweep: str
    run: str
    attempt: Int64
    agent: str
    seq: Int64
    body: Annotated[Started | Rows | Ended, Field(discriminator="kind")]

    @property
    def ref(self) -> AttemptRef:
        return AttemptRef(self.run, self.attempt)


class Presence(_Wire):
    """An agent's word about itself. In the presence hash a changing `beat` means that it lives; in the
    report stream it wakes the controller. `free`: slots that could start a run now."""

    type: Literal["presence"] = "presence"
    v: Literal[1] = WIRE_VERSION
    sweep: str
    agent: str
    host: str
    pid: Int64
    version: str
    beat: int
    free: int
    running: list[str] = Field(default_factory=list)


class Left(_Wire):
    """An agent that ends on purpose."""

    type: Literal["left"] = "left"
    v: Literal[1] = WIRE_VERSION
    sweep: str
    agent: str
    reason: str = ""


Message: TypeAlias = Report | Presence | Left

MESSAGE: TypeAdapter[Message] = TypeAdapter(
    Annotated[Message, Field(discriminator="type")], config=ConfigDict(defer_build=True)
)


class AttemptOrder(_Wire):
    """What the controller wants of an attempt that an agent executes.

    `pause`: end it, it will go on later; report it `preempted`. `stop`: end it early, report it `stopped`.
    `kill`: end it at once, report it `killed`. `drop`: it is not yours any more; end it at once and report nothing
    further.
    """

    kind: Literal["pause", "stop", "kill", "drop"]
    reason: str


WORDS = ("exit", "wait", "stop", "drain")
"""What the controller may want of an agent, each with a reason: fields of `Control`."""


class Control(_Wire):
    """Everything that the controller has to say to one agent, as state (never as a one-time message)."""

    acks: dict[str, int] = Field(default_factory=dict)
    orders: dict[str, AttemptOrder] = Field(default_factory=dict)
    exit: str | None = None
    """A reason to leave: no more work will come."""
    wait: str | None = None
    """A reason to stay without work."""
    stop: str | None = None
    """A reason to leave when the present run has ended, whatever becomes of the sweep."""
    drain: str | None = None
    """A reason to hand the present run back, and leave."""
    pulse: str | None = None
    """Changes while the controller lives; None: it was never there, or Redis has forgotten it."""
