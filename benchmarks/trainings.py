"""The trainings that `recorded/record.py` recorded, as tasks with the interface of those of a benchmark folder.

    python benchmarks/trainings.py        prints what there is

Every point of a task's space was really trained, so an answer is looked up and never made up. What a search
observes is the value on the validation rows, by one of the point's trainings (most points have one, one of twenty
has three). It is scored by the mean of the values on the validation rows and on the test rows: the best validation
value of many has luck in it, as in life, so that not even trying everything brings the regret to 0 (`floor` is
what it brings). By the test rows alone, of which the small data sets have 60, luck would decide nearly everything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from synthetic import Param

FOLDER = Path(__file__).parent / "recorded"

Config = Mapping[str, Any]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """Lower is better. `regret`: 0 at the best value of any point and epoch, 1 at the median point's last one.
    `told_regret`: the same of values as a search is told them, by the validation rows alone.

    `conditions`: (parameter, the one it hangs on, the values of that with which it counts). A config names all
    parameters; those that do not count may have any of their values.
    `valid`, `true`, `seconds`: by place in the full product, then training, then epoch; seconds add up.
    """

    name: str
    space: list[Param]
    conditions: list[tuple[str, str, list[Any]]]
    epochs: int | None
    valid: Mapping[int, Array]
    true: Mapping[int, Array]
    seconds: Mapping[int, Array]
    y_best: float
    y_med: float
    told_best: float
    told_med: float

    def evaluate(self, config: Config, seed: int = 0) -> tuple[float, float]:
        """The last validation value and the seconds of one training."""
        values, seconds = self.curve(config, seed)
        return float(values[-1]), float(seconds[-1])

    def curve(self, config: Config, seed: int = 0) -> tuple[Array, Array]:
        """The validation value after each epoch, and the seconds until then."""
        place = self._place(config)
        training = int(np.random.default_rng([seed, place]).integers(len(self.valid[place])))
        return self.valid[place][training], self.seconds[place][training]

    def true_curve(self, config: Config) -> tuple[Array, Array]:
        """The value that it is scored by, means over the point's trainings; and the seconds."""
        place = self._place(config)
        return self.true[place].mean(axis=0), self.seconds[place].mean(axis=0)

    def true_value(self, config: Config) -> float:
        return float(self.true_curve(config)[0][-1])

    def regret(self, value: float) -> float:
        return _regret(value, self.y_best, self.y_med)

    def told_regret(self, value: float) -> float:
        return _regret(value, self.told_best, self.told_med)

    def floor(self) -> float:
        """The regret of the point with the best last validation value of all."""
        best = min(self.valid, key=lambda place: self.valid[place][:, -1].min())
        return self.regret(float(self.true[best][:, -1].mean()))

    def random_config(self, rng: np.random.Generator) -> dict[str, Any]:
        return {p.name: p.sample(rng) for p in self.space}

    def _place(self, config: Config) -> int:
        """Raises ValueError: a value is none of the levels."""
        ignored = {child for child, parent, allowed in self.conditions if config[parent] not in allowed}
        place = 0
        for p in self.space:
            levels = _levels(p)
            place = place * len(levels) + (0 if p.name in ignored else levels.index(config[p.name]))
        return place


def _regret(value: float, best: float, median: float) -> float:
    return float(min((value - best) / (median - best), 1.0))


def load_tasks(folder: Path = FOLDER) -> list[Task]:
    return [_load(path) for path in sorted(folder.glob("*.npz"))]


def _load(path: Path) -> Task:
    with np.load(path) as file:
        told = json.loads(str(file["task"]))
        places = file["place"]
        seconds = np.cumsum(np.maximum(file["cpu_us"], 1) / 1e6, axis=1)
        valid = file["valid"].astype(float)
        true = (valid + file["test"]) / 2
    epochs = valid.shape[1]
    return Task(
        path.stem,
        [Param(**each) for each in told["space"]],
        [(child, parent, allowed) for child, parent, allowed in told["conditions"]],
        epochs if epochs > 1 else None,
        *(dict(_grouped(places, each)) for each in (valid, true, seconds)),
        y_best=float(true.min()),
        y_med=float(np.median(true[:, -1])),
        told_best=float(valid.min()),
        told_med=float(np.median(valid[:, -1])),
    )


def _grouped(places: NDArray[np.int32], rows: Array) -> Iterator[tuple[int, Array]]:
    """The trainings of each point lie side by side."""
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    for start, group in zip(starts, np.split(rows, starts[1:]), strict=True):
        yield int(places[start]), group


def _levels(p: Param) -> list[Any]:
    return p.values if p.values is not None else list(range(int(p.lo or 0), int(p.hi or 0) + 1))


def main() -> None:
    names = ("params", "points", "epochs", "mean s", "best", "median", "floor")
    print(f"{'task':24s}" + "".join(f"{name:>8s}" for name in names))
    for task in load_tasks():
        mean_s = np.mean([rows[:, -1].mean() for rows in task.seconds.values()])
        numbers = f"{mean_s:8.3f}{task.y_best:8.3f}{task.y_med:8.3f}{task.floor():8.3f}"
        print(f"{task.name:24s}{len(task.space):8d}{len(task.valid):8d}{task.epochs or 1:8d}{numbers}")


if __name__ == "__main__":
    main()
