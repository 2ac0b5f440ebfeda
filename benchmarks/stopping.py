"""Compares pairs of a search and a rule of early termination on learning curves, with simulated parallel workers.

    python benchmarks/stopping.py                                     the recorded trainings
    python benchmarks/stopping.py --bench FOLDER --seeds 5 --results FILE
    python benchmarks/stopping.py --agree 2000                        our hyperband against W&B's engine
    python benchmarks/stopping.py --price 1000                        CPU time of a decision among so many curves

FOLDER holds `bench.py` (`load_tasks`) and `public_curves.json`. The clock stops when the workers could have
done 100 average whole trainings. The incumbent is the config with the best value observed at any epoch, scored
by its value without noise, or by validation and test rows together: 0 is the best known, 1 the median. Of
recorded trainings the value that was told, by the validation rows alone, is compared, too: of many good ones
luck on few test rows decides. FILE gets a line of JSON for each search, and a search that it has is not run
again; `--with FILE` adds those of other runs. Printed as Markdown: the regret at 10, 25, 50 and 100 % of the
time, the mean rank where all have searched the same, how many searches these are means of, how many runs were
started, the share of epochs that stopping saved of the runs that were started, how often a stopped run would have
been better in the end than all that finished, and of the runs stopped at a chance below 5 % the share that would
have beaten the best of that moment. Then the differences of `bayes + auto` to all others where both searched the
same task with the same seed, and the 95 % intervals of a bootstrap over tasks and seeds.

Set OMP_NUM_THREADS=1. Peers need `optuna`, `sweeps` and `syne-tune`; those that are missing are left out.
"""

from __future__ import annotations

import argparse
import heapq
import importlib
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kept
import numpy as np
import stoppers
import trainings

MARKS = (0.1, 0.25, 0.5, 1.0)
WHOLE_TRAININGS = 100
MOST_RUNS = 4000
OURS = "bayes + auto"
"""The one that is compared with all others."""


@dataclass
class Search:
    """One search. `regrets`: at each of MARKS; `told`: those of the value that was told, of recorded trainings.

    `saved`: the share of the epochs of its runs that were not trained. `lost_best`: a run that was stopped would
    have been the best of all. `sure`, `wrong`: how many runs were stopped at a chance below 5 %, and how many of
    them would have beaten the best value of that moment.
    """

    suite: str
    task: str
    tuner: str
    seed: int
    regrets: list[float] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
    runs: int = 0
    saved: float = 0.0
    stopped: int = 0
    lost_best: bool = False
    sure: int = 0
    wrong: int = 0
    cpu_s: float = 0.0

    @property
    def key(self) -> tuple[str, str, int]:
        return self.task, self.tuner, self.seed


@dataclass
class Run:
    config: Any
    values: Any
    seconds: Any
    done: int = 0
    best_then: float = float("inf")
    """The best value that any run had shown when this one was stopped."""
    stopped: bool = False


def search(task: Any, make: Any, found: Search, workers: int) -> Search:
    """Fills in `found`."""
    limit_s = _mean_seconds(task) * WHOLE_TRAININGS / workers
    tuner = make(task.space, found.seed, task.epochs)
    runs: dict[Any, Run] = {}
    queue: list[tuple[float, int, Any]] = []
    best, trace = float("inf"), [(0.0, 1.0, 1.0)]
    start_s, order = time.process_time(), 0

    def push(now_s: float, key: Any) -> None:
        nonlocal order
        run, order = runs[key], order + 1
        took_s = run.seconds[run.done] - (run.seconds[run.done - 1] if run.done else 0.0)
        heapq.heappush(queue, (now_s + max(took_s, 1e-3), order, key))

    def begin(now_s: float) -> None:
        if len(runs) < MOST_RUNS:
            key, config = tuner.ask()
            runs[key] = Run(config, *task.curve(config, found.seed))
            push(now_s, key)

    for _ in range(workers):
        begin(0.0)
    while queue and queue[0][0] <= limit_s:
        now_s, _, key = heapq.heappop(queue)
        run = runs[key]
        value = float(run.values[run.done])
        run.done += 1
        if value < best:
            best, true = value, task.true_curve(run.config)[0][run.done - 1]
            told = task.told_regret(value) if found.suite == "recorded" else 0.0
            trace.append((now_s / limit_s, task.regret(true), told))
        goes_on = tuner.report(key, run.done, value)
        whole = run.done == task.epochs
        if goes_on and not whole:
            push(now_s, key)
            continue
        run.stopped, run.best_then = not whole, best
        tuner.ended(key, value, whole=whole)
        begin(now_s)
    incumbents = [[regrets for at, *regrets in trace if at <= mark][-1] for mark in MARKS]
    found.regrets, found.told = [each[0] for each in incumbents], [each[1] for each in incumbents]
    found.cpu_s = time.process_time() - start_s
    _account(found, runs, tuner.chances, task.epochs)
    return found


