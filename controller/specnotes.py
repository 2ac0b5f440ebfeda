"""Notes on a sweep file: what is allowed, but perhaps not what was meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sweepyard.controller.specmodel import Exponents, Part, Uniform
from sweepyard.controller.spelling import show
from sweepyard.controller.yamlfile import number
from sweepyard.redaction import redact_words


def on_sweep(data: dict[str, Any]) -> Iterator[str]:
    """Notes on a file in normal form."""
    command = list(data.get("command") or ())
    if redact_words(command) != command:
        yield "command: it seems to hold a secret, which is stored: write ${envvar:NAME}, and agents fill it in"
    cap, times = data.get("run_cap"), data.get("repeat", {}).get("times", 1)
    if cap is not None and cap % times:
        yield f"run_cap: {cap} is no multiple of the {times} runs of each point: the last point will lack some"


def on_parameter(path: str, distribution: str, raw: dict[str, Any], part: Part) -> Iterator[str]:
    """Notes on one parameter: as it was given, and as it was read."""
    if isinstance(part, Exponents):
        low, high = sorted((part.value_at(part.min), part.value_at(part.max)))
        limits = f"if you meant from {part.min} to {part.max}, write"
        meant = limits if part.min > 0 else "for limits themselves there is"
        yield (
            f"{path}: the bounds of {distribution} are exponents of e, so this draws from {low:.4g} to {high:.4g};"
            f" {meant} distribution: {distribution}_values"
        )
    mixed = isinstance(part, Uniform) and isinstance(part.min, int) != isinstance(part.max, int)
    if mixed and "distribution" not in raw:
        yield f"{path}: one bound is a whole number and one is not; read as uniform (real numbers)"
    texts = [value for value in getattr(part, "values", ()) if isinstance(value, str)]
    if numbers := [text for text in texts if number(text) is not None]:
        yield f"{path}: the value {show(numbers[0])} is text, not a number; leave out the quotes to make it one"
    if flags := [text for text in texts if text.lower() in ("yes", "no", "on", "off")]:
        yield f"{path}: the value {show(flags[0])} is text here (W&B reads it as a boolean); write true or false"
