"""Taking one report in: rows, run state and scheduler decision, all in the caller's transaction.

Exactly once in effect: an attempt's reports are numbered, `attempt.seq` is the last one taken in, and it is
stored with the rows. A duplicate changes nothing and is acknowledged again; a gap changes nothing and is not.
"""

from __future__ import annotations

from typing import NamedTuple

from sweepyard.bus.wire import AttemptOrder, Ended, Report, Rows, Started, WireRow
from sweepyard.controller import moves
from sweepyard.controller.ledger import Ledger
from sweepyard.controller.metricname import troubles
from sweepyard.plain import NOT_FINITE, finite
from sweepyard.tracking.port import Transaction
from sweepyard.tracking.records import AttemptState, Decision, Point, Row, Run, RunState
from sweepyard.wording import many


class Reply(NamedTuple):
    """What the agent gets to read: the last report that is safe with us, and what we want of the attempt.

    `is_news`: the report was taken in now, and not before.
    """

    ack: int | None = None
    order: AttemptOrder | None = None
    is_news: bool = False


def take_in(ledger: Ledger, tx: Transaction, report: Report, now: float) -> Reply:
    """Take a report in, or say why it is none of the sender's business any more."""
    run = ledger.runs.get(report.run)
    refusal = f"run {report.run} is not known here" if run is None else _refusal(ledger, run, report)
    if run is not None and refusal:
        _tell_of_late_rows(ledger, tx, run, report, now)
    if run is None or refusal:
        return Reply(order=AttemptOrder(kind="drop", reason=refusal or ""))
    attempt = ledger.attempts[run.id]
    if report.seq != attempt.seq + 1:
        return Reply(attempt.seq, standing_order(run))
    match report.body:
        case Rows() as body:
            ledger.save_attempt(tx, run, attempt, seq=report.seq)
            run = _take_rows(ledger, tx, run, body, now)
        case Started() as body:
            where = f"{body.host} (pid {body.pid})"
            run = moves.start(ledger, tx, run, seq=report.seq, agent_id=report.agent, where=where, now=now)
        case Ended() as body:
            ending = moves.Ending(
                outcome=body.outcome,
                reason=body.reason,
                exit_code=body.exit_code,
                signal=body.signal,
                tail=body.tail,
            )
            run = moves.end(ledger, tx, run, ending, now, seq=report.seq)
            _say_what_is_missing(ledger, tx, run, now)
    return Reply(report.seq, standing_order(run), is_news=True)


def standing_order(run: Run) -> AttemptOrder | None:
    """What we want of a running run, if anything."""
    if run.order is None or run.state is not RunState.running:
        return None
    return AttemptOrder(kind=run.order, reason=run.order_reason)


def _refusal(ledger: Ledger, run: Run, report: Report) -> str | None:
    attempt = ledger.attempts.get(run.id)
    if report.attempt < run.attempt:
        return f"attempt {report.attempt} of run {run.number} was superseded by attempt {run.attempt}"
    if attempt is None or report.attempt > run.attempt:
        return f"run {run.number} has ended ({run.state}: {run.state_reason})"
    if attempt.agent_id and attempt.agent_id != report.agent:
        return f"attempt {report.attempt} of run {run.number} belongs to agent {attempt.agent_id}"
    if attempt.state in (AttemptState.lost, AttemptState.superseded):
        return f"attempt {report.attempt} of run {run.number} is {attempt.state}: {attempt.reason}"
    if attempt.state is AttemptState.ended and report.seq > attempt.seq:
        # A queue that went back in time has offered it once more to the agent that had finished it.
        return f"attempt {report.attempt} of run {run.number} has ended before"
    if attempt.state is AttemptState.offered and not isinstance(report.body, Started):
        # The controller knows nothing of this agent's start: it was lost with Redis. It will be sent again.
        return None if report.seq > 1 else f"run {run.number} has not started"
    return None


def _tell_of_late_rows(ledger: Ledger, tx: Transaction, run: Run, report: Report, now: float) -> None:
    """Once for each attempt that was lost: what it reports later is not kept, and a person may miss it."""
    late = run.id, report.attempt
    if isinstance(report.body, Rows) and report.seq > ledger.given_up.get(late, report.seq):
        del ledger.given_up[late]
        rows = many(len(report.body.rows), "row")
        text = f"attempt {report.attempt} was heard again after it was given up: {rows} refused, and it is to end"
        ledger.tell(tx, "attempt.late", text, now, run)


