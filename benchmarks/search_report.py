"""The tables of `search.py`, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import peers

MARKS = (25, 50, 100)
_MUCH = 0.05


@dataclass(frozen=True)
class Search:
    """One search. `regrets`: after each run. `cpu_s`: of a proposal, the mean."""

    suite: str
    task: str
    method: str
    workers: int
    seed: int
    regrets: list[float]
    cpu_s: float

    @property
    def key(self) -> tuple[str, str, str, int, int]:
        return self.suite, self.task, self.method, self.workers, self.seed


def _place(method: str) -> tuple[int, str]:
    """In the order of `peers.NAMES`, those that were changed (`--set`) after what they are changes of."""
    return peers.NAMES.index(method.split()[0]), method


class Setting:
    """The searches of a suite with so many workers. Regrets of a task are means over its seeds."""

    def __init__(self, searches: Sequence[Search]) -> None:
        self.methods = sorted({each.method for each in searches}, key=_place)
        self.tasks = list(dict.fromkeys(each.task for each in searches))
        fewest = min(len(each.regrets) for each in searches)
        self.marks = [mark for mark in MARKS if mark <= fewest] or [fewest]
        self._searches = {
            method: {
                task: [each for each in searches if (each.method, each.task) == (method, task)]
                for task in self.tasks
            }
            for method in self.methods
        }

    def tasks_of(self, *methods: str) -> list[str]:
        """Those that all of these methods were run on."""
        return [task for task in self.tasks if all(self._searches[method][task] for method in methods)]

    def whole(self) -> list[str]:
        """The methods that were run on all tasks."""
        return [method for method in self.methods if len(self.tasks_of(method)) == len(self.tasks)]

    def seeds(self, method: str) -> int:
        return min(len(self._searches[method][task]) for task in self.tasks_of(method))

    def cpu_s(self, method: str) -> float:
        return float(np.mean([each.cpu_s for rows in self._searches[method].values() for each in rows]))

    def regret(self, method: str, task: str, mark: int) -> float:
        return float(np.mean([each.regrets[mark - 1] for each in self._searches[method][task]]))

    def mean(self, method: str, mark: int) -> float:
        return float(np.mean([self.regret(method, task, mark) for task in self.tasks_of(method)]))

    def rank(self, method: str, mark: int) -> float:
        """The mean place among the whole methods, the better one first, ties sharing."""
        own = [self.regret(method, task, mark) for task in self.tasks]
        places = [
            1.0 + sum((other < mine) + 0.5 * (other == mine) for other in others)
            for mine, task in zip(own, self.tasks, strict=True)
            for others in [[self.regret(each, task, mark) for each in self.whole() if each != method]]
        ]
        return float(np.mean(places))

    def most_seeds(self) -> int:
        return max(map(self.seeds, self.whole()))

    def hindsight(self, mark: int) -> float:
        """The regret of whoever knew beforehand which method is the best for each task.

        Only of methods with the most seeds: the least of few is small by luck.
        """
        known = [method for method in self.whole() if self.seeds(method) == self.most_seeds()]
        return float(np.mean([min(self.regret(each, task, mark) for each in known) for task in self.tasks]))

    def best_peer(self, ours: str, mark: int) -> str | None:
        """Among the methods of others that were run on all tasks."""
        found = [method for method in self.whole() if method in peers.PEERS and method != ours]
        return min(found, key=lambda method: self.mean(method, mark), default=None)

    def gain(self, ours: str, other: str, mark: int) -> tuple[float, float, float]:
        """How much less regret `ours` has on the same seeds: mean and 95 % bootstrap interval over tasks."""
        less = np.array([self._less(ours, other, task, mark) for task in self.tasks_of(ours, other)])
        means = np.random.default_rng(0).choice(less, (10_000, len(less))).mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        return float(less.mean()), float(low), float(high)

    def _less(self, ours: str, other: str, task: str, mark: int) -> float:
        mine, theirs = (
            {each.seed: each.regrets[mark - 1] for each in self._searches[m][task]} for m in (ours, other)
        )
        return float(np.mean([theirs[seed] - mine[seed] for seed in mine.keys() & theirs.keys()]))


def print_all(searches: Sequence[Search], ours: str) -> None:
    settings = {
        (suite, workers): Setting([each for each in searches if (each.suite, each.workers) == (suite, workers)])
        for suite, workers in dict.fromkeys((each.suite, each.workers) for each in searches)
    }
    for (suite, workers), setting in settings.items():
        print(f"## {suite}: {len(setting.tasks)} tasks, {workers} {'worker' if workers == 1 else 'workers'}\n")
        _print_means(setting)
        if ours in setting.whole():
            _print_gains(setting, ours)
        _print_tasks(setting, setting.marks[-1])
    for (suite, workers), setting in settings.items():
        alone = settings.get((suite, 1))
        if workers > 1 and alone and ours in setting.methods and ours in alone.methods:
            mark = min(setting.marks[-1], alone.marks[-1])
            ratio = setting.mean(ours, mark) / max(alone.mean(ours, mark), 1e-9)
            print(f"{suite}: {ours} with {workers} workers has {ratio:.2f} times its regret with one, @{mark}")


def _print_means(setting: Setting) -> None:
    marks, late = setting.marks, setting.marks[-2:]
    heads = [f"@{mark}" for mark in marks] + [f"rank @{mark}" for mark in late]
    _print_row("mean regret", *heads, "CPU s", "tasks x seeds")
    print("|---" * (len(heads) + 3) + "|")
    for method in setting.methods:
        ranked = method in setting.whole()
        ranks = [f"{setting.rank(method, mark):.2f}" if ranked else "-" for mark in late]
        means = [f"{setting.mean(method, mark):.3f}" for mark in marks]
        count = f"{len(setting.tasks_of(method))} x {setting.seeds(method)}"
        _print_row(method, *means, *ranks, f"{setting.cpu_s(method):.4f}", count)
    if len(setting.whole()) > 1:
        least = " / ".join(f"{setting.hindsight(mark):.3f}" for mark in marks)
        print(f"\nThe best of these for each task, known only afterwards ({setting.most_seeds()} seeds): {least}.")
    print()


def _print_gains(setting: Setting, ours: str) -> None:
    best = {mark: setting.best_peer(ours, mark) for mark in setting.marks}
    _print_row(f"less regret of {ours} than", *(f"@{mark} (95 %)" for mark in setting.marks))
    print("|---" * (len(setting.marks) + 1) + "|")
    for other in [each for each in setting.methods if each != ours]:
        cells = []
        for mark in setting.marks:
            less, low, high = setting.gain(ours, other, mark)
            cells.append(f"{less:.3f} ({low:.3f} to {high:.3f}){' best peer' if other == best[mark] else ''}")
        _print_row(other, *cells)
    print()
    if "random" in setting.methods:
        mark = setting.marks[-1]
        behind = [
            task
            for task in setting.tasks_of(ours, "random")
            if setting.regret(ours, task, mark) > setting.regret("random", task, mark) + _MUCH
        ]
        print(f"Tasks where {ours} is behind random by more than {_MUCH} @{mark}: {', '.join(behind) or 'none'}.")
    print()


def _print_tasks(setting: Setting, mark: int) -> None:
    _print_row(f"regret @{mark}", *setting.methods)
    print("|---" * (len(setting.methods) + 1) + "|")
    for task in setting.tasks:
        cells = [
            f"{setting.regret(method, task, mark):.3f}" if task in setting.tasks_of(method) else "-"
            for method in setting.methods
        ]
        _print_row(task, *cells)
    print()


def _print_row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)
