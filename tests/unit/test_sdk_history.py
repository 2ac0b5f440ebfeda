"""W&B's step rules, one line of the table per rule (wandb-sweeps.md, 8.1)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

from sweepyard.agent.history import History

A, B, C = {"a": 1}, {"b": 2}, {"a": 3}

CASES: list[tuple[str, list[tuple[dict[str, Any], dict[str, Any]]], list[tuple[int, dict[str, Any]]]]] = [
    ("each call is a row, from 0", [(A, {}), (B, {})], [(0, A), (1, B)]),
    ("commit=False accumulates", [(A, {"commit": False}), (B, {})], [(0, A | B)]),
    ("the later value of a key wins", [(A, {"commit": False}), (C, {})], [(0, C)]),
    ("a step leaves the row open", [(A, {"step": 5}), (B, {})], [(5, A | B)]),
    ("an equal step merges", [(A, {"step": 5}), (B, {"step": 5}), (C, {"step": 6})], [(5, A | B), (6, C)]),
    ("a larger step flushes and jumps", [(A, {"step": 2}), (B, {"step": 9})], [(2, A), (9, B)]),
    ("a step with commit=True is complete", [(A, {"step": 5, "commit": True}), (B, {})], [(5, A), (6, B)]),
    ("a smaller step is dropped", [(A, {"step": 5}), (B, {"step": 4}), (C, {"step": 6})], [(5, A), (6, C)]),
    ("the step of a complete row is smaller", [(A, {}), (B, {"step": 0}), (C, {})], [(0, A), (1, C)]),
    ("a negative step is smaller", [(A, {"step": -1}), (B, {})], [(0, B)]),
    ("an empty row uses up its step", [({}, {}), (A, {})], [(1, A)]),
    ("an empty open row does not", [({}, {"commit": False}), (A, {})], [(0, A)]),
    ("the last open row is flushed", [(A, {"commit": False})], [(0, A)]),
    ("other mappings will do", [(OrderedDict(A), {})], [(0, A)]),
]


@pytest.mark.parametrize(("calls", "rows"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_step_rules(calls: list[Any], rows: list[Any]) -> None:
    emitted: list[tuple[int, dict[str, Any]]] = []
    history = History(lambda step, row: emitted.append((step, row)), lambda _: None)
    for data, how in calls:
        history.log(data, **how)
    history.flush()
    assert emitted == rows


def test_dropped_values_are_mentioned_once() -> None:
    said: list[str] = []
    history = History(lambda _step, _row: None, said.append)
    for _ in range(3):
        history.log(A, step=7)
        history.log(B, step=6)
    assert len(said) == 1
    assert "log(step=6) dropped: the run is already at step 7" in said[0]


def test_history_goes_on_where_it_ended() -> None:
    emitted: list[int] = []
    history = History(lambda step, _row: emitted.append(step), lambda _: None)
    history.log(A, step=5)
    history.flush()
    again = History(lambda step, _row: emitted.append(step), lambda _: None, history.step)
    again.log(B)
    assert emitted == [5, 6]


@pytest.mark.parametrize("data", [None, 1, "loss", [("a", 1)], {1: 2}, {"a": 1, None: 2}])
def test_data_must_be_a_mapping_with_string_keys(data: Any) -> None:
    with pytest.raises(TypeError, match=r"log\(\) takes"):
        History(lambda _step, _row: None, lambda _: None).log(data)


def test_steps_are_integers_of_64_bits() -> None:
    history = History(lambda _step, _row: None, lambda _: None)
    with pytest.raises(TypeError):
        history.log(A, step=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="steps go up to"):
        history.log(A, step=2**63)
