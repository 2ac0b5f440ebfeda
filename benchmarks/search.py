"""Compares search methods on tasks whose answers are known, with simulated parallel workers.

    python benchmarks/search.py                                        the three functions of synthetic.py
    python benchmarks/search.py --bench FOLDER --tasks public.json     the tasks of a benchmark folder

FOLDER holds `bench.py` (`load_tasks`) and `simulate.py` (`run_search`). All methods run in one process, the same
tasks and seeds for each. Printed: the mean regret after 25, 50 and 100 runs (0 is the best known value, 1 the
median random config), CPU seconds of a proposal (asking and telling), and the difference to each other method with
a bootstrap interval over tasks.

Set OMP_NUM_THREADS=1. `optuna-tpe` needs the extra `bench`, `optuna-gp` torch too.
"""

from __future__ import annotations

import argparse
import heapq
import importlib
import sys
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import synthetic

from sweepyard.search.port import Observation
from sweepyard.search.registry import make_searcher
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

MARKS = (25, 50, 100)


class Optimizer(Protocol):
    def ask(self) -> tuple[Any, dict[str, Any]]: ...
    def tell(self, key: Any, value: float) -> None: ...


Found = dict[tuple[str, str], list[tuple[list[float], list[float]]]]
"""Regrets and CPU seconds of each search, by task and method."""
Make = Callable[[Any, int, int, Any], Optimizer]


class Ours:
    """One of our searchers, asked as the controller asks it."""

    def __init__(self, method: str, params: Any, seed: int) -> None:
        space = Space.from_spec({p.name: _leaf(p) for p in params})
        self._searcher = make_searcher(method, space, Objective(name="loss"), seed)
        self._history: list[Observation] = []
        self._open: dict[int, dict[str, Any]] = {}
        self._count = 0

    def ask(self) -> tuple[int, dict[str, Any]]:
        found = self._searcher.suggest(self._history, list(self._open.values()), 1)
        params = found[0].params if found else self._history[0].params
        self._count += 1
        self._open[self._count] = params
        return self._count, params

    def tell(self, key: int, value: float) -> None:
        self._history.append(Observation(number=key, params=self._open.pop(key), value=float(value)))


class Optuna:
    """A sampler of Optuna through ask and tell."""

    def __init__(self, sampler: Any, params: Any) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(sampler=sampler)
        kinds = optuna.distributions
        self._choices = {p.name: p.values for p in params if p.values is not None}
        self._space: dict[str, Any] = {}
        for p in params:
            if p.kind == "cat":
                self._space[p.name] = kinds.CategoricalDistribution(range(len(p.values)))
            elif p.kind == "ord":
                self._space[p.name] = kinds.IntDistribution(0, len(p.values) - 1)
            else:
                kind = kinds.IntDistribution if p.kind == "int" else kinds.FloatDistribution
                self._space[p.name] = kind(p.lo, p.hi, log=bool(p.log))

    def ask(self) -> tuple[Any, dict[str, Any]]:
        asked = self._study.ask(self._space)
        values = {
            name: self._choices[name][value] if name in self._choices else value
            for name, value in asked.params.items()
        }
        return asked, values

    def tell(self, key: Any, value: float) -> None:
        self._study.tell(key, value)


def _leaf(p: Any) -> dict[str, Any]:
    """A parameter of a task as a sweep file writes it."""
    if p.values is not None:
        return {"values": list(p.values)}
    if p.log and p.kind == "int":
        return {"distribution": "q_log_uniform_values", "min": p.lo, "max": p.hi, "q": 1}
    if p.log:
        return {"distribution": "log_uniform_values", "min": p.lo, "max": p.hi}
    return {"distribution": "int_uniform" if p.kind == "int" else "uniform", "min": p.lo, "max": p.hi}


def _optuna(name: str) -> Make:
    def make(params: Any, seed: int, _workers: int, _epochs: Any) -> Optimizer:
        import optuna

        samplers = optuna.samplers
        sampler = samplers.GPSampler(seed=seed) if name == "gp" else samplers.TPESampler(seed=seed)
        return Optuna(sampler, params)

    return make


METHODS: dict[str, Make] = {
    "random": lambda params, seed, _workers, _epochs: Ours("random", params, seed),
    "bayes": lambda params, seed, _workers, _epochs: Ours("bayes", params, seed),
    "optuna-tpe": _optuna("tpe"),
    "optuna-gp": _optuna("gp"),
}


