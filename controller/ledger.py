"""What the engine knows about a sweep, in memory: a mirror of the store, never ahead of a failed commit.

The engine's is touched by its thread alone; whoever else wants to know reads one of its own. Whatever goes wrong
in a transaction, the ledger is thrown away and read again: the store is the truth.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sweepyard.controller.proposals import Answer
from sweepyard.controller.repeats import Point, Repeat, best_point, points_of
from sweepyard.plain import Params
from sweepyard.schedulers.port import Curve, Curves, Foretold, Promoter, Scheduler, Turn
from sweepyard.schedulers.registry import is_dry, make_scheduler, max_iter_of, promoter_of, resource_of
from sweepyard.search.port import Observation
from sweepyard.search.space import Space
from sweepyard.tracking import records
from sweepyard.tracking.port import Store, Transaction
from sweepyard.tracking.records import (
    ATTEMPT_OPEN,
    RUN_ENDED,
    RUN_SCORED,
    SWEEP_ENDED,
    Attempt,
    AttemptState,
    Decision,
    Event,
    Objective,
    PriorRun,
    Run,
    RunState,
    Sweep,
    changed,
    values_of,
)


@dataclass(slots=True)
class Ledger:
    """One sweep with all its runs, the present attempt of each, and their curves."""

    sweep: Sweep
    objective: Objective | None = field(init=False)
    repeat: Repeat | None = field(init=False)
    scheduler: Scheduler | None = field(init=False)
    promoter: Promoter | None = field(init=False)
    """Of the scheduler: what lets runs pause and go on."""
    resource: str | None = field(init=False)
    """The key of a row that says how far a run is; None: its values of the metric are counted."""
    is_dry: bool = field(init=False)
    """Whether early termination only says what it would do."""
    runs: dict[str, Run] = field(default_factory=dict)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    """The open attempt of each run that has one, by run id; and those that ended while we watched."""
    curves: dict[str, Curve] = field(default_factory=dict)
    """What each run has reported of the sweep's metric in its present attempt, by run id."""
    former: dict[str, Curve] = field(default_factory=dict)
    """What an earlier attempt has reported, of each run whose present one has reported nothing yet."""
    spared: dict[str, Curve] = field(default_factory=dict)
    """In a dry run: the curves, cut there, of the runs that would have been stopped."""
    prior: list[Observation] = field(default_factory=list)
    """What prior runs tell. Their curves are among `curves`, under names that no run has."""
    exhausted: bool = False
    """The searcher has nothing more to suggest."""
    proposing: bool = False
    """A costly searcher has been asked and has not answered yet."""
    ready: Answer | None = None
    """What it has answered ahead of need."""
    ordered: set[str] = field(default_factory=set)
    """Runs whose order its agent has been told since this ledger was read."""
    superseded: list[tuple[str, int]] = field(default_factory=list)
    """Attempts that may be in the queue and must not be started any more, by run id and number."""
    given_up: dict[tuple[str, int], int] = field(default_factory=dict)
    """Attempts that were lost since this ledger was read and not heard of again, by run id and number: the last
    report of each that was taken in."""
    _open: dict[str, Run] = field(default_factory=dict)
    _observations: dict[str, tuple[Run, Foretold | None, Observation]] = field(default_factory=dict)
    _point_observations: dict[int, tuple[list[Observation], Observation]] = field(default_factory=dict)

    @classmethod
    def new(cls, sweep: Sweep, prior_runs: Iterable[PriorRun] = ()) -> Ledger:
        """The ledger of a sweep without runs of its own."""
        ledger = cls(sweep)
        ledger.prior = [_prior_observation(run) for run in prior_runs]
        ledger.curves = {f"prior {run.n}": _prior_curve(run) for run in prior_runs if run.curve}
        return ledger

    def __post_init__(self) -> None:
        self._read_spec()

    def _read_spec(self) -> None:
        """Work out once what each report and each plan would ask of the spec."""
        sweep, rule = self.sweep, self.sweep.spec.get("early_terminate")
        self.objective, self.repeat = sweep.objective, Repeat.of(sweep.spec)
        self.resource, self.is_dry = resource_of(rule), is_dry(rule)
        self.scheduler = None
        if rule and self.objective:
            self.scheduler = make_scheduler(rule, self.objective, sweep.seed, lambda: Space.of(sweep.spec))
        self.promoter = promoter_of(self.scheduler)

    @classmethod
    def read(cls, store: Store, sweep: Sweep) -> Ledger:
        """The ledger as the store has it."""
        ledger = cls.new(sweep, store.prior_runs(sweep.id))
        # The runs last: whoever reads while the engine goes on knows the run of all that it has read before.
        attempts, curves = store.open_attempts(sweep.id), store.curves(sweep.id)
        former = store.curves(sweep.id, former=True) if ledger.resource is not None else {}
        decisions = store.decisions(sweep.id) if ledger.is_dry else []
        for run in store.runs(sweep.id):
            ledger.put(run)
        by_key = {run.key: run.id for run in ledger.runs.values()}
        ledger.attempts = {by_key[attempt.run_key]: attempt for attempt in attempts}
        for run_id, points in curves.items():
            ledger.curves[run_id].extend(points)
        ledger._put_former(former)
        ledger._put_spared(decisions)
        return ledger

    def _put_former(self, former: Mapping[str, Sequence[records.Point]]) -> None:
        for run_id, points in former.items():
            run = self.runs[run_id]
            if run.state not in RUN_ENDED and not self.curves[run_id].values:
                self.former[run_id] = Curve(number=run.number, params=run.params)
                self.former[run_id].extend(points)

    def _put_spared(self, decisions: Sequence[Decision]) -> None:
        by_number = {run.number: run for run in self.runs.values()}
        for decision in decisions:
            run = by_number[decision.run_number or 0]
            if decision.action == "would_stop" and decision.attempt == run.attempt:
                self.spared[run.id] = self.curves[run.id].until(decision.rung)

    @property
    def unseen(self) -> int | None:
        """How many results came in after `ready` was asked for; None if nothing is ready for the next point."""
        if self.ready is None or self.ready.created != self.begun:
            return None
        unseen = self.begun - len(self.pending()) - self.ready.ended
        return unseen if unseen >= 0 else None

    @property
    def paused(self) -> list[Run]:
        return [run for run in self._open.values() if run.state is RunState.paused]

    def turns(self) -> list[Turn]:
        """What there is to do with paused runs where there are slots for them."""
        return self.promoter.turns(self.curves) if self.promoter and self.paused else []

    @property
    def judged(self) -> Curves:
        """What rules may see: of a run that a dry run would have stopped, nothing after that."""
        return {**self.curves, **self.spared} if self.spared else self.curves

    @property
    def open_runs(self) -> list[Run]:
        """Runs that have not ended, in order of their numbers."""
        return list(self._open.values())

    @property
    def open_attempts(self) -> list[tuple[Run, Attempt]]:
        return [
            (run, attempt)
            for run in self._open.values()
            if (attempt := self.attempts.get(run.id)) is not None and attempt.state in ATTEMPT_OPEN
        ]

    @property
    def is_over(self) -> bool:
        """Whether the sweep has ended, and no attempt of it is open."""
        return self.sweep.state in SWEEP_ENDED and not self.open_attempts

    @property
    def offered(self) -> list[tuple[Run, Attempt]]:
        """Open attempts that no agent has started."""
        return [pair for pair in self.open_attempts if pair[1].state is AttemptState.offered]

    def history(self, *, foretell: bool = True) -> list[Observation]:
        """What a searcher may know: prior runs, then ended ones, or with repeats points, as they ended.

        Of a run that was stopped early, where it would have ended: its own best value would teach that slow
        starters are bad. `foretell` False: not that, for whoever looks at no value.
        """
        ended = [run for run in self.runs.values() if run.state in RUN_ENDED]
        ended.sort(key=lambda run: (run.ended_at or 0.0, run.number))
        foretold = self._foretold(ended) if foretell else {}
        observed = {run.id: self._observed(run, foretold.get(run.id)) for run in ended}
        own = list(observed.values()) if self.repeat is None else self._points_observed(observed)
        return self.prior + own

    def _observed(self, run: Run, foretold: Foretold | None) -> Observation:
        """The same object as long as all is the same, so that a searcher's process is told of it once."""
        known = self._observations.get(run.id)
        if known is None or known[0] is not run or known[1] != foretold:
            value = run.objective if run.state in RUN_SCORED else None
            value, std = foretold or (value, 0.0)
            observation = Observation(
                number=run.number,
                params=run.params,
                value=value,
                std=std,
                failed=run.state in (RunState.failed, RunState.crashed),
                values=self.values(run),
            )
            known = self._observations[run.id] = run, foretold, observation
        return known[2]

    def _foretold(self, ended: Sequence[Run]) -> dict[str, Foretold]:
        """Where runs that were stopped early would have ended, by run id; nothing if none was stopped.

        Prior runs' curves tell it too.
        """
        scored = [run.id for run in ended if run.state in RUN_SCORED and self.curves[run.id].values]
        objective = self.objective
        if objective is None or all(self.curves[run_id].finished for run_id in scored):
            return {}
        from sweepyard.schedulers.foretelling import foretell  # takes a while to import (numpy)

        prior = [curve for curve in self.curves.values() if curve.source and curve.values]
        curves = [*prior, *(self.curves[run_id] for run_id in scored)]
        return dict(zip(scored, foretell(curves, objective, self._max_iter)[len(prior) :], strict=True))

    @property
    def _max_iter(self) -> float | None:
        """The resource of a whole run, if the sweep file says it."""
        return max_iter_of(self.sweep.spec.get("early_terminate"))

    def _points_observed(self, observed: Mapping[str, Observation]) -> list[Observation]:
        closed = [point for point in self.points() if not point.is_open]
        closed.sort(key=lambda point: (point.ended_at, point.runs[0].number))
        return [self._point_observed(point, [observed[run.id] for run in point.runs]) for point in closed]

    def _point_observed(self, point: Point, each: list[Observation]) -> Observation:
        """The same object, as of a run."""
        known = self._point_observations.get(point.runs[0].number)
        if known is None or known[0] != each:
            known = each, point.observation(each, self.objective)
            self._point_observations[point.runs[0].number] = known
        return known[1]

    def values(self, run: Run) -> tuple[float | None, ...]:
        """Where a run ended in each of several metrics; nothing if there is one only."""
        return values_of(run, self.sweep.objectives) if self.objective is None else ()

    def pending(self) -> list[Params]:
        """The points that have no result yet."""
        if self.repeat is None:
            return [run.params for run in self.open_runs]
        return [point.params for point in self.points() if point.is_open]

    def hours(self, now: float) -> float:
        """How long ago the first run was made; 0 if there is none."""
        first = next(iter(self.runs.values()), None)
        return (now - first.created_at) / 3600 if first else 0.0

    @property
    def failures(self) -> int:
        """How many runs failed or crashed."""
        return sum(run.state in (RunState.failed, RunState.crashed) for run in self.runs.values())

    def points(self) -> list[Point]:
        """All points of a sweep with repeats; of another one nothing."""
        return [] if self.repeat is None else points_of(self.runs.values(), self.repeat)

    def missing(self) -> int:
        """How many runs points that were begun still lack."""
        return sum(point.missing for point in self.points())

    @property
    def begun(self) -> int:
        """How many points were proposed."""
        return len(self.runs) if self.repeat is None else len(self.points())

    def leader(self) -> tuple[int, float | None]:
        """Number and objective of the best run, a running one included; with repeats those of the best point."""
        if self.repeat is None or self.objective is None:
            run = self.best(RUN_SCORED | {RunState.running})
            return (run.number, run.objective) if run else (0, None)
        point = best_point(self.runs.values(), self.repeat, self.objective)
        return (point.runs[0].number, point.value(self.objective)) if point else (0, None)

    def best(self, states: Container[RunState] = RUN_SCORED) -> Run | None:
        """The run with the best objective among those in `states`; the earlier one of equals."""
        objective = self.objective
        best: Run | None = None
        for run in self.runs.values():
            if objective is None or run.objective is None or run.state not in states:
                continue
            if best is None or best.objective is None or objective.better(run.objective, best.objective):
                best = run
        return best

    def put(self, run: Run) -> None:
        """Hold `run` in its newest form."""
        self.runs[run.id] = run
        curve = self.curves.get(run.id)
        if curve is None:
            curve = self.curves[run.id] = Curve(number=run.number, params=run.params)
        curve.ended, curve.finished = run.state in RUN_ENDED, run.state is RunState.finished
        curve.paused = run.state is RunState.paused
        if run.state in RUN_ENDED:
            self._open.pop(run.id, None)
        else:
            self._open[run.id] = run

    def save_sweep(self, tx: Transaction, **changes: Any) -> None:
        self.sweep = replace(self.sweep, **changes)
        tx.save_sweep(self.sweep)

    def edit(self, tx: Transaction, spec: dict[str, Any]) -> None:
        """Go on with another spec: what was thought of under the last one is void."""
        self.save_sweep(tx, spec=spec, version=self.sweep.version + 1)
        self._read_spec()
        self.ready, self.exhausted = None, False
        self._point_observations.clear()

    def save_run(self, tx: Transaction, run: Run, **changes: Any) -> Run:
        run = changed(run, **changes)
        self.put(run)
        tx.save_run(run)
        return run

    def save_attempt(self, tx: Transaction, run: Run, attempt: Attempt, **changes: Any) -> Attempt:
        attempt = changed(attempt, **changes)
        self.attempts[run.id] = attempt
        tx.save_attempt(attempt)
        return attempt

    def tell(self, tx: Transaction, kind: str, text: str, now: float, run: Run | None = None, **more: Any) -> None:
        """Write one fact into the story."""
        if run is not None:
            more |= {"run_key": run.key, "run_number": run.number, "attempt": run.attempt}
        tx.add_event(Event(sweep_id=self.sweep.id, kind=kind, text=text, at=now, **more))


def _prior_observation(run: PriorRun) -> Observation:
    return Observation(number=run.n, params=run.params, value=run.value, failed=run.failed, source=run.source)


def _prior_curve(run: PriorRun) -> Curve:
    curve = Curve(number=run.n, params=run.params, ended=True, finished=True, source=run.source)
    for position, value in run.curve:
        curve.add(value, position)
    return curve
