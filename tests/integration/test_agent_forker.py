"""Real forks: exit codes, signals, process groups, and what dies with whom."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from sweepyard.agent import rundir
from sweepyard.agent.launcher import (
    ChildExited,
    ChildStarted,
    Event,
    ForkerGone,
    Interrupted,
    Launcher,
    start_forker,
)
from sweepyard.agent.rundir import RunInfo
from sweepyard.bus.wire import AttemptRef
from sweepyard.clock import wait_until
from sweepyard.errors import UserError

DEADLINE_S = 20.0
REF = AttemptRef("run00001", 1)

TRAINING = """
    import json, os, signal, subprocess, sys, time
    import sweepyard

    def ready():
        print("ready", flush=True)

    def good():
        sweepyard.init()
        sweepyard.log({"lr": sweepyard.config.lr})

    def takes(config):
        assert sweepyard.run.config is config
        sweepyard.log({"lr": config.lr})

    def late_config():
        sweepyard.init(config={"epochs": 3})
        sweepyard.log({"epochs": sweepyard.config.epochs})

    def bad():
        print("about to fail")
        raise ValueError("boom")

    def leaves():
        sys.exit(7)

    def explains():
        sys.exit("no data")

    def fails_by_finish():
        sweepyard.init()
        sweepyard.finish(exit_code=4)

    def dies():
        os.kill(os.getpid(), signal.SIGSEGV)

    def sleeps():
        ready()
        while True:  # in naps: a signal just before a long sleep is heard only after it
            time.sleep(0.05)

    def sleeps_in_a_run():
        sweepyard.init()
        try:
            sleeps()
        except Exception:
            print("swallowed")
        finally:
            print("cleaned up")

    def polls():
        sweepyard.init()
        sweepyard.should_stop()
        ready()
        while not sweepyard.should_stop():
            time.sleep(0.01)
        sweepyard.log({"ended": "well"})

    def stubborn():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sleeps()

    def grandparent(wait=True):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print("grandchild", child.pid, flush=True)
        ready()
        if wait:
            child.wait()

    def leaves_a_grandchild():
        grandparent(wait=False)

    def looks():
        print(json.dumps({
            "env": {k: v for k, v in os.environ.items() if k.startswith("SWEEPYARD_")},
            "session": os.getsid(0) == os.getpid(),
            "stdin": sys.stdin.read(),
            "handlers": [str(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGPIPE)],
            "fds": [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
                    if os.path.exists(f"/proc/self/fd/{n}")],
        }))
        sys.stderr.write("to stderr\\n")

    not_a_function = 3

    def needs_two(a, b):
        pass
