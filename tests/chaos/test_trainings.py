"""F3. Trainings that are killed, hang, and leave processes behind: each ends, and its reason says how."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from acceptance.commands import Place
from chaos.conftest import SCALE, Survived
from chaos.yard import LIMIT_S, QUICK, Books

from sweepyard.client import Client
from sweepyard.clock import wait_until
from sweepyard.tracking.records import SWEEP_ENDED, Attempt, Outcome, Row, Run, RunState
from sweepyard.tracking.sql import open_store

pytestmark = pytest.mark.timeout(300)

AGENTS = 8
EACH = max(2, round(20 * SCALE))
STALL_AFTER_S = 3.0
LAST = "about to go wrong"
TRAIN = f"""
import os
import signal
import time
import sweepyard


def train(config):
    for k in range(3):
        sweepyard.log({{"loss": k}})
    print("{LAST}", flush=True)
    if config["way"] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if config["n"] % 2:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if config["way"] == "hangs" or not os.fork() or not os.fork():
        time.sleep(600)
"""


def test_trainings_go_wrong(place: Place, survived: Survived) -> None:
    (place.path / "train.py").write_text(TRAIN)
    service = place.start("serve", "--port", "0", **QUICK)
    service.wait_for(" serving ")
    note = json.loads((place.path / ".sweepyard" / "service.json").read_text())
    with Client(note["url"]) as client:
        sweep_id = client.create_sweep(
            {
                "method": "grid",
                "metric": {"name": "loss"},
                "stall_after_s": STALL_AFTER_S,
                "parameters": {
                    "way": {"values": ["killed", "hangs", "daemons"]},
                    "n": {"values": list(range(EACH))},
                },
            }
        ).id
        words = ("agent", sweep_id, "--url", note["url"], "--function", "train:train")
        with_these = QUICK | {
            "SWEEPYARD_TERM_GRACE_S": "0.3",
            "SWEEPYARD_AGENT_DISABLE_FLAPPING": "true",
            "SWEEPYARD_DIR": str(place.path / "agents"),
        }
        agents = [place.start(*words, **with_these) for _ in range(AGENTS)]
        assert wait_until(lambda: client.sweep(sweep_id).state in SWEEP_ENDED, LIMIT_S, 0.2), service.text
        assert [agent.end() for agent in agents] == [0] * AGENTS, [agent.text for agent in agents]
    service.process.terminate()
    assert service.end() == 0, service.text
    assert wait_until(lambda: not place.living(), 10), "I8: somebody still lives"
    books = Books()
    with closing(open_store(f"sqlite:///{place.path}/.sweepyard/store.db")) as store:
        runs = store.runs(sweep_id)
        assert len(runs) == 3 * EACH
        for run in runs:
            (attempt,) = store.attempts(run.key)
            look(run, attempt, store.history(run.key), books)
    survived("trainings killed, hanging, leaving processes", len(runs), books)


def look(run: Run, attempt: Attempt, history: list[Row], books: Books) -> None:
    assert [row.data["loss"] for row in history] == [0, 1, 2]
    assert LAST in attempt.tail
    books.runs += 1
    books.rows += len(history)
    match run.params["way"]:
        case "killed":
            assert (run.state, attempt.signal) == (RunState.failed, 9)
            assert run.state_reason == "killed by signal 9 (SIGKILL; out of memory?)"
        case "hangs":
            assert (run.state, attempt.outcome) == (RunState.failed, Outcome.failed)
            assert run.state_reason.startswith(f"stalled: it logged nothing for {STALL_AFTER_S:g} s")
            assert attempt.ended_at is not None
            books.noticed_s.append(attempt.ended_at - history[-1].logged_at)
        case "daemons":
            assert run.state is RunState.finished