def _account(found: Search, runs: dict[Any, Run], chances: dict[Any, float], epochs: int) -> None:
    stopped = [run for run in runs.values() if run.stopped]
    shown = [run.values[: run.done].min() for run in runs.values() if run.done]
    found.runs, found.stopped = len(runs), len(stopped)
    found.saved = sum(epochs - run.done for run in stopped) / (epochs * len(runs))
    found.lost_best = any(run.values.min() < min(shown) for run in stopped)
    sure = [runs[key] for key, chance in chances.items() if chance < 0.05 and runs[key].stopped]
    found.sure, found.wrong = len(sure), int(sum(run.values.min() < run.best_then for run in sure))


def _mean_seconds(task: Any, n: int = 200) -> float:
    """Of a whole training of a random config."""
    if task.name not in _MEANS:
        rng = np.random.default_rng(0)
        _MEANS[task.name] = float(np.mean([task.curve(task.random_config(rng))[1][-1] for _ in range(n)]))
    return _MEANS[task.name]


_MEANS: dict[str, float] = {}


def tasks_of(bench: Path | None, file: str) -> Iterator[tuple[str, Any]]:
    """Learning curve tasks with their suite: those of a benchmark folder, if given, and the recorded trainings."""
    if bench is not None:
        sys.path.insert(0, str(bench))
        for task in importlib.import_module("bench").load_tasks(str(bench / file)):
            yield "surrogate", task
    for task in trainings.load_tasks():
        if task.epochs:
            yield "recorded", task


def _searched(args: argparse.Namespace, tuners: list[str]) -> list[Search]:
    lines = kept.read(args.results, *args.also)
    done = {each.key: each for each in (Search(**line) for line in lines)}
    found = []
    wanted = args.only.split(",") if args.only else None
    for seed in range(args.seeds):
        for suite, task in tasks_of(args.bench, args.tasks):
            for name in tuners:
                if wanted is not None and task.name not in wanted:
                    continue
                asked = Search(suite, task.name, name, seed)
                each = done.get(asked.key)
                if each is None and not args.report:
                    each = search(task, stoppers.TUNERS[name], asked, args.workers)
                    if args.results:
                        kept.keep(args.results, each)
                found += [each] if each else []
    return found


def _print_tables(found: list[Search], tuners: list[str]) -> None:
    for suite in dict.fromkeys(each.suite for each in found):
        here = [each for each in found if each.suite == suite]
        tasks = sorted({each.task for each in here})
        seeds = len({each.seed for each in here})
        print(f"\n{suite}: {len(tasks)} tasks ({', '.join(tasks)}), {seeds} seeds\n")
        columns = ("10 %", "25 %", "50 %", "100 %", "rank", "searches", "runs", "epochs saved", "best lost")
        print(f"| | {' | '.join((*columns, 'wrong of sure', 'CPU s'))} |")
        print("|---" * (len(columns) + 3) + "|")
        ranks = _ranks(here)
        for name in tuners:
            if rows := [each for each in here if each.tuner == name]:
                print(_row(name, rows, ranks))
        _print_differences(here, tuners, f"{OURS} minus", "regrets")
        if suite == "recorded":
            _print_differences(here, tuners, f"by the value that was told: {OURS} minus", "told")


def _print_differences(here: list[Search], tuners: list[str], title: str, what: str) -> None:
    """`OURS` minus each other one, where both searched the same task with the same seed: means over tasks."""
    regrets = {(each.tuner, each.task, each.seed): getattr(each, what) for each in here}
    ours = {key[1:]: each for key, each in regrets.items() if key[0] == OURS}
    print(f"\n| {title} | pairs | 10 % | 25 % | 50 % | 100 % |\n|---|---|---|---|---|---|")
    for name in tuners:
        apart: dict[str, list[Any]] = {}
        for task, seed in ours:
            if name != OURS and (name, task, seed) in regrets:
                apart.setdefault(task, []).append(np.subtract(ours[task, seed], regrets[name, task, seed]))
        if pairs := sum(len(each) for each in apart.values()):
            by_task = [np.array(each) for each in apart.values()]
            mean = np.mean([each.mean(axis=0) for each in by_task], axis=0)
            low, high = np.quantile(_redrawn(by_task), [0.025, 0.975], axis=0)
            cells = [f"{m:+.3f} ({a:+.3f} to {b:+.3f})" for m, a, b in zip(mean, low, high, strict=True)]
            print(f"| {name} | {pairs} | {' | '.join(cells)} |")


