"""An agent that ends while Redis is away leaves reports on its disk: the next agent there sends them."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from acceptance.commands import DEADLINE_S, Place, Started
from chaos.redisserver import RedisServer

from sweepyard.client import Client
from sweepyard.clock import wait_until
from sweepyard.tracking.records import AttemptState, RunState, SweepState
from sweepyard.tracking.sql import open_store

TRAIN = """
import os, time
import sweepyard

def until(name):
    while not os.path.exists(name):
        time.sleep(0.01)

sweepyard.init()
for step in range(3):
    sweepyard.log({"loss": step})
until("half")
for step in range(3, 200):
    sweepyard.log({"loss": step})
open("logged", "w").close()
until("end")
sweepyard.finish()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    yield server
    server.stop()


def begin(place: Place, server: RedisServer) -> tuple[Client, str, Started]:
    """A service, a sweep, and an agent that has reported the first rows of a run."""
    file = place.write_sweep(runs=1)
    (place.path / "train.py").write_text(TRAIN)
    settings = {"SWEEPYARD_HEARTBEAT_S": "0.3", "SWEEPYARD_LOST_AFTER_S": "30"}
    service = place.start("serve", "--port", 0, SWEEPYARD_REDIS_URL=server.url, **settings)
    service.wait_for(" serving ")
    client = Client(json.loads((place.path / ".sweepyard" / "service.json").read_text())["url"])
    sweep_id = client.create_sweep((place.path / file).read_text()).id
    agent = place.start("agent", sweep_id, "--url", client.url)
    assert wait_until(lambda: any(run.lines == 3 for run in client.runs(sweep_id).items), DEADLINE_S), agent.text
    return client, sweep_id, agent


def cut_off(place: Place, server: RedisServer, agent: Started) -> None:
    """Let the run log all its rows, with nowhere to send them."""
    server.kill()
    agent.wait_for("Training goes on")
    (place.path / "half").touch()
    assert wait_until((place.path / "logged").exists, DEADLINE_S)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_result_that_could_not_be_sent_arrives_with_the_next_agent(
    place: Place, server: RedisServer, how: signal.Signals
) -> None:
    client, sweep_id, agent = begin(place, server)
    cut_off(place, server, agent)
    (place.path / "end").touch()
    agent.wait_for("run #1 finished")
    agent.process.send_signal(how)
    if how is signal.SIGTERM:
        agent.wait_for("told to end by SIGTERM")
        agent.process.send_signal(how)  # it need not wait for Redis
        assert agent.end() == 0
        assert "the last reports of run #1 are not confirmed; they stay in" in agent.text
        assert f"The next agent with the directory {place.path / '.sweepyard'} sends them" in agent.text
    agent.end()
    heir = place.start("agent", sweep_id, "--url", client.url)
    heir.wait_for("does not answer")
    server.start()
    heir.wait_for("left of run #1 is sent")
    assert heir.end() == 0
    assert wait_until(lambda: client.sweep(sweep_id).state is SweepState.finished, DEADLINE_S)
    check(place, sweep_id, [AttemptState.ended])
    client.close()
    assert not any((place.path / ".sweepyard" / "runs").iterdir())


def test_rows_of_a_killed_agent_arrive_too_and_its_run_is_tried_again(place: Place, server: RedisServer) -> None:
    client, sweep_id, agent = begin(place, server)
    cut_off(place, server, agent)
    agent.abandon()
    server.start()
    (place.path / "end").touch()
    heir = place.start("agent", sweep_id, "--url", client.url)
    heir.wait_for("left of run #1 is sent")
    assert heir.end() == 0
    assert wait_until(lambda: client.sweep(sweep_id).state is SweepState.finished, DEADLINE_S)
    check(place, sweep_id, [AttemptState.lost, AttemptState.ended])
    client.close()


def check(place: Place, sweep_id: str, attempts: list[AttemptState]) -> None:
    """The run is finished, and each of its attempts has every row once."""
    with closing(open_store(f"sqlite:///{place.path}/.sweepyard/store.db")) as store:
        (run,) = store.runs(sweep_id)
        assert run.state is RunState.finished
        assert [attempt.state for attempt in store.attempts(run.key)] == attempts
        rows = [(row.attempt, row.data["loss"]) for row in store.history(run.key)]
        assert rows == [(n, loss) for n in range(1, len(attempts) + 1) for loss in range(200)]
