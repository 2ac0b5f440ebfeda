"""Whether the chances are right by which `curve` stops runs.

    python benchmarks/calibration.py [--bench FOLDER] [--seeds 3] [--runs 80]

On each learning curve task (those of `stopping.py`) 8 workers train the configs of a stream, in their true
training times, and `curve` stops what has a chance below 5 % to beat the best so far. What a stopped run would
have reached is looked up. Two streams: random configs, and some that become better as those of a search do
(config i is the best of 1 + i / 8 random ones). Printed as Markdown: all chances that were told, in bins, and
how often the run did beat the best of that moment; and of the stopped runs how many would have been the best of
all in the end.
"""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from stoppers import LOSS
from stopping import tasks_of

from sweepyard.plain import Params
from sweepyard.schedulers.curve import CurveRule
from sweepyard.schedulers.port import Curve

STOPPED_BELOW = 0.05
BINS = (0.0, 0.01, 0.05, 0.2, 0.5, 1.01)
WORKERS = 8


class Told(NamedTuple):
    """A chance, whether the run would have beaten the best of that moment, and whether the best of all."""

    chance: float
    beat: bool
    best: bool


def random_stream(task: Any, runs: int, seed: int) -> list[Params]:
    rng = np.random.default_rng(seed)
    return [task.random_config(rng) for _ in range(runs)]


def improving_stream(task: Any, runs: int, seed: int) -> list[Params]:
    rng = np.random.default_rng(seed)
    drawn = [task.random_config(rng) for _ in range(4 * runs)]
    values = [float(task.curve(config, seed)[0].min()) for config in drawn]
    choices = [rng.integers(len(drawn), size=1 + i // 8) for i in range(runs)]
    return [drawn[min(some, key=lambda k: values[k])] for some in choices]


STREAMS = {"random configs": random_stream, "configs that become better": improving_stream}


def chances(task: Any, stream: list[Params], seed: int) -> Iterator[Told]:
    """Every chance that the rule tells, of runs that it stops and of others."""
    rule = CurveRule(LOSS, probability=2.0, max_iter=task.epochs)  # speaks of every run but the one that leads
    whole = [task.curve(config, seed) for config in stream]
    finals = [float(values.min()) for values, _ in whole]
    curves: dict[str, Curve] = {}
    waiting = iter(range(len(stream)))
    queue: list[tuple[float, int]] = []

    def begin(now_s: float) -> None:
        number = next(waiting, None)
        if number is not None:
            curves[str(number)] = Curve(number=number, params=stream[number])
            heapq.heappush(queue, (now_s + whole[number][1][0], number))

    for _ in range(WORKERS):
        begin(0.0)
    while queue:
        now_s, number = heapq.heappop(queue)
        (values, seconds), curve = whole[number], curves[str(number)]
        curve.add(float(values[len(curve.values)]))
        done = len(curve.values)
        verdict = rule.judge(str(number), curves)
        speaks = verdict is not None and verdict.action == "stop"
        chance = verdict.probability if verdict and speaks and verdict.probability is not None else 1.0
        if speaks:
            best = min(min(each.values) for each in curves.values() if each.values)
            yield Told(chance, finals[number] < best, finals[number] == min(finals))
        curve.finished = done == task.epochs
        curve.ended = curve.finished or chance < STOPPED_BELOW
        if curve.ended:
            begin(now_s)
        else:
            heapq.heappush(queue, (now_s + seconds[done] - seconds[done - 1], number))


def _print_table(suite: str, stream: str, told: list[Told]) -> None:
    print(f"\n{suite}, {stream}\n")
    print("| chance told | on average | cases | did beat the best of that moment |\n|---|---|---|---|")
    for low, high in pairwise(BINS):
        if some := [each for each in told if low <= each.chance < high]:
            mean, share = np.mean([each.chance for each in some]), np.mean([each.beat for each in some])
            print(f"| {low:.0%} to {min(high, 1):.0%} | {mean:.1%} | {len(some)} | {share:.1%} |")
    stopped = [each for each in told if each.chance < STOPPED_BELOW]
    beat, best = (sum(getattr(each, what) for each in stopped) for what in ("beat", "best"))
    print(
        f"\nOf {len(stopped)} runs that it stopped {beat} would have beaten the best of that moment, {best} would"
    )
    print("have been the best of all.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, help="a benchmark folder; without it the recorded trainings alone")
    parser.add_argument("--tasks", default="public_curves.json", help="a file of curve tasks in that folder")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=80, help="of each stream")
    given = parser.parse_args()
    told: dict[tuple[str, str], list[Told]] = {}
    for suite, task in tasks_of(given.bench, given.tasks):
        for name, stream in STREAMS.items():
            for seed in range(given.seeds):
                told.setdefault((suite, name), []).extend(chances(task, stream(task, given.runs, seed), seed))
    for (suite, name), some in told.items():
        _print_table(suite, name, some)


if __name__ == "__main__":
    main()
