"""W&B's hyperband rule: asynchronous successive halving that only ever stops runs.

The promotion rule of Li et al. 2020 (ASHA, "A System for Massively Parallel Hyperparameter Tuning", Algorithm 2),
turned into a stopping rule: at a rung of `r` values, a run goes on while it is among the best 1/eta of all runs
that have come that far. W&B calls a rung a band.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from sweepyard.errors import Problem, SpecError
from sweepyard.schedulers.port import Verdict
from sweepyard.tracking.records import Objective

_SHARES: dict[float, str] = {2: "half", 3: "third", 4: "quarter", 5: "fifth"}
_MOST_RUNGS = 100


class Hyperband:
    """Stops a run whose value at its last rung is worse than the value that W&B's rank names.

    Of `n` runs with a value at that rung, `int(n / eta)` are better than the threshold; a run as good as the
    threshold goes on. So of two runs the worse is stopped at once, and a lone run never is. A run is judged again
    at each value that it logs, until the next rung, since newer runs may have moved the threshold.

    `rungs`: numbers of values, ascending. `strict`: compare the value at the rung; otherwise the best so far.
    """

    def __init__(self, rungs: Sequence[int], objective: Objective, *, eta: float = 3, strict: bool = True) -> None:
        self.rungs = tuple(rungs)
        self._objective = objective
        self._eta = eta
        self._strict = strict

    @classmethod
    def from_spec(cls, early_terminate: Mapping[str, Any], objective: Objective) -> Hyperband:
        """The rule that the `early_terminate` map of a sweep file asks for.

        Raises:
            SpecError: it gives no rung.
        """
        eta = early_terminate.get("eta", 3)
        strict = early_terminate.get("strict", True)
        return cls(_rungs(early_terminate, eta), objective, eta=eta, strict=strict)

    def judge(self, run_id: str, curves: Mapping[str, Sequence[float]]) -> Verdict | None:
        curve = curves.get(run_id, ())
        passed = bisect_right(self.rungs, len(curve))
        if not passed:
            return None
        rung = self.rungs[passed - 1]
        value = curve[rung - 1] if self._strict else self._best(curve)
        peers = [other[rung - 1] for other in curves.values() if len(other) >= rung]
        threshold = self._threshold(peers)
        stop = self._objective.better(threshold, value)
        if not stop and len(curve) > rung:
            return None
        return Verdict(
            action="stop" if stop else "continue",
            rule="hyperband",
            reason=self._reason(rung, value, threshold, len(peers), stop=stop),
            rung=rung,
            value=value,
            threshold=threshold if len(peers) > 1 else None,
            peers=len(peers),
        )

    def _best(self, curve: Sequence[float]) -> float:
        return max(curve) if self._objective.goal == "maximize" else min(curve)

    def _threshold(self, peers: Sequence[float]) -> float:
        best_first = sorted(peers, reverse=self._objective.goal == "maximize")
        return best_first[int((1 / self._eta) * len(best_first))]

    def _reason(self, rung: int, value: float, threshold: float, peers: int, *, stop: bool) -> str:
        name = self._objective.name if self._strict else f"best {self._objective.name}"
        story = f"rung {rung}: {name} {value:.4g}"
        if peers == 1:
            return f"{story}, the first run to get here"
        worse, better = ("below", "above") if self._objective.goal == "maximize" else ("above", "below")
        verdict = worse if stop else f"at or {better}"
        share = _SHARES.get(self._eta, f"{100 / self._eta:.0f}%")
        return f"{story} is {verdict} {threshold:.4g}, the threshold of {peers} runs (top {share} kept)"


def _rungs(early_terminate: Mapping[str, Any], eta: float) -> list[int]:
    """W&B's bands, ascending, equal ones kept. With both forms given, `max_iter` and `s` win.

    Raises:
        SpecError: there are none.
    """
    if not eta > 1:
        raise _problem("eta", f"must be above 1, not {eta!r}")
    if "max_iter" in early_terminate and "s" in early_terminate:
        top, brackets = early_terminate["max_iter"], int(early_terminate["s"])
        rungs = _down_from(top, brackets, eta)
        if not rungs:
            advice = "lower eta" if brackets > 0 else "raise s"
            raise _problem("max_iter", f"max_iter {top}, s {brackets} and eta {eta:g} give no rung: {advice}")
        return rungs
    if "min_iter" in early_terminate:
        return _up_from(early_terminate["min_iter"], eta)
    raise _problem("", "hyperband needs min_iter, or both max_iter and s")


def _down_from(top: float, brackets: int, eta: float) -> list[int]:
    rungs: list[int] = []
    while len(rungs) < brackets and (top := top / eta) >= 1:
        rungs.append(int(top))
    return rungs[::-1]


def _up_from(bottom: float, eta: float) -> list[int]:
    rungs = [int(bottom)]
    while len(rungs) < _MOST_RUNGS and rungs[-1] < 10**15:  # nobody logs more values than that
        rungs.append(int(bottom * eta ** len(rungs)))
    return rungs


def _problem(key: str, message: str) -> SpecError:
    return SpecError([Problem(path=".".join(filter(None, ("early_terminate", key))), message=message)])
