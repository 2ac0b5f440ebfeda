"""The plan for a sweep follows from what is known about it, and from nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweepyard.controller.planner import (
    Ask,
    Close,
    Finish,
    Lose,
    Offer,
    OpenAttempt,
    Propose,
    Repeat,
    Take,
    View,
    Withdraw,
    plan,
)
from sweepyard.tracking.records import AttemptState, Objective, SweepState

QUIET = View(
    state=SweepState.running,
    objective=Objective(name="loss"),
    run_cap=None,
    budget={},
    hours=0.0,
    failures=0,
    target=None,
    created=0,
    best=None,
    best_run=0,
    exhausted=False,
    attempts=(),
    free=0,
    costly=False,
    proposing=False,
    times=1,
    missing=lambda: 0,
    unseen=None,
    lost_agents={},
    vanished=frozenset(),
    lost_after_s=15.0,
)


def offered(run_id: str = "r1", age_s: float | None = 1.0) -> OpenAttempt:
    return OpenAttempt(run_id, AttemptState.offered, agent_id="", age_s=age_s)


def running(run_id: str = "r1", agent_id: str = "a1") -> OpenAttempt:
    return OpenAttempt(run_id, AttemptState.running, agent_id, age_s=None)


def test_nobody_is_free_so_nothing_is_proposed() -> None:
    assert plan(QUIET) == []


@pytest.mark.parametrize(
    ("free", "attempts", "cap", "created", "wanted"),
    [
        (3, (), None, 0, 3),
        (3, (offered(),), None, 1, 2),
        (3, (running(),), None, 1, 3),
        (5, (), 10, 8, 2),
    ],
)
def test_as_many_are_proposed_as_free_slots_lack_an_offer(free, attempts, cap, created, wanted) -> None:
    view = QUIET._replace(free=free, attempts=attempts, run_cap=cap, created=created)
    assert plan(view) == [Propose(wanted)]


def busy(slots: int, **changes: object) -> View:
    """A sweep with a costly searcher, each slot with a run."""
    attempts = tuple(running(f"r{i}") for i in range(slots))
    return QUIET._replace(costly=True, attempts=attempts, created=slots, **changes)


def test_a_costly_searcher_answers_who_waits_one_suggestion_at_a_time() -> None:
    assert plan(busy(3, free=2)) == [Ask(waiting=True)]
    assert plan(busy(3, free=2, proposing=True)) == []


def test_few_slots_get_suggestions_that_know_every_result() -> None:
    assert plan(busy(15)) == []
    assert plan(busy(14, free=1, unseen=1)) == [Ask(waiting=True)]
    assert plan(busy(14, free=1, unseen=0)) == [Take()]


def test_many_slots_have_a_suggestion_ready_that_may_have_missed_few_results() -> None:
    assert plan(busy(64)) == [Ask(waiting=False)]
    assert plan(busy(64, proposing=True)) == []
    assert plan(busy(64, unseen=0)) == []
    assert plan(busy(64, unseen=1)) == [Ask(waiting=False)]
    assert plan(busy(63, free=1, unseen=4)) == [Take()]
    assert plan(busy(63, free=1, unseen=4, proposing=True)) == [Take()]
    assert plan(busy(63, free=1, unseen=5)) == [Ask(waiting=True)]
    assert plan(busy(64, run_cap=64)) == [Finish("run_cap 64 is reached")]


def test_an_offer_that_is_in_no_queue_yet_is_made_before_anything_else() -> None:
    view = QUIET._replace(free=2, attempts=(offered(age_s=None),))
    assert plan(view) == [Offer("r1"), Propose(1)]


@pytest.mark.parametrize(
    ("hours", "failures", "reason"),
    [
        (1.99, 4, None),
        (2.0, 4, "its budget of 2 hours is used up"),
        (0.0, 5, "5 runs failed or crashed, and its budget allows 5"),
    ],
)
def test_a_budget_that_is_used_up_finishes_the_sweep(hours, failures, reason) -> None:
    view = QUIET._replace(free=1, budget={"hours": 2.0, "failures": 5}, hours=hours, failures=failures)
    assert plan(view) == [Propose(1) if reason is None else Finish(reason)]


@pytest.mark.parametrize(
    ("free", "missing", "cap", "proposing", "expected"),
    [
        (1, 2, None, False, [Repeat(1)]),
        (2, 2, None, False, [Repeat(2)]),
        (3, 2, None, False, [Repeat(2), Propose(1)]),
        (8, 2, None, False, [Repeat(2), Propose(2)]),
        (8, 2, None, True, [Repeat(2)]),
        (8, 0, 2, False, [Propose(1)]),
        (8, 2, 1, False, [Repeat(1)]),
        (0, 2, None, False, []),
    ],
)
def test_points_are_completed_before_others_are_begun(free, missing, cap, proposing, expected) -> None:
    view = QUIET._replace(
        free=free, times=3, missing=lambda: missing, run_cap=cap, proposing=proposing, costly=proposing
    )
    assert plan(view) == expected


def test_a_space_is_tried_when_no_point_lacks_a_run() -> None:
    assert plan(QUIET._replace(free=1, times=3, missing=lambda: 1, exhausted=True)) == [Repeat(1)]
    [done] = plan(QUIET._replace(free=1, times=3, exhausted=True))
    assert isinstance(done, Finish)


def test_the_cap_finishes_the_sweep_and_the_last_run_closes_it() -> None:
    view = QUIET._replace(run_cap=2, created=2, free=1, attempts=(running(),))
    assert plan(view) == [Finish("run_cap 2 is reached")]
    assert plan(view._replace(state=SweepState.finishing)) == []
    assert plan(view._replace(state=SweepState.finishing, attempts=())) == [Close("all its runs have ended")]


@pytest.mark.parametrize(("goal", "best", "reached"), [("minimize", 0.4, True), ("minimize", 0.6, False),
                                                       ("maximize", 0.6, True), ("maximize", 0.4, False),
                                                       ("minimize", 0.5, True)])  # fmt: skip
def test_a_target_finishes_the_sweep_in_the_direction_of_its_goal(goal, best, reached) -> None:
    view = QUIET._replace(objective=Objective(name="m", goal=goal), target=0.5, best=best, best_run=3)
    said = f"m reached the target 0.5 (run 3: {best:g})"
    assert plan(view) == ([Finish(said)] if reached else [])


def test_an_exhausted_space_finishes_the_sweep() -> None:
    assert plan(QUIET._replace(exhausted=True, free=1)) == [Finish("every point of the space has been tried")]


def test_a_paused_sweep_takes_its_offers_back_and_makes_none() -> None:
    view = QUIET._replace(
        state=SweepState.paused, free=3, attempts=(offered("r1"), offered("r2", None), running("r3"))
    )
    assert plan(view) == [Withdraw("r1")]


def test_a_finishing_sweep_still_offers_runs_that_must_be_tried_again() -> None:
    view = QUIET._replace(state=SweepState.finishing, free=1, attempts=(offered(age_s=None),))
    assert plan(view) == [Offer("r1")]


@pytest.mark.parametrize(
    "state", [SweepState.running, SweepState.paused, SweepState.finishing, SweepState.cancelled]
)
def test_attempts_of_lost_agents_are_lost_whatever_the_sweep_does(state) -> None:
    view = QUIET._replace(state=state, attempts=(running("r1", "gone"), running("r2", "here")))
    assert plan(view._replace(lost_agents={"gone": "agent gone was not heard for 16 s"})) == [
        Lose("r1", "agent gone was not heard for 16 s")
    ]


def test_an_offer_that_left_the_queue_is_lost_only_after_its_time() -> None:
    view = QUIET._replace(attempts=(offered(age_s=16.0),))
    assert plan(view) == []
    (loss,) = plan(view._replace(vanished=frozenset({"r1"})))
    assert isinstance(loss, Lose)
    assert plan(view._replace(vanished=frozenset({"r1"}), attempts=(offered(age_s=14.0),))) == []


@given(
    state=st.sampled_from(list(SweepState)),
    free=st.integers(0, 9),
    costly=st.booleans(),
    proposing=st.booleans(),
    unseen=st.none() | st.integers(0, 5),
    cap=st.none() | st.integers(1, 9),
    created=st.integers(0, 12),
    ages=st.lists(st.none() | st.floats(0, 100), max_size=5),
)
def test_the_cap_is_never_exceeded_and_ended_sweeps_get_nothing_new(
    state, free, costly, proposing, unseen, cap, created, ages
) -> None:
    attempts = tuple(offered(f"r{i}", age) for i, age in enumerate(ages))
    view = QUIET._replace(
        state=state,
        free=free,
        costly=costly,
        proposing=proposing,
        unseen=unseen,
        run_cap=cap,
        created=created,
        attempts=attempts,
    )
    intents = plan(view)
    proposed = sum(intent.n for intent in intents if isinstance(intent, Propose))
    proposed += sum(isinstance(intent, Take | Ask) for intent in intents)
    if cap is not None:
        assert proposed <= max(0, cap - created)
    if state not in (SweepState.pending, SweepState.running):
        assert proposed == 0
    if proposing:
        assert not any(isinstance(intent, Ask) for intent in intents)
    assert proposed + len(attempts) <= max(free, len(attempts))
