"""ASHA in its stopping form, and Hyperband's brackets over it.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", Algorithm 2: a run goes on past a rung if
it is in the top 1/eta of those that have come there. The brackets and their shares are of Li et al. 2018,
"Hyperband", Algorithm 1: bracket `s` begins at the resource max_iter * eta**-s and is given runs in proportion to
eta**s / (s + 1).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from sweepyard.schedulers.hyperband import newly_at, values_at
from sweepyard.schedulers.port import Curve, Curves, Outlook, Rung, Verdict
from sweepyard.schedulers.wording import compared, rungs_shown, too_few, top, way_to
from sweepyard.tracking.records import Objective

_GOLDEN = (math.sqrt(5) - 1) / 2
_MOST_RUNGS = 60


class Asha:
    """Stops a run that is not in the top 1/eta of its bracket when it comes to a rung.

    Of `n` runs at a rung, those go on of which fewer than `max(1, int(n / eta))` runs are better; equal ones do.
    Each is judged once, when it arrives; while fewer than `min_peers` (default: eta, rounded up) have come to the
    rung, all go on. Rungs are min_iter * eta**k, below `max_iter` if that is given; bracket 0 has all of them,
    bracket 1 all but the first, and so on. `brackets` above 1 need `max_iter`. Which bracket a run is in depends
    on `seed` and its number alone.
    """

    def __init__(
        self,
        objective: Objective,
        seed: int,
        *,
        min_iter: int = 1,
        max_iter: int | None = None,
        eta: float = 3,
        brackets: int = 1,
        min_peers: int | None = None,
    ) -> None:
        self.rungs = rungs_between(min_iter, eta, max_iter)
        self.shares = _shares(len(self.rungs), brackets, eta)
        self._objective = objective
        self._offset = float(np.random.default_rng(np.random.SeedSequence([seed])).random())
        self._bounds = list(accumulate(self.shares))
        self._eta = eta
        self._min_peers = min_peers or math.ceil(eta)

    @classmethod
    def from_spec(cls, rule: Mapping[str, Any], objective: Objective, seed: int) -> Asha:
        keys = ("min_iter", "max_iter", "eta", "brackets", "min_peers")
        return cls(objective, seed, **{key: rule[key] for key in keys if key in rule})

    def bracket(self, number: int) -> int:
        """The bracket of run `number`: a golden-ratio sequence, so that every prefix of runs has the shares."""
        return min(bisect_right(self._bounds, (self._offset + number * _GOLDEN) % 1.0), len(self.shares) - 1)

    def judge(self, run_id: str, curves: Curves) -> Verdict | None:
        curve = curves.get(run_id)
        if curve is None or not curve.values:
            return None
        bracket = self.bracket(curve.number)
        passed = bisect_right(self.rungs, curve.resource)
        if passed <= bracket or not newly_at(curve, rung := self.rungs[passed - 1]):
            return None
        value = curve.values[-1]
        peers, threshold = self._at(rung, bracket, curves)
        judged = peers >= self._min_peers
        stop = judged and self._objective.better(threshold, value)
        where = f"rung {rung:g}" if len(self.shares) == 1 else f"rung {rung:g} of bracket {bracket}"
        verdict = f"is {compared(self._objective, worse=stop)} {threshold:.4g}, the threshold of {peers} runs"
        end = f" {verdict} ({top(self._eta)} kept)" if judged else f", {too_few(peers, self._min_peers)}"
        return Verdict(
            action="stop" if stop else "continue",
            rule="asha",
            reason=f"{where}: {self._objective.name} {value:.4g}{end}",
            rung=rung,
            value=value,
            threshold=threshold if judged else None,
            peers=peers,
        )

    def outlook(self, run_id: str, curves: Curves) -> list[Outlook]:
        curve = curves[run_id]
        bracket = self.bracket(curve.number)
        rungs = [self._rung(rung, bracket, curve, curves) for rung in rungs_shown(self.rungs[bracket:], curve)]
        text = way_to(self.rungs[bracket:], curve)
        if len(self.shares) > 1:
            text = f"bracket {bracket} of {len(self.shares)}: {text}"
        if rungs and rungs[-1].peers < self._min_peers:
            text += f"; {too_few(rungs[-1].peers, self._min_peers)}"
        return [Outlook(rule="asha", text=text, rungs=tuple(rungs))]

    def _rung(self, rung: float, bracket: int, curve: Curve, curves: Curves) -> Rung:
        index = curve.index_at(rung)
        peers, threshold = self._at(rung, bracket, curves)
        value = None if index is None else curve.values[index]
        return Rung(rung, value, threshold if peers >= self._min_peers else None, peers)

    def _at(self, rung: float, bracket: int, curves: Curves) -> tuple[int, float]:
        """How many runs of a bracket have come to a rung, and what the worst of those that go on has there."""
        rivals = {key: each for key, each in curves.items() if self.bracket(each.number) == bracket}
        peers = sorted(values_at(rung, rivals), reverse=self._objective.goal == "maximize")
        return len(peers), peers[max(1, int(len(peers) / self._eta)) - 1] if peers else math.nan


def rungs_between(min_iter: int, eta: float, max_iter: int | None) -> Sequence[float]:
    """min_iter * eta**k, rounded down, below `max_iter`."""
    steps = (int(min_iter * eta**k) for k in range(_MOST_RUNGS))
    found = sorted({rung for rung in steps if max_iter is None or rung < max_iter})
    return found or [min_iter]


def _shares(rungs: int, brackets: int, eta: float) -> list[float]:
    """The share of each bracket, the one that begins first in front: the paper's with s = rungs, rungs - 1, ..."""
    weights = [eta**s / (s + 1) for s in range(rungs, rungs - brackets, -1)] if brackets > 1 else [1.0]
    return [weight / sum(weights) for weight in weights]