NEEDS = {"optuna-tpe": ("optuna",), "optuna-gp": ("optuna", "torch")}
"""Modules of peers."""


def run_search(task: Any, make: Make, seed: int, workers: int, evals: int) -> tuple[list[float], list[float]]:
    """The regret after each run and the CPU seconds of each proposal, `workers` runs at a time."""
    optimizer = make(task.space, seed, workers, None)
    now_s, asked, best, regret = 0.0, 0, float("inf"), 1.0
    running: list[tuple[float, int, Any, Any, float]] = []
    regrets: list[float] = []
    cpu_s: list[float] = []
    while len(regrets) < evals:
        while len(running) < workers and asked < evals:
            start_s = time.process_time()
            key, config = optimizer.ask()
            cpu_s.append(time.process_time() - start_s)
            asked += 1
            value, seconds = task.evaluate(config, seed)
            heapq.heappush(running, (now_s + seconds, asked, key, config, value))
        now_s, _, key, config, value = heapq.heappop(running)
        start_s = time.process_time()
        optimizer.tell(key, value)
        cpu_s[-1] += time.process_time() - start_s
        if value < best:
            best, regret = value, task.regret(task.true_value(config))
        regrets.append(regret)
    return regrets, cpu_s


def _tasks(args: argparse.Namespace) -> tuple[list[Any], Callable[..., tuple[list[float], list[float]]]]:
    if args.bench is None:
        tasks, run = synthetic.TASKS, run_search
    else:
        sys.path.insert(0, str(args.bench))
        run = importlib.import_module("simulate").run_search
        tasks = importlib.import_module("bench").load_tasks(str(args.bench / args.tasks))
    wanted = args.only.split(",") if args.only else None
    return [task for task in tasks if wanted is None or task.name in wanted], run


def _print_row(name: str, method: str, rows: list[tuple[list[float], list[float]]], evals: int) -> None:
    marks = [mark for mark in MARKS if mark <= evals]
    cells = "".join(f"{np.mean([regrets[mark - 1] for regrets, _ in rows]):8.3f}" for mark in marks)
    print(f"{name:16s}{method:12s}{cells}{np.mean([np.mean(cpu_s) for _, cpu_s in rows]):9.4f}", flush=True)


def _print_difference(method: str, found: Found, evals: int) -> None:
    """How much less regret bayes has than `method`: the mean, and a 95 % bootstrap interval, over tasks."""
    for mark in [mark for mark in MARKS if mark <= evals]:
        regret = {key: np.mean([regrets[mark - 1] for regrets, _ in rows]) for key, rows in found.items()}
        less = np.array([regret[task, method] - regret[task, "bayes"] for task, by in found if by == "bayes"])
        means = np.random.default_rng(0).choice(less, (10_000, len(less))).mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        print(f"bayes against {method} @{mark}: {less.mean():.3f} less regret, 95 % of {low:.3f} to {high:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, help="a benchmark folder; without it the shipped functions")
    parser.add_argument("--tasks", default="public.json", help="a task file in that folder")
    parser.add_argument("--only", help="names of tasks, with commas")
    parser.add_argument("--methods", default="random,bayes", help=f"of {', '.join(METHODS)}")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3, help="how many: 0, 1, ...")
    parser.add_argument("--evals", type=int, default=100, help="runs of each search")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of peers: experimental features and the like
    tasks, run = _tasks(args)
    methods = args.methods.split(",")
    if missing := [module for method in methods for module in NEEDS.get(method, ()) if not find_spec(module)]:
        sys.exit(f"install {' and '.join(sorted(set(missing)))} first, or leave out the methods that need it")
    found: Found = {}
    print(
        f"{'task':16s}{'method':12s}" + "".join(f"{f'@{m}':>8s}" for m in MARKS if m <= args.evals) + "    CPU s"
    )
    for task in tasks:
        for method in methods:
            rows = [run(task, METHODS[method], seed, args.workers, args.evals) for seed in range(args.seeds)]
            found[task.name, method] = rows
            _print_row(task.name, method, rows, args.evals)
    for method in methods:
        _print_row(
            "MEAN", method, [row for (_, by), rows in found.items() if by == method for row in rows], args.evals
        )
    for method in methods:
        if "bayes" in methods and method != "bayes":
            _print_difference(method, found, args.evals)


if __name__ == "__main__":
    main()
