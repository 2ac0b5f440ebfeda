"""Sweep files: `read_spec` checks one, `Spec` is what comes out, `explain` shows what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, cast

from sweepyard.controller.specreader import Reader
from sweepyard.controller.yamlfile import from_python, load
from sweepyard.errors import Problem, SpecError
from sweepyard.tracking.records import Objective

DEFAULT_ENTITY = "local"
DEFAULT_PROJECT = "uncategorized"


@dataclass(frozen=True, slots=True)
class Spec:
    """A checked sweep. `data` is plain JSON in normal form; `notes` are sentences that the user should read.

    In `data` each parameter names its distribution and all its numbers, groups nest under `parameters`, and
    `metric` and `early_terminate` carry their defaults. Keys without a value are absent.
    """

    data: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        return str(self.data["method"])

    @property
    def parameters(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.data["parameters"])

    @property
    def objective(self) -> Objective | None:
        return Objective.of(self.data)

    @property
    def seed(self) -> int | None:
        """None: whoever creates the sweep draws one."""
        return self.data.get("seed")

    @property
    def run_cap(self) -> int | None:
        return self.data.get("run_cap")

    @property
    def entity(self) -> str:
        return str(self.data.get("entity", DEFAULT_ENTITY))

    @property
    def project(self) -> str:
        return str(self.data.get("project", DEFAULT_PROJECT))

    @property
    def name(self) -> str:
        """Empty if the file gives none."""
        return str(self.data.get("name", ""))


def read_spec(
    source: str | Mapping[str, Any],
    *,
    name: str = "sweep.yaml",
    lenient: bool = False,
    overrides: Mapping[str, Any] | None = None,
) -> Spec:
    """The spec in `source`: YAML or JSON text, or a mapping.

    `name` heads every message; `lenient` makes unknown keys notes; `overrides` are top-level keys that win
    over the file's own (None: no wish).

    Raises:
        SpecError: with every problem found, each with its path and, for text, its line and column.
    """
    document = load(source, name=name) if isinstance(source, str) else from_python(source, name=name)
    wishes = {key: value for key, value in (overrides or {}).items() if value is not None}
    if isinstance(document.value, dict) and wishes:
        document = replace(document, value=document.value | from_python(wishes, name=name).value)
    reader = Reader(document, lenient)
    data = reader.sweep()
    if reader.problems:
        raise SpecError(reader.listed(), source=name)
    return Spec(data, tuple(reader.notes))


def explain(error: SpecError, text: str) -> str:
    """The error for a terminal: each problem under the line of `text` that it is about, with a caret."""
    lines = text.splitlines()
    return "\n".join(chain.from_iterable(_explained(problem, error.source, lines) for problem in error.problems))


def _explained(problem: Problem, source: str, lines: list[str]) -> Iterator[str]:
    yield f"{source}: {problem}"
    if 0 < problem.line <= len(lines):
        begin = max(0, problem.column - 60)
        shown = lines[problem.line - 1][begin : begin + 100].replace("\t", " ")
        yield f"{problem.line:>6} | {shown}"
        yield f"{'':>6} | {'^':>{problem.column - begin}}"
