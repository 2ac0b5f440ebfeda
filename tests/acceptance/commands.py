"""A folder in which to run the real commands, and a look at which processes live there."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from sweepyard.clock import wait_until

DEADLINE_S = 60.0

TRAIN = """
import time
import sweepyard

sweepyard.init()
for step in range(sweepyard.config.steps):
    sweepyard.log({"loss": sweepyard.config.x / (step + 1)})
    time.sleep(sweepyard.config.pause_s)
sweepyard.finish()
"""

SWEEP = """
name: quick
project: tests
program: train.py
method: random
metric: {{name: loss, goal: minimize}}
run_cap: {runs}
parameters:
  x: {{min: 1.0, max: 2.0}}
  steps: {{value: {steps}}}
  pause_s: {{value: {pause_s}}}
"""


class Started:
    """A command that runs, and what it has printed so far."""

    def __init__(self, process: Any) -> None:
        self.process = process
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, words: str) -> None:
        """Wait until it has printed `words`."""
        wait_until(lambda: words in self.text or not self._reader.is_alive(), DEADLINE_S)
        assert words in self.text, self.text

    def end(self) -> int:
        """Wait for its end: the exit code."""
        code = self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return code

    def abandon(self) -> None:
        """Kill it if it still runs: whatever it has started must end by itself."""
        self.process.kill()
        self.end()

    def _read(self) -> None:
        with self.process.stdout as output:
            for line in output:
                self.text += line


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that is the current one of every command, with its own `.sweepyard`.

    `popen` starts them: from cold, or as `nursery.Nursery` does.
    """

    path: Path
    popen: Callable[..., Any] = subprocess.Popen
    started: list[Started] = field(default_factory=list)

    def write_sweep(self, folder: str = ".", *, runs: int = 4, steps: int = 3, pause_s: float = 0.0) -> Path:
        """A sweep file in `folder` with its program beside it: its path from here."""
        (self.path / folder).mkdir(exist_ok=True)
        (self.path / folder / "train.py").write_text(TRAIN)
        file = self.path / folder / "sweep.yaml"
        file.write_text(SWEEP.format(runs=runs, steps=steps, pause_s=pause_s))
        return file.relative_to(self.path)

    def run(self, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `sweepyard ...` to its end."""
        # Files, not pipes: nobody reads while it runs.
        with TemporaryFile("w+", errors="replace") as out, TemporaryFile("w+", errors="replace") as err:
            argv = _argv(words)
            process = self.popen(
                argv,
                cwd=self.path,
                env=_environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
            try:
                code = process.wait(DEADLINE_S)
            finally:
                process.kill()
            return subprocess.CompletedProcess(argv, code, _said(out), _said(err))

    def start(self, *words: object, **environment: str) -> Started:
        """Start `sweepyard ...`."""
        process = self.popen(
            _argv(words),
            cwd=self.path,
            env=_environment(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.started.append(Started(process))
        return self.started[-1]

    def json(self, *words: object, **environment: str) -> object:
        done = self.run(*words, "--json", **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def living(self, words: str = "") -> list[int]:
        """Processes whose current folder is in this one and whose command line has `words`."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                folder, argv = (entry / "cwd").readlink(), (entry / "cmdline").read_text()
                if folder.is_relative_to(self.path) and words in argv.replace("\0", " "):
                    found.append(int(entry.name))
        return found

    def clear(self) -> None:
        """End whatever still runs here, the service first, so that it takes its Redis along."""
        for started in self.started:
            started.abandon()
        for pid in self.living("sweepyard serve") or self.living():
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not self.living(), 10)
        for pid in self.living():
            os.kill(pid, signal.SIGKILL)


def created(place: Place) -> str:
    """The id of a new sweep there."""
    done = place.run("sweep", place.write_sweep())
    found = re.search(r"^Created sweep ([a-z0-9]{8}) ", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    return found[1]


def _said(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _argv(words: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-m", "sweepyard", *map(str, words)]


def _environment(more: dict[str, str]) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SWEEPYARD_")}
    return ours | more
