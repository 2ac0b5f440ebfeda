"""The pairs of a search and a rule of early termination that `stopping.py` compares: ours and those of others.

Every pair is asked, told of each epoch and told of each end in one way. Peers have their own defaults.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from peers import LOSS, Optuna, WandB, _Indexed, sweep
from synthetic import Param

from sweepyard.plain import Params
from sweepyard.schedulers.foretelling import foretell
from sweepyard.schedulers.port import Curve
from sweepyard.schedulers.registry import make_scheduler
from sweepyard.search.port import Observation
from sweepyard.search.registry import searcher_of
from sweepyard.tracking.records import Objective

Chances = dict[Any, float]


class Tuner(Protocol):
    """Lower is better. `chances`: of the runs that it stopped, by key, the chance that it gave them, if it did."""

    chances: Chances

    def ask(self) -> tuple[Any, Params]: ...

    def report(self, key: Any, epoch: int, value: float) -> bool:
        """Whether the run is to go on."""
        ...

    def ended(self, key: Any, value: float, *, whole: bool) -> None:
        """A run has ended, with the last `value` of all epochs (`whole`) or stopped."""


class Ours:
    """A searcher and a rule of ours, as the controller has them work together."""

    def __init__(
        self, params: Sequence[Param], seed: int, epochs: int, method: str, rule: Mapping[str, Any]
    ) -> None:
        self._searcher = searcher_of(sweep(method, params), LOSS, seed)
        self._rule = make_scheduler(rule, LOSS, seed) if rule else None
        self._epochs = epochs
        self._curves: dict[int, Curve] = {}
        self._ended: list[Curve] = []
        self.chances: Chances = {}

    def ask(self) -> tuple[int, Params]:
        pending = [curve.params for curve in self._curves.values() if not curve.ended]
        found = self._searcher.suggest(self._history(), pending, 1)
        params = found[0].params if found else self._ended[0].params
        key = len(self._curves) + 1
        self._curves[key] = Curve(number=key, params=params)
        return key, params

    def _history(self) -> list[Observation]:
        told = foretell(self._ended, LOSS, self._epochs)
        return [
            Observation(number=curve.number, params=curve.params, value=value, std=std)
            for curve, (value, std) in zip(self._ended, told, strict=True)
        ]

    def report(self, key: int, epoch: int, value: float) -> bool:
        self._curves[key].add(value, epoch)
        verdict = self._rule.judge(key, self._curves) if self._rule else None
        if verdict is None or verdict.action != "stop":
            return True
        if verdict.probability is not None:
            self.chances[key] = verdict.probability
        return False

    def ended(self, key: int, _value: float, *, whole: bool) -> None:
        curve = self._curves[key]
        curve.ended, curve.finished = True, whole
        self._ended.append(curve)


class WandBHyperband:
    """W&B's search with its rule; the rule is ours with `reevaluate`, which decides as theirs does (`--agree`)."""

    def __init__(self, params: Sequence[Param], seed: int, _epochs: int, method: str) -> None:
        self._search = WandB(method, params, seed, 0)
        self._search._spec["method"] = method
        self._rule = make_scheduler({"type": "hyperband", "min_iter": 1, "reevaluate": True}, LOSS)
        self._curves: dict[int, Curve] = {}
        self._runs: list[Any] = []
        self.chances: Chances = {}

    def ask(self) -> tuple[int, Params]:
        run, config = self._search.ask()
        self._runs.append(run)
        self._curves[len(self._runs)] = Curve(number=len(self._runs))
        return len(self._runs), config

    def report(self, key: int, epoch: int, value: float) -> bool:
        self._curves[key].add(value, epoch)
        self._runs[key - 1].summary_metrics = {"loss": value}
        verdict = self._rule.judge(key, self._curves) if self._rule else None
        return verdict is None or verdict.action != "stop"

    def ended(self, key: int, value: float, *, whole: bool) -> None:  # noqa: ARG002
        self._search.tell(self._runs[key - 1], value)


