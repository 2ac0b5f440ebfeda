"""The search methods that `search.py` compares: ours and those of others, all asked and told in one way.

Every peer runs with its own defaults. A package that is not installed leaves its methods out.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from synthetic import Param

from sweepyard.controller.spec import read_spec
from sweepyard.search.baseline import baselines
from sweepyard.search.port import Observation
from sweepyard.search.registry import searcher_of
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

LOSS = Objective(name="loss")
Config = dict[str, Any]
Space_ = Sequence[Param]


class Optimizer(Protocol):
    """Lower is better."""

    def ask(self) -> tuple[Any, Config]:
        """A key and a config. Those that were asked for and not told about are running."""
        ...

    def tell(self, key: Any, value: float) -> None: ...

    def add(self, config: Config, value: float) -> None:
        """A run that it did not ask for."""
        ...


class Ours:
    """One of our searchers, asked as the controller asks it."""

    def __init__(self, method: str, params: Space_, seed: int, _budget: int) -> None:
        self._searcher = searcher_of(sweep(method, params), LOSS, seed)
        self._history: list[Observation] = []
        self._open: dict[int, Config] = {}
        self._count = 0

    def ask(self) -> tuple[int, Config]:
        found = self._searcher.suggest(self._history, list(self._open.values()), 1)
        params = found[0].params if found else self._history[0].params
        return self._opened(params), params

    def tell(self, key: int, value: float) -> None:
        self._history.append(Observation(number=key, params=self._open.pop(key), value=float(value)))

    def add(self, config: Config, value: float) -> None:
        self.tell(self._opened(config), value)

    def _opened(self, params: Config) -> int:
        self._count += 1
        self._open[self._count] = params
        return self._count


def sweep(method: str, params: Space_) -> Mapping[str, Any]:
    """The sweep file of a task, in normal form."""
    parameters = {p.name: _leaf(p) for p in params}
    return read_spec({"method": method, "metric": {"name": LOSS.name}, "parameters": parameters}).data


def _leaf(p: Param) -> Config:
    """A parameter of a task as a sweep file writes it."""
    if p.values is not None:
        return {"values": list(p.values)}
    if p.log and p.kind == "int":
        return {"distribution": "q_log_uniform_values", "min": p.lo, "max": p.hi, "q": 1}
    if p.log:
        return {"distribution": "log_uniform_values", "min": p.lo, "max": p.hi}
    return {"distribution": "int_uniform" if p.kind == "int" else "uniform", "min": p.lo, "max": p.hi}


class _Indexed:
    """Categories and ordered values by their index, for peers that want numbers."""

    def __init__(self, params: Space_) -> None:
        self._values = {p.name: list(p.values) for p in params if p.values is not None}

    def config(self, coded: Config) -> Config:
        return {
            name: self._values[name][int(value)] if name in self._values else value
            for name, value in coded.items()
        }

    def coded(self, config: Config) -> Config:
        return {
            name: self._values[name].index(value) if name in self._values else value
            for name, value in config.items()
        }


class Optuna(_Indexed):
    """A sampler of Optuna (Akiba et al. 2019). Ordered values are ints."""

    def __init__(self, method: str, params: Space_, seed: int, _budget: int) -> None:
        import optuna

        super().__init__(params)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        samplers = optuna.samplers
        makers = {"tpe": samplers.TPESampler, "gp": samplers.GPSampler, "cmaes": samplers.CmaEsSampler}
        self._study = optuna.create_study(sampler=makers[method](seed=seed))
        self._create = optuna.trial.create_trial
        kinds = optuna.distributions
        self._space: dict[str, Any] = {}
        for p in params:
            if p.values is not None:
                whole = kinds.IntDistribution(0, len(p.values) - 1)
                self._space[p.name] = (
                    whole if p.kind == "ord" else kinds.CategoricalDistribution(range(len(p.values)))
                )
            else:
                kind = kinds.IntDistribution if p.kind == "int" else kinds.FloatDistribution
                self._space[p.name] = kind(p.lo, p.hi, log=bool(p.log))

    def ask(self) -> tuple[Any, Config]:
        asked = self._study.ask(self._space)
        return asked, self.config(asked.params)

    def tell(self, key: Any, value: float) -> None:
        self._study.tell(key, value)

    def add(self, config: Config, value: float) -> None:
        trial = self._create(params=self.coded(config), distributions=self._space, value=value)
        self._study.add_trial(trial)


class OptunaTold(Optuna):
    """The same, beginning at our baselines: what they are worth to others. Nobody uses it so: not in `ALL`."""

    def __init__(self, method: str, params: Space_, seed: int, budget: int) -> None:
        super().__init__(method, params, seed, budget)
        space = Space.of(sweep("bayes", params))
        for baseline in baselines(space):
            self._study.enqueue_trial(self.coded(space.nest(baseline.values)))


class Skopt(_Indexed):
    """scikit-optimize's `Optimizer`. It does not know of pending points: one worker only."""

    def __init__(self, _method: str, params: Space_, seed: int, _budget: int) -> None:
        from skopt import Optimizer as Theirs
        from skopt.space import Categorical, Integer, Real

        super().__init__(params)
        self._names = [p.name for p in params]
        dimensions: list[Any] = []
        for p in params:
            prior = "log-uniform" if p.log else "uniform"
            if p.values is not None and p.kind == "cat":
                dimensions.append(Categorical(list(range(len(p.values)))))
            elif p.values is not None:
                dimensions.append(Integer(0, len(p.values) - 1))
            else:
                dimensions.append((Integer if p.kind == "int" else Real)(p.lo, p.hi, prior=prior))
        self._theirs = Theirs(dimensions, random_state=seed)

    def ask(self) -> tuple[Any, Config]:
        x = self._theirs.ask()
        return x, self.config(dict(zip(self._names, x, strict=True)))

    def tell(self, key: Any, value: float) -> None:
        self._theirs.tell(key, value)

    def add(self, config: Config, value: float) -> None:
        coded = self.coded(config)
        self._theirs.tell([coded[name] for name in self._names], value, fit=False)


