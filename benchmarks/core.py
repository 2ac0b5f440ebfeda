"""What the pure parts cost: reading sweep files, drawing points, judging runs. CPU time, the least of five.

python benchmarks/core.py
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress

from sweepyard.controller.spec import read_spec
from sweepyard.errors import SpecError
from sweepyard.schedulers.port import Curve
from sweepyard.schedulers.registry import make_scheduler
from sweepyard.search.grid import GridSearcher
from sweepyard.search.random import RandomSearcher
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective


def cpu_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        begin = time.process_time()
        with suppress(SpecError):
            work()
        times.append(1000 * (time.process_time() - begin))
    return min(times)


def sweep_file(parameters: int) -> str:
    one = "  p{0}:\n    distribution: log_uniform_values\n    min: 1e-5\n    max: 0.{0}1\n"
    return "method: random\nparameters:\n" + "".join(one.format(i) for i in range(parameters))


def main() -> None:
    space = Space.from_spec({f"p{i}": {"min": 0.0, "max": 1.0} for i in range(20)})
    huge = Space.from_spec({f"p{i}": {"values": list(range(10))} for i in range(12)})
    dice = random.Random(0)
    curves = {str(i): Curve(number=i) for i in range(1000)}
    for curve in curves.values():
        for _ in range(50 if curve.number != 7 else 27):
            curve.add(dice.random())
    rule = make_scheduler({"type": "hyperband", "min_iter": 3, "eta": 3, "strict": True}, Objective(name="loss"))
    assert rule is not None
    bomb = "method: random\nparameters: " + "{a: " * 5000
    works: dict[str, Callable[[], object]] = {
        "read and check 200 parameters": lambda: read_spec(sweep_file(200)),
        "refuse 5,000 nested maps": lambda: read_spec(bomb),
        "draw 10,000 points of 20 parameters": lambda: RandomSearcher(space, 0).suggest([], [], 10_000),
        "first point of a grid of 10^12": lambda: GridSearcher(huge).suggest([], [], 1),
        "judge a run among 1,000 curves": lambda: rule.judge("7", curves),
    }
    for what, work in works.items():
        print(f"{what:<40}{cpu_ms(work):>10.2f} ms")


if __name__ == "__main__":
    main()
