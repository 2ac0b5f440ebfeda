"""Runs that try one point with different seeds, and what they say together. Functions of the runs alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from sweepyard.plain import Params
from sweepyard.search.port import Observation
from sweepyard.tracking.records import RUN_ENDED, RUN_SCORED, Middle, Objective, Run, RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """How often each point is tried, how that is summed up, and the key of a run's params that holds its seed."""

    times: int
    objective: Middle
    seed: str

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Repeat | None:
        """That of a sweep file in normal form; None: each run is a point of its own, and has no seed."""
        return cls(**spec["repeat"]) if "repeat" in spec else None

    def params(self, point: Params, n: int) -> Params:
        """The params of the run that tries `point` for the `n`-th time, counted from 0: that is its seed."""
        return point | {self.seed: n}

    def point(self, params: Params) -> Params:
        return {name: value for name, value in params.items() if name != self.seed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point with its runs, in the order of their numbers."""

    repeat: Repeat
    runs: Sequence[Run]

    @property
    def params(self) -> Params:
        """What the runs have in common: all but the seed."""
        return self.repeat.point(self.runs[0].params)

    @property
    def ended_at(self) -> float:
        """When the last of its runs ended."""
        return max(run.ended_at or 0.0 for run in self.runs)

    @property
    def missing(self) -> int:
        """How many runs are still to be made: none any more once one was stopped or went wrong."""
        lacking = max(0, self.repeat.times - len(self.runs))
        over = lacking and any(run.state in RUN_ENDED and run.state is not RunState.finished for run in self.runs)
        return 0 if over else lacking

    @property
    def is_open(self) -> bool:
        """Whether a result is still to come."""
        return self.missing > 0 or any(run.state not in RUN_ENDED for run in self.runs)

    @property
    def values(self) -> list[float]:
        """The objectives of the runs that count."""
        return [run.objective for run in self.runs if run.state in RUN_SCORED and run.objective is not None]

    def value(self, objective: Objective) -> float | None:
        """What its runs sum up to; None unless all were made and each has a value."""
        values = self.values
        return self._middle(values, objective) if len(values) == len(self.runs) >= self.repeat.times else None

    @property
    def spread(self) -> float:
        """The standard deviation of its values; 0 for one alone."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0

    def observation(self, each: Sequence[Observation], objective: Objective | None) -> Observation:
        """What a searcher learns of a point that is not open, from those of its runs: one result, or a failure."""
        failed = any(one.failed for one in each)
        values = [one.value for one in each if one.value is not None]
        whole = len(values) == len(each) and not failed and objective is not None
        return Observation(
            number=self.runs[0].number,
            params=self.params,
            value=self._middle(values, objective) if whole and objective else None,
            std=_uncertainty(values, [one.std for one in each]) if whole else 0.0,
            failed=failed,
        )

    def _middle(self, values: Sequence[float], objective: Objective) -> float:
        match self.repeat.objective:
            case "mean":
                return statistics.fmean(values)
            case "median":
                return statistics.median(values)
            case "worst":
                return min(values) if objective.goal == "maximize" else max(values)


def points_of(runs: Iterable[Run], repeat: Repeat) -> list[Point]:
    """The points of a sweep's runs, in the order of their first ones."""
    found: dict[int, list[Run]] = {}
    for run in sorted(runs, key=attrgetter("number")):
        found.setdefault(run.repeat_of or run.number, []).append(run)
    return [Point(repeat=repeat, runs=group) for group in found.values()]


def best_point(runs: Iterable[Run], repeat: Repeat, objective: Objective) -> Point | None:
    """The point with the best value, the earlier one of equals; None if none has a value yet."""
    best: tuple[Point, float] | None = None
    for point in points_of(runs, repeat):
        value = point.value(objective)
        if value is not None and (best is None or objective.better(value, best[1])):
            best = point, value
    return best[0] if best else None


def _uncertainty(values: Sequence[float], each: Sequence[float]) -> float:
    """The standard error of the mean of `values`, of which `each` is how uncertain one alone is."""
    spread = statistics.variance(values) / len(values) if len(values) > 1 else 0.0
    return math.sqrt(spread + math.fsum(std * std for std in each) / len(values) ** 2)
