"""Records real trainings, for benchmarks of search and of stopping: `../trainings.py` gives them back as tasks.

    python benchmarks/recorded/record.py [--only NAMES] [--into FOLDER]

Needs scikit-learn and pillow, and about eight minutes of one core (OMP_NUM_THREADS=1). The data ship with
scikit-learn: digits, breast_cancer, wine, diabetes and a photograph (predict a pixel from those above and left of
it). Each task is the full product of a few levels of each parameter, and every point of it is trained: a lookup is
exact, so nothing between two trainings is ever made up (no surrogate, no nearest neighbour). The price is that a
range has 3 to 10 levels only. Parameters that do not count for a choice (`conditions`) are not multiplied out.

Each point is trained with a seed of its own, which draws four fifths of the training rows and everything that the
training draws; one point of twenty is trained with two further seeds. Recorded after each epoch (of trees: two):
the value on the validation rows (what a search sees), the value on the test rows (what it is scored by), and the
CPU time of training. A training that diverges has the worst value, 10, from then on: so have values above it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets, ensemble, neural_network, svm
from sklearn.preprocessing import MinMaxScaler, StandardScaler

WORST = 10.0
_REPEATED = 20
_SEEDS = 3

Config = dict[str, Any]
Steps = Iterator[Callable[[], Any]]
"""Trains one epoch, then gives a function that predicts the held-out rows; and so on."""


@dataclass(frozen=True)
class Data:
    """Standardised rows, shape (rows, features); targets; held out are the validation rows, then the test rows."""

    train: np.ndarray
    target: np.ndarray
    held_out: np.ndarray
    truth: np.ndarray
    valid: int

    def drawn(self, seed: int) -> Data:
        """With four fifths of the training rows."""
        rows = np.random.default_rng(seed).permutation(len(self.train))[: len(self.train) * 4 // 5]
        return Data(self.train[rows], self.target[rows], self.held_out, self.truth, self.valid)


def _split(x: Any, y: Any, train: int, valid: int) -> Data:
    order = np.random.default_rng(0).permutation(len(x))
    x, y = np.asarray(x, dtype=float)[order], np.asarray(y)[order]
    x = StandardScaler().fit(x[:train]).transform(x)
    if y.dtype.kind == "f":
        y = (y - y[:train].mean()) / y[:train].std()
    return Data(x[:train], y[:train], x[train:], y[train:], valid)


def _photo() -> tuple[np.ndarray, np.ndarray]:
    """Brightness of 4,000 pixels, and of the twelve nearest that come before each of them."""
    grey = datasets.load_sample_image("china.jpg").mean(axis=2)
    rng = np.random.default_rng(1)
    rows, columns = rng.integers(2, grey.shape[0], 4000), rng.integers(2, grey.shape[1] - 2, 4000)
    before = [(-2, j) for j in range(-2, 3)] + [(-1, j) for j in range(-2, 3)] + [(0, -2), (0, -1)]
    return np.stack([grey[rows + i, columns + j] for i, j in before], axis=1), grey[rows, columns]


DATA: dict[str, Callable[[], Data]] = {
    "digits": lambda: _split(*datasets.load_digits(return_X_y=True), 500, 600),
    "breast_cancer": lambda: _split(*datasets.load_breast_cancer(return_X_y=True), 200, 180),
    "wine": lambda: _split(*datasets.load_wine(return_X_y=True), 60, 58),
    "diabetes": lambda: _split(*datasets.load_diabetes(return_X_y=True), 180, 130),
    "photo": lambda: _split(*_photo(), 600, 1700),
}


def _error(predicted: Any, truth: Any) -> float:
    """Of labels, or of a probability for each."""
    labels = predicted.argmax(axis=1) if predicted.ndim == 2 else predicted
    return float(np.mean(labels != truth))


def _log_loss(predicted: Any, truth: Any) -> float:
    return float(-np.log(np.maximum(predicted[np.arange(len(truth)), truth], 1e-6)).mean())


def _brier(predicted: Any, truth: Any) -> float:
    return float(((predicted - np.eye(predicted.shape[1])[truth]) ** 2).sum(axis=1).mean())


def _squared(predicted: Any, truth: Any) -> float:
    """1 for who predicts the mean."""
    return float(((predicted - truth) ** 2).mean())


def _mlp(config: Config, data: Data, seed: int) -> Steps:
    regression = data.target.dtype.kind == "f"
    model = (neural_network.MLPRegressor if regression else neural_network.MLPClassifier)(
        hidden_layer_sizes=(config["units"],) * config["layers"],
        activation=config["activation"],
        solver=config.get("solver", "adam"),
        alpha=config.get("alpha", 1e-4),
        batch_size=config["batch"],
        learning_rate_init=config["learning_rate"],
        momentum=config.get("momentum", 0.0),
        nesterovs_momentum=False,
        random_state=seed,
    )
    while True:
        if regression:
            model.partial_fit(data.train, data.target)
            yield lambda: model.predict(data.held_out)
        else:
            model.partial_fit(data.train, data.target, classes=np.unique(data.target))
            yield lambda: model.predict_proba(data.held_out)


def _boosting(config: Config, data: Data, seed: int) -> Steps:
    regression = data.target.dtype.kind == "f"
    kind = ensemble.GradientBoostingRegressor if regression else ensemble.GradientBoostingClassifier
    huber = {"alpha": config["huber_alpha"]} if "huber_alpha" in config else {}
    names = ("learning_rate", "max_depth", "subsample", "max_features", "min_samples_leaf", "loss")
    chosen = {name: config[name] for name in names}
    model = kind(n_estimators=0, warm_start=True, random_state=seed, **chosen, **huber)
    while True:
        model.n_estimators += 2
        model.fit(data.train, data.target)
        yield lambda: (model.predict if regression else model.predict_proba)(data.held_out)


def _forest(config: Config, data: Data, seed: int) -> Steps:
    kind = {"forest": ensemble.RandomForestClassifier, "extra": ensemble.ExtraTreesClassifier}[config["trees"]]
    names = ("max_features", "min_samples_leaf", "max_depth", "criterion", "bootstrap")
    chosen = {name: config[name] for name in names}
    model = kind(
        n_estimators=0, warm_start=True, random_state=seed, max_samples=config.get("max_samples"), **chosen
    )
    summed: Any = 0.0
    while True:
        model.n_estimators += 2
        model.fit(data.train, data.target)

        def predict() -> Any:
            nonlocal summed
            summed = summed + sum(tree.predict_proba(data.held_out) for tree in model.estimators_[-2:])
            return summed / model.n_estimators

        yield predict


def _svm(config: Config, data: Data, seed: int) -> Steps:
    scaler = {"minmax": MinMaxScaler, "standard": StandardScaler}.get(config["scale"])
    train, held_out = data.train, data.held_out
    if scaler is not None:
        fitted = scaler().fit(train)
        train, held_out = fitted.transform(train), fitted.transform(held_out)
    chosen = {name: value for name, value in config.items() if name != "scale"}
    model = svm.SVC(random_state=seed, max_iter=20_000, **chosen)
    model.fit(train, data.target)
    yield lambda: model.predict(held_out)


@dataclass(frozen=True)
class Family:
    """A task for each data set. `space` and `conditions`: as `../trainings.py` has them."""

    train: Callable[[Config, Data, int], Steps]
    score: Callable[[Any, Any], float]
    epochs: int
    space: list[dict[str, Any]]
    conditions: list[tuple[str, str, list[Any]]]


def _ord(name: str, *values: Any) -> dict[str, Any]:
    return {"name": name, "kind": "ord", "values": list(values)}


def _cat(name: str, *values: Any) -> dict[str, Any]:
    return {"name": name, "kind": "cat", "values": list(values)}


def _int(name: str, lo: int, hi: int) -> dict[str, Any]:
    return {"name": name, "kind": "int", "lo": lo, "hi": hi}


_BOOSTING = [
    _ord("learning_rate", 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
    _int("max_depth", 1, 4),
    _ord("subsample", 0.4, 0.7, 1.0),
    _ord("max_features", 0.1, 0.3, 1.0),
    _ord("min_samples_leaf", 1, 5, 25),
]
_FOREST = [
    _cat("trees", "forest", "extra"),
    _ord("max_features", 0.05, 0.1, 0.2, 0.4, 0.8),
    _ord("min_samples_leaf", 1, 2, 4, 8),
    _ord("max_depth", 4, 8, 16),
    _cat("criterion", "gini", "entropy"),
    _cat("bootstrap", True, False),
    _ord("max_samples", 0.3, 0.6, 1.0),
]
_SVM = [
    _cat("scale", "none", "standard", "minmax"),
    _cat("kernel", "linear", "rbf", "poly", "sigmoid"),
    _ord("C", *(float(f"{10.0**e:.2g}") for e in np.arange(-3, 3.5, 0.75))),
    _ord("gamma", *(float(f"{10.0**e:.2g}") for e in np.arange(-5, 1.5, 0.75))),
    _int("degree", 2, 4),
    _ord("coef0", 0.0, 1.0),
]
_SVM_CONDITIONS: list[tuple[str, str, list[Any]]] = [
    ("gamma", "kernel", ["rbf", "poly", "sigmoid"]),
    ("degree", "kernel", ["poly"]),
    ("coef0", "kernel", ["poly", "sigmoid"]),
]
_RATES = _ord("learning_rate", 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)

TASKS: dict[tuple[str, str], Family] = {
    ("mlp", "digits"): Family(
        _mlp,
        _log_loss,
        20,
        [
            _RATES,
            _ord("batch", 16, 32, 64, 128),
            _ord("units", 8, 16, 32, 64),
            _int("layers", 1, 2),
            _cat("activation", "relu", "tanh"),
            _cat("solver", "sgd", "adam"),
            _ord("momentum", 0.0, 0.9),
        ],
        [("momentum", "solver", ["sgd"])],
    ),
    ("boosting", "breast_cancer"): Family(
        _boosting, _log_loss, 25, [*_BOOSTING, _cat("loss", "log_loss", "exponential")], []
    ),
    ("forest", "wine"): Family(_forest, _brier, 20, _FOREST, [("max_samples", "bootstrap", [True])]),
    ("boosting", "diabetes"): Family(
        _boosting,
        _squared,
        25,
        [
            *_BOOSTING[:2],
            _ord("subsample", 0.4, 0.7, 1.0),
            _ord("max_features", 0.2, 1.0),
            _ord("min_samples_leaf", 1, 10),
            _cat("loss", "squared_error", "absolute_error", "huber"),
            _ord("huber_alpha", 0.7, 0.9),
        ],
        [("huber_alpha", "loss", ["huber"])],
    ),
    ("mlp", "photo"): Family(
        _mlp,
        _squared,
        15,
        [
            _RATES,
            _ord("batch", 32, 64, 128),
            _ord("units", 4, 8, 16, 32),
            _int("layers", 1, 3),
            _cat("activation", "relu", "tanh", "logistic"),
            _ord("alpha", 1e-4, 1e-1),
        ],
        [],
    ),
    ("svm", "breast_cancer"): Family(_svm, _error, 1, _SVM, _SVM_CONDITIONS),
}


def _levels(parameter: Mapping[str, Any]) -> list[Any]:
    values: list[Any] = parameter.get("values") or list(range(parameter["lo"], parameter["hi"] + 1))
    return values


def _points(family: Family) -> Iterator[tuple[int, Config]]:
    """Each point of the space once, without its inactive parameters, and its place in the full product."""
    names = [each["name"] for each in family.space]
    levels = [_levels(each) for each in family.space]
    for place, indices in enumerate(itertools.product(*(range(len(each)) for each in levels))):
        full = {name: values[i] for name, values, i in zip(names, levels, indices, strict=True)}
        inactive = {child for child, parent, allowed in family.conditions if full[parent] not in allowed}
        if all(i == 0 for name, i in zip(names, indices, strict=True) if name in inactive):
            yield place, {name: value for name, value in full.items() if name not in inactive}


def _trained(
    family: Family, config: Config, data: Data, seed: int
) -> tuple[list[float], list[float], list[float]]:
    """Values on validation rows, values on test rows, CPU milliseconds: of each epoch."""
    steps = family.train(config, data.drawn(seed), seed)
    valid, test, cpu_ms = [], [], []
    for _ in range(family.epochs):
        start_s = time.process_time()
        predict = _epoch(steps)
        cpu_ms.append((time.process_time() - start_s) * 1e3)
        predicted = predict() if predict else None
        for values, part in ((valid, slice(0, data.valid)), (test, slice(data.valid, None))):
            values.append(WORST if predicted is None else family.score(predicted[part], data.truth[part]))
    return valid, test, cpu_ms


def _epoch(steps: Steps) -> Callable[[], Any] | None:
    """None if the weights are no longer finite."""
    try:
        return next(steps, None)
    except ValueError:
        return None


def record(name: str, folder: Path) -> None:
    family = TASKS[tuple(name.split("-"))]  # type: ignore[index]
    data = DATA[name.split("-")[1]]()
    points = list(_points(family))
    repeated = set(np.random.default_rng(0).permutation(len(points))[: len(points) // _REPEATED].tolist())
    trainings = [
        (place, seed * len(points) + i, config)
        for i, (place, config) in enumerate(points)
        for seed in range(_SEEDS if i in repeated else 1)
    ]
    start_s = time.process_time()
    found = [_trained(family, config, data, seed) for _, seed, config in trainings]
    valid, test, cpu_ms = (np.array(each) for each in zip(*found, strict=True))
    np.savez_compressed(
        folder / f"{name}.npz",
        task=json.dumps({"space": family.space, "conditions": family.conditions}),
        place=np.array([place for place, _, _ in trainings], dtype=np.int32),
        valid=_short(valid),
        test=_short(test),
        cpu_us=np.minimum(cpu_ms * 1e3, 2**32 - 1).round(-1).astype(np.uint32),
    )
    spent_s = time.process_time() - start_s
    print(f"{name}: {len(points)} points, {len(trainings)} trainings, {spent_s:.0f} CPU s", flush=True)


def _short(values: np.ndarray) -> np.ndarray:
    """Four significant digits or so, the rest of the bits zero: they need half of the room."""
    capped = np.where(np.isfinite(values), np.minimum(values, WORST), WORST).astype(np.float32)
    bits = capped.view(np.uint32) + np.uint32(1 << 8)
    return (bits & np.uint32(0xFFFFFE00)).view(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names of tasks, with commas")
    parser.add_argument("--into", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    names = ["-".join(key) for key in TASKS]
    for name in args.only.split(",") if args.only else names:
        record(name, args.into)


if __name__ == "__main__":
    main()
