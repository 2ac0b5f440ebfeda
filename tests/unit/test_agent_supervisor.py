"""How runs are ended, and how their ends are told."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from sweepyard.agent import rundir
from sweepyard.agent.supervisor import Exit, Ladder, Wish, last_error, verdict
from sweepyard.tracking.records import Outcome

TERM, KILL = signal.SIGTERM, signal.SIGKILL


def signals(ladder: Ladder, *times: float) -> list[int | None]:
    return [ladder.next_signal(now_s) for now_s in times]


def test_nobody_is_signalled_without_a_wish() -> None:
    assert signals(Ladder(), 0, 1e9) == [None, None]


@pytest.mark.parametrize(
    ("wish", "grace_s"), [(Wish.preempt, 10), (Wish.stall, 10), (Wish.stop, 10), (Wish.kill, 2)]
)
def test_sigterm_then_grace_then_sigkill(wish: Wish, grace_s: float) -> None:
    ladder = Ladder()
    ladder.ask(wish, "r", 100)
    times = (100, 101, 100 + grace_s - 0.1, 100 + grace_s, 200)
    assert signals(ladder, *times) == [TERM, None, None, KILL, None]


def test_a_forwarded_signal_takes_the_place_of_sigterm() -> None:
    ladder = Ladder()
    ladder.ask(Wish.preempt, "r", 0, signal.SIGUSR1)
    assert signals(ladder, 0, 1, 10) == [signal.SIGUSR1, None, KILL]


def test_a_dropped_run_gets_no_grace() -> None:
    ladder = Ladder()
    ladder.ask(Wish.drop, "r", 0)
    assert signals(ladder, 0, 1) == [KILL, None]


def test_a_repeated_order_changes_nothing() -> None:
    ladder = Ladder()
    assert ladder.ask(Wish.stop, "first", 0)
    assert not ladder.ask(Wish.stop, "second", 5)
    assert not ladder.ask(Wish.preempt, "third", 6)
    assert ladder.reason == "first"
    assert signals(ladder, 6, 10) == [TERM, KILL]


def test_a_greater_wish_shortens_the_grace_and_never_lengthens_it() -> None:
    ladder = Ladder()
    ladder.ask(Wish.stop, "stop", 0)
    assert signals(ladder, 0) == [TERM]
    ladder.ask(Wish.kill, "kill", 3)
    assert (ladder.wish, ladder.reason) == (Wish.kill, "kill")
    assert signals(ladder, 4.9, 5) == [None, KILL]
    late = Ladder()
    late.ask(Wish.stop, "stop", 0)
    late.ask(Wish.kill, "kill", 9)
    assert signals(late, 9, 10) == [TERM, KILL]


def test_hurry_ends_the_grace() -> None:
    ladder = Ladder()
    ladder.ask(Wish.preempt, "r", 0)
    signals(ladder, 0)
    ladder.hurry(1)
    assert signals(ladder, 1) == [KILL]


TRACEBACK = """
before
Traceback (most recent call last):
  File "train.py", line 1, in <module>
    raise KeyError("first")
KeyError: 'first'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "train.py", line 3, in <module>
    raise ValueError("boom")
ValueError: boom
it has a second line
"""


@pytest.mark.parametrize(
    ("wish", "end", "outcome", "reason"),
    [
        (None, Exit(code=0, signal=None), Outcome.finished, ""),
        (None, Exit(code=0, signal=None, told=0), Outcome.finished, ""),
        (None, Exit(code=0, signal=None, told=3), Outcome.failed, "the code called finish(exit_code=3)"),
        (None, Exit(code=3, signal=None), Outcome.failed, "exited with code 3"),
        (
            None,
            Exit(code=137, signal=None),
            Outcome.failed,
            "exited with code 137 (128 + 9: a command in it was killed by SIGKILL; out of memory?)",
        ),
        (
            None,
            Exit(code=139, signal=None),
            Outcome.failed,
            "exited with code 139 (128 + 11: a command in it was killed by SIGSEGV)",
        ),
        (None, Exit(code=255, signal=None), Outcome.failed, "exited with code 255"),
        (None, Exit(code=1, signal=None, tail=TRACEBACK), Outcome.failed, "ValueError: boom"),
        (None, Exit(code=None, signal=9), Outcome.failed, "killed by signal 9 (SIGKILL; out of memory?)"),
        (None, Exit(code=None, signal=11), Outcome.failed, "killed by signal 11 (SIGSEGV)"),
        (None, Exit(code=None, signal=99), Outcome.failed, "killed by signal 99 (unknown)"),
        (Wish.stop, Exit(code=0, signal=None), Outcome.stopped, "because"),
        (Wish.stop, Exit(code=1, signal=None, tail=TRACEBACK), Outcome.stopped, "because"),
        (Wish.stop, Exit(code=None, signal=9), Outcome.stopped, "because"),
        (Wish.kill, Exit(code=None, signal=15), Outcome.killed, "because"),
        (Wish.preempt, Exit(code=0, signal=None), Outcome.preempted, "because"),
        (Wish.stall, Exit(code=0, signal=None), Outcome.failed, "because"),
        (Wish.stall, Exit(code=None, signal=9), Outcome.failed, "because"),
    ],
)
def test_verdicts(wish: Wish | None, end: Exit, outcome: Outcome, reason: str) -> None:
    ladder = Ladder()
    if wish is not None:
        ladder.ask(wish, "because", 0)
    ended = verdict(ladder, end)
    assert (ended.outcome, ended.reason) == (outcome, reason)
    assert (ended.exit_code, ended.signal, ended.tail) == (end.code, end.signal, end.tail)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", ""),
        ("no traceback\nValueError: boom\n", ""),
        (TRACEBACK, "ValueError: boom"),
        ("Traceback (most recent call last):\n  File\n", ""),
        ("Traceback (most recent call last):\n  File\nKeyboardInterrupt\n", "KeyboardInterrupt"),
    ],
)
def test_the_last_error(text: str, sentence: str) -> None:
    assert last_error(text) == sentence


class TestRunDir:
    def test_tail_is_bounded_in_lines_and_bytes(self, tmp_path: Path) -> None:
        path = tmp_path / "output.log"
        assert rundir.tail(path) == ""
        path.write_text("".join(f"line {n}\n" for n in range(100)))
        assert rundir.tail(path).splitlines() == [f"line {n}" for n in range(50, 100)]
        path.write_bytes(b"\xff" + b"x" * 20_000)
        assert len(rundir.tail(path)) == 8192

    def test_what_the_user_leaves_stays(self, tmp_path: Path) -> None:
        run_dir, log = tmp_path / "run", tmp_path / "logs" / "r-1.log"
        rundir.prepare(run_dir, {"lr": 1})
        (run_dir / rundir.OUTPUT).write_text("hello")
        (run_dir / "model.bin").touch()
        rundir.order_stop(run_dir, "enough")
        assert rundir.stop_reason(run_dir) == "enough"
        rundir.put_away(run_dir, log)
        assert log.read_text() == "hello"
        assert [path.name for path in run_dir.iterdir()] == ["model.bin"]
        (run_dir / "model.bin").unlink()
        rundir.put_away(run_dir, log)
        assert not run_dir.exists()

    def test_prepare_forgets_what_was_there(self, tmp_path: Path) -> None:
        rundir.prepare(tmp_path, {"lr": 1})
        rundir.order_stop(tmp_path, "old")
        rundir.prepare(tmp_path, {"lr": 2})
        assert rundir.stop_reason(tmp_path) is None
        assert rundir.read_params(tmp_path) == {"lr": 2}
