"""Functions that anyone can minimise, with the interface of the tasks of a benchmark folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Param:
    """kind: float, int, ord (an ordered list of values) or cat (choices)."""

    name: str
    kind: str
    lo: float | None = None
    hi: float | None = None
    log: bool = False
    values: list[Any] | None = None

    def sample(self, rng: np.random.Generator) -> Any:
        if self.values is not None:
            return self.values[rng.integers(len(self.values))]
        low, high = float(self.lo or 0.0), float(self.hi or 0.0)
        if self.kind == "int" and not self.log:
            return int(rng.integers(int(low), int(high) + 1))
        value = math.exp(rng.uniform(math.log(low), math.log(high))) if self.log else rng.uniform(low, high)
        return round(value) if self.kind == "int" else value


@dataclass(frozen=True)
class Task:
    """`regret`: 0 at the least value, 1 at that of the median random config and above."""

    name: str
    space: list[Param]
    function: Callable[[Config], float]
    y_best: float
    y_med: float
    noise: float = 0.0

    def true_value(self, config: Config) -> float:
        return self.function(config)

    def evaluate(self, config: Config, seed: int) -> tuple[float, float]:
        """The value with its noise, and the seconds that it took; both from the config and the seed alone."""
        text = repr(sorted((name, repr(value)) for name, value in config.items()))
        rng = np.random.default_rng([seed, *text.encode()])
        return self.function(config) + self.noise * rng.standard_normal(), math.exp(0.5 * rng.standard_normal())

    def random_config(self, rng: np.random.Generator) -> dict[str, Any]:
        return {p.name: p.sample(rng) for p in self.space}

    def regret(self, value: float) -> float:
        return min((value - self.y_best) / (self.y_med - self.y_best), 1.0)


def branin(config: Config) -> float:
    x, y = config["x"], config["y"]
    curve = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return curve**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


_HEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
_SHARPNESS = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_PEAKS = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann6(config: Config) -> float:
    x = np.array([config[f"x{i}"] for i in range(6)])
    return -float(_HEIGHTS @ np.exp(-(_SHARPNESS * (x - _PEAKS) ** 2).sum(axis=1)))


def training(config: Config) -> float:
    """What tuning a small network feels like: a best rate for each optimiser, width and depth that trade off."""
    best_rate = {"sgd": -1.5, "adam": -3.0, "rmsprop": -3.3}[config["optimiser"]]
    rate = (math.log10(config["lr"]) - best_rate + 0.15 * (config["layers"] - 3)) ** 2
    size = 0.1 * (math.log2(config["units"] / 128) + config["layers"] - 3) ** 2
    kind = {"sgd": 0.15, "adam": 0.0, "rmsprop": 0.1}[config["optimiser"]]
    batch = 0.05 * abs(math.log2(config["batch"] / 64))
    return rate + size + kind + batch + 0.5 * (config["dropout"] - 0.2) ** 2 + 0.05 * config["augment"]


def mixed(config: Config) -> float:
    """Ackley's function of six numbers and three ints; each of three choices adds to it and moves its valley."""
    choices = [config[f"choice{i}"] for i in range(3)]
    shift = 0.1 * np.sin(np.arange(9) + sum(choices)) * (sum(choices) > 0)
    x = np.array([*(config[f"x{i}"] for i in range(6)), *(config[f"n{i}"] / 20 for i in range(3))])
    z = 10 * (x - 0.35 - shift)
    hills = 20 - 20 * math.exp(-0.2 * math.sqrt((z**2).mean())) + math.e - math.exp(np.cos(2 * math.pi * z).mean())
    return hills + 0.5 * sum(choices)


def branches(config: Config) -> float:
    """One of four models, each with three parameters of its own; the others' count for nothing."""
    k = ("a", "b", "c", "d").index(config["model"])
    x = np.array([config[f"{config['model']}{i}"] for i in range(3)])
    centre = np.array([0.2 + 0.2 * k, 0.7 - 0.1 * k, 0.5])
    bowl = float((np.array([4.0, 1.0, 0.5]) * (x - centre) ** 2).sum())
    return 0.1 * k + bowl + 0.3 * (config["rate"] - 0.3) ** 2 + 0.05 * math.sin(12 * x[0]) ** 2


_TURN = np.linalg.qr(np.random.default_rng(5).standard_normal((20, 20)))[0]


def twenty(config: Config) -> float:
    """A turned ellipsoid of twenty numbers, its axes from 1 to 30 long; its logarithm."""
    x = np.array([config[f"x{i}"] for i in range(20)]) - np.linspace(0.3, 0.7, 20)
    return math.log10(1e-4 + float((30 ** np.linspace(-1, 1, 20) * (_TURN @ x) ** 2).sum()))


_TRAINING = [
    Param("lr", "float", 1e-5, 1.0, log=True),
    Param("units", "int", 16, 1024, log=True),
    Param("layers", "int", 1, 6),
    Param("batch", "ord", values=[16, 32, 64, 128, 256]),
    Param("dropout", "float", 0.0, 0.8),
    Param("optimiser", "cat", values=["sgd", "adam", "rmsprop"]),
    Param("augment", "cat", values=[True, False]),
]


def fourteen(config: Config) -> float:
    """`training`, with seven parameters more that count for little."""
    return training(config) + 0.1 * sum((config[f"x{i}"] - 0.5) ** 2 for i in range(5)) + 0.02 * config["depth"]


FOURTEEN = Task(
    "fourteen",
    [
        *_TRAINING,
        *(Param(f"x{i}", "float", 0.0, 1.0) for i in range(5)),
        Param("depth", "int", 1, 12),
        Param("kind", "cat", values=list("abcd")),
    ],
    fourteen,
    0.02,
    2.728,
    noise=0.02,
)
"""For the price of a proposal: it is in no suite."""

TASKS = [
    Task("branin", [Param("x", "float", -5, 10), Param("y", "float", 0, 15)], branin, 0.397887, 35.79),
    Task("hartmann6", [Param(f"x{i}", "float", 0, 1) for i in range(6)], hartmann6, -3.32237, -0.1073),
    Task(
        "training",
        _TRAINING,
        training,
        0.0,
        2.433,
        noise=0.02,
    ),
    Task(
        "mixed",
        [
            *(Param(f"x{i}", "float", 0.0, 1.0) for i in range(6)),
            *(Param(f"n{i}", "int", 0, 20) for i in range(3)),
            *(Param(f"choice{i}", "cat", values=[2, 0, 3, 1]) for i in range(3)),
        ],
        mixed,
        0.0,
        13.68,
    ),
    Task(
        "branches",
        [
            Param("model", "cat", values=["c", "a", "d", "b"]),
            Param("rate", "float", 0.0, 1.0),
            *(Param(f"{model}{i}", "float", 0.0, 1.0) for model in "abcd" for i in range(3)),
        ],
        branches,
        0.00973,
        0.680,
        noise=0.01,
    ),
    Task("twenty", [Param(f"x{i}", "float", 0.0, 1.0) for i in range(20)], twenty, -4.0, 0.936),
]