"""


class Yard:
    """A forker in a process of its own, and what it said."""

    def __init__(self, base: Path, function: str | None) -> None:
        self.base = base
        self.events: SimpleQueue[Event] = SimpleQueue()
        self.link, self.process = start_forker(function)
        self.launcher = Launcher(self.link, self.events.put)
        self.launcher.listen()

    def start(self, ref: AttemptRef = REF, argv: list[str] | None = None) -> int:
        run_dir = self.dir(ref)
        rundir.prepare(run_dir, {"lr": 0.5})
        info = RunInfo(sweep_id="sweep001", id=ref.run, attempt=ref.attempt, dir=run_dir)
        self.launcher.start(ref, run_dir, info.environment(), argv)
        started = self.next()
        assert isinstance(started, ChildStarted)
        assert started.ref == ref
        return started.pid

    def run(self, argv: list[str] | None = None) -> ChildExited:
        self.start(argv=argv)
        return self.exited()

    def exited(self) -> ChildExited:
        event = self.next()
        assert isinstance(event, ChildExited)
        return event

    def next(self) -> Event:
        return self.events.get(timeout=DEADLINE_S)

    def dir(self, ref: AttemptRef = REF) -> Path:
        return self.base / str(ref)

    def output(self, ref: AttemptRef = REF) -> str:
        path = self.dir(ref) / rundir.OUTPUT
        return path.read_text() if path.exists() else ""

    def wait_ready(self, ref: AttemptRef = REF) -> None:
        assert wait_until(lambda: "ready" in self.output(ref), DEADLINE_S)

    def rows(self) -> list[dict[str, Any]]:
        facts = [json.loads(line) for line in (self.dir() / rundir.SPOOL).read_bytes().splitlines()]
        return [fact["d"] for fact in facts if "h" in fact]

    def close(self) -> None:
        self.link.close()
        assert self.process.wait(DEADLINE_S) == 0


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Yard]]:
    """Opens forkers for a function of the training module, or for commands."""
    (tmp_path / "training_module.py").write_text(textwrap.dedent(TRAINING))
    monkeypatch.chdir(tmp_path)
    yards: list[Yard] = []

    def open_yard(function: str | None = None) -> Yard:
        yards.append(Yard(tmp_path / "runs", function and f"training_module:{function}"))
        return yards[-1]

    yield open_yard
    for one in yards:
        if one.process.poll() is None:
            one.close()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int, within_s: float = DEADLINE_S) -> bool:
    return wait_until(lambda: not is_alive(pid), within_s)


def grandchild(yard: Yard) -> int:
    yard.wait_ready()
    return int(yard.output().split("grandchild ")[1].split()[0])


@pytest.mark.parametrize(
    ("function", "code", "number", "words"),
    [
        ("good", 0, None, ""),
        ("takes", 0, None, ""),
        ("late_config", 0, None, ""),
        ("bad", 1, None, "ValueError: boom\n"),
        ("leaves", 7, None, ""),
        ("explains", 1, None, "no data\n"),
        ("fails_by_finish", 0, None, ""),
        ("dies", None, signal.SIGSEGV, ""),
    ],
)
def test_functions_end_with_their_code(
    yard: Callable[..., Yard], function: str, code: int | None, number: int | None, words: str
) -> None:
    runs = yard(function)
    assert runs.run() == ChildExited(REF, code, number)
    assert runs.output().endswith(words)


def test_a_function_is_run_in_a_fresh_fork_each_time(yard: Callable[..., Yard]) -> None:
    runs = yard("good")
    for attempt in range(1, 6):
        ref = AttemptRef("run00001", attempt)
        runs.start(ref)
        assert runs.exited() == ChildExited(ref, 0, None)
    assert runs.rows() == [{"lr": 0.5}]


def test_config_given_late_still_counts(yard: Callable[..., Yard]) -> None:
    runs = yard("late_config")
    runs.run()
    assert runs.rows() == [{"epochs": 3}]


def test_a_run_finds_its_surroundings(yard: Callable[..., Yard]) -> None:
    runs = yard("looks")
    assert runs.run().code == 0
    seen = json.loads(runs.output().splitlines()[0])
    assert "to stderr\n" in runs.output()
    assert seen["env"]["SWEEPYARD_RUN_ID"] == "run00001"
    assert seen["session"]
    assert seen["stdin"] == ""
    assert seen["handlers"] == ["<built-in function default_int_handler>", "1"]
    assert not [path for path in seen["fds"] if path.startswith("socket:")], "the link must not leak"


def test_commands_run_without_a_shell(yard: Callable[..., Yard]) -> None:
    nasty = "; echo $(id) 'x' \"y\"\n* é"
    runs = yard()
    argv = [sys.executable, "-c", "import sys; print(ascii(sys.argv[1])); sys.exit(3)", nasty]
    assert runs.run(argv) == ChildExited(REF, 3, None)
    assert runs.output() == ascii(nasty) + "\n"


def test_a_command_that_does_not_exist_says_so(yard: Callable[..., Yard]) -> None:
    runs = yard()
    assert runs.run(["no-such-program", "--x"]) == ChildExited(REF, 127, None)
    assert runs.output() == "sweepyard: cannot run 'no-such-program': No such file or directory\n"


def test_a_function_is_stopped_by_an_exception(yard: Callable[..., Yard]) -> None:
    runs = yard("sleeps_in_a_run")
    runs.start()
    runs.wait_ready()
    rundir.order_stop(runs.dir(), "rung 9")
    runs.launcher.signal(REF, signal.SIGTERM)
    assert runs.exited() == ChildExited(REF, 0, None)
    assert runs.output() == "ready\ncleaned up\nsweepyard: run stopped: rung 9\n"


def test_a_function_without_init_is_stopped_too(yard: Callable[..., Yard]) -> None:
    runs = yard("sleeps")
    runs.start()
    runs.wait_ready()
    runs.launcher.signal(REF, signal.SIGTERM)
    assert runs.exited().code == 0


def test_a_function_that_asks_ends_itself(yard: Callable[..., Yard]) -> None:
    runs = yard("polls")
    runs.start()
    runs.wait_ready()
    rundir.order_stop(runs.dir(), "rung 9")
    runs.launcher.signal(REF, signal.SIGTERM)
    assert runs.exited() == ChildExited(REF, 0, None)
    assert runs.rows() == [{"ended": "well"}]


def test_signals_reach_grandchildren(yard: Callable[..., Yard]) -> None:
    runs = yard("grandparent")
    runs.start()
    pid = grandchild(runs)
    runs.launcher.signal(REF, signal.SIGKILL)
    assert runs.exited() == ChildExited(REF, None, signal.SIGKILL)
    assert gone(pid)


def test_what_a_run_leaves_behind_is_killed(yard: Callable[..., Yard]) -> None:
    runs = yard("leaves_a_grandchild")
    assert runs.run().code == 0
    assert gone(grandchild(runs))


def test_a_signal_for_an_ended_run_hits_nobody(yard: Callable[..., Yard]) -> None:
    runs = yard("good")
    runs.run()
    runs.launcher.signal(REF, signal.SIGKILL)
    assert runs.run().code == 0


def test_a_sigterm_right_after_the_start_ends_the_run(yard: Callable[..., Yard]) -> None:
    runs = yard("sleeps")
    for attempt in range(1, 20):
        ref = AttemptRef("run00001", attempt)
        runs.start(ref)
        runs.launcher.signal(ref, signal.SIGTERM)
        exited = runs.exited()
        assert (exited.code, exited.signal) in {(0, None), (None, signal.SIGTERM)}


def test_runs_die_with_the_agent(yard: Callable[..., Yard]) -> None:
    """Also a run that ignores SIGTERM, and what it started."""
    runs = yard("stubborn")
    pid = runs.start()
    runs.wait_ready()
    runs.close()
    assert gone(pid, 1.0)


def test_runs_die_with_the_forker(yard: Callable[..., Yard]) -> None:
    runs = yard("grandparent")
    pid = runs.start()
    below = grandchild(runs)
    runs.process.kill()
    assert runs.next() == ForkerGone()
    assert gone(pid)
    assert gone(below)
    runs.process.wait()
    runs.link.close()


AGENT = """
import sys, time
from pathlib import Path
from sweepyard.agent.launcher import Launcher, start_forker
from sweepyard.bus.wire import AttemptRef
link, _ = start_forker(None)
launcher = Launcher(link, lambda event: print(event.pid, flush=True))
launcher.listen()
launcher.start(AttemptRef("run00001", 1), Path(sys.argv[1]), {}, ["sleep", "600"])
time.sleep(600)
"""


@pytest.mark.parametrize("how", ["process", "group"])
def test_no_run_survives_the_kill_of_its_agent(tmp_path: Path, how: str) -> None:
    """SIGKILL of the agent, or of its whole process group: the run is gone within a second."""
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, str(tmp_path)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with agent:
        assert agent.stdout is not None
        pid = int(agent.stdout.readline())
        assert is_alive(pid)
        os.kill(agent.pid, signal.SIGKILL) if how == "process" else os.killpg(agent.pid, signal.SIGKILL)
        assert gone(pid, 1.0)


def test_signals_to_the_forker_become_a_wish_of_the_agent(yard: Callable[..., Yard]) -> None:
    runs = yard("sleeps")
    pid = runs.start()
    for number in (signal.SIGINT, signal.SIGTERM):
        runs.process.send_signal(number)
        assert isinstance(runs.next(), Interrupted)
    assert is_alive(pid)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("training_module", "write module:function"),
        (":main", "write module:function"),
        ("nosuch_module:main", "cannot import 'nosuch_module'"),
        ("training_module:nosuch", "'training_module' has no 'nosuch'"),
        ("training_module:not_a_function", "takes a function; got int"),
        ("training_module:needs_two", "cannot call needs_two, which needs (a, b)"),
        ("broken_module:main", "cannot import 'broken_module'"),
    ],
)
@pytest.mark.usefixtures("yard")
def test_functions_that_cannot_be_run(function: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "broken_module.py").write_text("1/0")
    with pytest.raises(UserError) as caught:
        start_forker(function)
    assert words in str(caught.value)


def test_a_forker_that_dies_at_once_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deadly_module.py").write_text("import os; os._exit(3)")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="ended before it was ready"):
        start_forker("deadly_module:main")
