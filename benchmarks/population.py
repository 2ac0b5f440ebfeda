"""Population based training against random search with the same compute, on a real training.

    python benchmarks/population.py [--seeds 20]

The network of examples/population on a fifth of the digits. Both methods get 8 members of 20 epochs: random search
trains each with what was drawn; the population takes turns of 2 epochs by the rule that a sweep uses, one slot,
without a service. What counts is the lowest validation loss that any member reaches. The same seed means the same
first draws and the same first weights for both.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import fmean, median, pstdev
from typing import Any

from sweepyard.controller.spec import read_spec
from sweepyard.plain import Params
from sweepyard.schedulers.population import Population
from sweepyard.schedulers.port import Curve
from sweepyard.schedulers.registry import make_scheduler
from sweepyard.search.random import RandomSearcher
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

EXAMPLE = Path(__file__).parents[1] / "examples" / "population"
sys.path.insert(0, str(EXAMPLE))
import train  # noqa: E402

SIZE, EPOCHS, INTERVAL = 8, 20, 2
RULE = {"type": "population", "size": SIZE, "interval": INTERVAL, "max_iter": EPOCHS, "resource": "epoch"}
LOSS = Objective(name="val_loss")
DATA = train.load_data(share=0.2)


def epochs(net: dict[str, Any], params: Params, curve: Curve, count: int) -> None:
    X_train, X_val, y_train, y_val = DATA
    for _ in range(count):
        train.train_epoch(net, X_train, y_train, params, views=1)
        curve.add(train.judge(net, X_val, y_val)[0], int(net["epoch"]))


def random_search(points: list[Params]) -> float:
    best = []
    for number, params in enumerate(points, 1):
        curve = Curve(number=number)
        epochs(train.fresh_network(number), params, curve, EPOCHS)
        best.append(min(curve.values))
    return min(best)


def population(points: list[Params], space: Space, seed: int) -> tuple[float, int]:
    """The lowest loss, and how many epochs that took in all."""
    rule = make_scheduler(RULE, LOSS, seed, lambda: space)
    assert isinstance(rule, Population)
    curves = {str(n): Curve(number=n, params=params, paused=True) for n, params in enumerate(points, 1)}
    nets = {key: train.fresh_network(curve.number) for key, curve in curves.items()}
    spent = 0
    for key, curve in curves.items():
        epochs(nets[key], curve.params, curve, INTERVAL)
        spent += INTERVAL
    while turns := rule.turns(curves):
        turn = turns[0]
        key = turn.run_id
        if turn.successor is not None and turn.parent is not None:
            curves[key].ended, curves[key].paused = True, False
            key = str(len(curves) + 1)
            curves[key] = Curve(number=len(curves) + 1, params=turn.successor)
            nets[key] = dict(nets[turn.parent])
        count = min(INTERVAL, EPOCHS - int(nets[key]["epoch"]))
        epochs(nets[key], curves[key].params, curves[key], count)
        spent += count
        curves[key].paused = int(nets[key]["epoch"]) < EPOCHS
        curves[key].ended = curves[key].finished = not curves[key].paused
    return min(value for curve in curves.values() for value in curve.values), spent


def line(name: str, losses: list[float]) -> str:
    return f"{name:<12}{fmean(losses):>10.4f}{pstdev(losses):>10.4f}{median(losses):>10.4f}{max(losses):>10.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args()
    spec = read_spec((EXAMPLE / "sweep.yaml").read_text())
    space = Space.of(spec.data)
    drawn, trained, spent = [], [], []
    for seed in range(given.seeds):
        points = [each.params for each in RandomSearcher(space, seed).suggest([], [], SIZE)]
        drawn.append(random_search(points))
        loss, used = population(points, space, seed)
        trained.append(loss)
        spent.append(used)
    print(f"{SIZE} members of {EPOCHS} epochs, {given.seeds} seeds; lowest validation loss")
    print(f"{'':<12}{'mean':>10}{'std':>10}{'median':>10}{'worst':>10}")
    print(line("random", drawn))
    print(line("population", trained))
    wins = sum(a < b for a, b in zip(trained, drawn, strict=True))
    ties = sum(a == b for a, b in zip(trained, drawn, strict=True))
    print(f"population is better in {wins}, equal in {ties} of {given.seeds} seeds")
    print(f"epochs: random {SIZE * EPOCHS}, population {min(spent)} to {max(spent)}")


if __name__ == "__main__":
    main()
