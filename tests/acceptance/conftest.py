"""Folders for commands: a fresh one for each test, or one with a service. Nothing runs in them afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance.commands import Place, created


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.clear()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, str]]:
    """A folder with a service, and the id of its sweep, which its tests leave as it is."""
    place = Place(tmp_path_factory.mktemp("served"))
    yield place, created(place)
    place.clear()