class OptunaPruned(Optuna):
    """TPE and one of Optuna's pruners."""

    def __init__(self, params: Sequence[Param], seed: int, epochs: int, pruner: str) -> None:
        import optuna

        super().__init__("tpe", params, seed, 0)
        pruners = optuna.pruners
        self._study.pruner = {
            "none": pruners.NopPruner,
            "hyperband": lambda: pruners.HyperbandPruner(min_resource=1, max_resource=epochs),
            "halving": pruners.SuccessiveHalvingPruner,
        }[pruner]()
        self._pruned = optuna.trial.TrialState.PRUNED
        self.chances: Chances = {}

    def report(self, key: Any, epoch: int, value: float) -> bool:
        key.report(value, epoch)
        return not key.should_prune()

    def ended(self, key: Any, value: float, *, whole: bool) -> None:
        self._study.tell(key, value if whole else None, None if whole else self._pruned)


class SyneTune(_Indexed):
    """ASHA or BOHB of Syne Tune."""

    def __init__(self, params: Sequence[Param], seed: int, epochs: int, name: str) -> None:
        from syne_tune.backend.trial_status import Trial
        from syne_tune.config_space import choice, finrange, lograndint, loguniform, randint, uniform
        from syne_tune.optimizer import baselines

        super().__init__(params)
        self._epochs = epochs
        space: dict[str, Any] = {}
        for p in params:
            if p.values is not None:
                n = len(p.values)
                space[p.name] = choice(list(range(n))) if p.kind == "cat" else finrange(0, n - 1, n, cast_int=True)
            else:
                pair = (lograndint, loguniform) if p.log else (randint, uniform)
                space[p.name] = pair[p.kind != "int"](p.lo, p.hi)
        make = getattr(baselines, name)
        self._scheduler = make(space, metric="loss", time_attr="epoch", max_t=epochs, random_seed=seed)
        self._make = Trial
        self._trials: list[Any] = []
        self.chances: Chances = {}

    def ask(self) -> tuple[int, Params]:
        coded = self._scheduler.suggest().config
        trial = self._make(len(self._trials), coded, datetime.now(tz=UTC))
        self._trials.append(trial)
        self._scheduler.on_trial_add(trial)
        return trial.trial_id, self.config(coded)

    def report(self, key: int, epoch: int, value: float) -> bool:
        told = self._scheduler.on_trial_result(self._trials[key], {"loss": value, "epoch": epoch})
        return bool(told == "CONTINUE")

    def ended(self, key: int, value: float, *, whole: bool) -> None:
        if whole:
            self._scheduler.on_trial_complete(self._trials[key], {"loss": value, "epoch": self._epochs})


def _ours(method: str, **rule: Any) -> Callable[..., Tuner]:
    def make(params: Sequence[Param], seed: int, epochs: int) -> Tuner:
        given = rule | ({"max_iter": epochs} if rule.get("type") in ("asha", "curve", "auto") else {})
        return Ours(params, seed, epochs, method, given)

    return make


def _peer(kind: Callable[..., Tuner], name: str) -> Callable[..., Tuner]:
    return lambda params, seed, epochs: kind(params, seed, epochs, name)


TUNERS: dict[str, Callable[..., Tuner]] = {
    "random, no stopping": _ours("random"),
    "bayes, no stopping": _ours("bayes"),
    "bayes + hyperband": _ours("bayes", type="hyperband", min_iter=1),
    "bayes + asha": _ours("bayes", type="asha"),
    "bayes + brackets": _ours("bayes", type="asha", brackets=3),
    "bayes + median": _ours("bayes", type="median"),
    "bayes + curve": _ours("bayes", type="curve"),
    "bayes + auto": _ours("bayes", type="auto"),
    "W&B random + hyperband": _peer(WandBHyperband, "random"),
    "W&B bayes + hyperband": _peer(WandBHyperband, "bayes"),
    "Optuna TPE, no stopping": _peer(OptunaPruned, "none"),
    "Optuna TPE + HyperbandPruner": _peer(OptunaPruned, "hyperband"),
    "Optuna TPE + SuccessiveHalving": _peer(OptunaPruned, "halving"),
    "Syne Tune ASHA": _peer(SyneTune, "ASHA"),
    "Syne Tune BOHB": _peer(SyneTune, "BOHB"),
}