class Hyperopt(_Indexed):
    """hyperopt's TPE (Bergstra et al. 2011), asked as its `fmin` asks it. Ordered values are quantised."""

    def __init__(self, _method: str, params: Space_, seed: int, _budget: int) -> None:
        import hyperopt
        from hyperopt import hp

        super().__init__(params)
        self._whole = {p.name for p in params if p.kind == "int" or p.values is not None}
        space: Config = {}
        for p in params:
            if p.values is not None:
                last = len(p.values) - 1
                kind = hp.quniform(p.name, 0, last, 1) if p.kind == "ord" else hp.choice(p.name, range(last + 1))
                space[p.name] = kind
            elif p.log:
                ends = math.log(p.lo or 0.0), math.log(p.hi or 0.0)
                space[p.name] = (
                    hp.qloguniform(p.name, *ends, 1) if p.kind == "int" else hp.loguniform(p.name, *ends)
                )
            else:
                kind = hp.quniform(p.name, p.lo, p.hi, 1) if p.kind == "int" else hp.uniform(p.name, p.lo, p.hi)
                space[p.name] = kind
        self._hyperopt, self._bounds = hyperopt, {p.name: (p.lo, p.hi) for p in params if p.values is None}
        self._trials, self._domain = hyperopt.Trials(), hyperopt.Domain(lambda _: 0.0, space)
        self._rng = np.random.default_rng(seed)

    def ask(self) -> tuple[Any, Config]:
        new = self._trials.new_trial_ids(1)
        self._trials.refresh()
        dice = int(self._rng.integers(2**31))
        (document,) = self._hyperopt.tpe.suggest(new, self._domain, self._trials, dice)
        self._trials.insert_trial_docs([document])
        self._trials.refresh()
        coded = {name: self._inside(name, values[0]) for name, values in document["misc"]["vals"].items()}
        return self._trials._dynamic_trials[-1], self.config(coded)

    def _inside(self, name: str, value: float) -> float:
        low, high = self._bounds.get(name, (None, None))
        value = value if low is None or high is None else min(max(value, low), high)
        return round(value) if name in self._whole else float(value)

    def tell(self, key: Any, value: float) -> None:
        key["state"] = self._hyperopt.JOB_STATE_DONE
        key["result"] = {"loss": value, "status": "ok"}
        self._trials.refresh()

    def add(self, config: Config, value: float) -> None:
        (new,) = self._trials.new_trial_ids(1)
        coded = self.coded(config)
        misc = {
            "tid": new,
            "cmd": ("domain_attachment", "FMinIter_Domain"),
            "idxs": {name: [new] for name in coded},
            "vals": {name: [each] for name, each in coded.items()},
        }
        result = {"loss": value, "status": "ok"}
        documents = self._trials.new_trial_docs([new], [None], [result], [misc])
        documents[0]["state"] = self._hyperopt.JOB_STATE_DONE
        self._trials.insert_trial_docs(documents)
        self._trials.refresh()


class WandB:
    """W&B's engine, the package `sweeps`, with the sweep file that a user would write."""

    def __init__(self, _method: str, params: Space_, seed: int, _budget: int) -> None:
        import sweeps

        self._sweeps = sweeps
        self._rng = np.random.default_rng(seed)
        self._runs: list[Any] = []
        self._spec = {
            "method": "bayes",
            "metric": {"name": "loss", "goal": "minimize"},
            "parameters": {p.name: _leaf(p) for p in params},
        }

    def ask(self) -> tuple[Any, Config]:
        np.random.seed(int(self._rng.integers(2**31)))
        run = self._sweeps.next_run(self._spec, self._runs)
        run.state = "running"
        self._runs.append(run)
        return run, {name: each["value"] for name, each in run.config.items()}

    def tell(self, key: Any, value: float) -> None:
        key.state = "finished"
        key.summary_metrics = {"loss": value}

    def add(self, config: Config, value: float) -> None:
        wrapped = {name: {"value": each} for name, each in config.items()}
        run = self._sweeps.SweepRun(state="finished", config=wrapped, summary_metrics={"loss": value})
        self._runs.append(run)


