"""A costly searcher in its own process: answers, and what takes its place when it fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from queue import Queue

import pytest

from sweepyard.controller import proposer
from sweepyard.controller.proposals import Answer, Question, suggest
from sweepyard.controller.proposer import Proposer
from sweepyard.controller.searchprocess import MOST_SWEEPS, Reader, Writer
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
    def __init__(self, deadline_s: float, processes: int) -> None:
        self.answers: Queue[Answer] = Queue()
        self.proposer = Proposer(self.answers.put, deadline_s=deadline_s, processes=processes)

    def ask(self, question: Question) -> Answer:
        self.proposer.ask(question)
        return self.answers.get(timeout=DEADLINE_S)


@pytest.fixture
def asker() -> Iterator[Callable[[float], Asker]]:
    with ExitStack() as stack:

        def make(deadline_s: float = DEADLINE_S, *, processes: int = 1) -> Asker:
            asker = Asker(deadline_s, processes)
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


def test_a_history_that_has_grown_and_changed_is_told_by_its_changes(asker: Callable[..., Asker]) -> None:
    """The process has heard only of differences, and answers as one that is told everything."""
    patient, first = asker(), question(ended=12, n=1)
    patient.ask(first)
    revised = replace(first.history[3], value=-1.0, std=0.5)
    known = [*first.history[:3], revised, *first.history[4:]]
    for history in (known, known[:9], known):
        asked = replace(first, history=history)
        (answer,) = patient.ask(asked).suggestions
        (fresh,) = suggest(replace(asked, sweep_id=f"fresh-{len(history)}-{id(history)}")).suggestions
        assert (answer.params, answer.reason) == (fresh.params, fresh.reason)


def test_what_is_written_to_the_process_does_not_grow_with_the_history() -> None:
    writer, reader, long = Writer(), Reader(), question(ended=500, n=1)
    whole = writer.line(long)
    assert reader.question(whole).history == long.history
    more = replace(long, history=[*long.history, replace(long.history[-1], number=501)])
    line = writer.line(more)
    assert len(line) < len(whole) / 50
    assert reader.question(line).history == more.history


def test_a_sweep_that_was_forgotten_is_told_whole_again() -> None:
    writer, reader, short = Writer(), Reader(), question(ended=20, n=1)
    for name in ["first", *(f"sweep-{i}" for i in range(MOST_SWEEPS)), "first"]:
        asked = replace(short, sweep_id=name)
        assert reader.question(writer.line(asked)).history == asked.history


def test_another_sweep_does_not_wait_for_a_slow_one(asker: Callable[..., Asker]) -> None:
    patient = asker(processes=2)
    first, second = (replace(question(), sweep_id=name) for name in ("first", "second"))
    patient.ask(first)
    patient.ask(second)
    stopped, other = (patient.proposer.process_id(each.sweep_id) for each in (first, second))
    assert None not in (stopped, other)
    assert stopped != other
    os.kill(stopped, signal.SIGSTOP)
    patient.proposer.ask(first)
    assert patient.ask(second).sweep_id == "second"
    os.kill(stopped, signal.SIGCONT)
    assert patient.answers.get(timeout=DEADLINE_S).sweep_id == "first"


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
    process_id = patient.proposer.process_id(question().sweep_id)
    assert process_id is not None
    assert Path(f"/proc/{process_id}/oom_score_adj").read_text() == "1000\n", "the first that want of memory kills"
    os.kill(process_id, signal.SIGKILL)
    assert "its process" in patient.ask(question()).suggestions[0].reason
    assert "in place of" not in patient.ask(question()).suggestions[0].reason


def test_a_process_that_cannot_be_started_is_tried_again(
    asker: Callable[..., Asker], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room() -> None:
        raise OSError("Cannot allocate memory")

    patient = asker()
    with monkeypatch.context() as patch:
        patch.setattr(proposer, "_start_process", no_room)
        assert "could not be asked (Cannot allocate memory)" in patient.ask(question()).suggestions[0].reason
    assert "in place of" not in patient.ask(question()).suggestions[0].reason


def test_the_process_is_told_all_that_is_known_of_a_run() -> None:
    run = Observation(
        number=1, params={"lr": 0.5}, value=0.1, std=0.02, failed=True, source="other", values=(0.1, None)
    )
    told = replace(question(), history=[run])
    assert Reader().question(Writer().line(told)) == told
    assert told.created == 1  # the open one: runs of other sources do not count
