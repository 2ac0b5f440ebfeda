"""docs/sweep-file.md: its tables are those of the models, every example on it is a sweep, and every name is on it.

To write the tables anew: make docs.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sweepyard.controller.spec import read_spec
from sweepyard.controller.specmodel import (
    DISTRIBUTIONS,
    Budget,
    Metric,
    OneOfMetrics,
    Part,
    Repeat,
    Retry,
    SweepFile,
)
from sweepyard.controller.stopmodel import RULES
from sweepyard.controller.yamlfile import load
from sweepyard.lint import Outline
from sweepyard.search.registry import METHODS

FILE = Path(__file__).parents[2] / "docs" / "sweep-file.md"
PAGE = FILE.read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
FILLING: dict[str, Any] = {"method": "random", "parameters": {"x": {"min": 1, "max": 8}}}
TABLES: Mapping[str, type[Part]] = {
    "keys": SweepFile,
    "metric": Metric,
    "repeat": Repeat,
    "budget": Budget,
    "retry": Retry,
}
ANYWHERE = {"type", "resource", "nan", "dry_run"}
"""Keys of every rule of early termination."""


def written(page: str) -> str:
    """The page with its tables replaced by those of the models."""
    for name, model in TABLES.items():
        page = _put(page, name, _table(model))
    return _put(page, "rules", _rules())


def _put(page: str, name: str, table: str) -> str:
    before, begin, rest = page.partition(f"<!-- {name} -->\n")
    assert begin, f"the page has no place for the table of {name}"
    return f"{before}{begin}{table}<!-- end -->{rest.partition('<!-- end -->')[2]}"


def _table(model: type[Part]) -> str:
    rows = ["| key | meaning | default |", "| --- | --- | --- |"]
    meanings = _meanings(model)
    for key, field in model.model_fields.items():
        meaning, _, said = meanings[key].partition("; default: ")
        default = said or (
            "required" if field.is_required() else _shown(field.get_default(call_default_factory=True))
        )
        rows.append(f"| `{key}` | {meaning} | {default} |")
    return "\n".join(rows) + "\n"


def _meanings(model: type[Part]) -> Mapping[str, str]:
    """What stands below each field. (pydantic could keep it; then every start would read its own source.)"""
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for each in model.__mro__[model.__mro__.index(Part) :: -1]
        for field, text in itertools.pairwise(ast.parse(inspect.getsource(each)).body[0].body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def _rules() -> str:
    rows = ["| `type` | keys, with their defaults |", "| --- | --- |"]
    for name, model in RULES.items():
        own = {key: field for key, field in model.model_fields.items() if key not in ANYWHERE}
        keys = [
            f"`{key}`" if field.is_required() or field.default is None else f"`{key}: {_plain(field.default)}`"
            for key, field in own.items()
        ]
        rows.append(f"| `{name}` | {', '.join(keys) or 'none'} |")
    return "\n".join(rows) + "\n"


def _shown(default: Any) -> str:
    return "none" if default is None else f"`{_plain(default)}`"


def _plain(default: Any) -> str:
    return json.dumps(default).replace('"', "")


def test_the_page_holds_the_tables() -> None:
    assert written(PAGE) == PAGE, "run: make docs"


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_sweep(example: str) -> None:
    assert Outline.of(read_spec(FILLING | load(example).value)).sample


@pytest.mark.parametrize("name", [*METHODS, *DISTRIBUTIONS])
def test_every_name_is_on_the_page(name: str) -> None:
    inferred = {"constant": "value", "categorical": "values", "categorical_w_probabilities": "probabilities"}
    assert f"`{inferred.get(name, name)}" in PAGE


def _keys_shown(value: Any) -> set[str]:
    if isinstance(value, dict):
        return value.keys() | {key for inner in value.values() for key in _keys_shown(inner)}
    return {key for inner in value for key in _keys_shown(inner)} if isinstance(value, list) else set()


def test_every_key_has_an_example() -> None:
    shown = {key for example in EXAMPLES for key in _keys_shown(load(example).value)}
    models = [SweepFile, Metric, OneOfMetrics, Repeat, Budget, Retry, *RULES.values(), *DISTRIBUTIONS.values()]
    assert {key for model in models for key in model.model_fields} - shown == set()
    text = "".join(EXAMPLES)
    inferred = {"constant", "categorical", "categorical_w_probabilities"}
    assert {name for name in DISTRIBUTIONS if f"distribution: {name}" not in text} <= inferred
    assert {name for name in METHODS if f"method: {name}" not in text} == set()
    assert {name for name in RULES if f"type: {name}" not in text} == set()


if __name__ == "__main__":
    FILE.write_text(written(PAGE))
    sys.stdout.write(f"{FILE.name} written\n")
