"""What one value of a sweep file may be: readers that give the value back, or say in a sentence what is wrong.

A reader takes any plain value and raises `ValueError`. Numbers given as text ("1e-5") are taken as numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

from pydantic import PlainValidator

from sweepyard.controller.spelling import show, suggest
from sweepyard.controller.yamlfile import number
from sweepyard.search.registry import METHODS, installed

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class Misplaced(ValueError):
    """A sentence about one key of a part, for checks that look at several."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def as_number(value: Any) -> int | float:
    found = number(value) if isinstance(value, str) else value
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError(f"{show(value)} is not a number")
    return found


def as_whole(value: Any) -> int:
    found = as_number(value)
    if found != int(found):
        raise ValueError(f"{show(value)} is not a whole number")
    if not -(2**63) <= found < 2**63:
        raise ValueError(f"{show(value)} needs more than 64 bits")
    return int(found)


def at_least(least: float, read: Callable[[Any], Any], *, above: bool = False) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        found = read(value)
        if found < least or (above and found == least):
            raise ValueError(
                f"{show(value)} is too small: it must be {'above' if above else 'at least'} {least:g}"
            )
        return found

    return check


def between(least: float, most: float, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        found = at_least(least, read)(value)
        if found > most:
            raise ValueError(f"{show(value)} is too big: it must be at most {most:g}")
        return found

    return check


def one_of(*choices: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value is False and "false" in choices:
            return "false"
        if value not in choices:
            raise ValueError(f"{show(value)} is not known{suggest(value, choices)}")
        return str(value)

    return check


def as_method(value: Any) -> str:
    if value == "custom":
        raise ValueError(f"custom is not supported: choose {', '.join([*METHODS, *installed()])}")
    if isinstance(value, str) and value in METHODS:
        return value
    return one_of(*METHODS, *installed())(value)


def as_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{show(value)} is neither true nor false")
    return value


def as_text(value: Any) -> str:
    if not isinstance(value, str):
        hint = ": put quotes around it" if isinstance(value, bool | int | float) else ""
        raise ValueError(f"{show(value)} is not text{hint}")
    if not value.strip():
        raise ValueError("is empty")
    return value


def as_label(value: Any) -> str:
    text = as_text(value)
    if len(text) > 128 or re.search(r"[/\\#?%:\x00-\x1f]", text):
        raise ValueError(f"{show(text)} cannot name it: up to 128 characters, none of / \\ # ? % :")
    return text


def as_name(value: Any) -> str:
    """The name of a parameter."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(
            "a parameter's name begins with a letter or _ and goes on with letters, digits, '_', '.' and '-'"
        )
    return value


def as_metric_name(value: Any) -> str:
    text = as_text(value)
    if text != text.strip():
        raise ValueError(f"{show(text)} begins or ends with a space: no run will ever log it under that name")
    return text


def as_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"needs a list, such as [a, b], not {show(value)}")
    if not value:
        raise ValueError("is an empty list")
    return value


def as_weights(value: Any) -> list[float]:
    weights = [at_least(0, as_number)(item) for item in as_list(value)]
    if not math.isclose(total := math.fsum(weights), 1.0, rel_tol=1e-6):
        raise ValueError(f"the probabilities add up to {total:g}, not to 1")
    return weights


def as_argv(value: Any) -> list[str]:
    for item in as_list(value):
        if not isinstance(item, str):
            raise ValueError(f"each item must be text: put quotes around {show(item)}")
    return list(value)


def as_texts(value: Any) -> list[str]:
    for item in (texts := as_list(value)):
        if not isinstance(item, str) or not item.strip():
            raise ValueError(f"each must be an expression in text, such as 'a * b <= 64', not {show(item)}")
    return texts


def as_zips(value: Any) -> list[list[str]]:
    """Names that go together, or a list of such lists."""
    groups = [value] if all(isinstance(item, str) for item in as_list(value)) else value
    for group in groups:
        if not isinstance(group, list) or not all(isinstance(name, str) for name in group):
            raise ValueError(f"needs names of parameters, such as [width, lr], not {show(group)}")
        if len(group) < 2:
            raise ValueError("needs at least two parameters that move together")
    names = [name for group in groups for name in group]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} is in it twice")
    return groups


def as_choices(*choices: str) -> Callable[[Any], list[str]]:
    """A reader of lists of `choices`; an empty one is allowed."""
    read = one_of(*choices)

    def check(value: Any) -> list[str]:
        if not isinstance(value, list):
            raise ValueError(f"needs a list of {', '.join(choices)}, not {show(value)}")
        return list(dict.fromkeys(map(read, value)))

    return check


def as_points(value: Any) -> list[dict[str, Any]]:
    points = [] if value == [] else as_list(value)  # none is a wish, too: no baselines either
    for item in points:
        if not isinstance(item, dict):
            raise ValueError(f"each must be a mapping of parameters to values, not {show(item)}")
    return points


Number: TypeAlias = Annotated[int | float, PlainValidator(as_number)]
Whole: TypeAlias = Annotated[int, PlainValidator(as_whole)]
Count: TypeAlias = Annotated[int, PlainValidator(at_least(1, as_whole))]
Positive: TypeAlias = Annotated[int | float, PlainValidator(at_least(0, as_number, above=True))]
Text: TypeAlias = Annotated[str, PlainValidator(as_text)]
Label: TypeAlias = Annotated[str, PlainValidator(as_label)]
