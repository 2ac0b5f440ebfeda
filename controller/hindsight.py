"""What early termination would have done to a sweep that only tries it out (`dry_run`), and whether rightly."""

from __future__ import annotations

from dataclasses import dataclass

from sweepyard.controller.ledger import Ledger
from sweepyard.tracking.records import RUN_ENDED, RUN_SCORED, Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindsight:
    """`would_stop`: numbers of the runs that would have been stopped; `ended`: how many of them have ended since.

    `wrong`: those that ended better than anything that the sweep would have found had they been stopped.
    `best`, `best_with_stopping`: the best objective as it is, and as it would have been. `saved_steps`, `share`:
    values that would not have been waited for, and their part of all.
    """

    would_stop: list[int]
    ended: int
    wrong: list[int]
    best: float | None
    best_with_stopping: float | None
    saved_steps: int
    share: float


def look_back(ledger: Ledger) -> Hindsight | None:
    """None if the sweep is no dry run."""
    objective = ledger.objective
    if objective is None or not ledger.is_dry:
        return None
    spared = {run_id: ledger.runs[run_id] for run_id in ledger.spared}
    scored = {run.id: run.objective for run in ledger.runs.values() if run.state in RUN_SCORED}
    found = [value for value in scored.values() if value is not None]
    stopped = [_objective(objective, curve.values) for curve in ledger.spared.values() if curve.values]
    kept = [value for run_id, value in scored.items() if value is not None and run_id not in spared]
    without = objective.best([*kept, *stopped]) if kept or stopped else None
    saved = sum(run.steps - len(ledger.spared[run_id].values) for run_id, run in spared.items())
    return Hindsight(
        would_stop=sorted(run.number for run in spared.values()),
        ended=sum(run.state in RUN_ENDED for run in spared.values()),
        wrong=sorted(run.number for run in spared.values() if _beats(objective, scored.get(run.id), without)),
        best=objective.best(found) if found else None,
        best_with_stopping=without,
        saved_steps=saved,
        share=saved / max(sum(run.steps for run in ledger.runs.values()), 1),
    )


def _objective(objective: Objective, values: list[float]) -> float:
    """What a run would count for, had it ended with these values, as they are kept in curves."""
    return objective.best(values) if objective.summary is None else values[-1]


def _beats(objective: Objective, value: float | None, other: float | None) -> bool:
    return value is not None and other is not None and objective.better(value, other)
