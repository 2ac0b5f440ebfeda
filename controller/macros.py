"""What may stand in `command` as `${...}`. Agents expand it; here it is only checked, before any run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from typing import Any

from sweepyard.controller.spelling import show, suggest
from sweepyard.wording import shorten

LISTS = (
    "args",
    "args_no_boolean_flags",
    "args_no_hyphens",
    "args_no_equals",
    "args_append_hydra",
    "args_override_hydra",
)
"""Macros that become several arguments."""

MACROS = ("env", "interpreter", "program", *LISTS, "args_json", "args_json_file")
"""All macros, besides `${envvar:NAME}` and the names of parameters. `$${x}` stands for a literal `${x}`."""

MACRO = re.compile(r"(\$?)\$\{([^{}]*)\}")


def macro_mistakes(command: list[Any], names: Set[str]) -> Iterator[tuple[int, str]]:
    """Each use of a macro that no agent could expand: the item's index, and a sentence.

    `names`: the sweep's parameters, nested ones by their dotted path.
    """
    for index, item in enumerate(command):
        for escaped, macro in MACRO.findall(item) if isinstance(item, str) else ():
            if not escaped and (sentence := _mistake(macro, item, names)):
                yield index, sentence


def _mistake(macro: str, item: str, names: Set[str]) -> str | None:
    if macro in LISTS and item != f"${{{macro}}}":
        return f"${{{macro}}} becomes several arguments: give it an item of its own"
    if macro in MACROS or macro in names or macro.startswith("envvar:"):
        return None
    unknown = f"no macro and no parameter is called {show(macro)}{suggest(macro, MACROS)}"
    return f"{unknown}; a literal ${{{shorten(macro)}}} is written $${{...}}"
