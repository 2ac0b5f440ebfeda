"""Plain values: what may travel as JSON and be stored.

Non-finite numbers travel as the strings "NaN", "Infinity" and "-Infinity" (as W&B does): strict JSON has
no word for them, and a stored row must stay readable by any JSON tool.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

Params: TypeAlias = "dict[str, Any]"
"""One point of a search space, nested as the sweep file nests it. Values are plain."""

NOT_FINITE = ("NaN", "Infinity", "-Infinity")

_COMPACT = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def to_plain(value: Any) -> Any:
    """`value` with everything that JSON cannot hold turned into something it can.

    numpy and torch scalars become numbers, arrays become lists, other objects become their `repr`.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _name_of(value)
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return to_plain(value.tolist())
    if hasattr(value, "item"):
        return to_plain(value.item())
    return repr(value)


def dumps(value: Any) -> str:
    """Compact strict JSON of anything."""
    try:
        return _COMPACT.encode(value)
    except (TypeError, ValueError):
        return _COMPACT.encode(to_plain(value))


def printable(text: str, *, keep: str = "") -> str:
    """`text` without what a terminal obeys: control characters, escape sequences, marks that turn the direction.

    `keep`: characters that stay all the same, such as the ends of lines.
    """
    return "".join(letter for letter in text if letter.isprintable() or letter in keep)


def finite(value: Any) -> float | None:
    """`value` as a float if it is a finite number, else None. Booleans are not numbers here."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _name_of(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
