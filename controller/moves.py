"""Everything that can happen to a run, each written down in one transaction: state, attempt, story.

Every function takes the ledger, an open transaction and the time; each follows the tables of
`tracking.lifecycle` and leaves a reason that the user can read.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from random import SystemRandom

from sweepyard.controller.ledger import Ledger
from sweepyard.controller.repeats import Point
from sweepyard.controller.retries import STOPPED, refusal
from sweepyard.controller.runnames import DEFAULT, run_name
from sweepyard.schedulers.port import Turn
from sweepyard.search.port import Suggestion
from sweepyard.tracking.lifecycle import (
    ATTEMPT_MOVES,
    RUN_MOVES,
    SWEEP_MOVES,
    AttemptEvent,
    RunEvent,
    SweepEvent,
    move,
)
from sweepyard.tracking.port import Transaction
from sweepyard.tracking.records import (
    ATTEMPT_OPEN,
    RUN_ENDED,
    SWEEP_ENDED,
    Attempt,
    Decision,
    Order,
    Outcome,
    Run,
    RunState,
    SpecVersion,
    Sweep,
    SweepState,
)

ID_LETTERS = string.ascii_lowercase + string.digits

RUN_EVENT_OF = {
    Outcome.finished: RunEvent.finish,
    Outcome.stopped: RunEvent.stop,
    Outcome.failed: RunEvent.fail,
    Outcome.killed: RunEvent.kill,
    Outcome.preempted: RunEvent.preempt,
}


def new_id() -> str:
    """8 lower-case letters and digits, as W&B's ids."""
    return "".join(SystemRandom().choices(ID_LETTERS, k=8))


