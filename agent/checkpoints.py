"""Where a run keeps what it needs to go on: one directory for each attempt, under a root that agents may share.

    ROOT/SWEEP/RUN/2-AGENT/         what attempt 2, executed by AGENT, has saved; nobody else writes there
    ROOT/SWEEP/RUN/2-AGENT.part/    a copy in the making; never read
    ROOT/SWEEP/RUN/ended            the run is over, since this file was written

An attempt begins with a copy of what the one before it has left, real bytes and no links: whatever an attempt that
was given up still writes, it writes into its own directory. A directory is there whole or not at all: it is copied
under another name, flushed to disk, and renamed. What lies in it is as whole as the user's code has left it: save
under a second name, then `os.replace`.

Standard library only: the training process imports it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from sweepyard.errors import UserError

DIRECTORY = "SWEEPYARD_CHECKPOINT_DIR"
"""The variable that names a run's directory to its process."""
PARENT = "SWEEPYARD_CHECKPOINT_FROM"
"""The variable that names the folder of the run whose checkpoint is the start of this one."""
ENDED = "ended"
UNFINISHED = ".part"
TRIES = 5


def environment(
    root: Path, *, sweep: str, run: str, attempt: int, agent: str, parent: str | None
) -> dict[str, str]:
    """What the process of an attempt finds in its environment. `parent`: the run that it goes on from."""
    found = {DIRECTORY: str(root / sweep / run / f"{attempt}-{agent}")}
    return found if parent is None else found | {PARENT: str(root / sweep / parent)}


def begin(environ: Mapping[str, str]) -> None:
    """Make the directory that the environment names, with what the run's last attempt, or its parent, has left.

    Raises:
        UserError: it goes on from a run that has left nothing here.
        OSError: the disk does not take it.
    """
    if not environ.get(DIRECTORY):
        return
    for left in reversed(range(TRIES)):
        try:
            return _begin(Path(environ[DIRECTORY]), environ)
        except (shutil.Error, FileNotFoundError):
            # Other agents remove what they have done with, and an attempt that was given up, but does not know it
            # yet, replaces files meanwhile.
            if not left:
                raise


def _begin(directory: Path, environ: Mapping[str, str]) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    (directory.parent / ENDED).unlink(missing_ok=True)
    source = newest(directory.parent, before=_attempt(directory)) or _of_parent(environ)
    if source is None:
        directory.mkdir(exist_ok=True)
    elif not directory.exists():
        _copy(source, directory)
    for path in _attempts(directory.parent):
        # One of the same attempt may be another agent's that was offered it, too: not ours to judge.
        if path != source and _attempt(path) < _attempt(directory):
            shutil.rmtree(path, ignore_errors=True)


def newest(run_folder: Path, *, before: int | None = None) -> Path | None:
    """What the last attempt of a run (`before` that number) has left; None if there is nothing in it."""
    whole = [path for path in _attempts(run_folder) if not path.name.endswith(UNFINISHED) and _listed(path)]
    found = [path for path in whole if before is None or _attempt(path) < before]
    return max(found, key=lambda path: (_attempt(path), path.stat().st_mtime), default=None)


def end(directory: Path, keep_s: float) -> None:
    """The run of this attempt is over: its last directory stays for `keep_s`, unless it is empty."""
    folder = directory.parent
    for path in _attempts(folder):
        if path != directory:
            shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        directory.rmdir()  # if it is empty
    with contextlib.suppress(OSError):
        if keep_s <= 0 or not directory.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.parent.rmdir()
        else:
            (folder / ENDED).touch()


def clean(root: Path, keep_s: float, now: float) -> None:
    """Remove what runs have left that ended more than `keep_s` before `now`. A run that goes on loses nothing."""
    for sweep_folder in _listed(root):
        for run_folder in _listed(sweep_folder):
            with contextlib.suppress(OSError):
                if now - (run_folder / ENDED).stat().st_mtime > keep_s:
                    shutil.rmtree(run_folder, ignore_errors=True)
                    sweep_folder.rmdir()


def checkpoint_dir() -> Path:
    """A directory that outlives this process: what a run saves here, its next attempt finds here.

    An attempt that follows one that was lost, preempted or paused begins with a copy of what that one had saved,
    if it runs on the same machine or both see the same `SWEEPYARD_CHECKPOINT_ROOT`; else the directory is empty.
    Save under a second name and `os.replace` it: the process may be killed while it writes. Commands find the path
    in the variable SWEEPYARD_CHECKPOINT_DIR. In a dry run it is a temporary directory.
    """
    named = os.environ.get(DIRECTORY)
    return Path(named) if named else Path(_temporary().name)


@cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="sweepyard-dry-run-")


def _of_parent(environ: Mapping[str, str]) -> Path | None:
    if not environ.get(PARENT):
        return None
    folder = Path(environ[PARENT])
    source = newest(folder)
    if source is None:
        raise UserError(
            f"This run goes on from run {folder.name}, which has left no checkpoint in {folder}. Its code must "
            "save to sweepyard.checkpoint_dir(), and agents on several machines need one "
            "SWEEPYARD_CHECKPOINT_ROOT that all of them see."
        )
    return source


def _copy(source: Path, target: Path) -> None:
    draft = target.with_name(target.name + UNFINISHED)
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(source, draft, symlinks=True, copy_function=_copy_file)
    draft.rename(target)


def _copy_file(source: str, target: str) -> None:
    shutil.copy2(source, target, follow_symlinks=False)
    if not os.path.islink(target):
        with open(target, "rb") as file:
            os.fsync(file.fileno())


def _attempts(run_folder: Path) -> list[Path]:
    return [path for path in _listed(run_folder) if path.is_dir() and _attempt(path)]


def _listed(folder: Path) -> list[Path]:
    """What is in a folder. Other agents remove what they have done with, at any moment: then nothing is."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _attempt(directory: Path) -> int:
    number = directory.name.partition("-")[0]
    return int(number) if number.isdecimal() else 0