def _take_rows(ledger: Ledger, tx: Transaction, run: Run, body: Rows, now: float) -> Run:
    rows = [_row(run, i, row) for i, row in enumerate(body.rows)]
    tx.add_rows(run.key, rows)
    lines, summary, config = run.lines + len(rows), dict(run.summary), run.config | body.config
    for row in rows:
        summary |= row.data
    run, objective, steps = _take_points(ledger, tx, run, rows, now)
    return ledger.save_run(
        tx, run, lines=lines, summary=summary | body.summary, config=config, objective=objective, steps=steps
    )


def _say_what_is_missing(ledger: Ledger, tx: Transaction, run: Run, now: float) -> None:
    """After the first finished run: a metric without a value is mostly one that is logged under another name."""
    if run.state is not RunState.finished:
        return
    others = [other for other in ledger.runs.values() if other.id != run.id]
    if any(other.steps or other.state is RunState.finished for other in others):
        return
    for words in troubles(ledger.sweep.spec, run):
        ledger.tell(tx, "sweep.metric_missing", words, now, run)


def _row(run: Run, index: int, row: WireRow) -> Row:
    return Row(
        line=run.lines + index,
        attempt=run.attempt,
        step=row.step,
        runtime_s=row.runtime_s,
        logged_at=row.logged_at,
        data=row.data,
    )


def _take_points(
    ledger: Ledger, tx: Transaction, run: Run, rows: list[Row], now: float
) -> tuple[Run, float | None, int]:
    """Lengthen the run's curve value by value, and judge it at each: a batch must not hide a rung.

    The answer is the run as it was judged, and what its values sum up to now.
    """
    objective, summed, steps = ledger.objective, run.objective, run.steps
    if objective is None:
        return run, summed, steps
    curve, resource = ledger.curves[run.id], ledger.resource
    reached = None if resource is None else finite(run.summary.get(resource))
    points: list[Point] = []
    for row in rows:
        logged = row.data.get(objective.name)
        if resource is not None:
            reached = _larger(reached, finite(row.data.get(resource)))
        value = finite(logged)
        if value is not None:
            position = None if resource is None else reached or 0.0
            if not curve.values and _keep_former(ledger, run, position, points):
                summed = objective.best(curve.values) if objective.summary is None else curve.values[-1]
            steps = len(curve.values) + 1
            summed = objective.summed(summed, value, steps)
            seen = value if objective.summary is None else summed
            curve.add(seen, position)
            points.append(Point(steps, seen, curve.resource))
        elif logged in NOT_FINITE:
            curve.broken = True
        else:
            continue
        run = _judge(ledger, tx, run, now)
    tx.add_points(run.key, run.attempt, points)
    return run, summed, steps


def _larger(before: float | None, newest: float | None) -> float | None:
    """The resource never falls: a late or repeated row counts where the run had come already."""
    return max((each for each in (before, newest) if each is not None), default=None)


def _keep_former(ledger: Ledger, run: Run, position: float | None, points: list[Point]) -> bool:
    """An attempt that goes on at `position` keeps what those before it had reported below that, if anything."""
    former = ledger.former.pop(run.id, None)
    if former is None or position is None:
        return False
    curve = ledger.curves[run.id]
    for value, at in zip(former.values, former.positions, strict=True):
        if at < position:
            curve.add(value, at)
            points.append(Point(len(curve.values), value, at))
    return bool(curve.values)


def _judge(ledger: Ledger, tx: Transaction, run: Run, now: float) -> Run:
    if ledger.scheduler is None or run.order is not None or run.id in ledger.spared:
        return run
    verdict = ledger.scheduler.judge(run.id, ledger.judged)
    if verdict is None:
        return run
    stop = verdict.action == "stop"
    tx.add_decision(
        Decision(
            run_key=run.key,
            attempt=run.attempt,
            action="would_stop" if stop and ledger.is_dry else verdict.action,
            rule=verdict.rule,
            reason=verdict.reason,
            rung=verdict.rung,
            value=verdict.value,
            threshold=verdict.threshold,
            peers=verdict.peers,
            probability=verdict.probability,
            decided_at=now,
        )
    )
    if verdict.action == "pause":
        return moves.order(ledger, tx, run, "pause", verdict.reason, now)
    if not stop:
        return run
    if ledger.is_dry:
        ledger.spared[run.id] = ledger.curves[run.id].until(verdict.rung)
        ledger.tell(tx, "run.spared", f"would be stopped if this were no dry run: {verdict.reason}", now, run)
        return run
    return moves.order(ledger, tx, run, "stop", verdict.reason, now)
