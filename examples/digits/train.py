"""A small network learns handwritten digits, epoch by epoch.

As the `program` of a sweep file:    sweepyard run examples/digits/sweep.yaml --workers 2
The whole sweep from Python:         python examples/digits/train.py --sweep
One run alone, with the defaults:    python examples/digits/train.py
"""

import sys

import numpy as np
from scipy.ndimage import shift
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

import sweepyard

DEFAULTS = {
    "learning_rate": 1e-3,
    "batch_size": 32,
    "hidden_dim": 64,
    "optimizer": "adam",
    "noise": 0.1,
    "weight_decay": 1e-4,
    "epochs": 25,
}

sweep_config = {
    "name": "digits-in-python",
    "method": "bayes",
    "metric": {"name": "val_accuracy", "goal": "maximize"},
    "run_cap": 30,
    "parameters": {
        "learning_rate": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-1},
        "batch_size": {"values": [16, 32, 64, 128]},
        "hidden_dim": {"distribution": "int_uniform", "min": 16, "max": 192},
        "optimizer": {"values": ["adam", "sgd"]},
        "noise": {"distribution": "uniform", "min": 0.0, "max": 0.5},
        "weight_decay": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1e-1},
        "epochs": {"value": 25},
    },
    "early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 3},
}


NUDGES = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]


def load_data():
    """Half of the 1797 images to learn from, in five positions each; half to judge by. Pixels from 0 to 1."""
    images, labels = load_digits(return_X_y=True)
    X_train, X_val, y_train, y_val = train_test_split(
        images / 16.0, labels, test_size=0.5, random_state=0, stratify=labels
    )
    squares = X_train.reshape(-1, 8, 8)
    nudged = [shift(squares, (0, *nudge), order=0).reshape(-1, 64) for nudge in NUDGES]
    return np.concatenate(nudged), X_val, np.tile(y_train, len(NUDGES)), y_val


def train():
    sweepyard.init(config=DEFAULTS)
    config = sweepyard.config

    X_train, X_val, y_train, y_val = load_data()
    dice = np.random.default_rng(0)
    model = MLPClassifier(
        hidden_layer_sizes=(config.hidden_dim, config.hidden_dim),
        learning_rate_init=config.learning_rate,
        batch_size=config.batch_size,
        solver=config.optimizer,
        alpha=config.weight_decay,
        random_state=0,
    )

    with threadpool_limits(1):  # two agents on two cores: one thread each
        for epoch in range(config.epochs):
            noisy = X_train + dice.normal(0.0, config.noise, X_train.shape)
            model.partial_fit(noisy, y_train, classes=np.arange(10))
            sweepyard.log(
                {
                    "epoch": epoch,
                    "train_loss": model.loss_,
                    "val_loss": log_loss(y_val, model.predict_proba(X_val)),
                    "val_accuracy": model.score(X_val, y_val),
                }
            )

    sweepyard.finish()


if __name__ == "__main__":
    if sys.argv[1:] == ["--sweep"]:
        sweep_id = sweepyard.sweep(sweep_config, project="digits")
        sweepyard.agent(sweep_id, function=train, count=50)
    else:
        train()
