"""An agent's contact with the controller: one round trip at a time, patient with outages."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from sweepyard.bus.port import AgentBus
from sweepyard.bus.wire import AttemptRef, Control, Left, Message, Presence, Report
from sweepyard.errors import Unavailable
from sweepyard.redaction import redact

RETRY_FIRST_S = 0.2
RETRY_MAX_S = 5.0
SILENT_S = 30.0
"""Silence of the controller that is worth a word: it looks around every second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who an agent is, whose sweep it serves, and where it keeps folders and logs (`dir`) and checkpoints."""

    id: str
    host: str
    version: str
    sweep: str
    project: str
    entity: str
    dir: Path
    checkpoint_root: Path


class Contact:
    """Speaks on the bus. An outage is said once through `say`, and so is its end; retries back off to 5 s.

    `stop_after_s`: silence of the controller after which the agent `is_cut_off`, counted from `now_s` on. `beat`:
    its last sign of life, for who speaks on behalf of an agent that has spoken before.
    """

    def __init__(
        self,
        bus: AgentBus,
        agent: Identity,
        say: Callable[[str], object],
        *,
        stop_after_s: float,
        now_s: float,
        beat: int = 0,
    ) -> None:
        self._bus, self._agent, self._say = bus, agent, say
        self._stop_after_s = stop_after_s
        self._heard_at_s = now_s
        self._pulse: str | None = None
        self._is_silent = False
        self.is_cut_off = False
        self._beat = beat
        self._outages = 0
        self._retry_at_s = float("-inf")
        self.spoke_at_s = float("-inf")
        """When the last round trip succeeded."""

    @property
    def is_out(self) -> bool:
        """Whether the last attempt to speak failed."""
        return self._outages > 0

    def may_speak(self, now_s: float) -> bool:
        return now_s >= self._retry_at_s

    def exchange(
        self,
        reports: Sequence[Report],
        running: Collection[AttemptRef],
        *,
        free: int,
        announce: bool,
        now_s: float,
    ) -> Control | None:
        """Send `reports` and a sign of life, and hear what the controller wants; None: nobody there.

        `running`: the attempts that this agent answers for. `announce`: wake the controller by the sign of life.
        """
        presence = self._presence(running, free)
        messages: list[Message] = [*reports, presence] if announce else [*reports]
        try:
            control = self._bus.exchange(messages, presence)
        except Unavailable as error:
            self._on_outage(error, now_s)
            return None
        if self._outages:
            self._say("the service can be reached again")
            self._outages = 0
        self.spoke_at_s = now_s
        if control.pulse != self._pulse:
            self._pulse, self._heard_at_s = control.pulse, now_s
        return control

    def listen(self, now_s: float) -> None:
        """Judge how long the controller has been silent, whatever keeps its word away; changes are said."""
        silent_s = now_s - self._heard_at_s
        if silent_s >= self._stop_after_s and not self.is_cut_off:
            self._say(
                f"the controller was not heard for {self._stop_after_s:g} s: this agent hands back what it runs, "
                "keeps the reports, and waits"
            )
            self._is_silent = self.is_cut_off = True
        elif silent_s >= SILENT_S and not (self._is_silent or self.is_out):
            self._say(f"the controller was not heard for {SILENT_S:g} s. {self._patience}")
            self._is_silent = True
        elif self._is_silent and silent_s < min(SILENT_S, self._stop_after_s):
            self._say("the controller is heard again")
            self._is_silent = self.is_cut_off = False

    def leave(self, reason: str) -> None:
        """Say goodbye, if anyone hears it."""
        with contextlib.suppress(Unavailable):
            self._bus.leave(Left(sweep=self._agent.sweep, agent=self._agent.id, reason=redact(reason)))

    def _presence(self, running: Collection[AttemptRef], free: int) -> Presence:
        self._beat += 1
        return Presence(
            sweep=self._agent.sweep,
            agent=self._agent.id,
            host=self._agent.host,
            pid=os.getpid(),
            version=self._agent.version,
            beat=self._beat,
            free=free,
            running=[str(ref) for ref in running],
        )

    @property
    def _patience(self) -> str:
        return f"Training goes on for up to {self._stop_after_s:g} s; its reports are kept and sent later."

    def _on_outage(self, error: Unavailable, now_s: float) -> None:
        if not self._outages:
            self._say(f"{error} {self._patience}")
        wait_s = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0**self._outages)
        self._outages = min(self._outages + 1, 10)
        self._retry_at_s = now_s + wait_s * random.uniform(0.5, 1)
