"""What agents that are gone have left unsent in this directory, and how the next one sends it in their names.

Each agent holds a lock on `<dir>/runs/<agent>/agent.json` while it lives. Where nobody holds it, the agent has
ended, however it did: it was killed, or told to end while it was cut off.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event

from sweepyard.agent import rundir
from sweepyard.agent.contact import Contact, Identity
from sweepyard.agent.spool import Outbox
from sweepyard.bus.port import AgentBus
from sweepyard.bus.wire import AttemptRef, Control
from sweepyard.clock import Clock
from sweepyard.errors import UserError

OWNER = "agent.json"
PAUSE_S = 0.1
GRACE_S = 3.0
"""How long confirmations of what was sent are waited for when the agent itself is to end."""


@contextmanager
def claimed(agent: Identity, prefix: str) -> Iterator[None]:
    """Inside, the agent's folder is in use. `prefix` names the installation that its reports are for.

    Raises:
        UserError: there can be no such folder.
    """
    folder = agent.dir / "runs" / agent.id
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / OWNER).open("w")
    except OSError as error:
        raise UserError(
            f"Cannot keep runs in {agent.dir}: {error.strerror}. SWEEPYARD_DIR names another."
        ) from error
    with file as owner:
        with suppress(OSError):  # a file system without locks: then nobody takes over from it
            fcntl.flock(owner, fcntl.LOCK_EX)
            json.dump({"prefix": prefix, "sweep": agent.sweep, "host": agent.host}, owner)
            owner.flush()
        yield
        _tidy(folder)


class Heir:
    """Sends what agents that are gone have left in `agent`'s directory for the installation `prefix`.

    `bus_of(agent_id)` speaks as that agent. `say` gets a line about each that had left something.
    """

    def __init__(
        self,
        agent: Identity,
        prefix: str,
        bus_of: Callable[[str], AgentBus],
        say: Callable[[str], object],
        *,
        heartbeat_s: float,
        clock: Clock,
    ) -> None:
        self._agent, self._prefix, self._bus_of, self._say = agent, prefix, bus_of, say
        self._heartbeat_s, self._clock = heartbeat_s, clock

    def work(self, leave: Event) -> None:
        """Until all is confirmed or refused, or `leave` is set: then the rest is for the next agent."""
        for folder in sorted((self._agent.dir / "runs").iterdir()):
            if leave.is_set():
                return
            if folder.name != self._agent.id:
                self._inherit(folder, leave)

    def _inherit(self, folder: Path, leave: Event) -> None:
        with _abandoned(folder) as said:
            if said is not None and said.get("prefix") == self._prefix:
                gone = replace(self._agent, id=folder.name, host=said["host"], sweep=said["sweep"])
                self._send(gone, folder, leave)

    def _send(self, gone: Identity, folder: Path, leave: Event) -> None:
        boxes: dict[AttemptRef, tuple[Path, Outbox]] = {}
        for run_dir in sorted(folder.glob("r*-*")):
            outbox = Outbox.restore(run_dir, 2 * self._heartbeat_s)
            if outbox is None or outbox.is_empty:
                self._put_away(run_dir, None)
            else:
                boxes[outbox.source.ref] = run_dir, outbox
        if boxes and not self._deliver(gone, boxes, leave):
            numbers = ", ".join(f"#{outbox.source.number}" for _, outbox in boxes.values())
            self._say(f"what agent {gone.id} left of run {numbers} is still not confirmed; it stays in {folder}")
            return
        _tidy(folder)

    def _deliver(self, gone: Identity, boxes: dict[AttemptRef, tuple[Path, Outbox]], leave: Event) -> bool:
        """Whether nothing is left."""
        # Later than any beat that the agent itself may have counted.
        beat, now_s = int(self._clock.wall() * 1000), self._clock.monotonic()
        quiet = Contact(self._bus_of(gone.id), gone, _silent, stop_after_s=float("inf"), now_s=now_s, beat=beat)
        is_heard, ends_s = False, float("inf")
        while boxes and (now_s := self._clock.monotonic()) < ends_s:
            if leave.is_set():
                # What is sent may have ended the sweep, and with it this agent: its confirmation is on the way.
                ends_s = min(ends_s, now_s + GRACE_S if is_heard else now_s)
            if quiet.may_speak(now_s):
                due = [report for _, outbox in boxes.values() for report in outbox.due(now_s)]
                control = quiet.exchange(due, boxes, free=0, announce=False, now_s=now_s)
                is_heard = control is not None
                if control is not None:
                    for report in due:
                        boxes[report.ref][1].sent(report.seq, now_s)
                    self._take(gone, boxes, control, now_s)
            time.sleep(PAUSE_S)  # not `leave.wait`: that waits for nothing once it is set
        if not boxes:
            quiet.leave(f"it had ended; agent {self._agent.id} has sent what it left")
        return not boxes

    def _take(
        self, gone: Identity, boxes: dict[AttemptRef, tuple[Path, Outbox]], control: Control, now_s: float
    ) -> None:
        for ref, (run_dir, outbox) in list(boxes.items()):
            outbox.acknowledge(control.acks.get(str(ref), 0), now_s)
            order = control.orders.get(str(ref))
            refused = order.reason if order is not None and order.kind == "drop" else ""
            if refused or outbox.is_empty:
                self._put_away(run_dir, outbox)
                del boxes[ref]
                became = f"is not wanted any more: {refused}" if refused else "is sent"
                self._say(f"what agent {gone.id} left of run #{outbox.source.number} {became}")

    def _put_away(self, run_dir: Path, outbox: Outbox | None) -> None:
        name = f"{outbox.source.run}-{outbox.source.attempt}" if outbox else run_dir.name.removeprefix("r")
        rundir.put_away(run_dir, self._agent.dir / "logs" / f"{name}.log")


@contextmanager
def _abandoned(folder: Path) -> Iterator[dict[str, str] | None]:
    """What an agent that is gone has said of itself; None if it lives, or another one has taken over."""
    with ExitStack() as stack:
        try:
            owner = stack.enter_context((folder / OWNER).open("r+"))
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            said = json.load(owner)
        except (OSError, ValueError):
            said = None
        yield said


def _silent(_text: str) -> None:
    """The agent that is here says already that nobody answers."""


def _tidy(folder: Path) -> None:
    """Remove an agent's folder if no run has left anything in it."""
    with suppress(OSError):
        if [file.name for file in folder.iterdir()] == [OWNER]:
            (folder / OWNER).unlink()
            folder.rmdir()
