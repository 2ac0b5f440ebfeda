"""The training side: `init`, `config`, `log`, `summary`, `should_stop`, `finish`.

Imports only the standard library and our own ground floor, and starts no thread: it runs inside other people's
training loops.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from sweepyard.agent import configfile, rundir
from sweepyard.agent.config import Config, as_mapping, merge
from sweepyard.agent.history import History
from sweepyard.agent.recorder import Recorder
from sweepyard.agent.rundir import RunInfo
from sweepyard.agent.stopping import StopSign
from sweepyard.agent.summary import Summary
from sweepyard.errors import RunStopped, UserError

WANDB_ARGUMENTS = frozenset(
    {"config_exclude_keys", "config_include_keys", "dir", "force", "fork_from", "group", "id", "job_type", "mode"}
    | {"monitor_gym", "notes", "reinit", "resume", "resume_from", "save_code", "settings", "tags"}
)
"""What `wandb.init` takes besides ours: accepted and without effect."""


class Run:
    """The run that this process trains. Use it as a context manager or call `finish()`.

    `attempt` counts executions of the run from 1, `step` is the step of the next row, `dir` a folder of the run's
    own (None in a dry run): files that the code leaves there stay.
    """

    def __init__(
        self, info: RunInfo, given: Mapping[str, Any], *, step: int = 0, allow_val_change: bool = False
    ) -> None:
        self.id, self.name, self.number = info.id, info.name, info.number
        self.project, self.entity, self.sweep_id = info.project, info.entity, info.sweep_id
        self.attempt, self.dir = info.attempt, info.dir
        self._pid = os.getpid()
        # Reentrant: RunStopped may strike the main thread anywhere, and finish() comes after it.
        self._lock = threading.RLock()
        self._recorder = Recorder(info.dir / rundir.SPOOL if info.dir else None, warn)
        self._history = History(self._take_row, warn, step)
        self._stop_sign = _sign(info)
        self.summary = Summary(self._recorder.summary)
        self.config = Config(
            given,
            rundir.read_params(info.dir) if info.dir else {},
            sweep_id=info.sweep_id,
            changed=self._recorder.config,
            warn=warn,
            allow_val_change=allow_val_change,
        )

    @property
    def step(self) -> int:
        return self._history.step

    def log(self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """Log values by name. Takes microseconds: they are appended to a local file, and the agent sends them.

        `step` (an integer that never decreases) and `commit` say which row the values join; without them each
        call is one row, and rows count from 0. The rules are W&B's: `history.History.log`.

        Raises:
            TypeError: `data` is no mapping with string keys, or `step` no integer.
        """
        with self._lock:
            self._history.log(data, step, commit)

    def should_stop(self) -> bool:
        """Whether this run was told to end. Who asks is trusted to end soon, and gets no `RunStopped`."""
        return self._stop_sign.should_stop()

    def finish(self, exit_code: int | None = None) -> None:
        """Record the last row and end the session. A non-zero `exit_code` marks the run failed. Idempotent."""
        global _current, _finished
        with self._lock:
            self._history.flush()
            self._recorder.close(exit_code or 0)
        if _current is self:
            _current, _finished = None, self

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.finish(0 if kind is None or issubclass(kind, RunStopped) else 1)

    def _take_row(self, step: int, row: dict[str, Any]) -> None:
        self.summary.take_row(row)
        self._recorder.row(step, row)

    def _close_at_exit(self) -> None:
        """The interpreter ends without finish(): its exit code speaks, in the process that called init()."""
        if os.getpid() == self._pid:
            self._history.flush()
            self._recorder.close(None)


_current: Run | None = None
_finished: Run | None = None
_stop_sign: StopSign | None = None


def init(
    config: Any = None,
    project: str | None = None,
    entity: str | None = None,
    name: str | None = None,
    allow_val_change: bool = False,
    **others: Any,
) -> Run:
    """Begin the run that a sweep's agent started this process for. A second call returns the same run.

    `config` (a dict, a Namespace, or the path of a YAML file) gives values under the sweep's, and over those of
    `config-defaults.yaml` in the current folder. In a sweep the run's project, entity and name
    are the sweep's. Outside of a sweep it is a dry run: everything works, nothing is recorded.
    `allow_val_change`: config keys of your own may change later. The other arguments of `wandb.init` are accepted
    and have no effect.

    Raises:
        UserError: an argument that neither we nor W&B know, or a config that is none of these.
    """
    global _current
    _refuse_unknown(others)
    if _current is not None:
        return _current
    info = RunInfo.from_environment(os.environ)
    if info is None:
        warn("init() outside of a sweep: a dry run, nothing is recorded. A sweep agent records.")
        info = RunInfo(project=project or "", entity=entity or "", name=name or "dry-run")
    elif project not in (None, info.project) or entity not in (None, info.entity):
        warn(f"init(project, entity) has no effect in a sweep: the run belongs to {info.entity}/{info.project}.")
    step = _finished.step if _finished and _finished.id == info.id and info.attempt else info.first_step
    given = configfile.read(config) if isinstance(config, str | os.PathLike) else as_mapping(config)
    given = merge(configfile.read_defaults(), given)
    _current = Run(info, given, step=step, allow_val_change=allow_val_change)
    atexit.register(_current._close_at_exit)
    return _current


def current() -> Run:
    """The run that `init` began.

    Raises:
        UserError: there is none, or it is finished.
    """
    if _current is not None:
        return _current
    if _finished is not None:
        raise UserError("The run is finished: nothing can be logged or read after finish().")
    raise UserError("No run yet: call sweepyard.init() before config, log, summary or should_stop.")


def active() -> Run | None:
    """The run that `init` began, None before it and after finish()."""
    return _current


def forget() -> None:
    """Be as before the first `init`: for a process that was forked from one with a run of its own."""
    global _current, _finished, _stop_sign
    _current = _finished = _stop_sign = None


def watch_for_stop() -> None:
    """Heed the agent's stop from now on, whether or not the code will call `init`."""
    _sign(RunInfo.from_environment(os.environ) or RunInfo())


def log(data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
    """`Run.log` of the current run."""
    current().log(data, step, commit)


def should_stop() -> bool:
    """`Run.should_stop` of the current run."""
    return current().should_stop()


def finish(exit_code: int | None = None) -> None:
    """`Run.finish` of the current run, if there is one."""
    if _current is not None:
        _current.finish(exit_code)


def warn(text: str) -> None:
    """Say something to the person who reads the run's output."""
    with contextlib.suppress(OSError):  # a full disk
        sys.stderr.write(f"sweepyard: {text}\n")


def _sign(info: RunInfo) -> StopSign:
    """The one stop sign of this process."""
    global _stop_sign
    if _stop_sign is None:
        _stop_sign = StopSign(info.dir)
        _stop_sign.install()
    return _stop_sign


def _refuse_unknown(arguments: Mapping[str, Any]) -> None:
    unknown = sorted(set(arguments) - WANDB_ARGUMENTS)
    if unknown:
        raise UserError(
            f"init() has no argument '{unknown[0]}'. It takes config, project, entity, name and allow_val_change, "
            "and ignores the others of wandb.init."
        )
