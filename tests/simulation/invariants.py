"""What must be true of every installation, whatever happens to it: I1 to I11 of `docs/promises.md`."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from simulation.agents import SimAttempt
from simulation.memory_bus import Broker
from simulation.memory_store import MemoryStore

from sweepyard.controller.repeats import Repeat
from sweepyard.search.inside import lies_inside
from sweepyard.search.points import key_of
from sweepyard.search.space import Space
from sweepyard.tracking.records import ATTEMPT_OPEN, RUN_ENDED, SWEEP_ENDED, AttemptState, Run, RunState, Sweep


class Watch:
    """Looks at what each step wrote, and remembers what only may grow."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._judged: set[int] = set()
        self._attempt: dict[int, int] = defaultdict(int)
        self._seq: dict[tuple[int, int], int] = defaultdict(int)

    def look(self) -> None:
        written = self._store.last_written
        for key, run in written["runs"].items():
            assert run.attempt >= self._attempt[key], "I9: an attempt number went back"
            self._attempt[key] = run.attempt
            assert run.reason, "I11: a run without a reason"
            if run.state not in (RunState.pending, RunState.running, RunState.finished):
                assert run.state_reason, f"I11: run {run.number} is {run.state} without a reason"
            if key not in self._judged:
                self._judged.add(key)
                specs = {each.version: each.spec for each in self._store.versions(run.sweep_id)}
                cap = specs[run.spec_version].get("run_cap")
                assert cap is None or run.number <= cap, "I7: more runs than run_cap allows"
        for key, attempt in written["attempts"].items():
            assert attempt.seq >= self._seq[key], "I10: a report number went back"
            self._seq[key] = attempt.seq


def check_story(store: MemoryStore, sweep_id: str) -> None:
    """I4: folding the events of each run gives its state, and attempts are one after another (I2)."""
    events = defaultdict(list)
    for event in store.events(sweep_id=sweep_id, limit=10**9):
        events[event.run_key].append(event)
    for run in store.runs(sweep_id):
        state = RunState.pending
        for event in events[run.key]:
            word = event.kind.removeprefix("run.")
            if word == "started":
                state = RunState.running
            elif word in ("retried", "promoted"):
                state = RunState.pending
            elif word in RunState.__members__:
                state = RunState(word)
        assert state is run.state, f"I4: events say run {run.number} is {state}, the table says {run.state}"
        attempts = store.attempts(run.key)
        assert [attempt.n for attempt in attempts] == list(range(1, run.attempt + 1)), "I9: attempts have gaps"
        assert all(attempt.state not in ATTEMPT_OPEN for attempt in attempts[:-1]), "I2: two open attempts"
        for attempt in attempts:
            if attempt.state in (AttemptState.lost, AttemptState.superseded):
                assert attempt.reason, "I11: an attempt was lost without a reason"


def check_rows(store: MemoryStore, sweep_id: str, executed: list[SimAttempt]) -> None:
    """I2, I3: the rows of an attempt are those of the one agent that has it, in order, none missing or twice."""
    spools = {(*attempt.ref, attempt.sent_by): attempt for attempt in executed}
    for run in store.runs(sweep_id):
        rows = store.history(run.key)
        assert [row.line for row in rows] == list(range(len(rows))), "I3: lines have gaps"
        for attempt in store.attempts(run.key):
            mine = [row.data for row in rows if row.attempt == attempt.n]
            assert {data["agent"] for data in mine} <= {attempt.agent_id}, "I2: rows of two agents in one attempt"
            assert [data["k"] for data in mine] == list(range(len(mine))), "I3: rows missing or twice"
            if attempt.state is AttemptState.ended:
                spool = spools[run.id, attempt.n, attempt.agent_id]
                assert len(mine) == spool.rows, "I3: an ended attempt lacks rows"


def check_points(store: MemoryStore, sweep_id: str) -> None:
    """I6: every point is in the space as it was when it was proposed, and whoever is outside of the present one is
    marked; of a finite space no point comes twice, unless a population varies it."""
    sweep, runs = store.sweep(sweep_id), store.runs(sweep_id)
    assert sweep is not None
    assert [run.number for run in runs] == list(range(1, len(runs) + 1)), "I6: run numbers have gaps"
    spaces = {each.version: Space.of(each.spec) for each in store.versions(sweep_id)}
    now = spaces[sweep.version]
    for run in runs:
        born = runs[run.repeat_of - 1] if run.repeat_of else run  # a point that was begun is tried to its end
        assert lies_inside(spaces[born.spec_version], run.params), f"I6: run {run.number} is outside the space"
        assert run.outside is not lies_inside(now, run.params), f"I6: run {run.number} is marked wrongly"
    if now.size() is not None and not any("parent" in run.detail for run in runs):
        twice = [key for key, n in Counter(_points(now, sweep, runs)).items() if n > 1]
        assert not twice, f"I6: points given twice: {twice}"


def check_cover(store: MemoryStore, sweep_id: str) -> None:
    """I6: a grid that came to its end has each point once, of the space as it was then."""
    sweep = store.sweep(sweep_id)
    assert sweep is not None
    if sweep.spec["method"] != "grid" or not sweep.reason.startswith("every point"):
        return
    ends = [event.at for event in store.events(sweep_id=sweep_id, limit=10**9) if event.kind == "sweep.finishing"]
    space = Space.of([each.spec for each in store.versions(sweep_id) if each.at <= ends[-1]][-1])
    points = {key for key, _seed in _points(space, sweep, store.runs(sweep_id))}
    assert len(points) == space.size(), "I6: a finished grid is no exact cover"


def _points(space: Space, sweep: Sweep, runs: list[Run]) -> list[tuple[Any, Any]]:
    """The points of runs that lie inside, each with the seed that it is tried with, if there are repeats."""
    repeat = Repeat.of(sweep.spec)
    inside = [run for run in runs if lies_inside(space, run.params)]
    return [
        (key_of(space.flatten(run.params) or ()), run.params.get(repeat.seed) if repeat else None)
        for run in inside
    ]


def check_end(store: MemoryStore, sweep_id: str) -> None:
    """I1: every run has ended, and so has the sweep."""
    sweep = store.sweep(sweep_id)
    assert sweep is not None
    open_runs = {run.number: run.state for run in store.runs(sweep_id) if run.state not in RUN_ENDED}
    assert not open_runs, f"I1: not ended: {open_runs}"
    assert sweep.state in SWEEP_ENDED, f"I1: the sweep is {sweep.state}"
    assert sweep.reason, "I11: the sweep ended without a reason"


def check_decisions(store: MemoryStore, sweep_id: str) -> None:
    """I5 and I11: every stop has a reason, and was worse than its threshold."""
    for decision in store.decisions(sweep_id):
        assert decision.reason, "I11: a decision without a reason"
        if decision.action == "stop" and decision.threshold is not None:
            assert decision.value > decision.threshold, "I5: a run was stopped that was not worse"


def check_redis(broker: Broker) -> None:
    """I12: when all is over, nothing is left in Redis but the controller's mark, and what was last said to agents,
    which expires."""
    for name in ("stream", "presence", "offers"):
        left = {key: value for key, value in getattr(broker, name).items() if value}
        assert not left, f"I12: {name} left in Redis: {left}"
