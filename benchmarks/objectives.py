"""Several objectives: the hypervolume that each search reaches, on problems whose best trade-offs are known.

    python benchmarks/objectives.py [--runs 60] [--seeds 5] [--problems zdt1,dtlz2] [--methods bayes,random]

ZDT1 to ZDT3 (Zitzler, Deb and Thiele 2000) and DTLZ2 with three objectives (Deb et al. 2002), each with 6
parameters, and a network's error against its latency with six mixed parameters. A figure is the share of the
volume that a dense sample of the front reaches, at a third, two thirds and all of the runs; one run at a time; CPU
milliseconds a proposal. `linear` is `bayes` with weighted sums in place of Tchebycheff distances. Peers, if Optuna
is installed: its NSGA-II and its TPE for several objectives.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from sweepyard.search import scalarised
from sweepyard.search.pareto import front, hypervolume
from sweepyard.search.port import Observation
from sweepyard.search.registry import searcher_of

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """`best`: losses of a dense sample of the front; `reference`: what is worse than all that counts."""

    parameters: dict[str, Any]
    losses: Callable[[Params], tuple[float, ...]]
    reference: tuple[float, ...]
    best: Callable[[], np.ndarray]

    def share(self, found: list[tuple[float, ...]]) -> float:
        return hypervolume(np.array(found), self.reference) / self.volume

    @property
    def volume(self) -> float:
        rows = self.best()
        return hypervolume(rows[front(rows)], self.reference)


UNIT = {f"x{i}": {"min": 0.0, "max": 1.0} for i in range(6)}


def zdt(kind: int, params: Params) -> tuple[float, ...]:
    x = [params[f"x{i}"] for i in range(6)]
    g = 1 + 9 * sum(x[1:]) / 5
    share = x[0] / g
    shapes = (1 - math.sqrt(share), 1 - share**2, 1 - math.sqrt(share) - share * math.sin(10 * math.pi * x[0]))
    return x[0], g * shapes[kind - 1]


def zdt_front(kind: int) -> np.ndarray:
    return np.array([zdt(kind, {f"x{i}": 0.0 for i in range(6)} | {"x0": x}) for x in np.linspace(0, 1, 2001)])


def dtlz2(params: Params) -> tuple[float, ...]:
    x = [params[f"x{i}"] for i in range(6)]
    r = 1 + sum((v - 0.5) ** 2 for v in x[2:])
    a, b = x[0] * math.pi / 2, x[1] * math.pi / 2
    return r * math.cos(a) * math.cos(b), r * math.cos(a) * math.sin(b), r * math.sin(a)


def dtlz2_front() -> np.ndarray:
    grid = np.linspace(0, 1, 25)
    return np.array([dtlz2({f"x{i}": 0.5 for i in range(6)} | {"x0": a, "x1": b}) for a in grid for b in grid])


NETWORK = {
    "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1.0},
    "width": {"distribution": "int_uniform", "min": 8, "max": 1024},
    "depth": {"distribution": "int_uniform", "min": 1, "max": 12},
    "activation": {"values": ["relu", "gelu", "tanh"]},
    "dropout": {"min": 0.0, "max": 0.7},
    "batch": {"values": [16, 32, 64, 128, 256]},
}


def network(params: Params) -> tuple[float, ...]:
    """Error and milliseconds of a made-up network."""
    kind, depth, batch = params["activation"], params["depth"], params["batch"]
    size = params["width"] ** 2 * depth / 1e6
    best_lr = 1e-2 / math.sqrt(depth) * {"relu": 1, "gelu": 1.3, "tanh": 0.5}[kind] * math.sqrt(batch / 64)
    error = 0.04 + 0.35 * (1 + 20 * size) ** -0.35 + {"relu": 0.01, "gelu": 0.0, "tanh": 0.03}[kind]
    error += 0.03 * math.log10(params["lr"] / best_lr) ** 2 * (1 + depth / 6)
    error += 0.1 * (params["dropout"] - min(0.5, 0.1 + 0.1 * math.log10(1 + size))) ** 2
    ms = 0.3 + (2 * size + 0.05 * depth) * {"relu": 1, "gelu": 1.15, "tanh": 1.1}[kind] * (1 + 8 / batch)
    return min(error, 0.9), ms


def network_front() -> np.ndarray:
    """The best of each kind, size and depth, or nearly: what else there is as it should be."""
    rows = []
    for kind in NETWORK["activation"]["values"]:
        for depth in range(1, 13):
            for width in range(8, 1025, 8):
                lr = 1e-2 / math.sqrt(depth) * {"relu": 1, "gelu": 1.3, "tanh": 0.5}[kind] * 2
                dropout = min(0.5, 0.1 + 0.1 * math.log10(1 + width**2 * depth / 1e6))
                point = {"lr": lr, "width": width, "depth": depth, "batch": 256, "dropout": dropout}
                rows.append(network(point | {"activation": kind}))
    return np.array(rows)


PROBLEMS = {
    **{
        f"zdt{kind}": Problem(UNIT, partial(zdt, kind), (1.1, 6.0), partial(zdt_front, kind)) for kind in (1, 2, 3)
    },
    "dtlz2": Problem(UNIT, dtlz2, (1.6, 1.6, 1.6), dtlz2_front),
    "network": Problem(NETWORK, network, (0.5, 20.0), network_front),
}


def ours(method: str, problem: Problem, runs: int, seed: int) -> list[tuple[float, ...]]:
    metrics = [{"name": f"f{i}", "goal": "minimize"} for i in range(len(problem.reference))]
    searcher = searcher_of({"method": method, "metrics": metrics, "parameters": problem.parameters}, None, seed)
    history: list[Observation] = []
    for number in range(1, runs + 1):
        params = searcher.suggest(history, [], 1)[0].params
        history.append(Observation(number=number, params=params, value=None, values=problem.losses(params)))
    return [tuple(v for v in run.values if v is not None) for run in history]


@contextmanager
def weighted_sums() -> Iterator[None]:
    weighed = scalarised._weighed
    scalarised._weighed = lambda points, weights: points @ weights
    try:
        yield
    finally:
        scalarised._weighed = weighed


def linear(problem: Problem, runs: int, seed: int) -> list[tuple[float, ...]]:
    with weighted_sums():
        return ours("bayes", problem, runs, seed)


def optuna(sampler: str, problem: Problem, runs: int, seed: int) -> list[tuple[float, ...]]:
    import optuna as peer

    peer.logging.set_verbosity(peer.logging.ERROR)
    study = peer.create_study(
        directions=["minimize"] * len(problem.reference), sampler=getattr(peer.samplers, sampler)(seed=seed)
    )

    def losses(trial: Any) -> tuple[float, ...]:
        point = {}
        for name, leaf in problem.parameters.items():
            if "values" in leaf:
                point[name] = trial.suggest_categorical(name, leaf["values"])
            elif leaf.get("distribution") == "int_uniform":
                point[name] = trial.suggest_int(name, leaf["min"], leaf["max"])
            else:
                point[name] = trial.suggest_float(name, leaf["min"], leaf["max"], log="distribution" in leaf)
        return problem.losses(point)

    study.optimize(losses, n_trials=runs)
    return [tuple(trial.values) for trial in study.trials]


def methods() -> dict[str, Callable[[Problem, int, int], list[tuple[float, ...]]]]:
    found: dict[str, Callable[[Problem, int, int], list[tuple[float, ...]]]] = {
        "random": partial(ours, "random"),
        "bayes": partial(ours, "bayes"),
        "linear": linear,
        "tpe": partial(ours, "tpe"),
    }
    if find_spec("optuna"):
        found["Optuna NSGA-II"] = partial(optuna, "NSGAIISampler")
        found["Optuna TPE"] = partial(optuna, "TPESampler")
    return found


def line(problem: str, method: str, shares: np.ndarray) -> str:
    return f"{problem:<10}{method:<18}" + "".join(f"{share:>9.3f}" for share in shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--methods", default=",".join(methods()))
    given = parser.parse_args()
    stops = [round(given.runs * part / 3) for part in (1, 2, 3)]
    print(f"{'problem':<10}{'method':<18}" + "".join(f"{stop:>9}" for stop in stops) + f"{'CPU ms':>9}")
    totals: dict[str, list[np.ndarray]] = {}
    for name in given.problems.split(","):
        for method in given.methods.split(","):
            begin = time.process_time()
            found = [methods()[method](PROBLEMS[name], given.runs, seed) for seed in range(given.seeds)]
            cost_ms = 1000 * (time.process_time() - begin) / given.runs / given.seeds
            shares = np.array([[PROBLEMS[name].share(each[:stop]) for stop in stops] for each in found]).mean(
                axis=0
            )
            totals.setdefault(method, []).append(shares)
            print(
                f"{name:<10}{method:<18}" + "".join(f"{s:>9.3f}" for s in shares) + f"{cost_ms:>9.1f}", flush=True
            )
    for method, each in totals.items():
        print(f"{'mean':<10}{method:<18}" + "".join(f"{share:>9.3f}" for share in np.mean(each, axis=0)))


if __name__ == "__main__":
    main()
