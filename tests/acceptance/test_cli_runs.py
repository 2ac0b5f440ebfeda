"""`sweepyard runs`: the list, and the page of one run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from acceptance.commands import Place
from acceptance.nursery import Nursery

FAILS = """
import sweepyard
sweepyard.init()
sweepyard.log({"loss": 1.0})
raise ValueError(f"no such layer: {sweepyard.config.steps}")
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Iterator[tuple[Place, str]]:
    """A folder with a service, and the id of its sweep, which has ended: its runs have failed."""
    place = Place(tmp_path_factory.mktemp("ended"), nursery.popen)
    file = place.write_sweep(runs=2)
    (place.path / "train.py").write_text(FAILS)
    done = place.run("run", file, "--workers", 1)
    assert done.returncode == 3, done.stdout + done.stderr
    (sweep,) = place.json("status")
    yield place, sweep["id"]
    place.clear()


def test_a_run_that_raises_is_failed_and_its_traceback_is_shown_while_the_sweep_goes_on(
    ended: tuple[Place, str],
) -> None:
    place, sweep_id = ended
    listed = place.run("runs", sweep_id).stdout
    assert listed.count("ValueError: no such layer: 3") == 2
    page = place.run("runs", sweep_id, "#2").stdout
    for words in ("run 2", "failed", "random draw 2", "Traceback (most recent call last)", "train.py", "line 5"):
        assert words in page
    (attempt,) = place.json("runs", sweep_id, 2)["attempts"]
    assert (attempt["outcome"], attempt["exit_code"]) == ("failed", 1)


def test_a_run_that_is_not_there_is_the_users_mistake(ended: tuple[Place, str]) -> None:
    place, sweep_id = ended
    missing = place.run("runs", sweep_id, 7)
    assert missing.returncode == 2
    assert missing.stderr == f"sweepyard: Sweep {sweep_id} has no run '7'. Give a run's number or its id.\n"
