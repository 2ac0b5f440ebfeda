"""Three functions that anyone can minimise, with the interface of the tasks of a benchmark folder."""

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


TASKS = [
    Task("branin", [Param("x", "float", -5, 10), Param("y", "float", 0, 15)], branin, 0.397887, 35.79),
    Task("hartmann6", [Param(f"x{i}", "float", 0, 1) for i in range(6)], hartmann6, -3.32237, -0.1073),
    Task(
        "training",
        [
            Param("lr", "float", 1e-5, 1.0, log=True),
            Param("units", "int", 16, 1024, log=True),
            Param("layers", "int", 1, 6),
            Param("batch", "ord", values=[16, 32, 64, 128, 256]),
            Param("dropout", "float", 0.0, 0.8),
            Param("optimiser", "cat", values=["sgd", "adam", "rmsprop"]),
            Param("augment", "cat", values=[True, False]),
        ],
        training,
        0.0,
        2.433,
        noise=0.02,
    ),
]
