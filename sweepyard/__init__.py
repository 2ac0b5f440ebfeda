"""Self-hosted hyperparameter sweeps.

    sweep_id = sweepyard.sweep(config, project="digits")
    sweepyard.agent(sweep_id, function=train, count=50)

and inside `train`: `sweepyard.init()`, `sweepyard.config`, `sweepyard.log({...})`, `sweepyard.finish()`.

Names load on first use, so that importing this costs next to nothing.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweepyard.agent.checkpoints import checkpoint_dir
    from sweepyard.agent.config import Config
    from sweepyard.agent.session import Run, finish, init, log, should_stop
    from sweepyard.agent.summary import Summary
    from sweepyard.control import cancel, edit, pause, resume, retry, stop, stop_run
    from sweepyard.errors import RunStopped, SweepyardError, UserError
    from sweepyard.face import agent, sweep

    __version__: str
    config: Config
    run: Run | None
    summary: Summary

_HOMES = {
    "Run": "sweepyard.agent.session",
    "RunStopped": "sweepyard.errors",
    "SweepyardError": "sweepyard.errors",
    "UserError": "sweepyard.errors",
    "cancel": "sweepyard.control",
    "checkpoint_dir": "sweepyard.agent.checkpoints",
    "edit": "sweepyard.control",
    "finish": "sweepyard.agent.session",
    "init": "sweepyard.agent.session",
    "log": "sweepyard.agent.session",
    "pause": "sweepyard.control",
    "resume": "sweepyard.control",
    "retry": "sweepyard.control",
    "should_stop": "sweepyard.agent.session",
    "stop": "sweepyard.control",
    "stop_run": "sweepyard.control",
    "sweep": "sweepyard.face",
}
"""Where each public name lives."""

__all__ = [
    "Run",
    "RunStopped",
    "SweepyardError",
    "UserError",
    "__version__",
    "agent",
    "cancel",
    "checkpoint_dir",
    "config",
    "edit",
    "finish",
    "init",
    "log",
    "pause",
    "resume",
    "retry",
    "run",
    "should_stop",
    "stop",
    "stop_run",
    "summary",
    "sweep",
]


class _Front(ModuleType):
    """This module. `agent` is the public function, also once the package of that name has been imported."""

    @property
    def agent(self) -> Any:
        return importlib.import_module("sweepyard.face").agent

    @agent.setter
    def agent(self, package: ModuleType) -> None:
        """The import system hangs each package on its parent; nothing needs it there."""


sys.modules[__name__].__class__ = _Front


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in ("config", "summary"):
        session = importlib.import_module("sweepyard.agent.session")
        return getattr(session.current(), name)
    if name == "run":
        return importlib.import_module("sweepyard.agent.session").active()
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("sweepyard")
    raise AttributeError(f"module 'sweepyard' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
