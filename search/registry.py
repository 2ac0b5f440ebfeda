"""The search methods by the name that a sweep file gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from sweepyard.errors import Problem, SpecError
from sweepyard.search.auto import AutoSearcher
from sweepyard.search.baseline import baselines
from sweepyard.search.foreign import Foreign
from sweepyard.search.grid import GridSearcher
from sweepyard.search.initial import InitialFirst
from sweepyard.search.inside import locate
from sweepyard.search.points import size_of
from sweepyard.search.port import Searcher
from sweepyard.search.random import RandomSearcher
from sweepyard.search.sobol import SobolSearcher
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How to make a searcher. `learns`: from results, so that a suggestion needs a process of its own."""

    make: Callable[[Space, Objective | None, int], Searcher]
    learns: bool = False


def _bayes(space: Space, objective: Objective, seed: int) -> Searcher:
    from sweepyard.search.bayes import BayesSearcher  # takes a second to import

    return BayesSearcher(space, objective, seed)


def _tpe(space: Space, objective: Objective, seed: int) -> Searcher:
    from sweepyard.search.modelled import ModelledSearcher  # scipy too
    from sweepyard.search.tpe import propose

    return ModelledSearcher(space, objective, seed, propose, design=10)


def _cmaes(space: Space, objective: Objective, seed: int) -> Searcher:
    from sweepyard.search.cmaes import propose
    from sweepyard.search.modelled import ModelledSearcher

    return ModelledSearcher(space, objective, seed, propose, design=1)


def _learning(name: str, make: Callable[[Space, Objective, int], Searcher]) -> Method:
    """A method that cannot do without a metric."""

    def checked(space: Space, objective: Objective | None, seed: int) -> Searcher:
        if objective is None:
            message = f"method {name} needs a metric: give its name and goal"
            raise SpecError([Problem(path="metric", message=message)])
        return make(space, objective, seed)

    return Method(make=checked, learns=True)


def _auto(space: Space, objective: Objective | None, seed: int) -> Searcher:
    def make(method: str) -> Searcher:
        return make_searcher(method, space, objective, seed)

    return AutoSearcher(space, make, scored=objective is not None)


GROUP = "sweepyard.searchers"
"""The group of entry points under which other distributions offer searchers; each is a `Method.make`."""

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "grid": Method(make=lambda space, _objective, seed: GridSearcher(space, seed)),
        "random": Method(make=lambda space, _objective, seed: RandomSearcher(space, seed)),
        "sobol": Method(make=lambda space, _objective, seed: SobolSearcher(space, seed)),
        "bayes": _learning("bayes", _bayes),
        "tpe": _learning("tpe", _tpe),
        "cmaes": _learning("cmaes", _cmaes),
        "auto": Method(make=_auto, learns=True),
    }
)


def installed() -> Mapping[str, EntryPoint]:
    """Searchers of other distributions by name; none has the name of one of ours."""
    return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in METHODS}


def is_costly(method: str) -> bool:
    """Whether a suggestion needs a process of its own: that of somebody else's searcher always does."""
    return method not in METHODS or learns(method)


def learns(method: str) -> bool:
    """Whether `method` is one of ours that learns from results, given a metric."""
    return method in METHODS and METHODS[method].learns


def points_of(spec: Mapping[str, Any]) -> int | None:
    """How many points a sweep file in normal form has to try; None if they cannot be counted.

    With conditions or constraints an upper bound, unless there are few enough to count them.
    """
    space = Space.of(spec)
    return GridSearcher(space).size() if spec["method"] == "grid" else size_of(space)


def searcher_of(
    spec: Mapping[str, Any], objective: Objective | None, seed: int, method: str | None = None
) -> Searcher:
    """The searcher of a sweep file in normal form, its initial points first; by another `method` if one is named.

    A method that learns from one metric learns from several by weighing them; without initial points it begins at
    the baselines.

    Raises:
        SpecError: as `make_searcher`, or an initial point is not in the space.
    """
    space, method, objectives = Space.of(spec), method or spec["method"], Objective.all_of(spec)
    if len(objectives) > 1 and is_costly(method):
        from sweepyard.search.scalarised import Scalarised  # imports scipy

        searcher: Searcher = Scalarised(partial(make_searcher, method, space, seed=seed), objectives, seed)
    else:
        searcher = make_searcher(method, space, objective, seed)
    if "initial_points" in spec:
        given = [locate(space, point) for point in spec["initial_points"]]
        points = [(values, f"initial point {i} of {len(given)}") for i, values in enumerate(given, 1)]
        return InitialFirst(searcher, space, points) if points else searcher
    if not (learns(method) and objectives):
        return searcher
    points = [(each.values, f"baseline: {each}") for each in baselines(space)]
    return InitialFirst(searcher, space, points, unasked=True) if points else searcher


def make_searcher(method: str, space: Space, objective: Objective | None, seed: int) -> Searcher:
    """The searcher of a sweep. `seed`: 0 or more.

    Raises:
        SpecError: no such method, or it cannot search this space or without an objective.
    """
    if method in METHODS:
        return METHODS[method].make(space, objective, seed)
    others = installed()
    if method not in others:
        message = f"there is no method '{method}'. Choose one of: {', '.join([*METHODS, *others])}"
        raise SpecError([Problem(path="method", message=message)])
    return Foreign(others[method].load()(space, objective, seed), space, method)
