"""Values in words, for every place where people read them: terminal, page and log."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sweepyard.plain import finite, printable


def flat(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Parameters with dotted names."""
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def short(params: Mapping[str, Any], fixed: Container[str] = ()) -> str:
    """Parameters on one line, without the `fixed` ones."""
    return ", ".join(f"{name}={number(value, 4)}" for name, value in flat(params) if name not in fixed)


def constants(spec: Mapping[str, Any]) -> frozenset[str]:
    """Dotted names of the parameters of a sweep file in normal form that have one value in every run."""
    return frozenset(_constants(spec["parameters"]))


def _constants(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, spec in parameters.items():
        if "parameters" in spec:
            yield from _constants(spec["parameters"], f"{prefix}{name}.")
        elif spec.get("distribution") == "constant":
            yield f"{prefix}{name}"


def one_line(text: str) -> str:
    """Text of users and their programs without what would move the cursor."""
    return printable(" ".join(text.split()))


def shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def some(words: Sequence[str], most: int) -> str:
    """The first of them, and how many more there are: `a, b and 3 more`."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def number(value: Any, digits: int = 5) -> str:
    """A value for reading: numbers rounded to significant digits, `-` for none."""
    if value is None:
        return "-"
    if isinstance(value, float) and finite(value) is not None:
        return f"{value:.{digits}g}"
    return one_line(str(value))


def many(count: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """`35 s`, `4 min`, `2 h 10 min`."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def ago(seconds: float) -> str:
    """How long something is past: `12 s ago`, `4 min ago`, `7 h ago`, `3 d ago`; never in the future."""
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86_400
    if minutes < 1.5:
        return f"{max(0, round(seconds))} s ago"
    if hours < 1.5:
        return f"{round(minutes)} min ago"
    return f"{round(hours)} h ago" if days < 1.5 else f"{round(days)} d ago"


def clock(at: float) -> str:
    """A time on this machine, and its zone: `14:03:59 CET` if it is of today, else `2026-11-03 14:03 CET`."""
    then = datetime.fromtimestamp(at).astimezone()
    is_today = then.date() == datetime.now().astimezone().date()
    return then.strftime("%H:%M:%S %Z" if is_today else "%Y-%m-%d %H:%M %Z")
