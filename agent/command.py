"""From a sweep file's `command` to the argv of one run. Lists only: no shell ever sees a value."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweepyard.errors import UserError

DEFAULT = ("${env}", "${interpreter}", "${program}", "${args}")

MACRO = re.compile(r"(\$?)\$\{([^{}]*)\}")

LISTS: Mapping[str, Callable[[str, Any], list[str]]] = {
    "args": lambda key, value: [f"--{key}={value}"],
    "args_no_boolean_flags": lambda key, value: _flag(key, value),
    "args_no_hyphens": lambda key, value: [f"{key}={value}"],
    "args_no_equals": lambda key, value: [f"--{key}", str(value)],
    "args_append_hydra": lambda key, value: [f"+{key}={value}"],
    "args_override_hydra": lambda key, value: [f"++{key}={value}"],
}
"""Macros that become several arguments, one or two for each parameter."""

SCALARS = ("env", "interpreter", "program", "args_json", "args_json_file")
KNOWN = (*SCALARS, *LISTS, "envvar:NAME")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command template. `${interpreter}` is the Python that the agent itself runs on.

    An element that is one list macro, such as `${args}`, becomes as many arguments as it takes; every other macro,
    and `${param}` or `${group.param}`, is replaced anywhere in an element; `$${x}` stands for a literal `${x}`.
    Parameters come in alphabetical order, formatted with `str`.
    """

    template: Sequence[str] = DEFAULT
    program: str | None = None

    @property
    def needs_program(self) -> bool:
        return any("${program}" in element for element in self.template)

    def check(self, environ: Mapping[str, str]) -> None:
        """Find what can be found wrong before any run.

        Raises:
            UserError: no program, or its file does not exist; an environment variable is not set.
        """
        if self.needs_program and not self.program:
            raise UserError(
                "The sweep names no program to run. Add `program: train.py` to its file, or start the agent with "
                "--program FILE or --function module:callable."
            )
        if self.needs_program and not Path(str(self.program)).is_file():
            raise UserError(f"The program '{self.program}' does not exist in {Path.cwd()}, where this agent runs.")
        for element in self.template:
            for escaped, name in MACRO.findall(element):
                if name.startswith("envvar:") and not escaped:
                    _envvar(name, environ)

    def expand(self, params: Mapping[str, Any], *, json_file: Path, environ: Mapping[str, str]) -> list[str]:
        """The argv of one run. `json_file` is written if the template has `${args_json_file}`.

        Raises:
            UserError: an unknown macro, a list macro inside a longer element, an environment variable that is not
                set, or a value with a NUL character, which no argument can carry.
        """
        argv: list[str] = []
        for element in self.template:
            whole = MACRO.fullmatch(element)
            if whole and not whole[1] and whole[2] in LISTS:
                format_one = LISTS[whole[2]]
                argv += [item for key in sorted(params) for item in format_one(key, params[key])]
            else:
                argv.append(MACRO.sub(lambda match: self._one(match, params, json_file, environ), element))
        for item in argv:
            if "\0" in item:
                raise UserError(
                    f"command: the argument {item!r} holds a NUL character: no program can receive it."
                )
        return argv

    def _one(
        self, match: re.Match[str], params: Mapping[str, Any], json_file: Path, environ: Mapping[str, str]
    ) -> str:
        escaped, name = match.groups()
        if escaped:
            return match[0][1:]
        if name.startswith("envvar:"):
            return _envvar(name, environ)
        if name == "args_json_file":
            json_file.write_text(_json(params))
            return str(json_file)
        simple = {"env": "/usr/bin/env", "interpreter": sys.executable, "program": self.program or ""}
        if name in simple:
            return simple[name]
        return _json(params) if name == "args_json" else _param(name, params)


def _flag(key: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{key}"] if value else []
    return [f"--{key}={value}"]


def _json(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)


def _envvar(macro: str, environ: Mapping[str, str]) -> str:
    name = macro.removeprefix("envvar:")
    if name not in environ:
        raise UserError(f"command: ${{{macro}}}: this agent's environment has no variable '{name}'.")
    return environ[name]


def _param(name: str, params: Mapping[str, Any]) -> str:
    """A parameter by its name, or by its path through nested groups. A name may itself hold dots."""
    if name in params:
        return str(params[name])
    found: Any = params
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise UserError(_unknown(name, params))
        found = found[part]
    return str(found)


def _unknown(name: str, params: Mapping[str, Any]) -> str:
    if name in LISTS:
        return f"command: ${{{name}}} becomes several arguments, so it must stand alone in its element."
    known = ", ".join(f"${{{macro}}}" for macro in KNOWN)
    return (
        f"command: unknown macro ${{{name}}}. Known are {known}, and this sweep's parameters: "
        f"{', '.join(sorted(params)) or 'none'}. Write $${{{name}}} if it is meant literally."
    )
