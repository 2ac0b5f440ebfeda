"""A small network on handwritten digits that goes on from its checkpoint, for population based training.

    sweepyard run examples/population/sweep.yaml --workers 2

It is told to end after every few epochs, and a later attempt, or the copy of a better run, goes on from the file.
"""

import os

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

import sweepyard

DEFAULTS = {"learning_rate": 0.03, "momentum": 0.9, "noise": 0.2, "weight_decay": 1e-4, "epochs": 20}
HIDDEN, BATCH, VIEWS = 64, 32, 25


def load_data(share=0.5):
    """`share` of the 1797 images to learn from, two fifths to judge by. Pixels from 0 to 1."""
    images, labels = load_digits(return_X_y=True)
    return train_test_split(images / 16, labels, train_size=share, test_size=0.4, random_state=0, stratify=labels)


def fresh_network(seed):
    """Weights, how they last changed, and the epochs done: all that a checkpoint needs."""
    dice = np.random.default_rng(seed)
    net = {
        "w1": dice.normal(0, 0.15, (64, HIDDEN)),
        "b1": np.zeros(HIDDEN),
        "w2": dice.normal(0, 0.15, (HIDDEN, 10)),
        "b2": np.zeros(10),
    }
    return net | {f"v_{name}": np.zeros_like(value) for name, value in net.items()} | {"epoch": np.array(0)}


def forward(net, X):
    hidden = np.maximum(X @ net["w1"] + net["b1"], 0)
    scores = hidden @ net["w2"] + net["b2"]
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, scores / scores.sum(axis=1, keepdims=True)


def train_epoch(net, X, y, config, views=VIEWS):
    """Stochastic gradient descent with momentum; each image is seen with `views` different noises."""
    dice = np.random.default_rng(int(net["epoch"]))
    order = dice.permutation(np.repeat(np.arange(len(X)), views))
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        noisy = X[batch] + dice.normal(0, config["noise"], X[batch].shape)
        hidden, error = forward(net, noisy)
        error[np.arange(len(batch)), y[batch]] -= 1
        error /= len(batch)
        back = (error @ net["w2"].T) * (hidden > 0)
        slopes = {"w1": noisy.T @ back, "b1": back.sum(0), "w2": hidden.T @ error, "b2": error.sum(0)}
        for name, slope in slopes.items():
            slope += config["weight_decay"] * net[name]
            net[f"v_{name}"] = config["momentum"] * net[f"v_{name}"] - config["learning_rate"] * slope
            net[name] = net[name] + net[f"v_{name}"]
    net["epoch"] = net["epoch"] + 1


def judge(net, X, y):
    chances = forward(net, X)[1]
    loss = -np.log(np.maximum(chances[np.arange(len(y)), y], 1e-12)).mean()
    return float(loss), float((chances.argmax(axis=1) == y).mean())


def train():
    sweepyard.init(config=DEFAULTS)
    config = sweepyard.config
    X_train, X_val, y_train, y_val = load_data()
    saved = sweepyard.checkpoint_dir() / "network.npz"
    net = dict(np.load(saved)) if saved.exists() else fresh_network(sweepyard.run.number)

    with threadpool_limits(1):  # two agents on two cores: one thread each
        while net["epoch"] < config.epochs:
            train_epoch(net, X_train, y_train, config)
            loss, accuracy = judge(net, X_val, y_val)
            sweepyard.log({"epoch": int(net["epoch"]), "val_loss": loss, "val_accuracy": accuracy})
            np.savez(saved.with_name("new.npz"), **net)
            os.replace(saved.with_name("new.npz"), saved)  # whole or not at all

    sweepyard.finish()


if __name__ == "__main__":
    train()
