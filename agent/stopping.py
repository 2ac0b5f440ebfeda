"""How a training process learns that it should end, and ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from sweepyard.agent import rundir
from sweepyard.errors import RunStopped

LEAVING = "its agent told it to end"


class StopSign:
    """Watches the stop file of one run, and turns the SIGTERM that follows it into `RunStopped`.

    A script that has asked `should_stop()` is trusted to end itself within the agent's grace: no exception then.
    """

    def __init__(self, run_dir: Path | None) -> None:
        self._run_dir = run_dir
        self._path = None if run_dir is None else str(run_dir / rundir.STOP)
        self._asked = False
        self._raised = False
        self._signalled = False
        self._pid = os.getpid()

    def should_stop(self) -> bool:
        self._asked = True
        return self._signalled or (self._path is not None and os.path.exists(self._path))

    def install(self) -> None:
        """Handle SIGTERM in the main thread, unless the user's code handles it already."""
        if threading.current_thread() is not threading.main_thread():
            return
        if self._run_dir is None or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            return
        signal.signal(signal.SIGTERM, self._on_sigterm)
        sys.excepthook = _without_traceback(sys.excepthook)

    def _on_sigterm(self, _number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a worker that the training forked: it just ends
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)
        self._signalled = True
        if not self._asked and not self._raised:
            self._raised = True
            raise RunStopped(self._reason())

    def _reason(self) -> str:
        return (rundir.stop_reason(self._run_dir) if self._run_dir else None) or LEAVING


def _without_traceback(previous: Any) -> Any:
    """An excepthook that says in one line that a run was stopped: it is no error of the script."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, RunStopped):
            sys.stderr.write(f"sweepyard: run stopped: {error}\n")
        else:
            previous(kind, error, trace)

    return hook
