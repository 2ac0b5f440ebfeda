"""Names of runs from a template of the sweep file, such as `lr{lr:.1e}-bs{batch.size}`.

Only Python's format of one value at a time: no attribute, no index and no conversion is ever looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from string import Formatter
from typing import Any

from sweepyard.controller.spelling import nearest, show
from sweepyard.plain import finite

NUMBER = "number"
"""What stands for the number of the run, unless a parameter has that name."""
DEFAULT = "run-{number}"
LONGEST = 128
_TOO_WIDE = re.compile(r"\d{3}|[{}]")


def mistakes(template: str, values: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """What is wrong with a template. `values`: some that each parameter can have, by its dotted name."""
    try:
        fields = list(Formatter().parse(template))
    except ValueError:
        yield "a brace is not closed, or not opened; a literal one is written twice: {{ or }}"
        return
    for _, name, form, conversion in fields:
        if name is not None:
            yield from _field_mistakes(name, form or "", conversion, values)
    if all(name is None for _, name, _, _ in fields):
        yield "has no {parameter} in it, so that all runs would have the same name"


def _field_mistakes(
    name: str, form: str, conversion: str | None, values: Mapping[str, Sequence[Any]]
) -> Iterator[str]:
    if name not in values and name != NUMBER:
        near = nearest(name, values)
        hint = f"did you mean {near}?" if near else f"there are {', '.join([*values, NUMBER])}"
        yield f"{{{name}}} is no parameter; {hint}"
    elif conversion:
        yield f"{{{name}!{conversion}}}: leave out the !{conversion}"
    elif _TOO_WIDE.search(form):
        yield f"{{{name}:{form}}}: the format {show(form)} is too long, or has braces in it"
    else:
        for value in values.get(name, [1]):
            try:
                format(value, form)
            except (ValueError, TypeError):
                yield f"{{{name}:{form}}}: the value {show(value)} has no such format"
                return


def run_name(template: str, number: int, params: Mapping[str, Any]) -> str:
    """The name of run `number`: one line of at most 128 characters. What `params` lack is `-`."""
    found = {NUMBER: number, **params}
    parts = [
        literal + ("" if name is None else _formatted(_at(found, name), form or ""))
        for literal, name, form, _ in Formatter().parse(template)
    ]
    text = "".join(letter for letter in " ".join("".join(parts).split()) if letter.isprintable())
    return text[:LONGEST] or f"run-{number}"


def _formatted(value: Any, form: str) -> str:
    if value is _LACKING:
        return "-"
    try:
        return format(value, form or (".4g" if isinstance(value, float) and finite(value) is not None else ""))
    except (ValueError, TypeError):  # a point of the user's choice may have any value
        return str(value)


def _at(params: Mapping[str, Any], name: str) -> Any:
    """The value with a dotted name, whichever of its dots lead into a group."""
    if name in params:
        return params[name]
    for key, value in params.items():
        if isinstance(value, Mapping) and name.startswith(f"{key}."):
            found = _at(value, name.removeprefix(f"{key}."))
            if found is not _LACKING:
                return found
    return _LACKING


_LACKING = object()
