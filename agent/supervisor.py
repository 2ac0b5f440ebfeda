"""How a run is ended, and how its end is told. Pure: the pump performs it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import IntEnum

from sweepyard.bus.wire import Ended
from sweepyard.tracking.records import Outcome


class Wish(IntEnum):
    """Why a run is being ended. A greater one overrules a smaller one."""

    preempt = 1
    """This agent leaves: the run goes back to the queue."""
    stall = 2
    """It has logged nothing for too long."""
    pause = 3
    """The run goes on later, from its checkpoint."""
    stop = 4
    kill = 5
    drop = 6
    """The run is not this agent's any more."""


GRACE_S = {
    Wish.preempt: 10.0,
    Wish.stall: 10.0,
    Wish.pause: 10.0,
    Wish.stop: 10.0,
    Wish.kill: 2.0,
    Wish.drop: 0.0,
}
"""Seconds between SIGTERM and SIGKILL."""

SHELL = 128
"""What a shell adds to the number of a signal."""

OUTCOME = {
    Wish.preempt: Outcome.preempted,
    Wish.stall: Outcome.failed,
    Wish.pause: Outcome.preempted,
    Wish.stop: Outcome.stopped,
    Wish.kill: Outcome.killed,
    Wish.drop: Outcome.killed,
}


class Ladder:
    """Ends one run: SIGTERM first, or the signal that was asked for, SIGKILL after the grace of the greatest wish.

    Nothing is asked twice.
    """

    def __init__(self, grace_s: dict[Wish, float] | None = None) -> None:
        self.wish: Wish | None = None
        self.reason = ""
        self._grace_s = GRACE_S if grace_s is None else grace_s
        self._sent: set[int] = set()
        self._kill_at_s = 0.0
        self._first: int = signal.SIGTERM

    def ask(self, wish: Wish, reason: str, now_s: float, first: int = signal.SIGTERM) -> bool:
        """Want the run to end; False if that was wanted already, at least as much."""
        if self.wish is not None and self.wish >= wish:
            return False
        kill_at_s = now_s + self._grace_s[wish]
        self._kill_at_s = kill_at_s if self.wish is None else min(kill_at_s, self._kill_at_s)
        self.wish, self.reason, self._first = wish, reason, first
        return True

    def hurry(self, now_s: float) -> None:
        """No grace any more."""
        self._kill_at_s = now_s

    def next_signal(self, now_s: float) -> int | None:
        """The signal that is due now."""
        if self.wish is None:
            return None
        number = signal.SIGKILL if now_s >= self._kill_at_s else self._first
        if number in self._sent:
            return None
        self._sent.add(number)
        return number


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How the first process of a run ended. `told`: the code given to `finish()`; `tail`: its last lines."""

    code: int | None
    signal: int | None
    told: int | None = None
    tail: str = ""


def verdict(ladder: Ladder, end: Exit) -> Ended:
    """What to report: a run that was asked to end, ended because of that, whatever its exit code."""
    outcome, reason = _judge(ladder, end)
    return Ended(outcome=outcome, exit_code=end.code, signal=end.signal, reason=reason, tail=end.tail)


def _judge(ladder: Ladder, end: Exit) -> tuple[Outcome, str]:
    if ladder.wish in OUTCOME:
        return OUTCOME[ladder.wish], ladder.reason
    if end.signal is not None:
        return Outcome.failed, f"killed by signal {end.signal} ({_name(end.signal)}{_hint(end.signal)})"
    if end.code:
        return Outcome.failed, last_error(end.tail) or f"exited with code {end.code}{_shell_words(end.code)}"
    if end.told:
        return Outcome.failed, f"the code called finish(exit_code={end.told})"
    return Outcome.finished, ""


def last_error(text: str) -> str:
    """The sentence that ends the last Python traceback in `text`, such as "ValueError: boom"; or nothing."""
    _, found, after = text.rpartition("Traceback (most recent call last):\n")
    lines = [line for line in after.splitlines() if line and not line[0].isspace()]
    return lines[0] if found and lines else ""


def _shell_words(code: int) -> str:
    """What an exit code says of a signal: shells tell of what killed their command by 128 + its number."""
    if not SHELL < code <= SHELL + signal.SIGSYS:
        return ""
    number = code - SHELL
    return f" ({SHELL} + {number}: a command in it was killed by {_name(number)}{_hint(number)})"


def _hint(number: int) -> str:
    return "; out of memory?" if number == signal.SIGKILL else ""


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
