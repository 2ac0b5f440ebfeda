from __future__ import annotations

from enum import StrEnum
from itertools import product

import pytest

from sweepyard.errors import IllegalTransition
from sweepyard.tracking import lifecycle
from sweepyard.tracking.lifecycle import (
    ATTEMPT_MOVES,
    RUN_MOVES,
    SWEEP_MOVES,
    AttemptEvent,
    RunEvent,
    SweepEvent,
    Table,
    move,
)
from sweepyard.tracking.records import (
    ATTEMPT_OPEN,
    RUN_ENDED,
    RUN_SCORED,
    SWEEP_ENDED,
    AttemptState,
    Outcome,
    RunState,
    SweepState,
)

TABLES = [
    pytest.param(SWEEP_MOVES, SweepState, SweepEvent, id="sweep"),
    pytest.param(RUN_MOVES, RunState, RunEvent, id="run"),
    pytest.param(ATTEMPT_MOVES, AttemptState, AttemptEvent, id="attempt"),
]
ENDED = [
    pytest.param(SWEEP_MOVES, SweepState.pending, SWEEP_ENDED, id="sweep"),
    pytest.param(RUN_MOVES, RunState.pending, RUN_ENDED, id="run"),
    pytest.param(ATTEMPT_MOVES, AttemptState.offered, frozenset(AttemptState) - ATTEMPT_OPEN, id="attempt"),
]


def reachable(table: Table[StrEnum, StrEnum], start: StrEnum) -> set[StrEnum]:
    found, fresh = {start}, [start]
    while fresh:
        after = {new for (old, _), new in table.items() if old in fresh}
        fresh = list(after - found)
        found |= after
    return found


@pytest.mark.parametrize(("table", "states", "events"), TABLES)
def test_every_pair_moves_or_is_explained(
    table: Table[StrEnum, StrEnum], states: type[StrEnum], events: type[StrEnum]
) -> None:
    for state, event in product(states, events):
        if (state, event) in table:
            assert move(table, state, event) is table[state, event]
        else:
            with pytest.raises(IllegalTransition) as caught:
                move(table, state, event, story="offered, lost")
            assert str(caught.value) == (
                f"{states.__name__}: no move '{event}' from '{state}'. What happened before: offered, lost"
            )


@pytest.mark.parametrize(("table", "states", "events"), TABLES)
def test_a_table_holds_its_own_words_and_uses_them_all(
    table: Table[StrEnum, StrEnum], states: type[StrEnum], events: type[StrEnum]
) -> None:
    assert {event for _, event in table} == set(events)
    assert {state for state, _ in table} | set(table.values()) == set(states)
    assert all(isinstance(state, states) for state in table.values())
    assert all(new is not old for (old, _), new in table.items())


@pytest.mark.parametrize(("table", "start", "ended"), ENDED)
def test_every_state_is_reached_and_leads_to_an_end(
    table: Table[StrEnum, StrEnum], start: StrEnum, ended: frozenset[StrEnum]
) -> None:
    assert reachable(table, start) == set(type(start))
    for state in type(start):
        assert reachable(table, state) & ended


def test_an_ended_attempt_never_moves() -> None:
    assert {state for state, _ in ATTEMPT_MOVES} == ATTEMPT_OPEN


def test_an_ended_run_can_only_be_tried_again() -> None:
    moves = {(state, event, new) for (state, event), new in RUN_MOVES.items() if state in RUN_ENDED}
    assert moves == {(state, RunEvent.retry, RunState.pending) for state in RUN_ENDED}


def test_an_ended_sweep_can_only_be_resumed_or_reopened_for_retries() -> None:
    moves = {(event, new) for (state, event), new in SWEEP_MOVES.items() if state in SWEEP_ENDED}
    assert moves == {(SweepEvent.resume, SweepState.running), (SweepEvent.reopen, SweepState.finishing)}


def test_runs_that_count_have_ended() -> None:
    assert RUN_SCORED < RUN_ENDED


def test_every_outcome_is_a_state_that_a_running_run_can_take() -> None:
    after_running = {new for (old, _), new in RUN_MOVES.items() if old is RunState.running}
    assert {RunState(outcome) for outcome in Outcome} <= after_running


def test_a_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        lifecycle.RUN_MOVES[RunState.finished, RunEvent.start] = RunState.running