def first_version(sweep: Sweep) -> SpecVersion:
    """What a new sweep is created with."""
    return SpecVersion(sweep_id=sweep.id, version=1, spec=sweep.spec, text="as created", at=sweep.created_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an attempt ended, as its agent tells."""

    outcome: Outcome
    reason: str
    exit_code: int | None = None
    signal: int | None = None
    tail: str = ""


def propose(ledger: Ledger, tx: Transaction, suggestion: Suggestion, now: float, *, outside: bool = False) -> Run:
    """A new run with its first attempt, ready to be offered. `outside`: its point is not in the space."""
    repeat = ledger.repeat
    params = repeat.params(suggestion.params, 0) if repeat else suggestion.params
    return _new(ledger, tx, replace(suggestion, params=params), now, outside=outside)


def repeat(ledger: Ledger, tx: Transaction, point: Point, now: float) -> Run:
    """The next run of a point, with the next seed."""
    first, n = point.runs[0], len(point.runs)
    reason = f"repeat {n + 1} of {point.repeat.times} of run {first.number}"
    suggestion = Suggestion(params=point.repeat.params(point.params, n), reason=reason)
    return _new(ledger, tx, suggestion, now, outside=first.outside, repeat_of=first.number)


def _new(
    ledger: Ledger,
    tx: Transaction,
    suggestion: Suggestion,
    now: float,
    *,
    outside: bool,
    repeat_of: int | None = None,
) -> Run:
    number = len(ledger.runs) + 1
    run = tx.add_run(
        Run(
            id=new_id(),
            sweep_id=ledger.sweep.id,
            number=number,
            name=run_name(ledger.sweep.spec.get("run_name", DEFAULT), number, suggestion.params),
            params=suggestion.params,
            reason=suggestion.reason,
            detail=suggestion.detail,
            repeat_of=repeat_of,
            spec_version=ledger.sweep.version,
            outside=outside,
            created_at=now,
        )
    )
    ledger.put(run)
    _offer(ledger, tx, run, now)
    ledger.tell(tx, "run.proposed", suggestion.reason, now, run)
    if ledger.sweep.state is SweepState.pending:
        move_sweep(ledger, tx, SweepEvent.start, "its first run was proposed", now)
    return run


def start(ledger: Ledger, tx: Transaction, run: Run, *, seq: int, agent_id: str, where: str, now: float) -> Run:
    """Report `seq` says that an agent has taken the run's offered attempt; from here on that is its alone."""
    attempt = ledger.attempts[run.id]
    state = move(ATTEMPT_MOVES, attempt.state, AttemptEvent.start)
    ledger.save_attempt(tx, run, attempt, state=state, seq=seq, agent_id=agent_id, started_at=now)
    run = ledger.save_run(
        tx, run, state=move(RUN_MOVES, run.state, RunEvent.start), started_at=now, state_reason=""
    )
    ledger.tell(tx, "run.started", f"attempt {run.attempt} started on {where}", now, run, agent_id=agent_id)
    return run


def end(ledger: Ledger, tx: Transaction, run: Run, ending: Ending, now: float, *, seq: int) -> Run:
    """Report `seq` of the attempt's agent says how it ended: the run ends as well, or is tried again."""
    attempt = ledger.attempts[run.id]
    ledger.save_attempt(
        tx,
        run,
        attempt,
        state=move(ATTEMPT_MOVES, attempt.state, AttemptEvent.end),
        seq=seq,
        ended_at=now,
        outcome=ending.outcome,
        exit_code=ending.exit_code,
        signal=ending.signal,
        reason=ending.reason,
        tail=ending.tail,
    )
    event, reason = RUN_EVENT_OF[ending.outcome], ending.reason
    if run.order is not None and event in (RunEvent.stop, RunEvent.kill, RunEvent.preempt):
        # It ended as we wanted; an agent that left meanwhile has only done so earlier.
        return _move_run(ledger, tx, run, RunEvent(run.order), run.order_reason, now)
    if event is RunEvent.preempt:
        return _preempt(ledger, tx, run, reason, now)
    if event is RunEvent.fail:
        run = replace(run, failed_on=[*run.failed_on, attempt.agent_id])
        return _fail(ledger, tx, run, reason, now)
    return _move_run(ledger, tx, run, event, reason, now)


def _preempt(ledger: Ledger, tx: Transaction, run: Run, reason: str, now: float) -> Run:
    why_not = refusal(ledger.sweep, "preempted", run.failed_on)
    if why_not:
        return _move_run(ledger, tx, run, RunEvent.kill, f"{reason}; not tried again: {why_not}", now)
    run = _move_run(ledger, tx, run, RunEvent.preempt, reason, now)
    return _again(ledger, tx, run, f"it was preempted: {reason}", now)


def _fail(ledger: Ledger, tx: Transaction, run: Run, reason: str, now: float) -> Run:
    if run.order is not None or "failed" not in ledger.sweep.retry["on"]:
        return _move_run(ledger, tx, run, RunEvent.fail, reason, now)
    why_not = refusal(ledger.sweep, "failed", run.failed_on)
    if why_not:
        return _move_run(ledger, tx, run, RunEvent.fail, f"{reason}; not tried again: {why_not}", now)
    return _again(ledger, tx, run, f"it failed: {reason}", now)


def lose(ledger: Ledger, tx: Transaction, run: Run, *, reason: str, now: float) -> Run:
    """Nobody executes the open attempt any more: try again, or give up where that is the better answer."""
    attempt = ledger.attempts[run.id]
    state = move(ATTEMPT_MOVES, attempt.state, AttemptEvent.lose)
    ledger.save_attempt(tx, run, attempt, state=state, ended_at=now, reason=reason)
    ledger.given_up[run.id, run.attempt] = attempt.seq
    ledger.tell(tx, "attempt.lost", f"attempt {run.attempt} was lost: {reason}", now, run)
    if run.order in ("pause", "stop") and run.state is RunState.running:
        return _move_run(ledger, tx, run, RunEvent(run.order), run.order_reason, now)
    if run.order == "kill":
        return _move_run(ledger, tx, run, RunEvent.kill, run.order_reason, now)
    run = replace(run, failed_on=[*run.failed_on, attempt.agent_id])
    why_not = refusal(ledger.sweep, "crashed", run.failed_on)
    if why_not:
        return _move_run(ledger, tx, run, RunEvent.crash, f"{reason}; not tried again: {why_not}", now)
    return _again(ledger, tx, run, reason, now)


def retry(ledger: Ledger, tx: Transaction, run: Run, now: float) -> Run:
    """A person wants an ended run to be tried again, as often as a new one is."""
    reason = f"the user asked for it; it was {run.state}{run.state_reason and f' ({run.state_reason})'}"
    return _again(ledger, tx, replace(run, failed_on=[]), reason, now)


def give_back(ledger: Ledger, tx: Transaction, run: Run, agent_id: str, now: float) -> Run:
    """A failure was its agent's: it counts not against the run, which is tried elsewhere if its sweep goes on."""
    run = ledger.save_run(tx, run, failed_on=[each for each in run.failed_on if each != agent_id])
    sweep = ledger.sweep
    is_over = sweep.state in SWEEP_ENDED or (sweep.state is SweepState.finishing and sweep.reason == STOPPED)
    if run.state is not RunState.failed or is_over:
        return run
    return _again(ledger, tx, run, f"agent {agent_id} is in quarantine ({run.state_reason})", now)


def order(ledger: Ledger, tx: Transaction, run: Run, wish: Order, reason: str, now: float) -> Run:
    """Want a run to end. One that has not started ends here and now; a running one is told."""
    attempt = ledger.attempts.get(run.id)
    if run.state is RunState.running:
        ledger.tell(tx, f"run.{wish}_ordered", reason, now, run)
        return ledger.save_run(tx, run, order=wish, order_reason=reason)
    if run.state is RunState.paused:
        return _move_run(ledger, tx, run, RunEvent(wish), reason, now)
    if attempt is not None and attempt.state in ATTEMPT_OPEN:
        state = move(ATTEMPT_MOVES, attempt.state, AttemptEvent.supersede)
        ledger.save_attempt(tx, run, attempt, state=state, ended_at=now, reason=reason)
        ledger.superseded.append((run.id, attempt.n))
    return _move_run(ledger, tx, run, RunEvent.kill, reason, now)


def promote(ledger: Ledger, tx: Transaction, run: Run, reason: str, now: float) -> Run:
    """A paused run goes on, from its checkpoint: what it has reported counts for the next attempt as well."""
    points = ledger.curves[run.id].points()
    run = ledger.save_run(
        tx,
        run,
        state=move(RUN_MOVES, run.state, RunEvent.promote),
        state_reason=reason,
        attempt=run.attempt + 1,
        order=None,
        order_reason="",
        started_at=None,
    )
    ledger.ordered.discard(run.id)
    _offer(ledger, tx, run, now)
    tx.add_points(run.key, run.attempt, points)
    ledger.tell(tx, "run.promoted", reason, now, run)
    return run


def take_turn(ledger: Ledger, tx: Transaction, turn: Turn, now: float) -> Run:
    """A paused run goes on; or it is over, and its successor begins, unless the sweep takes no more runs."""
    run, cap = ledger.runs[turn.run_id], ledger.sweep.run_cap
    replaced = turn.successor is not None and (cap is None or len(ledger.runs) < cap)
    tx.add_decision(
        Decision(
            run_key=run.key,
            attempt=run.attempt,
            action="stop" if replaced else "promote",
            rule=turn.rule,
            reason=turn.reason,
            rung=turn.rung,
            value=turn.value,
            threshold=turn.threshold,
            peers=turn.peers,
            decided_at=now,
        )
    )
    if not replaced or turn.successor is None or turn.parent is None:
        return promote(ledger, tx, run, turn.reason, now)
    order(ledger, tx, run, "stop", turn.reason, now)
    parent = ledger.runs[turn.parent]
    reason = f"in the place of run {run.number}: from the checkpoint of run {parent.number}, parameters near its"
    detail = {"parent": parent.id, "parent_number": parent.number, "replaces": run.number}
    return propose(ledger, tx, Suggestion(params=turn.successor, reason=reason, detail=detail), now)


def dismiss(ledger: Ledger, tx: Transaction, reason: str, now: float) -> None:
    """Paused runs get no further turn."""
    for run in ledger.paused:
        order(ledger, tx, run, "stop", f"{reason}; {run.state_reason}", now)


def move_sweep(ledger: Ledger, tx: Transaction, event: SweepEvent, reason: str, now: float) -> None:
    """Move the sweep's own state."""
    state = move(SWEEP_MOVES, ledger.sweep.state, event)
    ledger.save_sweep(tx, state=state, reason=reason, ended_at=now if state in SWEEP_ENDED else None)
    ledger.tell(tx, f"sweep.{state}", reason, now)


def _move_run(ledger: Ledger, tx: Transaction, run: Run, event: RunEvent, reason: str, now: float) -> Run:
    state = move(
        RUN_MOVES, run.state, event, story=f"run {run.number} of sweep {run.sweep_id}, {run.state_reason}"
    )
    ended_at = now if state in RUN_ENDED else None
    run = ledger.save_run(tx, run, state=state, state_reason=reason, ended_at=ended_at)
    ledger.tell(tx, f"run.{state}", reason, now, run)
    return run


def _again(ledger: Ledger, tx: Transaction, run: Run, reason: str, now: float) -> Run:
    """Offer the run once more, from the start: what the last attempt reached does not count for the next."""
    curve = ledger.curves.pop(run.id, None)
    if curve is not None and curve.values:
        ledger.former[run.id] = curve
    ledger.spared.pop(run.id, None)
    ledger.ordered.discard(run.id)
    waiting = run.state is RunState.pending
    reached = "" if run.objective is None else f" (attempt {run.attempt} had come to {run.objective:g})"
    run = ledger.save_run(
        tx,
        run,
        state=run.state if waiting else move(RUN_MOVES, run.state, RunEvent.retry),
        state_reason=f"offered again because {reason}",
        attempt=run.attempt + 1,
        order=None,
        order_reason="",
        objective=None,
        steps=0,
        summary={},
        started_at=None,
        ended_at=None,
    )
    _offer(ledger, tx, run, now)
    ledger.tell(tx, "run.retried", run.state_reason + reached, now, run)
    return run


def _offer(ledger: Ledger, tx: Transaction, run: Run, now: float) -> None:
    attempt = Attempt(run_key=run.key, n=run.attempt, offered_at=now)
    tx.add_attempt(attempt)
    ledger.attempts[run.id] = attempt
