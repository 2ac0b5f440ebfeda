"""Twenty tasks of the kinds of a benchmark folder that are not among its own, so that nothing is fitted to those.

Final values of its learning curves, other outputs of its surrogates, other classic functions, and random mixed
functions: sums of what each parameter does, waves through all of them, conditions, some skewed, some noisy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import synthetic

_OUTPUTS = [
    ("kin-xgb-ll", "xgb-auc-1", 5, 1, 0.02, 0.127444, 0.346033),
    ("kin-xgb-auc", "xgb-ll-1", 2, -1, 0.0, -0.999996, -0.825304),
    ("kin-svm-err", "svm-ll-1", 0, 1, 0.0, 0.244793, 0.398343),
    ("kin-tree-ll", "tree-auc-1", 5, 1, 0.03, 0.415649, 0.501196),
    ("kin-forest-auc", "forest-ll-1", 2, -1, 0.0, -0.984368, -0.931919),
    ("kin-automl-auc", "automl-ll-1", 2, -1, 0.0, -0.946595, -0.885178),
    ("kin-automl-err", "automl-ll-1", 0, 1, 0.02, 0.0998917, 0.147543),
]
"""Name, the folder's task, the number of the output and its sign, noise, the best known and the median value.

Noise is in units of best to median. Best values are of 3,000 random and 6,000 bred configs, here and below.
"""
_CLASSICS = [
    ("levy", "levy", 4, (3, 10), (2, 3), 11, 0.229885, 83.4006),
    ("valley", "valley", 5, (2, 10), (0, 0), 12, 2.142186, 8.991559),
    ("hart", "hartmann6", 6, (0, 0), (1, 4), 13, -3.322343, 0.482874),
]
"""Name, function, floats, ints and their most, choices and how many each, seed, best known and median value."""
_RANDOM = [
    (4, 0.0269867, 1.041024),
    (6, 0.674039, 0.937382),
    (9, -0.562614, 0.206995),
    (14, 0.632524, 85.02515),
    (20, 0.496889, 0.954905),
    (8, 0.874424, 3.757667),
]
"""Parameters, best known and median value of each random function; the first and the fourth are noisy."""


def load_tasks(folder: Path, bench: Any) -> list[Any]:
    """`bench`: the module of `folder`."""
    curves = bench.load_tasks(str(folder / "public_curves.json"))
    for task in curves:
        task.name = f"final-{task.name}"
    return [
        *curves,
        *_outputs(folder, bench),
        *(_random(seed, bench) for seed in range(6)),
        *_classics(folder, bench),
    ]


def _outputs(folder: Path, bench: Any) -> Iterator[Any]:
    specs = {spec["name"]: spec for spec in json.loads((folder / "public.json").read_text())}
    for name, base, output, sign, noise, best, median in _OUTPUTS:
        yield bench.Task(
            {
                **specs[base],
                "name": name,
                "output": output,
                "sign": sign,
                "offset": 0.0,
                "noise_sd": noise * (median - best),
                "y_best": best,
                "y_med": median,
            },
            str(folder / "data"),
        )


def _classics(folder: Path, bench: Any) -> Iterator[Any]:
    for name, function, floats, (ints, most), (choices, many), seed, best, median in _CLASSICS:
        space: list[dict[str, Any]] = [
            *({"name": f"x{i}", "kind": "float", "lo": 0.0, "hi": 1.0} for i in range(floats)),
            *({"name": f"k{i}", "kind": "int", "lo": 1, "hi": most} for i in range(ints)),
            *({"name": f"c{i}", "kind": "cat", "values": [f"v{j}" for j in range(many)]} for i in range(choices)),
        ]
        spec = {"name": name, "kind": "synth", "function": function, "shift_seed": seed, "space": space}
        yield bench.Task({**spec, "y_best": best, "y_med": median}, str(folder / "data"))


def _random(seed: int, bench: Any) -> synthetic.Task:
    columns, best, median = _RANDOM[seed]
    rng = np.random.default_rng(1000 + seed)
    space = [_parameter(i, rng, bench) for i in range(columns)]
    conditions: dict[str, tuple[str, list[str]]] = {}
    choices = [p for p in space if p.kind == "cat"]
    for p in space if choices and columns >= 8 else []:
        if p is not choices[0] and rng.random() < 0.4:
            half = max(1, len(choices[0].values) // 2)
            first = rng.random() < 0.5
            conditions[p.name] = choices[0].name, choices[0].values[:half] if first else choices[0].values[half:]
    noise = 0.03 * (median - best) if seed % 3 == 0 else 0.0
    return synthetic.Task(f"rand-{seed}", space, _Random(seed, space, conditions), best, median, noise)


def _parameter(i: int, rng: np.random.Generator, bench: Any) -> Any:
    kind = rng.random()
    if kind < 0.5:
        return bench.Param(f"f{i}", "float", 0.0, 1.0)
    if kind < 0.7:
        return bench.Param(f"k{i}", "int", 1, int(rng.integers(4, 40)))
    if kind < 0.8:
        return bench.Param(f"o{i}", "ord", values=list(range(int(rng.integers(3, 8)))))
    return bench.Param(f"c{i}", "cat", values=[f"v{j}" for j in range(int(rng.integers(2, 6)))])


class _Random:
    """A few parameters count for much, most for little: their weights are Gamma(1/2)."""

    def __init__(self, seed: int, space: list[Any], conditions: dict[str, tuple[str, list[str]]]) -> None:
        rng, columns = np.random.default_rng(seed), len(space)
        self._space, self._conditions = space, conditions
        weights = rng.gamma(0.5, 1.0, columns)
        self._weights = weights / weights.max()
        self._centre = rng.beta(2, 2, columns)
        self._choices = {
            i: rng.normal(size=len(p.values)) * self._weights[i] for i, p in enumerate(space) if p.kind == "cat"
        }
        self._power = rng.choice([1.0, 2.0], columns)
        waves = max(3, columns // 2)
        self._turn = rng.normal(size=(waves, columns)) * np.sqrt(self._weights) * 1.2
        self._phase, self._height = rng.uniform(0, 6, waves), rng.normal(size=waves) * 0.25
        self._skew = rng.lognormal(0, 0.5, columns)
        self._shape = rng.integers(3)

    def __call__(self, config: synthetic.Config) -> float:
        z, y = np.zeros(len(self._space)), 0.0
        for i, p in enumerate(self._space):
            switch, values = self._conditions.get(p.name, ("", []))
            if switch and config[switch] not in values:
                continue
            if p.kind == "cat":
                z[i] = self._choices[i][p.values.index(config[p.name])]
                y += 0.5 * z[i]
            else:
                z[i] = p.to_unit(config[p.name]) ** self._skew[i] - self._centre[i]
                y += 3 * self._weights[i] * abs(z[i]) ** self._power[i]
        y += float(self._height @ np.sin(self._turn @ z + self._phase))
        return float([y, np.exp(1.5 * y), 1 - np.exp(-max(y + 1, 0.0))][self._shape])
