"""Draws what `search.py` kept: regret curves of each task, and where one sweep looked. Needs the extra `bench`.

python benchmarks/search_pictures.py --results FILE... --into FOLDER
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import kept
import numpy as np
import peers
import synthetic
from search_report import Search


def curves(searches: Sequence[Search], path: Path) -> None:
    """A panel for each task: the mean regret over the seeds after each run, by method."""
    import matplotlib.pyplot as plt

    tasks = list(dict.fromkeys(each.task for each in searches))
    columns = min(4, len(tasks))
    shape = -(-len(tasks) // columns), columns
    figure, panels = plt.subplots(*shape, figsize=(4 * columns, 3 * shape[0]), sharex=True, squeeze=False)
    for panel, task in zip(panels.flat, tasks, strict=False):
        for method in sorted({each.method for each in searches}, key=peers.NAMES.index):
            rows = [each.regrets for each in searches if (each.task, each.method) == (task, method)]
            if rows:
                panel.plot(
                    np.mean(rows, axis=0), label=f"{method} ({len(rows)})", linewidth=2 if method == "bayes" else 1
                )
        panel.set_title(task)
        panel.set_ylim(0, 1)
    for panel in panels.flat[len(tasks) :]:
        panel.set_axis_off()
    panels.flat[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def looked(methods: Sequence[str], path: Path, runs: int = 60) -> None:
    """Branin's function, and the points of one sweep of each method on it in their order, dark to bright."""
    import matplotlib.pyplot as plt

    task = synthetic.TASKS[0]
    figure, panels = plt.subplots(1, len(methods), figsize=(4 * len(methods), 4), squeeze=False)
    x, y = np.meshgrid(np.linspace(-5, 10, 80), np.linspace(0, 15, 80))
    height = np.array([task.true_value({"x": a, "y": b}) for a, b in zip(x.flat, y.flat, strict=True)])
    for panel, method in zip(panels.flat, methods, strict=True):
        optimizer, points = peers.make(method, task.space, 0, runs), []
        for _ in range(runs):
            key, config = optimizer.ask()
            optimizer.tell(key, task.evaluate(config, 0)[0])
            points.append((config["x"], config["y"]))
        panel.contourf(x, y, np.log(height.reshape(x.shape)), 20, cmap="Greys")
        panel.scatter(*zip(*points, strict=True), c=range(runs), cmap="plasma", s=18)
        panel.set_title(method)
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, nargs="*", default=[])
    parser.add_argument("--methods", default="random,bayes,tpe,cmaes", help="whose points to draw")
    parser.add_argument("--into", type=Path, default=Path())
    args = parser.parse_args()
    if find_spec("matplotlib") is None:
        sys.exit("matplotlib is not installed: pip install -e '.[bench]'")
    searches = [Search(**line) for line in kept.read(*args.results)]
    for suite, workers in dict.fromkeys((each.suite, each.workers) for each in searches):
        chosen = [each for each in searches if (each.suite, each.workers) == (suite, workers)]
        curves(chosen, args.into / f"{suite}-{workers}.png")
    looked(args.methods.split(","), args.into / "looked.png")


if __name__ == "__main__":
    main()