def _redrawn(by_task: list[Any], draws: int = 10_000) -> Any:
    """Means of a bootstrap: of tasks, and of the seeds of each. Shape (draws, marks)."""
    rng = np.random.default_rng(0)
    means = np.stack([each[rng.integers(len(each), size=(draws, len(each)))].mean(axis=1) for each in by_task])
    tasks = rng.integers(len(by_task), size=(draws, len(by_task)))
    return means[tasks, np.arange(draws)[:, None]].mean(axis=1)


def _row(name: str, rows: list[Search], ranks: dict[str, float]) -> str:
    by_mark = np.mean([each.regrets for each in rows], axis=0)
    sure, wrong = sum(each.sure for each in rows), sum(each.wrong for each in rows)
    cells = [f"{regret:.3f}" for regret in by_mark]
    rank = f"{ranks[name]:.1f}" if name in ranks else "-"
    cells += [rank, f"{len(rows)}", f"{np.mean([each.runs for each in rows]):.0f}"]
    cells += [f"{np.mean([each.saved for each in rows]):.0%}", f"{np.mean([each.lost_best for each in rows]):.0%}"]
    cells += [f"{wrong} of {sure}" if sure else "-", f"{np.mean([each.cpu_s for each in rows]):.1f}"]
    return f"| {name} | {' | '.join(cells)} |"


def _ranks(rows: list[Search]) -> dict[str, float]:
    """The mean rank of each tuner over marks, and over the tasks and seeds that all have searched; 1 is best."""
    places: dict[str, list[float]] = {}
    tuners = len({each.tuner for each in rows})
    for case in {(each.task, each.seed) for each in rows}:
        same = [each for each in rows if (each.task, each.seed) == case]
        if len(same) < tuners:
            continue
        for i in range(len(MARKS)):
            for each in same:
                better = sum(other.regrets[i] < each.regrets[i] for other in same)
                equal = sum(other.regrets[i] == each.regrets[i] for other in same)
                places.setdefault(each.tuner, []).append(better + (equal + 1) / 2)
    return {name: float(np.mean(each)) for name, each in places.items()}


def _print_prices(n: int) -> None:
    print("| rule | median ms | most ms |\n|---|---|---|")
    for rule in stoppers.RULES:
        cpu_s = stoppers.prices(rule, n)
        print(f"| {rule['type']} | {np.median(cpu_s) * 1e3:.2f} | {max(cpu_s) * 1e3:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, help="a benchmark folder; without it the recorded trainings alone")
    parser.add_argument("--tasks", default="public_curves.json", help="a file of curve tasks in that folder")
    parser.add_argument("--only", help="names of tasks, with commas")
    parser.add_argument("--tuners", help="with ';' between them; default: all")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=1, help="how many: 0, 1, ...")
    parser.add_argument("--results", type=Path, help="where searches are kept")
    parser.add_argument(
        "--with", dest="also", type=Path, nargs="*", default=[], help="more of these, to read only"
    )
    parser.add_argument("--report", action="store_true", help="only print what the results hold")
    parser.add_argument("--agree", type=int, metavar="N", help="compare our hyperband with W&B's on N histories")
    parser.add_argument(
        "--price", type=int, metavar="N", help="time a decision of each rule of ours among N curves"
    )
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of peers: experimental features and the like
    if args.agree:
        print(f"of {args.agree} random histories, {stoppers.disagreements(args.agree)} are decided otherwise")
        return
    if args.price:
        _print_prices(args.price)
        return
    tuners = args.tuners.split(";") if args.tuners else list(stoppers.TUNERS)
    if absent := {name: stoppers.missing(name) for name in tuners if stoppers.missing(name)}:
        print(f"left out, not installed: {', '.join(sorted(set(absent.values())))}")
    usable = [name for name in tuners if name not in absent]
    _print_tables(_searched(args, usable), usable)


if __name__ == "__main__":
    main()
