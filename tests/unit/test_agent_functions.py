"""Which functions an agent can call, and how; and the settings of an agent."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from sweepyard.agent.functions import takes_config
from sweepyard.agent.main import _max_initial_failures
from sweepyard.errors import UserError


class Trainer:
    def train(self, config: Any) -> None: ...

    def __call__(self) -> None: ...


def two(a: Any, b: Any) -> None: ...


CASES: list[tuple[str, Callable[..., object], bool]] = [
    ("no parameter", lambda: 0, False),
    ("one required parameter", lambda anything: 0, True),
    ("W&B's idiom train(config=None)", lambda config=None: 0, True),
    ("another optional parameter keeps its default", lambda epochs=10: 0, False),
    ("one required, others optional", lambda cfg, epochs=10, *rest, debug=False: 0, True),
    ("only catch-alls", lambda *config, **rest: 0, False),
    ("a bound method", Trainer().train, True),
    ("a callable object", Trainer(), False),
    ("a partial", functools.partial(two, b=3), True),
    ("a builtin without signature", dict, False),
]


@pytest.mark.parametrize(("function", "takes"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_a_function_is_called_with(function: Any, takes: bool) -> None:
    assert takes_config(function) is takes


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (two, r"cannot call two, which needs \(a, b\)"),
        (lambda *, key: 0, r"which needs \(key\)"),
        (3, "takes a function; got int 3"),
        ("train", "takes a function; got str 'train'"),
    ],
)
def test_functions_that_cannot_be_called(function: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        takes_config(function)


@pytest.mark.parametrize(
    ("environ", "most"),
    [
        ({}, 5),
        ({"SWEEPYARD_AGENT_MAX_INITIAL_FAILURES": "12"}, 12),
        ({"SWEEPYARD_AGENT_DISABLE_FLAPPING": "true"}, None),
        ({"SWEEPYARD_AGENT_DISABLE_FLAPPING": "false"}, 5),
    ],
)
def test_how_many_initial_failures_are_borne(environ: dict[str, str], most: int | None) -> None:
    assert _max_initial_failures(environ) == most


@pytest.mark.parametrize("text", ["0", "-1", "many", ""])
def test_a_senseless_number_of_failures(text: str) -> None:
    with pytest.raises(UserError, match="should be a number from 1"):
        _max_initial_failures({"SWEEPYARD_AGENT_MAX_INITIAL_FAILURES": text})
