"""Compares search methods on tasks whose answers are known, with simulated parallel workers.

    python benchmarks/search.py                                              functions of synthetic.py
    python benchmarks/search.py --suites recorded --methods random,bayes     real trainings, recorded
    python benchmarks/search.py --bench FOLDER --suites public,kin --workers 1,8 --seeds 5 --results FILE
    python benchmarks/search.py --price 100,1000,10000                       CPU time of a proposal
    python benchmarks/search.py --methods bayes --set bayes.searcher._AMBITION=0   without an ingredient

FOLDER holds `bench.py` (`load_tasks`), `simulate.py` (`run_search`) and task files; the suite `kin` is what kin.py
makes of it. All methods get the same tasks and seeds. FILE gets a line of JSON for each search, and a search that
it has is not run again: so peers are measured once. `--with FILE` adds results of other runs. The tables are
printed as Markdown: the mean regret (0 is the best known value, 1 the median random config), ranks, and the
difference to the best peer with a bootstrap interval over tasks.

Set OMP_NUM_THREADS=1. Peers need the extra `bench`.
"""

from __future__ import annotations

import argparse
import heapq
import importlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kept
import kin
import numpy as np
import peers
import search_report
import synthetic
import trainings
from search_report import Search

SUITES = ("synthetic", "recorded", "public", "kin")
Run = Callable[..., tuple[list[float], list[float]]]


def run_search(task: Any, make: Any, seed: int, workers: int, evals: int) -> tuple[list[float], list[float]]:
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


@dataclass(frozen=True)
class Suite:
    name: str
    tasks: list[Any]
    run: Run


def _suites(args: argparse.Namespace) -> Iterator[Suite]:
    for name in args.suites.split(","):
        run: Run = run_search
        if name in ("public", "kin"):
            sys.path.append(str(args.bench))
            run, bench = importlib.import_module("simulate").run_search, importlib.import_module("bench")
            path = str(args.bench / args.tasks)
            tasks = bench.load_tasks(path) if name == "public" else kin.load_tasks(args.bench, bench)
        else:
            tasks = synthetic.TASKS if name == "synthetic" else trainings.load_tasks()
        wanted = args.only.split(",") if args.only else None
        yield Suite(name, [task for task in tasks if wanted is None or task.name in wanted], run)


def _wanted(args: argparse.Namespace, methods: list[str]) -> Iterator[tuple[Suite, Any, str, int, int]]:
    """The searches, seed by seed, so that what is there after a while is of use."""
    suites = list(_suites(args))
    low, _, high = args.seeds.partition("-")
    for seed in range(int(low), int(high) + 1) if high else range(int(low)):
        for workers in map(int, args.workers.split(",")):
            for method in methods:
                if workers == 1 or method not in peers.ONE_WORKER:
                    yield from ((suite, task, method, workers, seed) for suite in suites for task in suite.tasks)


def _searched(args: argparse.Namespace, methods: list[str]) -> list[Search]:
    found = [Search(**line) for line in kept.read(args.results, *args.also)]
    known = {search.key for search in found}
    for suite, task, method, workers, seed in _wanted(args, methods):
        if (suite.name, task.name, " ".join([method, *args.changes]), workers, seed) in known:
            continue
        regrets, cpu_s = suite.run(
            task,
            lambda space, seed, _workers, _epochs, method=method: peers.make(method, space, seed, args.evals),
            seed,
            workers,
            args.evals,
        )
        short = [round(float(regret), 4) for regret in regrets]
        name = " ".join([method, *args.changes])
        search = Search(suite.name, task.name, name, workers, seed, short, round(float(np.mean(cpu_s)), 5))
        found.append(search)
        if args.results:
            kept.keep(args.results, search)
    return found


def _change(change: str) -> None:
    """`bayes.searcher._AMBITION=0`: a constant of sweepyard.search, for an ablation."""
    name, _, value = change.partition("=")
    module, _, constant = name.rpartition(".")
    changed = importlib.import_module(f"sweepyard.search.{module}")
    setattr(changed, constant, type(getattr(changed, constant))(value))


def _price(name: str, runs: int, asked: int = 10) -> tuple[float, float]:
    """CPU seconds of the first proposal after `runs` random runs, and the mean of those after it, 7 open.

    Between two proposals one run ends.
    """
    task = synthetic.FOURTEEN
    rng = np.random.default_rng(0)
    optimizer = peers.make(name, task.space, 0, runs + asked + 8)
    for _ in range(runs):
        config = task.random_config(rng)
        optimizer.add(config, task.evaluate(config, 0)[0])
    times, running = [], []
    for _ in range(asked + 8):
        start_s = time.process_time()
        running.append(optimizer.ask())
        if len(running) > 7:
            key, config = running.pop(0)
            optimizer.tell(key, task.evaluate(config, 0)[0])
        times.append(time.process_time() - start_s)
    return times[0], float(np.mean(times[8:]))


def _print_prices(methods: list[str], counts: list[int]) -> None:
    print("| CPU s of a proposal, 14 parameters | " + " | ".join(f"n = {count:,}" for count in counts) + " |")
    print("|---" * (len(counts) + 1) + "|")
    for method in methods:
        pairs = [_price(method, count) for count in counts]
        print(f"| {method} | " + " | ".join(f"{then:.4f} (first {first:.3f})" for first, then in pairs) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", default="synthetic", help=f"of {', '.join(SUITES)}, with commas")
    parser.add_argument("--bench", type=Path, help="a benchmark folder: the suites `public` and `kin`")
    parser.add_argument("--tasks", default="public.json", help="a task file in that folder")
    parser.add_argument("--only", help="names of tasks, with commas")
    parser.add_argument("--methods", default="random,bayes", help=f"of {', '.join(peers.NAMES)}; or `all`")
    parser.add_argument("--ours", default="bayes", help="the method that is compared with the others")
    parser.add_argument("--workers", default="1", help="1, 8 or 1,8")
    parser.add_argument("--seeds", default="3", help="how many, or the first and the last: 2-4")
    parser.add_argument("--evals", type=int, default=100, help="runs of each search")
    parser.add_argument("--results", type=Path, help="a file that keeps each search")
    parser.add_argument(
        "--with", dest="also", type=Path, nargs="*", default=[], help="more of these, to read only"
    )
    parser.add_argument(
        "--set", dest="changes", nargs="*", default=[], help="constants of ours: bayes.searcher._WAYS=32"
    )
    parser.add_argument("--price", help="measure only the CPU time of a proposal after so many runs: 100,1000")
    args = parser.parse_args()
    for change in args.changes:
        _change(change)
    chosen = [] if not args.methods else list(peers.ALL) if args.methods == "all" else args.methods.split(",")
    for reason in filter(None, map(peers.missing, chosen)):
        print(reason, file=sys.stderr)
    methods = [name for name in chosen if not peers.missing(name)]
    if args.price:
        _print_prices(methods, [int(count) for count in args.price.split(",")])
    else:
        search_report.print_all(_searched(args, methods), args.ours)


if __name__ == "__main__":
    main()
