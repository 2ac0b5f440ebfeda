"""What a person may want of a sweep or of its runs, written down in one transaction.

The effects are those of W&B's verbs: pausing and stopping let present runs go on, cancelling kills them, and a
sweep can be resumed from any state.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sweepyard.controller import edits, moves
from sweepyard.controller.ledger import Ledger
from sweepyard.controller.port import Verb
from sweepyard.controller.retries import STOPPED
from sweepyard.errors import Conflict, IllegalTransition, NotFound
from sweepyard.plain import Params
from sweepyard.search.inside import lies_inside, wished
from sweepyard.search.space import Space
from sweepyard.tracking.lifecycle import SweepEvent
from sweepyard.tracking.port import Transaction
from sweepyard.tracking.records import RUN_ENDED, SWEEP_ENDED, Run, RunState, SpecVersion, SweepState

EVENTS: Mapping[Verb, SweepEvent] = MappingProxyType(
    {
        "pause": SweepEvent.pause,
        "resume": SweepEvent.resume,
        "stop": SweepEvent.finish,
        "cancel": SweepEvent.cancel,
    }
)
TRUE_ALREADY: Mapping[Verb, Collection[SweepState]] = MappingProxyType(
    {"pause": (SweepState.paused,), "resume": (SweepState.pending, SweepState.running), "stop": (), "cancel": ()}
)
"""States in which a verb changes nothing and is no mistake."""


def control(ledger: Ledger, tx: Transaction, verb: Verb, now: float) -> None:
    """`pause`, `resume`, `stop` or `cancel` the sweep.

    Raises:
        Conflict: its state does not allow that.
    """
    was = ledger.sweep
    if was.state in TRUE_ALREADY[verb]:
        return
    try:
        moves.move_sweep(ledger, tx, EVENTS[verb], STOPPED if verb == "stop" else f"{verb} by the user", now)
    except IllegalTransition:
        why = f" ({was.reason})" if was.reason else ""
        raise Conflict(f"Sweep {was.id} is {was.state}{why}: {verb} is not possible.") from None
    if verb == "stop":
        for run, _ in ledger.offered:
            moves.order(ledger, tx, run, "kill", "the sweep was stopped before this run started", now)
    elif verb == "cancel":
        for run in ledger.open_runs:
            moves.order(ledger, tx, run, "kill", "the sweep was cancelled", now)


def stop_run(ledger: Ledger, tx: Transaction, ref: str | int, now: float) -> Run:
    """End one run early, as a rule of early termination would; one that has not started is killed.

    Raises:
        NotFound, Conflict: there is no such run, or it has ended.
    """
    run = _run(ledger, ref)
    if run.state in RUN_ENDED:
        raise Conflict(f"Run {run.number} of sweep {run.sweep_id} is {run.state}: there is nothing to stop.")
    if run.state is RunState.running and run.order in ("stop", "kill"):
        return run
    return moves.order(ledger, tx, run, "stop", "stopped by the user", now)


def retry(
    ledger: Ledger, tx: Transaction, refs: Sequence[str | int], states: Collection[RunState], now: float
) -> list[Run]:
    """Try runs again: those that `refs` names, or, if it names none, all in `states`.

    A sweep that has ended takes them up and nothing else: it is over again when they are.

    Raises:
        NotFound, Conflict: there is no such run, or it has not ended.
    """
    chosen = [_run(ledger, ref) for ref in dict.fromkeys(refs)]
    for run in chosen:
        if run.state not in RUN_ENDED:
            raise Conflict(f"Run {run.number} of sweep {run.sweep_id} is {run.state}: it is not over yet.")
    chosen = chosen or [run for run in ledger.runs.values() if run.state in RUN_ENDED and run.state in states]
    if not chosen:
        return []
    reason = f"{len(chosen)} of its runs {'is' if len(chosen) == 1 else 'are'} tried again"
    if ledger.sweep.state in SWEEP_ENDED:
        moves.move_sweep(ledger, tx, SweepEvent.reopen, reason, now)
    elif ledger.sweep.state is SweepState.finishing:
        ledger.save_sweep(tx, reason=reason)
    return [moves.retry(ledger, tx, run, now) for run in {run.id: run for run in chosen}.values()]


def enqueue(ledger: Ledger, tx: Transaction, params: Params, now: float, *, outside: bool) -> Run:
    """Make a run with the point that `params` names; of the sweep's space, unless `outside`.

    Raises:
        SpecError: it is no point of the space.
        Conflict: the sweep takes no new runs.
    """
    sweep = ledger.sweep
    if sweep.state not in (SweepState.pending, SweepState.running, SweepState.paused):
        raise Conflict(f"Sweep {sweep.id} is {sweep.state} ({sweep.reason}): it takes no new runs.")
    if sweep.run_cap is not None and len(ledger.runs) >= sweep.run_cap:
        raise Conflict(f"Sweep {sweep.id} has all the {sweep.run_cap} runs that its run_cap allows.")
    point = wished(sweep.spec, params, outside=outside)
    outside = outside and not lies_inside(Space.of(sweep.spec), point.params)
    return moves.propose(ledger, tx, point, now, outside=outside)


def edit(
    ledger: Ledger, tx: Transaction, source: str | Mapping[str, Any] | None, wishes: Mapping[str, Any], now: float
) -> SpecVersion:
    """Go on with another version of the sweep's spec; the present one if nothing changes. See `edits.edited`.

    Runs whose points are not in the new space are marked. One that no agent has started is killed, unless it was
    outside already.

    Raises:
        SpecError: it is no sweep that can run, or changes what can not change.
    """
    sweep = ledger.sweep
    spec = edits.edited(sweep.spec, source, wishes).data
    text = edits.told(sweep.spec, spec)
    if not text:
        return SpecVersion(sweep_id=sweep.id, version=sweep.version, spec=spec, text="nothing changed", at=now)
    ledger.edit(tx, spec)
    strangers = _mark_outside(ledger, tx, now)
    if strangers:
        text += f". Runs outside the space now: {strangers}"
    version = SpecVersion(sweep_id=sweep.id, version=ledger.sweep.version, spec=spec, text=text, at=now)
    tx.add_version(version)
    ledger.tell(tx, "sweep.edited", f"version {version.version}: {text}", now)
    return version


def _mark_outside(ledger: Ledger, tx: Transaction, now: float) -> int:
    """Mark the runs that are outside the present space, and no others: how many there are."""
    space, marked = Space.of(ledger.sweep.spec), 0
    for run in list(ledger.runs.values()):
        outside = not lies_inside(space, run.params)
        marked += outside
        if outside == run.outside:
            continue
        run = ledger.save_run(tx, run, outside=outside)
        if outside and run.state is RunState.pending:
            reason = f"version {ledger.sweep.version} of the sweep's spec has its point no longer"
            moves.order(ledger, tx, run, "kill", reason, now)
    return marked


def _run(ledger: Ledger, ref: str | int) -> Run:
    """By id, or by number, which may be text."""
    text = str(ref).lower()
    number = int(text[:20]) if text.isascii() and text.isdecimal() else 0
    run = ledger.runs.get(text) or next((run for run in ledger.runs.values() if run.number == number), None)
    if run is None:
        raise NotFound(f"Sweep {ledger.sweep.id} has no run '{text[:40]}'. Give a run's number or its id.")
    return run
