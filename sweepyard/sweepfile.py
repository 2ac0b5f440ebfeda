"""A sweep file on this machine: its text, what it says, and where its program is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sweepyard.agent.command import DEFAULT, Command
from sweepyard.controller.spec import Spec, read_spec
from sweepyard.controller.yamlfile import read_text
from sweepyard.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFile:
    """`program` is the file that an agent in the current folder would run: the one beside the sweep file if it is
    there, else the path as the sweep file gives it, or None."""

    path: Path
    text: str
    spec: Spec
    program: Path | None

    @classmethod
    def read(cls, path: Path, *, lenient: bool = False) -> SweepFile:
        """Read and check a file. `lenient` makes unknown keys notes.

        Raises:
            UserError: it cannot be read.
            SpecError: it is no sweep that can run.
        """
        text = read_text(path)
        spec = read_spec(text, name=str(path), lenient=lenient)
        named = spec.data.get("program")
        beside = path.parent / named if named else None
        program = beside if beside is not None and beside.is_file() else Path(named) if named else None
        return cls(path=path, text=text, spec=spec, program=program)

    @property
    def agent_options(self) -> list[str]:
        """What an agent must be told beyond the sweep to find the program from the current folder."""
        is_told = self.program is None or str(self.program) == self.spec.data["program"]
        return [] if is_told else ["--program", str(self.program)]

    def check_command(self) -> None:
        """Find out whether agents in the current folder could start runs.

        Raises:
            UserError: no program, or its file does not exist; an environment variable is not set.
        """
        template = self.spec.data.get("command") or DEFAULT
        program = None if self.program is None else str(self.program)
        try:
            Command(template=template, program=program).check(os.environ)
        except UserError as error:
            raise UserError(f"{self.path}: {error}") from None
