"""One attempt on this machine, from the offer until the controller has acknowledged its end."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path

from sweepyard.agent import rundir
from sweepyard.agent.rundir import RunInfo
from sweepyard.agent.silence import Silence
from sweepyard.agent.spool import Outbox
from sweepyard.agent.supervisor import Exit, Ladder, Wish, verdict
from sweepyard.bus.wire import AttemptRef, Ended, Offer, Started
from sweepyard.redaction import redact, secrets_of
from sweepyard.tracking.records import Outcome


@dataclass(eq=False, slots=True)
class Slot:
    """An offer that waits in the bus's thread until it is refused, or until its run has ended."""

    offer: Offer
    _taken: bool = False
    _answered: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> bool:
        self._answered.wait()
        return self._taken

    def answer(self, taken: bool) -> None:
        """False: another agent should have the offer. True: it was taken, and the next may come."""
        self._taken = taken
        self._answered.set()


class LiveAttempt:
    """An accepted offer: its folder, its reports, and how it is being ended."""

    def __init__(self, slot: Slot, run_dir: Path, outbox: Outbox, ladder: Ladder) -> None:
        self.slot = slot
        self.offer = slot.offer
        self.run_dir = run_dir
        self.outbox = outbox
        self.ladder = ladder
        self.started_at_s: float | None = None
        self.ended: Ended | None = None
        self._silence: Silence | None = None

    @property
    def ref(self) -> AttemptRef:
        return self.offer.ref

    @property
    def is_settled(self) -> bool:
        """Nothing more will be said about it: its end is acknowledged, or it was taken away and is over."""
        return self.ended is not None and (self.outbox.is_settled or self.ladder.wish is Wish.drop)

    @property
    def is_over_for_good(self) -> bool:
        """It has ended, and no other attempt will go on from what it has saved."""
        if self.ended is None or self.ladder.wish is Wish.drop:
            return False
        return self.ended.outcome is not Outcome.preempted

    def start(self, started: Started, now_s: float) -> None:
        self.started_at_s = now_s
        self.outbox.start(started)
        if self.offer.stall_after_s is not None:
            self._silence = Silence(self.run_dir / rundir.SPOOL, now_s)

    def ask(self, wish: Wish, reason: str, now_s: float, first: int = signal.SIGTERM) -> None:
        """Want it to end, by the signal `first`. After its end only `drop` has a meaning: say nothing more."""
        if self.ended is not None and wish is not Wish.drop:
            return
        if self.ladder.ask(wish, reason, now_s, first) and self.ended is None:
            with contextlib.suppress(OSError):  # signals follow, whatever the disk says
                rundir.order_stop(self.run_dir, reason)

    def watch(self, now_s: float) -> None:
        """Want it to end if it has logged nothing for too long."""
        most_s = self.offer.stall_after_s
        if self._silence is None or most_s is None or self.ladder.wish is not None:
            return
        if self._silence.seconds(now_s) >= most_s:
            reason = (
                f"stalled: it logged nothing for {most_s:g} s, so it was ended; see the last lines that it printed"
            )
            self.ask(Wish.stall, f"{reason}. If it only needs longer, give stall_after_s more", now_s)

    def end(self, code: int | None, number: int | None) -> Ended:
        """Its first process has ended, and the rest was killed."""
        log = redact(rundir.tail(self.run_dir / rundir.OUTPUT), secrets_of(os.environ))
        end = Exit(code=code, signal=number, told=self.outbox.exit_code(), tail=log)
        self.ended = verdict(self.ladder, end)
        if self.started_at_s is not None:
            self.outbox.end(self.ended)
        return self.ended

    def info(self, project: str, entity: str) -> RunInfo:
        """What the training process is told about itself."""
        return RunInfo(
            sweep_id=self.offer.sweep,
            id=self.offer.run,
            number=self.offer.number,
            name=self.offer.name,
            attempt=self.offer.attempt,
            project=project,
            entity=entity,
            first_step=self.offer.step,
            dir=self.run_dir,
        )
