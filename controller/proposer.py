"""Asking costly searchers: a few processes beside the engine, each with its thread, one question at a time.

A question has a deadline: when it is missed or the searcher fails, a random point takes its place, with the
reason stored. Searchers are stateless, so a process that was ended has lost nothing.
"""

from __future__ import annotations

import json
import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import IO, Literal, TypeAlias, cast

from sweepyard.clock import SYSTEM_CLOCK
from sweepyard.controller.proposals import Answer, Question, instead
from sweepyard.controller.searchprocess import Writer
from sweepyard.search.port import Suggestion

MOST_PROCESSES = 4

Wish: TypeAlias = "Question | Literal['warm', 'end']"


class Proposer:
    """Puts questions to costly searchers; the answers arrive through `answer`, called from other threads.

    A sweep stays with one process, where its searcher's caches are; sweeps take turns in getting one. There is
    one to a core, but no more than `MOST_PROCESSES`.
    """

    def __init__(
        self, answer: Callable[[Answer], None], *, deadline_s: float, processes: int | None = None
    ) -> None:
        processes = processes or min(MOST_PROCESSES, os.cpu_count() or 1)
        self._workers = [_Worker(answer, deadline_s) for _ in range(processes)]
        self._homes: dict[str, _Worker] = {}

    def warm(self, sweep_id: str) -> None:
        """Start the process of a sweep before the first question needs it."""
        self._home(sweep_id).wish("warm")

    def process_id(self, sweep_id: str) -> int | None:
        """The process that a sweep's searcher runs in, None while there is none."""
        return self._home(sweep_id).process_id

    def ask(self, question: Question) -> None:
        self._home(question.sweep_id).wish(question)

    def close(self) -> None:
        """End the processes; questions that are still open stay unanswered."""
        for worker in self._workers:
            worker.end()

    def _home(self, sweep_id: str) -> _Worker:
        return self._homes.setdefault(sweep_id, self._workers[len(self._homes) % len(self._workers)])


class _Worker:
    """A process and the thread that talks with it."""

    def __init__(self, answer: Callable[[Answer], None], deadline_s: float) -> None:
        self._answer = answer
        self._deadline_s = deadline_s
        self._wishes: queue.SimpleQueue[Wish] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._writer = Writer()
        self._ending = False
        self._thread = threading.Thread(target=self._serve, name="proposals", daemon=True)
        self._thread.start()

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._process else None

    def wish(self, wish: Wish) -> None:
        self._wishes.put(wish)

    def end(self) -> None:
        """The process is killed here and put away by the thread that may be reading from it."""
        self._ending = True
        self._wishes.put("end")
        if process := self._process:
            _kill(process)
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        while (wish := self._wishes.get()) != "end":
            if wish == "warm":
                with suppress(OSError):  # the first question will tell
                    self._running_process()
            elif answer := self._answered(wish):
                self._answer(answer)
        self._end_process()

    def _answered(self, question: Question) -> Answer | None:
        """None: the end has come."""
        started_s = SYSTEM_CLOCK.monotonic()
        try:
            suggestions = self._remote(question)
        except _Failed as failure:
            if self._ending:
                return None
            if isinstance(failure, _Broken):
                self._end_process()
            suggestions = instead(question, str(failure))
        cost_ms = round((SYSTEM_CLOCK.monotonic() - started_s) * 1000, 1)
        known = {"cost_ms": cost_ms, "unseen": 0}
        return question.answered([replace(one, detail=one.detail | known) for one in suggestions])

    def _running_process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._writer = Writer()
            self._process = _start_process()
        return self._process

    def _remote(self, question: Question) -> list[Suggestion]:
        try:
            process = self._running_process()
            stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
            stdin.write(self._writer.line(question))
            stdin.flush()
        except OSError as error:
            raise _Broken(f"its process could not be asked ({error})") from None
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if not selector.select(self._deadline_s):
                raise _Broken(f"it did not answer within {self._deadline_s:g} s")
        line = stdout.readline()
        if not line.endswith(b"\n"):
            raise _Broken(f"its process ended with code {process.wait()}")
        try:
            failure, suggestions = json.loads(line)
            found = [Suggestion(params=params, reason=why, detail=detail) for params, why, detail in suggestions]
        except (TypeError, ValueError):
            raise _Broken("something else wrote into the pipe of its answers") from None
        if failure:
            raise _Failed(failure)
        return found

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _kill(process)
            with suppress(OSError), process:  # closes its pipes, whoever else may hold them, and waits for it
                pass


class _Failed(Exception):
    """The searcher has failed."""


class _Broken(_Failed):
    """So has its process."""


def _kill(process: subprocess.Popen[bytes]) -> None:
    """With all that it has started: a child of a searcher would hold its pipes."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _start_process() -> subprocess.Popen[bytes]:
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, "-m", "sweepyard.controller.searchprocess"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | one_thread,
        start_new_session=True,
    )
