"""Merging and locking of config (wandb-sweeps.md, section 7)."""

from __future__ import annotations

import argparse
import copy
from typing import Any

import numpy as np
import pytest

from sweepyard.agent.config import Config, merge
from sweepyard.errors import UserError

PARAMS = {"lr": 0.01, "opt": {"name": "sgd", "beta": 0.9}}


class Heard:
    """A config with what it told the outside."""

    def __init__(self, given: Any = (), *, allow: bool = False) -> None:
        self.changes: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        self.config = Config(
            dict(given),
            PARAMS,
            sweep_id="abcd1234",
            changed=self.changes.append,
            warn=self.warnings.append,
            allow_val_change=allow,
        )


def test_a_sweeps_values_are_merged_over_the_given_ones() -> None:
    given = {"nested": {"manual": 1, "lr": 9, "d": {"y": 5}}}
    sweep = {"nested": {"lr": 0.01, "d": {"x": 1}}}
    assert merge(given, sweep) == {"nested": {"manual": 1, "lr": 0.01, "d": {"y": 5, "x": 1}}}
    assert merge({"a": {"b": 1}}, {"a": 2}) == {"a": 2}


def test_only_what_the_code_added_is_told() -> None:
    assert Heard({"lr": 5}).changes == []
    assert Heard({"lr": 5, "epochs": 3}).changes == [{"epochs": 3}]
    assert Heard({"opt": {"eps": 1}}).changes == [{"opt": {"name": "sgd", "beta": 0.9, "eps": 1}}]


@pytest.mark.parametrize(
    "change",
    [
        lambda config: setattr(config, "lr", 7),
        lambda config: config.__setitem__("lr", 7),
        lambda config: config.update({"lr": 7}),
        lambda config: config.update({"lr": 7}, allow_val_change=True),
        lambda config: config.update({"opt": {"name": "adam"}}),
        lambda config: config.setdefaults({"lr": 7}),
    ],
)
@pytest.mark.parametrize("allow", [False, True])
def test_a_sweeps_values_cannot_be_changed(change: Any, allow: bool) -> None:
    heard = Heard(allow=allow)
    change(heard.config)
    change(heard.config)
    assert dict(heard.config) == PARAMS
    assert heard.changes == []
    assert len(heard.warnings) <= 1
    assert all("sweep abcd1234 chose it" in sentence for sentence in heard.warnings)


def test_setting_the_same_value_is_fine() -> None:
    heard = Heard({"epochs": 3})
    heard.config.lr = 0.01
    heard.config.epochs = 3
    assert heard.warnings == []


def test_other_keys_may_be_added_and_not_changed() -> None:
    heard = Heard()
    heard.config.epochs = 3
    heard.config.update(argparse.Namespace(size=4))
    heard.config.setdefaults({"size": 5, "depth": 6})
    with pytest.raises(UserError, match=r"config 'epochs' is 3 already and would become 4"):
        heard.config["epochs"] = 4
    assert heard.changes == [{"epochs": 3}, {"size": 4}, {"depth": 6}]
    heard.config.update({"epochs": 4}, allow_val_change=True)
    assert heard.config.epochs == 4


def test_changes_may_be_allowed_for_all() -> None:
    heard = Heard({"epochs": 3}, allow=True)
    heard.config.epochs = 4
    assert heard.config["epochs"] == 4
    with pytest.raises(UserError):
        heard.config.update({"epochs": 5}, allow_val_change=False)


def test_reading() -> None:
    config = Heard({"--batch-size-": 8}).config
    assert config.lr == config["lr"] == config.get("lr") == 0.01
    assert config["batch-size"] == 8
    assert "lr" in config
    assert "nosuch" not in config
    assert list(config.keys()) == ["batch-size", "lr", "opt"]
    assert dict(config.items()) == dict(config) == {**config}
    assert config.opt["name"] == "sgd"
    with pytest.raises(AttributeError, match="config has no 'nosuch'; it has: batch-size, lr, opt"):
        _ = config.nosuch
    with pytest.raises(KeyError):
        config["nosuch"]


def test_as_dict_is_a_copy() -> None:
    config = Heard().config
    config.as_dict()["opt"]["name"] = "changed"
    assert config.opt["name"] == "sgd"
    assert copy.copy(config).lr == 0.01


def test_values_may_be_arrays() -> None:
    heard = Heard({"weights": np.array([1, 2])})
    heard.config.update({"weights": heard.config.weights})
    with pytest.raises(UserError):
        heard.config.weights = np.array([1, 2])


@pytest.mark.parametrize("bad", [3, "config.yaml", [1]])
def test_config_must_be_a_dict(bad: Any) -> None:
    with pytest.raises(UserError, match="config takes a dict or an argparse Namespace"):
        Heard().config.update(bad)
