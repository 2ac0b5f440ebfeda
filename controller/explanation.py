"""Why a run was stopped early, or was not: its rungs, what decided at each, and what its rules wait for."""

from __future__ import annotations

from sweepyard.controller import hindsight
from sweepyard.controller.ledger import Ledger
from sweepyard.controller.metricname import troubles
from sweepyard.schedulers.port import Outlook
from sweepyard.tracking.port import Store
from sweepyard.tracking.records import RUN_ENDED, Decision, Run, Sweep
from sweepyard.views import Explanation, OutlookView, RungView, RunView


def explain(store: Store, sweep: Sweep, run: Run) -> Explanation:
    """Everything that a person needs who asks about `run` of `sweep`. Works in every state."""
    ledger = Ledger.read(store, sweep)
    run = ledger.runs[run.id]
    decisions = [one for one in store.decisions(sweep.id, run.key) if one.attempt == run.attempt]
    outlooks = ledger.scheduler.outlook(run.id, ledger.judged) if ledger.scheduler else []
    back = hindsight.look_back(ledger)
    return Explanation(
        run=RunView.model_validate(run),
        sweep_id=sweep.id,
        metric=sweep.objective.name if sweep.objective else None,
        resource=ledger.resource or "values logged",
        position=ledger.curves[run.id].resource,
        answer=_answer(ledger, run, decisions, outlooks),
        rungs=_rungs(decisions, outlooks),
        outlook=[OutlookView(rule=each.rule, text=each.text) for each in outlooks],
        lineage=_lineage(ledger, run),
        hindsight=_looking_back(back, run) if back and run.id in ledger.spared else None,
    )


def _answer(ledger: Ledger, run: Run, decisions: list[Decision], outlooks: list[Outlook]) -> str:
    """The answer in a sentence or two."""
    if ledger.objective is None:
        return "Its sweep has no metric, so no run of it is judged."
    if ledger.scheduler is None:
        return "Its sweep has no early_terminate, so no run of it is judged."
    last = decisions[-1] if decisions else None
    if last is not None and last.action == "stop":
        ended = "Stopped" if run.state in RUN_ENDED else "Told to stop"
        return f"{ended} by {last.rule}: {last.reason}."
    if last is not None and last.action == "pause" and run.state not in RUN_ENDED:
        return f"Paused by {last.rule}: {last.reason}. Now, {'; '.join(each.text for each in outlooks)}."
    spared = next((one for one in decisions if one.action == "would_stop"), None)
    if spared is not None:
        return f"Spared, since this is a dry run; {spared.rule} would have stopped it: {spared.reason}."
    waits = "; ".join(f"{each.rule}: {each.text}" for each in outlooks)
    if last is not None:
        times = "once" if len(decisions) == 1 else f"{len(decisions)} times"
        return f"Judged {times} and let go on, last by {last.rule}: {last.reason}. Since then, {waits}."
    missing = troubles(ledger.sweep.spec, run) if run.lines else []
    return " ".join([f"Never judged: {waits}.", *(f"{words[:1].upper()}{words[1:]}." for words in missing)])


def _lineage(ledger: Ledger, run: Run) -> list[int]:
    """From whose checkpoint it began, and that one from whose."""
    found: list[int] = []
    while (parent := ledger.runs.get(run.detail.get("parent", ""))) is not None:
        found.append(parent.number)
        run = parent
    return found


def _rungs(decisions: list[Decision], outlooks: list[Outlook]) -> list[RungView]:
    """What was decided, as it was then; and of rungs where nothing was decided, how things are now."""
    decided = [RungView(at=one.rung, **{key: getattr(one, key) for key in DECIDED}) for one in decisions]
    known = {(one.rule, one.rung) for one in decisions}
    others = [
        RungView(at=rung.at, rule=each.rule, value=rung.value, threshold=rung.threshold, peers=rung.peers)
        for each in outlooks
        for rung in each.rungs
        if (each.rule, rung.at) not in known
    ]
    return sorted([*decided, *others], key=lambda rung: rung.at)


DECIDED = ("rule", "value", "threshold", "peers", "probability", "action", "reason", "decided_at")


def _looking_back(back: hindsight.Hindsight, run: Run) -> str:
    """Whether it would have been right to stop a run."""
    if run.state not in RUN_ENDED:
        return "It goes on; at its end we will know."
    if run.number in back.wrong:
        return (
            f"Stopping it would have been wrong: it ended with {run.objective:g}, and without it the best is "
            f"{back.best_with_stopping:g}."
        )
    return (
        f"Stopping it would have been right: it ended with {_told(run.objective)}, the best is {_told(back.best)}."
    )


def _told(value: float | None) -> str:
    return "no value" if value is None else f"{value:g}"
