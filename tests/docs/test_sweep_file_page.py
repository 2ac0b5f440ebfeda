"""docs/sweep-file.md: every example on it is a sweep file that can be read, and every name is on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sweepyard.controller.spec import read_spec
from sweepyard.controller.specmodel import DISTRIBUTIONS, SweepFile
from sweepyard.controller.yamlfile import load
from sweepyard.lint import Outline
from sweepyard.search.registry import METHODS

PAGE = (Path(__file__).parents[2] / "docs" / "sweep-file.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
FILLING: dict[str, Any] = {"method": "random", "parameters": {"x": {"min": 1, "max": 8}}}


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_sweep(example: str) -> None:
    assert Outline.of(read_spec(FILLING | load(example).value)).sample


@pytest.mark.parametrize("name", [*SweepFile.model_fields, *METHODS, *DISTRIBUTIONS])
def test_every_name_is_on_the_page(name: str) -> None:
    inferred = {"constant": "value", "categorical": "values", "categorical_w_probabilities": "probabilities"}
    assert f"`{inferred.get(name, name)}" in PAGE
