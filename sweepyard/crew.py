"""The processes of one `sweepyard run`: its agents, and the service if nobody else runs one.

Each lives in a session of its own, so that Ctrl-C reaches only the command, which then ends them in order. All
hold the read end of one pipe, the lifeline: should the command be killed, they see its end and leave.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sweepyard.agent.rundir import tail
from sweepyard.client import Client
from sweepyard.clock import wait_until
from sweepyard.errors import SweepyardError, Unavailable
from sweepyard.local import ensure_service
from sweepyard.settings import Settings

MOST_RESTARTS = 3
GOODBYE_S = 15.0
"""How long a process that has nothing left to do gets to leave."""
TAIL_LINES = 5

Say = Callable[[str], object]


@contextmanager
def lifeline() -> Iterator[int]:
    """The read end of a pipe that closes when this process ends, however it ends."""
    read_end, write_end = os.pipe()
    try:
        yield read_end
    finally:
        os.close(read_end)
        os.close(write_end)


class ServiceKeeper:
    """The service that a command works with. One that was started here is ended here; any other is left alone."""

    def __init__(self, settings: Settings, lifeline_fd: int) -> None:
        self._settings = settings
        self._lifeline_fd = lifeline_fd
        self._service = ensure_service(settings, lifeline_fd=lifeline_fd)
        self._restarts = 0
        self.client = Client(self._service.url, settings.api_key)

    @property
    def url(self) -> str:
        return self._service.url

    @property
    def is_ours(self) -> bool:
        return self._service.started

    def revive(self, say: Say) -> None:
        """Start the local service again if it has ended; a configured one is somebody else's.

        Raises:
            Unavailable: it cannot be started, or has ended again and again.
        """
        if self._settings.url or self._is_alive():
            return
        if self._restarts == MOST_RESTARTS:
            log = Path(self._settings.dir).resolve() / "service.log"
            raise Unavailable(f"The service has ended {MOST_RESTARTS + 1} times; its log is {log}.")
        self._service = ensure_service(self._settings, lifeline_fd=self._lifeline_fd)
        self.client = Client(self._service.url, self._settings.api_key)
        if self._service.started:
            self._restarts += 1
            say(f"the service had ended and was started again ({self._restarts} of {MOST_RESTARTS} times)")

    def end(self) -> None:
        """End the service if it is ours, and what it has started."""
        self.client.close()
        process = self._service.process
        if process is not None and process.poll() is None:
            process.terminate()
            if not wait_until(lambda: process.poll() is not None, GOODBYE_S):
                process.kill()
                process.wait()

    def _is_alive(self) -> bool:
        process = self._service.process
        return process is not None and process.poll() is None


@dataclass(slots=True)
class _Agent:
    """One place among the agents, through the restarts of its process."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]
    restarts: int = 0
    outages: int = 0
    """How often the service had been away when this process was started."""


class Crew:
    """The agents. `options` go to `sweep-agent`; `say` gets a line whenever one had to be started again."""

    def __init__(self, settings: Settings, options: Sequence[str], lifeline_fd: int, say: Say) -> None:
        self._dir = Path(settings.dir).resolve()
        self._argv = [sys.executable, "-P", "-m", "sweepyard", "agent", *options, "--lifeline", str(lifeline_fd)]
        self._lifeline_fd = lifeline_fd
        self._say = say
        self._agents: list[_Agent] = []
        self._deserted = False
        self.outages = 0
        """How often the service has been away; whoever notices counts."""

    def start(self, count: int) -> None:
        (self._dir / "logs").mkdir(parents=True, exist_ok=True)
        for n in range(1, count + 1):
            log = self._dir / "logs" / f"agent-{n}.log"
            self._agents.append(_Agent(f"agent {n}", log, self._launch(log, "wb")))

    def tend(self) -> None:
        """Start again the agents that were killed, or found no service while that was away.

        One that has ended of itself had its reason, and is let go. To be called while the service answers.

        Raises:
            SweepyardError: none is left, which was so at the last call already.
        """
        if self._deserted:
            raise SweepyardError(f"All agents have ended before the sweep. {self._last_words()}")
        for agent in self._agents:
            code = agent.process.poll()
            had_bad_luck = code is not None and (code < 0 or (code == 1 and agent.outages < self.outages))
            if had_bad_luck and agent.restarts < MOST_RESTARTS:
                self._restart(agent, code or 0)
        self._deserted = all(agent.process.poll() is not None for agent in self._agents)

    def _restart(self, agent: _Agent, code: int) -> None:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        agent.restarts += 1
        agent.outages = self.outages
        agent.process = self._launch(agent.log, "ab")
        self._say(f"{agent.name} {how} and was started again ({agent.restarts} of {MOST_RESTARTS} times)")

    def part(self) -> None:
        """Wait until agents whose sweep has ended leave by themselves; end those that do not."""
        if not self._wait(GOODBYE_S):
            self.dismiss(GOODBYE_S)

    def dismiss(self, patience_s: float) -> None:
        """Have every agent hand back its run and leave; those that have not after `patience_s` are killed."""
        self._signal(signal.SIGTERM)
        try:
            self._wait(patience_s)
        finally:
            self._signal(signal.SIGKILL)
            for agent in self._agents:
                agent.process.wait()

    def _launch(self, log: Path, mode: str) -> subprocess.Popen[bytes]:
        with log.open(mode) as output:
            return subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(self._lifeline_fd,),
                env={**os.environ, "SWEEPYARD_DIR": str(self._dir), "PYTHONUNBUFFERED": "1"},
            )

    def _wait(self, patience_s: float) -> bool:
        return wait_until(lambda: all(agent.process.poll() is not None for agent in self._agents), patience_s)

    def _signal(self, number: signal.Signals) -> None:
        for agent in self._agents:
            if agent.process.poll() is None:
                agent.process.send_signal(number)

    def _last_words(self) -> str:
        words = [f"{agent.name}:\n{tail(agent.log, lines=TAIL_LINES)}" for agent in self._agents]
        return "Their last words:\n" + "\n".join(words)
