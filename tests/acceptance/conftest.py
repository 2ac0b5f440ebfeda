"""Folders for commands: a fresh one for each test, or one with a service. Nothing runs in them afterwards.

Commands are forked from a process that has imported them, but for tests marked `cold`: those are about what
a user's shell starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance.commands import Place, created
from acceptance.nursery import Nursery


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    is_cold = request.node.get_closest_marker("cold")
    place = Place(tmp_path) if is_cold else Place(tmp_path, request.getfixturevalue("nursery").popen)
    yield place
    place.clear()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Iterator[tuple[Place, str]]:
    """A folder with a service, and the id of its sweep, which its tests leave as it is."""
    place = Place(tmp_path_factory.mktemp("served"), nursery.popen)
    yield place, created(place)
    place.clear()
