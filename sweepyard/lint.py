"""What a sweep file means: its space, what to know about it, and some points. Needs no service."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweepyard.agent.command import DEFAULT, Command
from sweepyard.controller.differences import differences
from sweepyard.controller.repeats import Repeat
from sweepyard.controller.runnames import run_name
from sweepyard.controller.spec import Spec
from sweepyard.plain import Params, dumps
from sweepyard.redaction import redact_words
from sweepyard.search.outline import Line, outline
from sweepyard.search.points import tally
from sweepyard.search.registry import is_costly, points_of, searcher_of
from sweepyard.search.space import Space
from sweepyard.sweepfile import SweepFile

SAMPLES = 5
MOST_DIGITS = 1000
"""Of a number in JSON: its readers refuse longer ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """All that can be said of a sweep file. `size`: how many points there are, None if they cannot be counted."""

    spec: Spec
    size: int | None
    lines: list[Line]
    differences: list[str]
    sample: list[Params]
    seed: int

    @classmethod
    def of(cls, spec: Spec, *, samples: int = SAMPLES, seed: int | None = None) -> Outline:
        """The outline of `spec`. `seed` wins over that of the file; without either it is 0.

        Where a method learns from results, the sample is of random search.
        """
        seed = seed if seed is not None else spec.seed or 0
        method = "random" if is_costly(spec.method) else spec.method
        searcher = searcher_of(spec.data, spec.objective, seed, method)
        return cls(
            spec=spec,
            size=points_of(spec.data),
            lines=outline(Space.of(spec.data)),
            differences=differences(spec.data),
            sample=[suggestion.params for suggestion in searcher.suggest([], [], samples)],
            seed=seed,
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": True,
            "method": self.spec.method,
            "repeat": None if (repeat := Repeat.of(self.spec.data)) is None else asdict(repeat),
            "size": None if self.size is None or self.size >= 10**MOST_DIGITS else self.size,
            "parameters": [asdict(line) for line in self.lines],
            "notes": list(self.spec.notes),
            "differences": self.differences,
            "seed": self.seed,
            "sample": self.sample,
        }

    def as_text(self) -> str:
        """For a terminal of any width, and for a pipe."""
        size = "continuous space" if self.size is None else f"{tally(self.size)} points"
        repeat = Repeat.of(self.spec.data)
        times = (
            f", each {repeat.times} times ({repeat.objective} over {repeat.seed} 0 to {repeat.times - 1})"
            if repeat
            else ""
        )
        parts = [f"{self.spec.method} search, {size}{times}", *_columns(self.lines)]
        parts += [f"note: {note}" for note in self.spec.notes]
        parts += [f"unlike W&B: {difference}" for difference in self.differences]
        if self.sample:
            random = " of random search" if is_costly(self.spec.method) else ""
            parts.append(f"first points{random} with seed {self.seed}:")
            parts += [f"  {dumps(params)}" for params in self.sample]
        return "\n".join(parts)


def would_create(source: SweepFile, spec: Spec) -> str:
    """What creating a sweep from this file would make, in words: a sweep, and the command of its first run."""
    name = f" '{spec.name}'" if spec.name else ""
    cap = "" if spec.run_cap is None else f" of up to {spec.run_cap} runs"
    lines = [f"would create sweep{name} in {spec.entity}/{spec.project}{cap}; nothing was created"]
    template = tuple(spec.data.get("command") or DEFAULT)
    first, repeat = Outline.of(spec, samples=1).sample[0], Repeat.of(spec.data)
    first = repeat.params(first, 0) if repeat else first
    if not any("${args_json_file}" in item for item in template):
        command = Command(template=template, program=None if source.program is None else str(source.program))
        argv = command.expand(first, json_file=Path(), environ=os.environ)
        lines.append(f"a run would be: {shlex.join(redact_words(argv))}")
    if template_of_names := spec.data.get("run_name"):
        lines.append(f"and its name: {run_name(template_of_names, 1, first)}")
    return "\n".join(lines)


def _range(line: Line) -> str:
    return f"{line.range}   when {line.when}" if line.when else line.range


def _columns(lines: list[Line]) -> list[str]:
    """The lines in columns as wide as they need."""
    cells = [
        (line.name, line.kind, "continuous" if line.count is None else f"{line.count:,}", _range(line))
        for line in lines
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  " + "  ".join(map(str.ljust, cell, widths)).rstrip() for cell in cells]
