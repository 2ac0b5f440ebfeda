"""When a run is tried again by itself."""

from __future__ import annotations

import pytest

from sweepyard.controller.retries import STOPPED, refusal
from sweepyard.tracking.records import Sweep, SweepState


def a_sweep(**retry: object) -> Sweep:
    spec = {"retry": retry} if retry else {}
    return Sweep(id="s", entity="e", project="p", name="", spec=spec, seed=0, state=SweepState.running)


@pytest.mark.parametrize(
    ("cause", "failed_on", "said"),
    [
        ("crashed", ["a"], ""),
        ("crashed", ["a", "a"], "retry.max is 1"),
        ("crashed", ["a", "b"], "retry.max is 1"),
        ("crashed", ["", ""], ""),
        ("crashed", ["", "a"], ""),
        ("crashed", ["", "", ""], "it failed on 3 different agents, so it may be the cause itself"),
        ("preempted", ["a", "b", "c", "d"], ""),
        ("failed", ["a"], "retry.on does not name failed"),
    ],
)
def test_by_default_one_loss_is_forgiven_and_any_number_of_preemptions(cause, failed_on, said) -> None:
    assert refusal(a_sweep(), cause, failed_on) == said


@pytest.mark.parametrize(
    ("failed_on", "said"),
    [
        (["a"] * 9, ""),
        (["a"] * 10, "retry.max is 9"),
        (["a", "b", "a", "b"], ""),
        (["a", "b", "c"], "it failed on 3 different agents, so it may be the cause itself"),
        (["a", "", "b"], "it failed on 3 different agents, so it may be the cause itself"),
    ],
)
def test_three_different_agents_are_enough_whatever_max_says(failed_on, said) -> None:
    assert refusal(a_sweep(max=9, on=["failed", "crashed"]), "failed", failed_on) == said


def test_what_is_not_named_is_not_tried_again() -> None:
    assert refusal(a_sweep(on=["crashed"]), "preempted", []) == "retry.on does not name preempted"
    assert refusal(a_sweep(on=["failed"]), "crashed", ["a"]) == "retry.on does not name crashed"
    assert refusal(a_sweep(max=0), "crashed", ["a"]) == "retry.max is 0"


def test_a_sweep_that_was_stopped_tries_nothing_again() -> None:
    stopped = Sweep(
        id="s", entity="e", project="p", name="", spec={}, seed=0, state=SweepState.finishing, reason=STOPPED
    )
    assert refusal(stopped, "preempted", []) == "the sweep was stopped"
    assert refusal(stopped, "crashed", ["a"]) == "the sweep was stopped"
