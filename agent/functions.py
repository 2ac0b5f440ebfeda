"""Training functions: how one is found by name, what it may take, and how it is run as a process of its own."""

from __future__ import annotations

import importlib
import inspect
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeAlias

from sweepyard.agent import session
from sweepyard.errors import RunStopped, UserError

Function: TypeAlias = Callable[..., object]


def load(path: str) -> Function:
    """The function that `module:callable` names; modules beside the working directory are found.

    Raises:
        UserError: no such module or function, or the module fails while it is imported.
    """
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise UserError(
            f"--function {path}: write module:function, for instance train:main for main() in train.py."
        )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        traceback.print_exc()
        raise UserError(
            f"--function {path}: cannot import '{module_name}' in {os.getcwd()}: {type(error).__name__}: {error}"
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise UserError(f"--function {path}: '{module_name}' has no '{name}'.")
        found = getattr(found, part)
    takes_config(found)
    return found  # type: ignore[no-any-return]


def takes_config(function: Any) -> bool:
    """Whether a training function wants the run's config: it has one required parameter, or its first is named
    `config` (W&B's idiom `train(config=None)`).

    Raises:
        UserError: it is no function, or cannot be called with the config alone.
    """
    if not callable(function):
        raise UserError(f"agent(function=...) takes a function; got {type(function).__name__} {function!r}.")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # some builtins have no signature
        return False
    required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(required) > 1 or any(p.kind is p.KEYWORD_ONLY for p in required):
        names = ", ".join(p.name for p in required)
        raise UserError(
            f"An agent cannot call {getattr(function, '__name__', function)}, which needs ({names}): it has one "
            "argument to give, the run's config. Take one parameter, or none and read sweepyard.config."
        )
    is_idiom = any(p.name == "config" and p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters[:1])
    return bool(required) or is_idiom


def run_as_process(function: Function) -> int:
    """Run a training function to its end in this process, made for it, and return the exit code.

    The session is begun for a function that takes the config, and finished for every function. A traceback goes
    to stderr.
    """
    session.forget()
    try:
        session.watch_for_stop()
        try:
            function(session.init().config) if takes_config(function) else function()
        finally:
            # From here on the run has ended by itself; a late stop must not tear its last lines.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        code = 0
    except RunStopped as stopped:
        sys.stderr.write(f"sweepyard: run stopped: {stopped}\n")
        code = 0
    except SystemExit as leaving:
        code = _exit_code(leaving)
    except BaseException:
        traceback.print_exc()
        code = 1
    session.finish(code)
    return code


def _exit_code(leaving: SystemExit) -> int:
    if leaving.code is None or isinstance(leaving.code, int):
        return leaving.code or 0
    sys.stderr.write(f"{leaving.code}\n")
    return 1
