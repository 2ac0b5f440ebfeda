"""Which state follows which. Three tables and one reducer; everything else asks them.

The store's first migration forbids the same moves in the database, and `docs/architecture.md` draws them;
tests hold all three together.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from sweepyard.errors import IllegalTransition
from sweepyard.tracking.records import AttemptState, RunState, SweepState

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)
Table: TypeAlias = Mapping[tuple[State, Event], State]


class SweepEvent(StrEnum):
    start = "start"
    pause = "pause"
    resume = "resume"
    finish = "finish"
    close = "close"
    cancel = "cancel"
    reopen = "reopen"


class RunEvent(StrEnum):
    start = "start"
    finish = "finish"
    stop = "stop"
    fail = "fail"
    crash = "crash"
    kill = "kill"
    preempt = "preempt"
    retry = "retry"
    pause = "pause"
    promote = "promote"


class AttemptEvent(StrEnum):
    start = "start"
    end = "end"
    lose = "lose"
    supersede = "supersede"


_S, _R, _A = SweepState, RunState, AttemptState

SWEEP_MOVES: Table[SweepState, SweepEvent] = MappingProxyType(
    {
        (_S.pending, SweepEvent.start): _S.running,
        (_S.pending, SweepEvent.pause): _S.paused,
        (_S.running, SweepEvent.pause): _S.paused,
        (_S.paused, SweepEvent.resume): _S.running,
        (_S.finishing, SweepEvent.resume): _S.running,
        (_S.finished, SweepEvent.resume): _S.running,
        (_S.cancelled, SweepEvent.resume): _S.running,
        (_S.pending, SweepEvent.finish): _S.finishing,
        (_S.running, SweepEvent.finish): _S.finishing,
        (_S.paused, SweepEvent.finish): _S.finishing,
        (_S.finishing, SweepEvent.close): _S.finished,
        (_S.pending, SweepEvent.cancel): _S.cancelled,
        (_S.running, SweepEvent.cancel): _S.cancelled,
        (_S.paused, SweepEvent.cancel): _S.cancelled,
        (_S.finishing, SweepEvent.cancel): _S.cancelled,
        (_S.finished, SweepEvent.reopen): _S.finishing,
        (_S.cancelled, SweepEvent.reopen): _S.finishing,
    }
)

RUN_MOVES: Table[RunState, RunEvent] = MappingProxyType(
    {
        (_R.pending, RunEvent.start): _R.running,
        (_R.pending, RunEvent.kill): _R.killed,
        (_R.pending, RunEvent.crash): _R.crashed,
        (_R.running, RunEvent.finish): _R.finished,
        (_R.running, RunEvent.stop): _R.stopped,
        (_R.running, RunEvent.fail): _R.failed,
        (_R.running, RunEvent.crash): _R.crashed,
        (_R.running, RunEvent.kill): _R.killed,
        (_R.running, RunEvent.preempt): _R.preempted,
        (_R.running, RunEvent.retry): _R.pending,
        (_R.preempted, RunEvent.retry): _R.pending,
        (_R.running, RunEvent.pause): _R.paused,
        (_R.paused, RunEvent.promote): _R.pending,
        (_R.paused, RunEvent.stop): _R.stopped,
        (_R.paused, RunEvent.kill): _R.killed,
        (_R.finished, RunEvent.retry): _R.pending,
        (_R.stopped, RunEvent.retry): _R.pending,
        (_R.failed, RunEvent.retry): _R.pending,
        (_R.crashed, RunEvent.retry): _R.pending,
        (_R.killed, RunEvent.retry): _R.pending,
    }
)

ATTEMPT_MOVES: Table[AttemptState, AttemptEvent] = MappingProxyType(
    {
        (_A.offered, AttemptEvent.start): _A.running,
        (_A.offered, AttemptEvent.lose): _A.lost,
        (_A.offered, AttemptEvent.supersede): _A.superseded,
        (_A.running, AttemptEvent.end): _A.ended,
        (_A.running, AttemptEvent.lose): _A.lost,
    }
)


def move(table: Table[State, Event], state: State, event: Event, *, story: str = "") -> State:
    """The state that follows `state` on `event`.

    Raises:
        IllegalTransition: the table has no such move; the message carries `story`.
    """
    try:
        return table[state, event]
    except KeyError:
        raise IllegalTransition(
            f"{type(state).__name__}: no move '{event}' from '{state}'."
            + (f" What happened before: {story}" if story else "")
        ) from None
