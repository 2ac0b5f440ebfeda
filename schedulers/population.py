"""Population based training: Jaderberg et al. 2017, "Population Based Training of Neural Networks".

Members are runs. Each pauses after every `interval` of the resource; when its turn comes it goes on, or, if it is
among the worst, makes place: a new run begins with the checkpoint of one of the best and with its parameters,
perturbed (truncation selection, section 4.1.1 of the paper).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sweepyard.plain import Params
from sweepyard.schedulers.port import Curve, Curves, Outlook, Turn, Verdict
from sweepyard.schedulers.wording import NO_VALUE
from sweepyard.tracking.records import Objective

Explore = Callable[[Params, np.random.Generator], Params]


class Population:
    """Keeps `size` runs going, side by side in slices of `interval`, however few agents there are.

    The member that is furthest behind goes on first, once each of the first `size` has a value; of equals the
    worst, while the best still are where a copy of them would begin. It is compared with those that have been
    where it is, by what they had there: otherwise who waits for its turn would be the worst because it waits. Of
    `n` such members the worst and the best `max(1, int(quantile * n))` are exploited and exploiters; a member
    that has ended, or come to `max_iter`, the resource of a whole run, is neither, and does not pause any more.
    Choices depend on `seed`, the run's number and its resource alone. `explore(params, rng)` perturbs.
    """

    def __init__(
        self,
        objective: Objective,
        seed: int,
        explore: Explore,
        *,
        size: int,
        interval: float,
        quantile: float = 0.25,
        max_iter: float = math.inf,
    ) -> None:
        self.members = size
        self._objective = objective
        self._seed = seed
        self._explore = explore
        self._interval = interval
        self._quantile = quantile
        self._max_iter = max_iter

    @classmethod
    def from_spec(cls, rule: Mapping[str, Any], objective: Objective, seed: int, explore: Explore) -> Population:
        keys = ("size", "interval", "quantile", "max_iter")
        return cls(objective, seed, explore, **{key: rule[key] for key in keys if key in rule})

    def judge(self, run_id: str, curves: Curves) -> Verdict | None:
        curve = curves.get(run_id)
        if curve is None or curve.broken or not self._crosses(curve) or not self._is_member(curve):
            return None
        ranked = self._ranked(curves, curve.resource)
        return Verdict(
            action="pause",
            rule="population",
            reason=f"at {curve.resource:g}: {self._objective.name} {curve.values[-1]:.4g}, number "
            f"{_place(run_id, ranked)} of {len(ranked)} members; it waits for its turn",
            rung=curve.resource,
            value=curve.values[-1],
            peers=len(ranked),
        )

    def turns(self, curves: Curves) -> list[Turn]:
        own = {key: each for key, each in curves.items() if not each.source}
        first = sorted(own.values(), key=lambda each: each.number)[: self.members]
        if len(first) < self.members or not all(each.values or each.ended for each in first):
            return []
        waiting = [(each.resource, key) for key, each in own.items() if each.paused]
        ranks = {at: self._ranked(own, at) for at, _ in waiting}
        waiting.sort(key=lambda each: (each[0], -_place(each[1], ranks[each[0]]), own[each[1]].number))
        return [self._turn(key, own, ranks[at]) for at, key in waiting]

    def outlook(self, run_id: str, curves: Curves) -> list[Outlook]:
        curve = curves[run_id]
        ranked = self._ranked(curves, curve.resource)
        if run_id not in ranked:
            text = f"it ended, or came to its end, at {curve.resource:g}" if curve.values else NO_VALUE
            return [Outlook(rule="population", text=text)]
        place = f"number {_place(run_id, ranked)} of {len(ranked)} members at {curve.resource:g}"
        state = "it waits for its turn" if curve.paused else f"it pauses every {self._interval:g}"
        return [Outlook(rule="population", text=f"{place}; {state}")]

    def _crosses(self, curve: Curve) -> bool:
        """Whether the newest value ends a slice. A first value was preceded by one unit of the resource."""
        before = curve.positions[-2] if len(curve.positions) > 1 else curve.resource - 1
        return curve.resource // self._interval > before // self._interval

    def _ranked(self, curves: Curves, at: float) -> list[str]:
        """The members that have been at the resource `at`, by their values there, the earlier of equals first.

        A copy that began beyond it has not.
        """
        sign = -1 if self._objective.goal == "maximize" else 1
        members = [
            (sign * _value_at(each, at), each.number, key)
            for key, each in curves.items()
            if self._is_member(each) and each.positions[0] <= at <= each.resource
        ]
        return [key for _, _, key in sorted(members)]

    def _is_member(self, curve: Curve) -> bool:
        return bool(curve.values) and not curve.ended and not curve.source and curve.resource < self._max_iter

    def _turn(self, run_id: str, curves: Curves, ranked: list[str]) -> Turn:
        curve, count = curves[run_id], max(1, int(self._quantile * len(ranked)))
        value = _value_at(curve, curve.resource)
        story = f"{self._objective.name} {value:.4g} at {curve.resource:g}"
        if run_id in ranked:
            story += f", number {_place(run_id, ranked)} of {len(ranked)} members"
        turn = Turn(
            run_id=run_id,
            rule="population",
            reason=f"{story}: its turn to go on",
            rung=curve.resource,
            value=value,
            peers=len(ranked),
        )
        if 2 * count > len(ranked) or run_id not in ranked[-count:]:
            return turn
        rng = np.random.default_rng(np.random.SeedSequence([self._seed, curve.number, int(curve.resource)]))
        best = ranked[:count]
        parent = best[int(rng.integers(count))]
        better = curves[parent]
        return replace(
            turn,
            reason=f"{story}, among the worst {count}: its place goes to a copy of run "
            f"{better.number} ({better.values[-1]:.4g} at {better.resource:g}) with other parameters",
            threshold=_value_at(curves[best[-1]], curve.resource),
            parent=parent,
            successor=self._explore(better.params, rng),
        )


def _value_at(curve: Curve, at: float) -> float:
    """With what it came to the resource `at`."""
    return curve.values[curve.index_at(at) or 0]


def _place(run_id: str, ranked: list[str]) -> int:
    """1 for the best; 0 for one that is not ranked."""
    return ranked.index(run_id) + 1 if run_id in ranked else 0
