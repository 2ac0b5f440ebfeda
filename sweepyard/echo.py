"""What a command prints: text that is harmless to a terminal and without secrets, or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from sweepyard.redaction import harmless

if TYPE_CHECKING:
    from sweepyard.views import View


def echo(text: str = "", *, err: bool = False) -> None:
    """Print a text that may hold what others wrote: names, reasons, messages, logs.

    What is shown once on purpose, such as a new key, must not come this way.
    """
    typer.echo(harmless(text), err=err)


def echo_json(answer: View | Sequence[View] | None) -> None:
    """Print an answer of the service for machines; in ASCII, so that a terminal obeys nothing in it."""
    if isinstance(answer, Sequence):
        plain: Any = [json.loads(view.model_dump_json()) for view in answer]
    else:
        plain = None if answer is None else json.loads(answer.model_dump_json())
    typer.echo(json.dumps(plain, indent=2))
