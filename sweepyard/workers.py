"""`sweep-agent --workers N`: N agents, each a process of its own, that begin and end together.

Each leads its own session, so that a signal reaches it through us alone, and holds the read end of a pipe, the
lifeline: should we be killed, all see its end, hand their runs back and leave.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from typing import NamedTuple

from sweepyard.agent.main import await_end, connect, is_over
from sweepyard.agent.options import Options
from sweepyard.agent.signals import heeded
from sweepyard.crew import MOST_RESTARTS, lifeline


class _Ended(NamedTuple):
    worker: int
    code: int


class Workers:
    """Agents with the same `options`, one for each of `environments` (what to add to ours).

    One that is killed is started again up to three times; one that ends had its reason.
    """

    def __init__(
        self,
        options: Options,
        function: str | None,
        environments: Sequence[Mapping[str, str]],
        say: Callable[[str], object],
        *,
        quiet: bool,
    ) -> None:
        self._options = options
        self._argv = [sys.executable, "-P", "-m", "sweepyard", "agent", *_words(options, function, quiet)]
        self._environments = environments
        self._say = say
        self._inbox: SimpleQueue[_Ended | int] = SimpleQueue()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._restarts = [0] * len(environments)
        self._told = False

    def run(self, starter_fd: int | None = None) -> int:
        """Work until all have ended: the largest of their exit codes, 1 for one that was killed.

        `starter_fd`: an inherited file descriptor whose end of file means that our own starter is gone.

        Raises:
            UserError, Unavailable: as `agent.main.connect`.
        """
        connection = connect(self._options)
        if not self._options.wait and is_over(connection, self._say):
            return 0
        for number in heeded():
            signal.signal(number, lambda number, _frame: self._inbox.put(number))
        if starter_fd is not None:
            await_end(starter_fd, lambda: self._inbox.put(signal.SIGTERM))
        with lifeline() as lifeline_fd:
            return self._tend(lifeline_fd)

    def _tend(self, lifeline_fd: int) -> int:
        worst = 0
        for worker in range(len(self._environments)):
            self._start(worker, lifeline_fd)
        while self._processes:
            happened = self._inbox.get()
            if isinstance(happened, _Ended):
                del self._processes[happened.worker]
                if not self._restart(*happened, lifeline_fd):
                    worst = max(worst, happened.code if happened.code >= 0 else 1)
            else:
                self._told = True
                for process in self._processes.values():
                    process.send_signal(happened)
        return worst

    def _start(self, worker: int, lifeline_fd: int) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **self._environments[worker]}
        if self._options.api_key:
            environment["SWEEPYARD_API_KEY"] = self._options.api_key
        self._processes[worker] = process = subprocess.Popen(
            [*self._argv, "--lifeline", str(lifeline_fd), "--worker", str(worker + 1)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(lifeline_fd,),
            env=environment,
        )
        threading.Thread(target=self._wait, args=(worker, process), daemon=True).start()

    def _wait(self, worker: int, process: subprocess.Popen[bytes]) -> None:
        self._inbox.put(_Ended(worker, process.wait()))

    def _restart(self, worker: int, code: int, lifeline_fd: int) -> bool:
        if code >= 0 or self._told or self._restarts[worker] == MOST_RESTARTS:
            return False
        self._restarts[worker] += 1
        how = f"was killed by {signal.Signals(-code).name} and was started again"
        self._say(f"[{worker + 1}] this agent {how} ({self._restarts[worker]} of {MOST_RESTARTS} times)")
        self._start(worker, lifeline_fd)
        return True


def _words(options: Options, function: str | None, quiet: bool) -> list[str]:
    """The same options again, for one agent; the key goes through the environment."""
    given = {
        "--url": options.url,
        "--term-timeout": options.term_grace_s,
        "--count": options.count,
        "--program": options.program,
        "--function": function,
    }
    switches = {"--wait": options.wait, "--forward-signals": options.forward_signals, "--quiet": quiet}
    words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    return [options.sweep, *words, *(name for name, is_on in switches.items() if is_on)]
