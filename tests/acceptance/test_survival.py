"""Kill -9 of an agent, the controller or Redis in the middle of a sweep: every run is accounted for."""

from __future__ import annotations

import json
import os
import signal
from contextlib import closing, suppress

import redis
from acceptance.commands import DEADLINE_S, Place, Started

from sweepyard.bus.embedded import EmbeddedRedis
from sweepyard.client import Client
from sweepyard.clock import wait_until
from sweepyard.errors import Unavailable
from sweepyard.tracking.records import AttemptState, Run, RunState, SweepState
from sweepyard.tracking.sql import open_store

RUNS, STEPS = 24, 10
QUICK = {"SWEEPYARD_HEARTBEAT_S": "0.3", "SWEEPYARD_LOST_AFTER_S": "10"}


def serve(place: Place) -> tuple[Started, str]:
    """A service of this folder, and its address."""
    started = place.start("serve", "--port", 0, **QUICK)
    started.wait_for(" serving ")
    return started, json.loads((place.path / ".sweepyard" / "service.json").read_text())["url"]


def test_every_run_is_accounted_for(place: Place) -> None:
    file = place.write_sweep(runs=RUNS, steps=STEPS, pause_s=0.03)
    controller, url = serve(place)
    client = Client(url)
    sweep_id = client.create_sweep((place.path / file).read_text()).id
    agents = [place.start("agent", sweep_id, "--url", url) for _ in range(4)]

    assert wait_until(lambda: client.sweep(sweep_id).progress.ended >= 4, DEADLINE_S)
    agents[0].abandon()
    assert wait_until(lambda: client.sweep(sweep_id).progress.ended >= 10, DEADLINE_S)
    controller.abandon()
    assert serve(place)[1] == url
    assert wait_until(lambda: client.sweep(sweep_id).state is SweepState.finished, DEADLINE_S)
    assert [agent.end() for agent in agents[1:]] == [0, 0, 0]
    client.close()

    runs = runs_of(place, sweep_id)
    assert sum(run.attempt > 1 for run in runs) <= 1, "only the killed agent's run is tried again"


def test_a_killed_redis_comes_back_and_no_run_notices(place: Place) -> None:
    file = place.write_sweep(runs=RUNS, steps=STEPS, pause_s=0.03)
    controller, url = serve(place)
    client = Client(url)
    sweep_id = client.create_sweep((place.path / file).read_text()).id
    agents = [place.start("agent", sweep_id, "--url", url) for _ in range(2)]
    assert wait_until(lambda: client.sweep(sweep_id).progress.ended >= 4, DEADLINE_S)
    (redis,) = place.living("-server ")
    controller.process.send_signal(signal.SIGSTOP)  # it may not revive Redis before an agent has missed it
    os.kill(redis, signal.SIGKILL)
    agents[0].wait_for("Training goes on")
    controller.process.send_signal(signal.SIGCONT)
    assert wait_until(lambda: client.sweep(sweep_id).state is SweepState.finished, DEADLINE_S)
    assert [agent.end() for agent in agents] == [0, 0]
    client.close()
    assert "the embedded Redis had ended and was started again" in controller.text
    assert {run.attempt for run in runs_of(place, sweep_id)} == {1}


def test_what_an_ended_sweep_has_offered_goes_though_its_controller_died_before_it_took_it_back(
    place: Place,
) -> None:
    doomed = place.start("serve", "--port", 0, **QUICK, SWEEPYARD_FAILPOINT="withdraw.before")
    doomed.wait_for(" serving ")
    url = json.loads((place.path / ".sweepyard" / "service.json").read_text())["url"]
    with Client(url) as client:
        sweep_id = client.create_sweep((place.path / place.write_sweep()).read_text()).id
        client.enqueue(sweep_id, {"x": 1.5})
        redis_url = EmbeddedRedis((place.path / ".sweepyard" / "redis").resolve()).running_url()
        assert redis_url
        with redis.Redis.from_url(redis_url) as queues:
            assert wait_until(lambda: bool(queues.keys(f"rq:queue:*-{sweep_id}")), DEADLINE_S)
            with suppress(Unavailable):  # whether the answer gets out before is a matter of luck
                client.control(sweep_id, "stop")
            assert doomed.end() == 137
            assert queues.keys("rq:job:*")
            serve(place)
            assert client.sweep(sweep_id).state is SweepState.finished
            assert wait_until(lambda: not queues.keys("rq:*"), DEADLINE_S)


def runs_of(place: Place, sweep_id: str) -> list[Run]:
    """The runs of a finished sweep, after a look at each: all rows there, one attempt that ended."""
    with closing(open_store(f"sqlite:///{place.path}/.sweepyard/store.db")) as store:
        runs = store.runs(sweep_id)
        assert [run.number for run in runs] == list(range(1, RUNS + 1))
        assert {run.state for run in runs} == {RunState.finished}
        for run in runs:
            rows = [row for row in store.history(run.key) if row.attempt == run.attempt]
            assert [row.step for row in rows] == list(range(STEPS))
            *earlier, last = store.attempts(run.key)
            assert last.state is AttemptState.ended
            assert {attempt.state for attempt in earlier} <= {AttemptState.lost}
        return runs
