"""Names of runs."""

from __future__ import annotations

import pytest

from sweepyard.controller.runnames import LONGEST, mistakes, run_name
from sweepyard.controller.spec import read_spec
from sweepyard.errors import SpecError

PARAMS = {
    "lr": 0.00012345678,
    "bs": 32,
    "opt": {"name": "adam", "deep": {"beta": 0.9}},
    "a.b": {"c": [1, 2]},
    "on": True,
}


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("run-{number}", "run-7"),
        ("lr{lr:.1e}-bs{bs}", "lr1.2e-04-bs32"),
        ("{lr}", "0.0001235"),
        ("{bs:04d}|{opt.name:>6}", "0032| adam"),
        ("{opt.deep.beta} {a.b.c} {on}", "0.9 [1, 2] True"),
        ("{{{bs}}}", "{32}"),
        ("m{momentum:.2f}", "m-"),
        ("{opt.name:.1e}", "adam"),
        ("a\n b\x1b[1m {bs}", "a b[1m 32"),
        ("{opt}", "{'name': 'adam', 'deep': {'beta': 0.9}}"),
    ],
)
def test_a_template_becomes_a_name(template: str, name: str) -> None:
    assert run_name(template, 7, PARAMS) == name


def test_a_name_is_never_empty_nor_long() -> None:
    assert run_name("{x}", 7, {"x": ""}) == "run-7"
    assert len(run_name("{x}", 7, {"x": "x" * 1000})) == LONGEST


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("lr{lr", "a brace is not closed"),
        ("lr}", "a brace is not closed"),
        ("fixed", "has no {parameter} in it"),
        ("{}", "{} is no parameter"),
        ("{0}", "{0} is no parameter"),
        ("{lrr}", "{lrr} is no parameter; did you mean lr?"),
        ("{lr.real}", "{lr.real} is no parameter"),
        ("{lr.__class__.__mro__}", "is no parameter"),
        ("{lr[0]}", "{lr[0]} is no parameter"),
        ("{lr!r}", "leave out the !r"),
        ("{lr:1000000000}", "is too long"),
        ("{lr:{bs}}", "or has braces in it"),
        ("{opt.name:.1e}", "the value 'adam' has no such format"),
        ("{bs:s}", "the value 32 has no such format"),
    ],
)
def test_what_is_wrong_with_a_template(template: str, said: str) -> None:
    found = list(mistakes(template, {"lr": [0.1], "bs": [32], "opt.name": ["adam"]}))
    assert len(found) == 1
    assert said in found[0]


def test_a_template_is_checked_against_the_space() -> None:
    spec = {
        "method": "random",
        "parameters": {
            "lr": {"min": 0.1, "max": 1.0},
            "width": {"values": [1, 2]},
            "depth": {"values": [3, "many"]},
            "opt": {"parameters": {"m": {"min": 0.0, "max": 1.0, "when": "lr > 0.5"}}},
            "area": {"expression": "width * 2"},
        },
        "repeat": 2,
    }
    assert read_spec(spec | {"run_name": "{lr:.1e}-{opt.m:.2f}-{area}-{seed}-{number:03d}-{depth}"}).notes == ()
    with pytest.raises(SpecError, match=r"run_name: {depth:d}: the value 'many' has no such format"):
        read_spec(spec | {"run_name": "{depth:d}"})
    with pytest.raises(SpecError, match=r"run_name: {width:s}: the value 1 has no such format"):
        read_spec(
            {
                "method": "random",
                "zip": ["width", "lr"],
                "run_name": "{width:s}",
                "parameters": {"width": {"values": [1, 2]}, "lr": {"values": [3, 4]}},
            }
        )
