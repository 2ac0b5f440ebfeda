"""What a sweep has found out: its Pareto front, the run to use, which parameters matter. Made from the store."""

from __future__ import annotations

from sweepyard.controller.ledger import Ledger
from sweepyard.errors import Conflict, NotFound
from sweepyard.search import pareto
from sweepyard.search.space import Space
from sweepyard.tracking.port import Store
from sweepyard.tracking.records import RUN_SCORED, Objective, Sweep, values_of
from sweepyard.views import (
    Front,
    FrontRun,
    Importances,
    MetricView,
    ParameterImportance,
    Recommendation,
    RunView,
)


def front(store: Store, sweep: Sweep) -> Front:
    """The Pareto front of a sweep with several metrics.

    Raises:
        Conflict: it has one metric, or none.
    """
    objectives = sweep.objectives
    if len(objectives) < 2:
        raise Conflict(
            f"Sweep {sweep.id} has no several metrics to choose between; its status shows the best run."
        )
    ended = [(run, values_of(run, objectives)) for run in store.runs(sweep.id, states=RUN_SCORED)]
    whole = [(run, values) for run, values in ended if None not in values]
    best = pareto.front(pareto.losses([values for _, values in whole], objectives))
    runs = [FrontRun(**RunView.model_validate(whole[i][0]).model_dump(), values=whole[i][1]) for i in best]
    metrics = [MetricView(name=one.name, goal=one.goal) for one in objectives]
    return Front(metrics=metrics, runs=runs, of=len(whole))


def recommendation(store: Store, sweep: Sweep) -> Recommendation:
    """The run that the model of Bayesian search would use, whichever method the sweep has.

    Raises:
        Conflict: the sweep has several metrics, or none.
    """
    from sweepyard.search.bayes import recommend  # takes a second to import

    if sweep.objective is None:
        raise Conflict(f"Sweep {sweep.id} has no single metric, so none of its runs is the best.")
    history = Ledger.read(store, sweep).history()
    best = store.best_run(sweep)
    found = recommend(Space.of(sweep.spec), sweep.objective, history)
    run = store.run(sweep.id, found.number) if found else None
    return Recommendation(
        recommended=RunView.model_validate(run) if run else None,
        mean=found.mean if found else None,
        std=found.std if found else None,
        reason=found.reason if found else "no run has a value yet",
        best=RunView.model_validate(best) if best else None,
    )


def importances(store: Store, sweep: Sweep, metric: str | None) -> Importances:
    """Which parameters matter for a metric of the sweep, the first one if none is named.

    Raises:
        Conflict: the sweep has no metric.
        NotFound: none of its metrics has that name.
    """
    from sweepyard.search.importance import importance, verdict

    place, objective = _metric(sweep, metric)
    sign = -1.0 if objective.goal == "maximize" else 1.0
    history = Ledger.read(store, sweep).history()
    values = [run.values[place] if run.values else run.value for run in history]
    losses = [None if value is None else sign * value for value in values]
    space = Space.of(sweep.spec)
    found = importance(space, [space.flatten(run.params) for run in history], losses)
    scored = sum(loss is not None for loss in losses)
    return Importances(
        metric=MetricView(name=objective.name, goal=objective.goal),
        runs=scored,
        verdict=verdict(found, scored),
        parameters=[ParameterImportance.model_validate(one) for one in found],
    )


def _metric(sweep: Sweep, name: str | None) -> tuple[int, Objective]:
    names = [objective.name for objective in sweep.objectives]
    if not names:
        raise Conflict(f"Sweep {sweep.id} has no metric, so nothing is important for it.")
    if name is not None and name not in names:
        raise NotFound(f"'{name[:100]}' is no metric of sweep {sweep.id}. It has: {', '.join(names)}.")
    place = 0 if name is None else names.index(name)
    return place, sweep.objectives[place]
