"""Runs of one point, and what they say together."""

from __future__ import annotations

import pytest

from sweepyard.controller.repeats import Point, Repeat, best_point, points_of
from sweepyard.search.port import Observation
from sweepyard.tracking.records import Objective, Run, RunState

REPEAT = Repeat(times=3, objective="mean", seed="seed")
LOSS = Objective(name="loss")


def run(number: int, value: float | None = None, state: str = "finished", *, of: int | None = None) -> Run:
    return Run(
        id=f"r{number}",
        sweep_id="s",
        number=number,
        params={"lr": 0.1 * (of or number), "seed": 0},
        reason="",
        repeat_of=of,
        state=RunState(state),
        objective=value,
        ended_at=float(number),
    )


def point(*runs: Run, repeat: Repeat = REPEAT) -> Point:
    [found] = points_of(runs, repeat)
    return found


def test_the_seed_comes_and_goes() -> None:
    assert REPEAT.params({"lr": 0.1}, 2) == {"lr": 0.1, "seed": 2}
    assert REPEAT.point({"lr": 0.1, "seed": 2}) == {"lr": 0.1}
    assert Repeat.of({}) is None
    assert Repeat.of({"repeat": {"times": 3, "objective": "mean", "seed": "seed"}}) == REPEAT


def test_runs_belong_to_the_point_of_the_first() -> None:
    runs = [run(1), run(2), run(3, of=1), run(4, of=2), run(5, of=1)]
    assert [[each.number for each in found.runs] for found in points_of(runs, REPEAT)] == [[1, 3, 5], [2, 4]]


@pytest.mark.parametrize(
    ("states", "missing", "is_open"),
    [
        (["pending"], 2, True),
        (["finished"], 2, True),
        (["finished", "running"], 1, True),
        (["finished", "finished", "running"], 0, True),
        (["finished", "finished", "finished"], 0, False),
        (["failed"], 0, False),
        (["failed", "running"], 0, True),
        (["stopped", "finished"], 0, False),
        (["crashed"], 0, False),
        (["killed", "finished", "pending"], 0, True),
        (["finished", "preempted"], 1, True),
    ],
)
def test_what_a_point_lacks(states: list[str], missing: int, is_open: bool) -> None:
    found = point(*(run(i, 1.0, state, of=None if i == 1 else 1) for i, state in enumerate(states, 1)))
    assert (found.missing, found.is_open) == (missing, is_open)


@pytest.mark.parametrize(
    ("kind", "goal", "value"),
    [
        ("mean", "minimize", 4.0),
        ("median", "maximize", 3.0),
        ("worst", "minimize", 8.0),
        ("worst", "maximize", 1.0),
    ],
)
def test_the_value_of_a_point(kind, goal, value) -> None:
    repeat = Repeat(times=3, objective=kind, seed="seed")
    found = point(run(1, 3.0), run(2, 8.0, of=1), run(3, 1.0, of=1), repeat=repeat)
    assert found.value(Objective(name="x", goal=goal)) == value
    assert found.spread == pytest.approx(3.6056, abs=1e-4)


@pytest.mark.parametrize(
    "runs",
    [
        [run(1, 1.0), run(2, 1.0, of=1)],
        [run(1, 1.0), run(2, 1.0, of=1), run(3, None, of=1)],
        [run(1, 1.0), run(2, 1.0, of=1), run(3, 1.0, "failed", of=1)],
        [run(1, 1.0), run(2, 1.0, of=1), run(3, 1.0, "running", of=1)],
    ],
)
def test_a_point_has_a_value_only_if_each_of_its_runs_has(runs) -> None:
    assert point(*runs).value(LOSS) is None


def test_the_best_point_is_not_the_one_with_the_luckiest_run() -> None:
    lucky = [run(1, 0.0), run(2, 9.0, of=1), run(3, 9.0, of=1)]
    good = [run(4, 5.0), run(5, 5.0, of=4), run(6, 5.0, of=4)]
    equal = [run(7, 5.0), run(8, 5.0, of=7), run(9, 5.0, of=7)]
    unfinished = [run(10, 1.0), run(11, 1.0, of=10)]
    found = best_point([*lucky, *good, *equal, *unfinished], REPEAT, LOSS)
    assert found is not None
    assert found.runs[0].number == 4
    assert best_point(unfinished, REPEAT, LOSS) is None


def test_searchers_see_one_result_for_each_point() -> None:
    runs = [run(1, 3.0), run(2, 8.0, of=1), run(3, 1.0, of=1)]
    each = [Observation(number=one.number, params=one.params, value=one.objective) for one in runs]
    found = point(*runs).observation(each, LOSS)
    assert (found.number, found.params, found.value, found.failed) == (1, {"lr": 0.1}, 4.0, False)
    assert found.std == pytest.approx(3.6056 / 3**0.5, abs=1e-4)


def test_how_sure_a_stopped_run_s_value_is_counts_as_well() -> None:
    one = Observation(number=1, params={}, value=3.0, std=0.6)
    other = Observation(number=2, params={}, value=3.0)
    found = point(run(1, 9.0, "stopped"), run(2, 3.0, of=1)).observation([one, other], LOSS)
    assert (found.value, found.std) == (3.0, pytest.approx(0.3))


@pytest.mark.parametrize("failed", [True, False])
def test_a_point_of_which_a_run_went_wrong_has_no_value(failed) -> None:
    each = [
        Observation(number=1, params={}, value=1.0),
        Observation(number=2, params={}, value=None, failed=failed),
    ]
    found = point(run(1, 1.0), run(2, None, "failed", of=1)).observation(each, LOSS)
    assert (found.value, found.failed, found.std) == (None, failed, 0.0)