class Smac(_Indexed):
    """SMAC3 (Lindauer et al. 2022), the facade for hyperparameter optimisation."""

    def __init__(self, _method: str, params: Space_, seed: int, budget: int) -> None:
        from ConfigSpace import Categorical, Configuration, ConfigurationSpace, Float, Integer
        from smac import HyperparameterOptimizationFacade, Scenario
        from smac.runhistory.dataclasses import TrialInfo, TrialValue

        super().__init__(params)
        self._space = ConfigurationSpace(seed=seed)
        for p in params:
            if p.values is not None:
                last = len(p.values) - 1
                kind = (
                    Integer(p.name, (0, last)) if p.kind == "ord" else Categorical(p.name, list(range(last + 1)))
                )
                self._space.add(kind)
            else:
                bounds: Any = (p.lo, p.hi)
                make = Integer if p.kind == "int" else Float
                self._space.add(make(p.name, bounds, log=bool(p.log)))
        self._kept = tempfile.TemporaryDirectory()
        scenario = Scenario(
            self._space, n_trials=budget, seed=seed, deterministic=True, output_directory=self._kept.name
        )
        self._theirs = HyperparameterOptimizationFacade(
            scenario, _never_called, logging_level=False, overwrite=True
        )
        self._info, self._value, self._configuration = TrialInfo, TrialValue, Configuration

    def ask(self) -> tuple[Any, Config]:
        info = self._theirs.ask()
        return info, self.config({name: _plain(value) for name, value in dict(info.config).items()})

    def tell(self, key: Any, value: float) -> None:
        self._theirs.tell(key, self._value(cost=value))

    def add(self, config: Config, value: float) -> None:
        info = self._info(self._configuration(self._space, values=self.coded(config)), seed=0)
        self._theirs.tell(info, self._value(cost=value))


class Hebo(_Indexed):
    """HEBO (Cowen-Rivers et al. 2022). Told of no pending points."""

    def __init__(self, _method: str, params: Space_, seed: int, _budget: int) -> None:
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO

        super().__init__(params)
        parsed: list[Config] = []
        for p in params:
            if p.values is not None:
                last = len(p.values) - 1
                kind = (
                    {"type": "int", "lb": 0, "ub": last}
                    if p.kind == "ord"
                    else {"type": "cat", "categories": list(range(last + 1))}
                )
                parsed.append({"name": p.name, **kind})
            else:
                kinds = {
                    (False, False): "num",
                    (False, True): "pow",
                    (True, False): "int",
                    (True, True): "pow_int",
                }
                kind = {"type": kinds[p.kind == "int", bool(p.log)], "lb": p.lo, "ub": p.hi}
                parsed.append({"name": p.name, **kind})
        self._theirs = HEBO(DesignSpace().parse(parsed), scramble_seed=seed)
        np.random.seed(seed)

    def ask(self) -> tuple[Any, Config]:
        frame = self._theirs.suggest(n_suggestions=1)
        return frame, self.config({name: _plain(value) for name, value in frame.iloc[0].to_dict().items()})

    def tell(self, key: Any, value: float) -> None:
        self._theirs.observe(key, np.array([[value]]))

    def add(self, config: Config, value: float) -> None:
        import pandas

        self._theirs.observe(pandas.DataFrame([self.coded(config)]), np.array([[value]]))


def _never_called(_config: Any, seed: int = 0) -> float:
    raise AssertionError(seed)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


Make = Callable[[Space_, int, int], Optimizer]
"""Of a space, a seed and the number of runs to come."""

_OURS = ("random", "sobol", "bayes", "tpe", "cmaes", "auto")
PEERS: dict[str, tuple[type, str, tuple[str, ...]]] = {
    "optuna-tpe": (Optuna, "tpe", ("optuna",)),
    "optuna-gp": (Optuna, "gp", ("optuna", "torch")),
    "optuna-tpe-told": (OptunaTold, "tpe", ("optuna",)),
    "optuna-gp-told": (OptunaTold, "gp", ("optuna", "torch")),
    "optuna-cmaes": (Optuna, "cmaes", ("optuna", "cmaes")),
    "skopt": (Skopt, "", ("skopt",)),
    "hyperopt": (Hyperopt, "", ("hyperopt",)),
    "wandb": (WandB, "", ("sweeps",)),
    "smac": (Smac, "", ("smac",)),
    "hebo": (Hebo, "", ("hebo",)),
}
"""Each with the modules that it needs."""

ONE_WORKER = ("skopt", "hebo")
NAMES = (*_OURS, *PEERS)
ALL = tuple(name for name in NAMES if not name.endswith("-told"))


def missing(name: str) -> str:
    """Why a method cannot run here; empty if it can."""
    lacking = [module for module in PEERS[name][2] if not find_spec(module)] if name in PEERS else []
    return f"{name} is left out: {' and '.join(lacking)} is not installed" if lacking else ""


def make(name: str, params: Space_, seed: int, budget: int) -> Optimizer:
    warnings.simplefilter("ignore")  # of peers: experimental features and the like
    kind, method, _ = PEERS.get(name, (Ours, name, ()))
    made: Optimizer = kind(method, params, seed, budget)
    return made
