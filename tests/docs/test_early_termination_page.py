"""docs/early-termination.md: its examples can be read, and every rule is on it with all its keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sweepyard.controller.spec import read_spec
from sweepyard.controller.stopmodel import RULES
from sweepyard.controller.yamlfile import load

PAGE = (Path(__file__).parents[2] / "docs" / "early-termination.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
CHOICES = re.findall(r"^\| .* \| `(\{type.*\})` \|$", PAGE, re.MULTILINE)
FILLING: dict[str, Any] = {
    "method": "random",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"x": {"min": 1, "max": 8}},
}


@pytest.mark.parametrize("example", [*EXAMPLES, *(f"early_terminate: {choice}" for choice in CHOICES)])
def test_every_example_can_be_read(example: str) -> None:
    assert read_spec(FILLING | load(example).value).data["early_terminate"]


def test_there_are_choices() -> None:
    assert len(CHOICES) == 8


@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_there_with_its_keys_and_defaults(name: str) -> None:
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    for key, field in RULES[name].model_fields.items():
        if key in ("type", "resource", "nan", "dry_run"):
            assert f"`{key}" in PAGE
        else:
            assert f"`{key}`" in line
            if isinstance(field.default, int | float):
                assert f"`{key}` ({str(field.default).lower()})" in line
