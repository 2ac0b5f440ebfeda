"""Every error that sweepyard raises on purpose.

    SweepyardError                something we can explain
    ├── UserError                 the caller's mistake; the commands exit with code 2
    │   ├── SpecError             a sweep file or sweep dict that cannot run
    │   ├── NotFound              no such sweep or run
    │   ├── Conflict              a verb that the present state does not allow
    │   └── Unauthorized          API key missing or wrong
    ├── Unavailable               service, Redis or store cannot be reached; the commands exit with code 1
    ├── IllegalTransition         a state change that no lifecycle table holds: a bug in us
    └── Fenced                    another controller has taken this store over

    RunStopped (BaseException)    raised inside a training function whose run was told to stop

A message says what happened, where, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class SweepyardError(Exception):
    """Something that we can explain. `exit_code` is what a command ends with."""

    exit_code = 1


class UserError(SweepyardError):
    """The caller's mistake: the message says what to change."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a sweep file. `line` and `column` count from 1; 0: unknown."""

    path: str
    message: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}: " if self.line else ""
        return f"{where}{self.path + ': ' if self.path else ''}{self.message}"


class SpecError(UserError):
    """A sweep file or dict that cannot run: all its problems at once."""

    def __init__(self, problems: Sequence[Problem], *, source: str = "sweep config") -> None:
        self.problems = tuple(problems)
        self.source = source
        lines = [f"{source}: {problem}" for problem in self.problems]
        super().__init__("\n".join(lines))


class NotFound(UserError):
    """No such sweep or run."""


class Conflict(UserError):
    """The present state does not allow this verb."""


class Unauthorized(UserError):
    """The API key is missing or wrong."""


class Unavailable(SweepyardError):
    """The service, Redis or the store cannot be reached."""


class IllegalTransition(SweepyardError):
    """A state change that no lifecycle table holds."""


class Fenced(SweepyardError):
    """Another controller has taken this store over; this one must end."""


class RunStopped(BaseException):
    """Raised inside a training function whose run was told to stop.

    Not an `Exception`, so that `except Exception` in a training loop does not swallow it.
    """