_NEEDS = {"W&B": "sweeps", "Optuna": "optuna", "Syne": "syne_tune"}


def missing(name: str) -> str:
    """The module that a tuner lacks; empty if none."""
    module = next((each for start, each in _NEEDS.items() if name.startswith(start)), "")
    return module if module and not find_spec(module) else ""


def disagreements(histories: int, seed: int = 0) -> int:
    """On how many random histories W&B's engine stops other runs than ours with `reevaluate`."""
    from sweeps import RunState, SweepRun, stop_runs

    rng = np.random.default_rng(seed)
    wrong = 0
    for i in range(histories):
        goal = ("minimize", "maximize")[i % 2]
        rule: dict[str, Any] = {"type": "hyperband", "min_iter": int(rng.integers(1, 4)), "strict": bool(i % 3)}
        rule |= {"eta": int(rng.integers(2, 5))}
        curves, runs = {}, []
        for number in range(int(rng.integers(1, 12))):
            curve = curves.setdefault(str(number), Curve(number=number))
            for value in rng.integers(0, 10, int(rng.integers(0, 30))).astype(float):
                curve.add(float(value))
            history = [{"loss": value} for value in curve.values]
            runs.append(SweepRun(name=str(number), state=RunState.running, history=history, config={}))
        spec = {"method": "random", "metric": {"name": "loss", "goal": goal}, "early_terminate": rule}
        theirs = {run.name for run in stop_runs(spec | {"parameters": {"a": {"values": [1]}}}, runs)}
        judge = make_scheduler({**rule, "reevaluate": True}, Objective(name="loss", goal=goal))
        ours = {key for key in curves if judge and (found := judge.judge(key, curves)) and found.action == "stop"}
        wrong += ours != theirs
    return wrong


RULES: tuple[dict[str, Any], ...] = (
    {"type": "hyperband", "min_iter": 1},
    {"type": "asha", "max_iter": 50, "brackets": 3},
    {"type": "median"},
    {"type": "patience", "patience": 5},
    {"type": "curve"},
    {"type": "auto", "max_iter": 50},
)


def prices(rule: Mapping[str, Any], n: int, epochs: int = 50) -> list[float]:
    """CPU seconds of single decisions, at rungs, about a run among `n` that have ended, half of them early."""
    rng = np.random.default_rng(0)
    curves = {
        str(i): _a_curve(rng, i, epochs if i % 2 else int(rng.integers(1, epochs)), epochs) for i in range(n)
    }
    judge, cpu_s = make_scheduler(rule, LOSS), []
    assert judge
    for i in range(20):
        curves["new"] = curve = Curve(number=n + i, params=_a_point(rng))
        for epoch in range(1, 28):
            curve.add(5.0 / epoch)
            start_s = time.process_time()
            judge.judge("new", curves)
            cpu_s += [time.process_time() - start_s] if epoch in (1, 3, 9, 27) else []
    return cpu_s


def _a_curve(rng: np.random.Generator, number: int, until: int, epochs: int) -> Curve:
    level, rate = rng.lognormal(), rng.uniform(0.05, 0.4)
    curve = Curve(number=number, params=_a_point(rng))
    for epoch in range(1, until + 1):
        curve.add(float(level + 5 * np.exp(-rate * epoch) + rng.normal(0, 0.05)))
    curve.ended, curve.finished = True, until == epochs
    return curve


def _a_point(rng: np.random.Generator) -> Params:
    """Eight numbers and two choices."""
    return {f"x{i}": float(x) for i, x in enumerate(rng.random(8))} | {
        f"c{i}": "abc"[rng.integers(3)] for i in "12"
    }
