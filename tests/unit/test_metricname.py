"""A metric that is logged under another name than the sweep file gives it."""

from __future__ import annotations

from typing import Any

import pytest

from sweepyard.controller.metricname import nearest, trouble
from sweepyard.tracking.records import Run, RunState


def finished(summary: dict[str, Any], steps: int = 0) -> Run:
    return Run(
        id="run00001",
        sweep_id="sweep000",
        number=1,
        params={},
        reason="",
        state=RunState.finished,
        summary=summary,
        steps=steps,
    )


@pytest.mark.parametrize(
    ("metric", "logged", "meant"),
    [
        ("val_acc", ["epoch", "val_acc "], "val_acc "),
        ("val_acc", ["loss", "Val-Acc"], "Val-Acc"),
        ("val_acc", ["epoch", "loss", "val_accuracy"], "val_accuracy"),
        ("loss", ["epoch", "val/loss"], "val/loss"),
        ("val/loss", ["epoch", "val_loss"], "val_loss"),
        ("validation_loss", ["validaton_loss", "train"], "validaton_loss"),
        ("val_acc", ["val_acc", "val_acc "], "val_acc"),
        ("f1", ["epoch", "lr"], None),
        ("val_acc", [], None),
    ],
)
def test_the_key_that_was_probably_meant(metric: str, logged: list[str], meant: str | None) -> None:
    assert nearest(metric, logged) == meant


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        ({"val_acc ": 0.9, "epoch": 3}, "you log 'val_acc '. Log it as 'val_acc'"),
        ({"a": 1, "b": 2}, "it logs 'a', 'b'"),
        ({str(i): i for i in range(11)}, "and 3 more"),
        ({}, "it logs nothing at all"),
        ({"val_acc": "NaN"}, "logs 'NaN' under this name, which is no finite number"),
        ({"val_acc": True}, "logs true under this name"),
        ({"val_acc": 0.9}, "only values given to log() count"),
    ],
)
def test_what_is_said_about_a_run_without_a_value(summary: dict[str, Any], words: str) -> None:
    assert words in (trouble("val_acc", finished(summary)) or "")


def test_a_run_with_values_is_no_trouble() -> None:
    assert trouble("val_acc", finished({"val_acc": 0.9}, steps=1)) is None
