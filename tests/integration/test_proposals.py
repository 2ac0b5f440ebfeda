"""A costly searcher in its own process: answers, and what takes its place when it fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from queue import Queue

import pytest

from sweepyard.controller.proposals import Answer, Proposer, Question, _decode, _encode
from sweepyard.search.port import Observation
from sweepyard.tracking.records import Objective

DEADLINE_S = 30.0
PARAMETERS = {
    "lr": {"distribution": "uniform", "min": 0.0, "max": 1.0},
    "layer": {"parameters": {"width": {"distribution": "int_uniform", "min": 1, "max": 64}}},
}


LOSS = Objective(name="loss")


def question(*, objective: Objective | None = LOSS, ended: int = 6, n: int = 2) -> Question:
    params = [{"lr": i / 10, "layer": {"width": i + 1}} for i in range(ended + 1)]
    history = [Observation(number=i + 1, params=params[i], value=float(i)) for i in range(ended)]
    return Question(
        sweep_id=f"sweep-{objective and objective.name}",
        spec={"method": "bayes", "parameters": PARAMETERS},
        objective=objective,
        seed=5,
        history=history,
        pending=params[ended:],
        n=n,
    )


class Asker:
    def __init__(self, deadline_s: float) -> None:
        self.answers: Queue[Answer] = Queue()
        self.proposer = Proposer(self.answers.put, deadline_s=deadline_s)

    def ask(self, question: Question) -> Answer:
        self.proposer.ask(question)
        return self.answers.get(timeout=DEADLINE_S)


@pytest.fixture
def asker() -> Iterator[Callable[[float], Asker]]:
    with ExitStack() as stack:

        def make(deadline_s: float = DEADLINE_S) -> Asker:
            asker = Asker(deadline_s)
            stack.callback(asker.proposer.close)
            return asker

        yield make


def test_an_answer_holds_what_was_asked_for(asker: Callable[..., Asker]) -> None:
    asked = question()
    answer = asker().ask(asked)
    assert (answer.sweep_id, answer.created, answer.n, len(answer.suggestions)) == (asked.sweep_id, 7, 2, 2)
    first, second = answer.suggestions
    assert first.params != second.params
    assert set(first.params) == {"lr", "layer"}
    assert first.detail["cost_ms"] > 0
    assert "in place of" not in first.reason


def test_a_searcher_that_fails_is_replaced_with_its_reason(asker: Callable[..., Asker]) -> None:
    answer = asker().ask(question(objective=None))
    assert len(answer.suggestions) == 2
    for suggestion in answer.suggestions:
        assert suggestion.reason.startswith("random draw")
        assert "in place of bayes search: SpecError" in suggestion.reason
        assert "metric" in suggestion.detail["fallback"]


def test_a_searcher_that_thinks_too_long_is_replaced(asker: Callable[..., Asker]) -> None:
    answer = asker(0.01).ask(question())  # its process takes longer than that to start
    assert "did not answer within 0.01 s" in answer.suggestions[0].reason


def test_a_searcher_whose_process_was_killed_is_replaced_once(asker: Callable[..., Asker]) -> None:
    patient = asker()
    assert "in place of" not in patient.ask(question()).suggestions[0].reason
    process_id = patient.proposer.process_id
    assert process_id is not None
    os.kill(process_id, signal.SIGKILL)
    assert "its process" in patient.ask(question()).suggestions[0].reason
    assert "in place of" not in patient.ask(question()).suggestions[0].reason


def test_the_process_is_told_all_that_is_known_of_a_run() -> None:
    run = Observation(
        number=1, params={"lr": 0.5}, value=0.1, std=0.02, failed=True, source="other", values=(0.1, None)
    )
    told = replace(question(), history=[run])
    assert _decode(_encode(told)) == told
    assert told.created == 1  # the open one: runs of other sources do not count
