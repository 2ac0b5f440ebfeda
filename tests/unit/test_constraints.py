"""`constraints.txt` has one version of each package that `make install` asks for. `make newest` writes it."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def test_there_is_one_version_of_each_and_it_is_one_that_we_want() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines)
    versions = {canonicalize_name(name): version for name, version in pins.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for wish in map(Requirement, project["dependencies"] + project["optional-dependencies"]["dev"]):
        version = versions[canonicalize_name(wish.name)]
        assert wish.specifier.contains(version), f"{wish} is not {version}: make newest"
