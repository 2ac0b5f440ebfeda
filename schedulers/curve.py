"""Rules that foretell where a run ends: `curve` stops the hopeless, `auto` who promises less than a new run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr

from sweepyard.schedulers.foretelling import Foreteller, horizon_of, knots_of, present
from sweepyard.schedulers.hyperband import newly_at
from sweepyard.schedulers.port import Curve, Curves, Outlook, Verdict
from sweepyard.schedulers.wording import NO_VALUE
from sweepyard.tracking.records import Objective

_LEAST_STD = 1e-6
_MOST_RUNS = 1000
"""Of how many ended runs, the newest, a decision learns."""
_FREEDOM = 4.0
"""Degrees of freedom of what may come: training surprises more often than a normal distribution allows."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """How a run looks among all.

    `final`, `std`, `best`: where it is foretold to end and the best value so far, in the metric's units; `chance`:
    that it ends better than that. `leads`: no run is foretold to end better.
    """

    final: float
    std: float
    best: float
    chance: float
    leads: bool
    peers: int


class CurveRule:
    """Stops a run whose chance to end better than the best so far is below `probability`.

    Judged at the knots of `foretelling` from `min_iter` on, once the resource of a whole run is known (`max_iter`,
    or a run has finished) and `min_peers` runs have gone each step that it still has before it. The run that is
    foretold to end best is never stopped.

    Without `probability` (the rule `auto`) it is what a new run promises for the resource that this one still
    takes: that the next of n + 1 is the best of all has a chance of 1/(n + 1), whatever values are like (if they
    come in no order), for a whole run; for a part of one, that part of it. So it stops eagerly while few runs
    are known, and nearly nobody later, when proposals are good and one that was stopped wrongly costs more than
    it saves.
    """

    def __init__(
        self,
        objective: Objective,
        *,
        probability: float | None = 0.05,
        max_iter: float | None = None,
        min_iter: float = 1,
        min_peers: int = 5,
    ) -> None:
        self._objective = objective
        self._probability = probability
        self._max_iter = max_iter
        self._min_iter = min_iter
        self._min_peers = min_peers
        self._name = "auto" if probability is None else "curve"

    @classmethod
    def from_spec(cls, rule: Mapping[str, Any], objective: Objective) -> CurveRule:
        keys = ("probability", "max_iter", "min_iter", "min_peers")
        return cls(objective, **{key: rule[key] for key in keys if key in rule})

    @classmethod
    def auto(cls, rule: Mapping[str, Any], objective: Objective) -> CurveRule:
        """The rule for those who do not want to choose. It speaks as soon as one run has gone each step."""
        given = {key: rule[key] for key in ("max_iter", "min_iter") if key in rule}
        return cls(objective, probability=None, min_peers=1, **given)

    def judge(self, run_id: str, curves: Curves) -> Verdict | None:
        curve = curves.get(run_id)
        if curve is None or not curve.values or curve.resource < self._min_iter:
            return None
        horizon = horizon_of(curves.values(), self._max_iter)
        if horizon is None or curve.resource >= horizon or not _at_a_knot(curve, horizon):
            return None
        prospect = self._prospect(run_id, curves, horizon)
        if prospect is None:
            return None
        left = 1.0 - curve.resource / horizon
        allowed = left / (prospect.peers + 1) if self._probability is None else self._probability
        is_poor = prospect.chance < allowed
        verdict = f"{'below' if is_poor else 'not below'} {self._asked(allowed, left)}"
        spared = "; no run is foretold to end better" if prospect.leads else ""
        return Verdict(
            action="stop" if is_poor and not prospect.leads else "continue",
            rule=self._name,
            reason=f"at {curve.resource:g}: {self._story(prospect)}, {verdict}{spared}",
            rung=curve.resource,
            value=prospect.final,
            threshold=prospect.best,
            peers=prospect.peers,
            probability=prospect.chance,
        )

    def outlook(self, run_id: str, curves: Curves) -> list[Outlook]:
        curve, horizon = curves[run_id], horizon_of(curves.values(), self._max_iter)
        if not curve.values:
            text = NO_VALUE
        elif horizon is None:
            text = "how long a run is will be known when one has finished, or by max_iter"
        elif curve.resource >= horizon:
            text = f"it has come to {curve.resource:g}, the end of a whole run"
        elif (prospect := self._prospect(run_id, curves, horizon)) is None:
            came = "a run that has" if self._min_peers == 1 else f"{self._min_peers} runs that have"
            text = f"it takes {came} gone the whole way to foretell where it ends"
        else:
            text = f"at {curve.resource:g}: {self._story(prospect)}"
        return [Outlook(rule=self._name, text=text)]

    def _prospect(self, run_id: str, curves: Curves, horizon: float) -> Prospect | None:
        known = [curve for curve in curves.values() if curve.values]
        me, newest = curves[run_id], [curve for curve in known if curve.ended][-_MOST_RUNS:]
        rivals = [me, *(curve for curve in known if not curve.ended and curve is not me)]
        runs = rivals + [curve for curve in newest if curve is not me]
        foreteller = Foreteller(runs, self._objective, horizon)
        if foreteller.evidence(me) < self._min_peers:
            return None
        means, stds = foreteller.ends(slice(len(rivals)))
        now = foreteller.scale.forward(np.array([present(curve, self._objective) for curve in known]))
        mean, std, best = float(means[0]), max(float(stds[0]), _LEAST_STD), float(now.min())
        final = foreteller.scale.back(mean + std * np.array([-1.0, 0.0, 1.0]))
        return Prospect(
            final=float(final[1]),
            std=float(abs(final[2] - final[0]) / 2),
            best=float(foreteller.scale.back(np.array(best))),
            chance=float(stdtr(_FREEDOM, (best - mean) / std)),
            leads=mean <= min(best, *means),
            peers=len(known),
        )

    def _asked(self, allowed: float, left: float) -> str:
        if self._probability is not None:
            return f"{allowed:.1%}"
        return f"the {allowed:.1%} that a new one promises for the {left:.0%} of a run that this one still takes"

    def _story(self, prospect: Prospect) -> str:
        name = self._objective.name
        return (
            f"{name} is foretold to end at {prospect.final:.4g} ± {prospect.std:.2g}; its chance to beat"
            f" {prospect.best:.4g}, the best of {prospect.peers} runs, is {prospect.chance:.1%}"
        )


def _at_a_knot(curve: Curve, horizon: float) -> bool:
    """Whether the newest value is the first at a knot: between knots nothing new is known."""
    knots = knots_of(horizon)
    passed = knots[knots <= curve.resource]
    return len(passed) > 0 and newly_at(curve, float(passed[-1]))
