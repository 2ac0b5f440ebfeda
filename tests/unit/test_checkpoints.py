"""What one attempt has saved is where the next begins, and nobody else can spoil it."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sweepyard.agent import checkpoints
from sweepyard.errors import UserError

DAY_S = 86_400.0


def begin(root: Path, attempt: int, agent: str = "a", run: str = "run1", parent: str | None = None) -> Path:
    environ = checkpoints.environment(root, sweep="sweep", run=run, attempt=attempt, agent=agent, parent=parent)
    checkpoints.begin(environ)
    return Path(environ[checkpoints.DIRECTORY])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_attempt_begins_with_what_the_last_one_has_left(tmp_path: Path) -> None:
    first = begin(tmp_path, 1)
    (first / "deep").mkdir()
    (first / "deep" / "model").write_text("one")
    (first / "latest").symlink_to("deep/model")
    second = begin(tmp_path, 2, "b")
    assert (second / "latest").read_text() == "one"
    (second / "deep" / "model").write_text("two")
    third = begin(tmp_path, 3)
    assert (third / "latest").read_text() == "two"
    assert names(third.parent) == ["2-b", "3-a"]


def test_an_attempt_that_was_given_up_writes_only_into_its_own(tmp_path: Path) -> None:
    zombie = begin(tmp_path, 1)
    (zombie / "model").write_text("good")
    with (zombie / "model").open("r+") as file:
        heir = begin(tmp_path, 2, "b")
        file.write("EVIL")
    (zombie / "model").write_text("worse")
    assert (heir / "model").read_text() == "good"


def test_an_attempt_that_has_saved_nothing_hides_nothing(tmp_path: Path) -> None:
    (begin(tmp_path, 1) / "model").write_text("one")
    (begin(tmp_path, 2) / "model").unlink()
    assert (begin(tmp_path, 3) / "model").read_text() == "one"


def test_a_copy_that_was_cut_short_is_never_read(tmp_path: Path) -> None:
    first = begin(tmp_path, 1)
    for n in range(20):
        (first / f"part{n}").write_text(str(n))
    torn = first.with_name("2-a.part")
    torn.mkdir()
    (torn / "part0").write_text("torn")
    for attempt in (2, 3):
        assert len(names(begin(tmp_path, attempt))) == 20
    assert "2-a.part" not in names(first.parent)


def test_an_attempt_that_two_agents_were_offered_spoils_neither(tmp_path: Path) -> None:
    (begin(tmp_path, 1) / "model").write_text("one")
    one, other = begin(tmp_path, 2, "b"), begin(tmp_path, 2, "c")
    (one / "model").write_text("mine")
    assert (other / "model").read_text() == "one"


def test_a_killed_copy_leaves_the_run_as_it_was(tmp_path: Path) -> None:
    first = begin(tmp_path, 1)
    (first / "model").write_bytes(os.urandom(1000))
    code = (
        "import os, shutil, sys; from sweepyard.agent import checkpoints\n"
        "checkpoints._copy_file = lambda source, target: os._exit(9)\n"
        "checkpoints.begin(os.environ)"
    )
    environ = checkpoints.environment(tmp_path, sweep="sweep", run="run1", attempt=2, agent="b", parent=None)
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **environ}, check=False)
    assert done.returncode == 9
    assert (begin(tmp_path, 2, "b") / "model").read_bytes() == (first / "model").read_bytes()


def test_a_run_goes_on_from_its_parent_and_then_from_itself(tmp_path: Path) -> None:
    (begin(tmp_path, 1, run="mother") / "model").write_text("mother's")
    child = begin(tmp_path, 1, run="child", parent="mother")
    assert (child / "model").read_text() == "mother's"
    (child / "model").write_text("own")
    assert (begin(tmp_path, 2, run="child", parent="mother") / "model").read_text() == "own"


def test_a_parent_that_has_left_nothing_here_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="goes on from run mother, which has left no checkpoint"):
        begin(tmp_path, 1, run="child", parent="mother")


def test_what_ended_runs_have_left_is_removed_in_time(tmp_path: Path) -> None:
    kept, empty, going_on = begin(tmp_path, 1), begin(tmp_path, 1, run="run2"), begin(tmp_path, 1, run="run3")
    (kept / "model").write_text("one")
    checkpoints.end(kept, DAY_S)
    checkpoints.end(empty, DAY_S)
    assert names(tmp_path / "sweep") == ["run1", "run3"]
    ended_at = (kept.parent / checkpoints.ENDED).stat().st_mtime
    checkpoints.clean(tmp_path, DAY_S, ended_at + DAY_S - 1)
    assert kept.exists()
    checkpoints.clean(tmp_path, DAY_S, ended_at + DAY_S + 1)
    assert names(tmp_path / "sweep") == ["run3"]
    assert going_on.exists()


def test_an_ended_run_that_is_tried_again_is_kept(tmp_path: Path) -> None:
    first = begin(tmp_path, 1)
    (first / "model").write_text("one")
    checkpoints.end(first, DAY_S)
    again = begin(tmp_path, 2)
    checkpoints.clean(tmp_path, 0.0, first.stat().st_mtime + 99 * DAY_S)
    assert (again / "model").read_text() == "one"


def test_agents_that_share_a_folder_do_not_trip_over_each_other(tmp_path: Path) -> None:
    """Runs begin and end beside each other, and each agent cleans for all."""

    def work(agent: str) -> None:
        for n in range(150):
            directory = begin(tmp_path, 1, agent, run=f"{agent}{n}")
            (directory / "model").write_text("one")
            checkpoints.end(directory, 0.0)
            checkpoints.clean(tmp_path, 0.0, n * DAY_S)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, "abc"))
    assert names(tmp_path) == []


def test_outside_of_a_sweep_it_is_a_temporary_directory() -> None:
    code = "import sweepyard; a = sweepyard.checkpoint_dir(); assert a == sweepyard.checkpoint_dir(); print(a)"
    environ = {name: value for name, value in os.environ.items() if name != checkpoints.DIRECTORY}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert "dry-run" in done.stdout
    assert not Path(done.stdout.strip()).exists()
