"""Asking the searcher, away from the engine when it may take long.

A cheap searcher answers at once (`suggest`). A costly one runs in a process of its own (one BLAS thread), one
question at a time, with a deadline: when it is missed or the searcher fails, a random point takes its place,
with the reason stored. Searchers are stateless, so a process that was ended has lost nothing.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import selectors
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import IO, Any, Literal, cast

from sweepyard.clock import SYSTEM_CLOCK
from sweepyard.plain import Params, dumps
from sweepyard.search.port import Observation, Searcher, Suggestion, created
from sweepyard.search.registry import searcher_of
from sweepyard.tracking.records import Objective

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Everything that a suggestion depends on."""

    sweep_id: str
    spec: dict[str, Any]
    objective: Objective | None
    seed: int
    history: Sequence[Observation]
    pending: Sequence[Params]
    n: int

    @property
    def method(self) -> str:
        return str(self.spec["method"])

    @property
    def created(self) -> int:
        """How many runs there are of the sweep itself."""
        return created(self.history, self.pending)

    def answered(self, suggestions: Sequence[Suggestion]) -> Answer:
        return Answer(sweep_id=self.sweep_id, created=self.created, n=self.n, suggestions=suggestions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`created`: how many runs there were when asked. Fewer suggestions than `n`: the space is exhausted."""

    sweep_id: str
    created: int
    n: int
    suggestions: Sequence[Suggestion]


def suggest(question: Question, method: str = "") -> Answer:
    """Answer a question here and now, by another `method` than the sweep's if one is named."""
    method = method or question.method
    searcher = _searchers.get((question.sweep_id, method))
    if searcher is None:
        searcher = searcher_of(question.spec, question.objective, question.seed, method)
        _searchers[question.sweep_id, method] = searcher
    return question.answered(searcher.suggest(question.history, question.pending, question.n))


_searchers: dict[tuple[str, str], Searcher] = {}
"""A searcher keeps nothing but caches, and a sweep's spec never changes: one of each will do."""


class Proposer:
    """Puts questions to costly searchers; the answers arrive through `answer`, called from another thread."""

    def __init__(self, answer: Callable[[Answer], None], *, deadline_s: float) -> None:
        self._answer = answer
        self._deadline_s = deadline_s
        self._wishes: queue.SimpleQueue[Question | Literal["warm", "end"]] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._serve, name="proposals", daemon=True)
        self._thread.start()

    def warm(self) -> None:
        """Start the process before the first question needs it."""
        self._wishes.put("warm")

    @property
    def process_id(self) -> int | None:
        """The searcher's process, None while there is none."""
        return self._process.pid if self._process else None

    def ask(self, question: Question) -> None:
        self._wishes.put(question)

    def close(self) -> None:
        """End the process; questions that are still open stay unanswered."""
        self._wishes.put("end")
        self._end_process()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        while (question := self._wishes.get()) != "end":
            process = self._running_process()
            if question == "warm":
                continue
            started_s = SYSTEM_CLOCK.monotonic()
            try:
                suggestions = self._remote(process, question)
            except _Failed as failure:
                self._end_process()
                suggestions = instead(question, str(failure))
            cost_ms = round((SYSTEM_CLOCK.monotonic() - started_s) * 1000, 1)
            timed = [
                Suggestion(params=s.params, reason=s.reason, detail=s.detail | {"cost_ms": cost_ms})
                for s in suggestions
            ]
            self._answer(question.answered(timed))

    def _running_process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = _start_process()
        return self._process

    def _remote(self, process: subprocess.Popen[bytes], question: Question) -> list[Suggestion]:
        stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        try:
            stdin.write(_encode(question))
            stdin.flush()
        except OSError as error:
            raise _Failed(f"its process could not be asked ({error})") from None
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if not selector.select(self._deadline_s):
                raise _Failed(f"it did not answer within {self._deadline_s:g} s")
        line = stdout.readline()
        if not line:
            raise _Failed(f"its process ended with code {process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise _Failed(answer["error"])
        return [Suggestion(**suggestion) for suggestion in answer["suggestions"]]

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def instead(question: Question, why: str) -> list[Suggestion]:
    """Random points in place of a searcher that failed, with its failure in the reason."""
    log.warning("sweep %s: %s search failed: %s", question.sweep_id, question.method, why)
    return [
        Suggestion(
            params=point.params,
            reason=f"{point.reason}, in place of {question.method} search: {why}",
            detail=point.detail | {"fallback": why},
        )
        for point in suggest(question, "random").suggestions
    ]


class _Failed(Exception):
    pass


def _start_process() -> subprocess.Popen[bytes]:
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, "-m", "sweepyard.controller.proposals"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | one_thread,
        start_new_session=True,
    )


def _encode(question: Question) -> bytes:
    return (dumps(asdict(question)) + "\n").encode()


def _decode(line: bytes) -> Question:
    fields = json.loads(line)
    objective = fields["objective"]
    fields["objective"] = Objective(**objective) if objective else None
    fields["history"] = [_observation(each) for each in fields["history"]]
    return Question(**fields)


def _observation(fields: dict[str, Any]) -> Observation:
    return Observation(**fields | {"values": tuple(fields["values"])})


def _answer_line(line: bytes) -> str:
    try:
        question = _decode(line)
        return dumps({"suggestions": [asdict(suggestion) for suggestion in suggest(question).suggestions]})
    except Exception as error:  # whatever a searcher raises must reach the user as a reason, not end the sweep
        log.exception("searcher failed")
        return dumps({"error": f"{type(error).__name__}: {error}"})


def main() -> None:
    """The process: a question a line on stdin, an answer a line on stdout; ends with its input."""
    from sweepyard.search import bayes  # noqa: F401 (imported before the first question, not during it)

    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin.buffer:
        answers.write(_answer_line(line) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
