"""What a searcher learns of runs, above all of those that were stopped early."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sweepyard.controller.ledger import Ledger
from sweepyard.tracking.records import PriorRun, Run, RunState, Sweep

SPEC = {
    "method": "random",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"x": {"distribution": "uniform", "min": 0.0, "max": 1.0}},
    "early_terminate": {"type": "curve", "max_iter": 10},
}


def a_ledger(
    *ends: tuple[RunState, list[float]], goal: str = "minimize", prior: Sequence[PriorRun] = ()
) -> Ledger:
    spec = SPEC | {"metric": {"name": "loss", "goal": goal}}
    ledger = Ledger.new(Sweep(id="s", entity="", project="", name="", spec=spec, seed=0), prior)
    for i, (state, values) in enumerate(ends):
        ledger.put(
            Run(
                id=f"r{i}",
                sweep_id="s",
                number=i + 1,
                params={"x": i / 10},
                reason="",
                state=state,
                ended_at=float(i),
                objective=ledger.sweep.objective.best(values) if values else None,
            )
        )
        for value in values:
            ledger.curves[f"r{i}"].add(value)
    return ledger


def falling(start: float, n: int = 10) -> list[float]:
    return [start + 8 / k for k in range(1, n + 1)]


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_of_a_stopped_run_where_it_would_have_ended(goal: str) -> None:
    sign = -1 if goal == "maximize" else 1
    whole = [(RunState.finished, [sign * value for value in falling(i)]) for i in range(8)]
    stopped = (RunState.stopped, [sign * value for value in falling(2.5, 3)])

    *finished, last = a_ledger(*whole, stopped, goal=goal).history()

    assert [(each.value, each.std) for each in finished] == [(sign * (i + 0.8), 0.0) for i in range(8)]
    assert sign * last.value == pytest.approx(3.3, abs=0.5)  # it had shown 5.2
    assert 0 < last.std < 2


def test_without_a_stopped_run_values_are_what_was_logged() -> None:
    observed = a_ledger(
        (RunState.finished, falling(1)), (RunState.failed, [3.0]), (RunState.stopped, [])
    ).history()

    assert [(each.value, each.std, each.failed) for each in observed] == [
        (1.8, 0.0, False),
        (None, 0.0, True),
        (None, 0.0, False),
    ]


def test_a_run_that_was_stopped_at_once_is_very_uncertain() -> None:
    early = [(RunState.stopped, [float(value)]) for value in (9, 4, 6, 5)]

    observed = a_ledger(*early).history()

    assert all(each.std > 1 for each in observed[2:])
    assert all(each.value <= value for each, (_, [value]) in zip(observed, early, strict=True))


def test_the_curves_of_prior_runs_tell_where_a_stopped_run_would_have_ended() -> None:
    def prior_run(n: int) -> PriorRun:
        curve = [[k, value] for k, value in enumerate(falling(n / 2), 1)]
        return PriorRun(sweep_id="s", n=n, source="old", params={"x": n / 20}, value=curve[-1][1], curve=curve)

    stopped = (RunState.stopped, falling(2.5, 3))
    [alone] = a_ledger(stopped).history()
    *_, taught = a_ledger(stopped, prior=[prior_run(n) for n in range(12)]).history()

    assert taught.value == pytest.approx(3.3, abs=0.5)
    assert taught.std < alone.std / 2


def test_of_a_point_with_repeats_a_searcher_is_told_once() -> None:
    spec = SPEC | {"repeat": {"times": 2, "objective": "mean", "seed": "seed"}}
    ledger = Ledger.new(Sweep(id="s", entity="", project="", name="", spec=spec, seed=0))
    for number in (1, 2):
        ledger.put(
            Run(
                id=f"r{number}",
                sweep_id="s",
                number=number,
                params={"x": 0.5, "seed": number - 1},
                reason="",
                repeat_of=1 if number == 2 else None,
                state=RunState.finished,
                ended_at=float(number),
                objective=float(number),
            )
        )

    [before], [after] = ledger.history(), ledger.history()

    assert after is before
    assert after.value == 1.5
