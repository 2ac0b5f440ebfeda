"""The process that costly searchers run in, and what is said over its pipes: JSON, a line each.

A history grows by a run or two between two questions. Written whole, one of 10,000 runs would take half a second:
both sides remember it, and a question carries what has changed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from sweepyard.controller.proposals import Question, suggest
from sweepyard.garbage import collect_seldom
from sweepyard.plain import dumps
from sweepyard.search.port import Observation
from sweepyard.tracking.records import Objective

log = logging.getLogger(__name__)

MOST_SWEEPS = 32
"""Histories that both sides remember, the last used ones: a sweep that was forgotten is told whole again."""
_PLACES = [each.name for each in fields(Observation)]


@dataclass(slots=True)
class Writer:
    """Questions to lines. One a process: it knows what that process has been told."""

    _told: dict[str, list[Observation]] = field(default_factory=dict)

    def line(self, question: Question) -> bytes:
        known, history = _recalled(self._told, question.sweep_id), list(question.history)
        said = {each.name: getattr(question, each.name) for each in fields(question) if each.name != "history"}
        if question.objective is not None:
            said["objective"] = {"name": question.objective.name, "goal": question.objective.goal}
        said |= {"runs": len(history), "changed": list(_changes(known, history))}
        self._told[question.sweep_id] = history
        return (dumps(said) + "\n").encode()


@dataclass(slots=True)
class Reader:
    """Lines to questions: the other end of a `Writer`."""

    _heard: dict[str, list[Observation]] = field(default_factory=dict)

    def question(self, line: bytes) -> Question:
        said = json.loads(line)
        objective, runs, changed = said.pop("objective"), said.pop("runs"), said.pop("changed")
        history = self._heard[said["sweep_id"]] = _recalled(self._heard, said["sweep_id"])[:runs]
        for place, values in changed:
            observation = Observation(**dict(zip(_PLACES, values, strict=True)))
            history[place : place + 1] = [replace(observation, values=tuple(observation.values))]
        return Question(**said, objective=Objective(**objective) if objective else None, history=history)


def _recalled(memory: dict[str, list[Observation]], sweep_id: str) -> list[Observation]:
    """What is remembered of a sweep, which becomes the last used one; the same at both ends."""
    memory[sweep_id] = memory.pop(sweep_id, [])
    if len(memory) > MOST_SWEEPS:
        del memory[next(iter(memory))]
    return memory[sweep_id]


def _changes(known: Sequence[Observation], history: Sequence[Observation]) -> list[tuple[int, list[Any]]]:
    """Places of `history` at which `known` has something else or nothing, each with what stands there now."""
    pairs = zip_longest(known[: len(history)], history)
    return [
        (place, [getattr(now, name) for name in _PLACES])
        for place, (before, now) in enumerate(pairs)
        if before is not now and before != now
    ]


def _answer_line(reader: Reader, line: bytes) -> str:
    try:
        suggestions = suggest(reader.question(line)).suggestions
        return dumps(["", [[one.params, one.reason, one.detail] for one in suggestions]])
    except Exception as error:  # whatever a searcher raises must reach the user as a reason, not end the sweep
        log.exception("searcher failed")
        return dumps([f"{type(error).__name__}: {error}", []])


def main() -> None:
    """A question a line on stdin, an answer a line on stdout; ends with its input."""
    with suppress(OSError):  # whoever must die for want of memory: this process first, it has nothing to lose
        Path("/proc/self/oom_score_adj").write_text("1000")
    collect_seldom()
    from sweepyard.search import bayes  # noqa: F401 (imported before the first question, not during it)

    answers, reader = os.fdopen(os.dup(sys.stdout.fileno()), "w"), Reader()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin.buffer:
        answers.write(_answer_line(reader, line) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
