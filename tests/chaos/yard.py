"""A sweep on real processes that a test makes trouble for, and the look at the books afterwards."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

from acceptance.commands import Place, Started

from sweepyard.client import Client
from sweepyard.clock import SYSTEM_CLOCK, wait_until
from sweepyard.errors import Unavailable
from sweepyard.tracking.records import RUN_ENDED, SWEEP_ENDED, AttemptState, RunState
from sweepyard.tracking.sql import open_store

LIMIT_S = 240.0
LOST_AFTER_S = 2.0
QUICK = {"SWEEPYARD_HEARTBEAT_S": "0.2", "SWEEPYARD_LOST_AFTER_S": str(LOST_AFTER_S)}
STEPS = 8
AGENTS_MOST = 10
"""More than any yard has: so many runs may be made while the last cap is set."""

TRAIN = """
import time
import sweepyard


def train(config):
    for k in range(config["steps"]):
        sweepyard.log({"loss": config["x"] / (k + 1), "k": k})
        time.sleep(config["pause_s"])
"""


@dataclass(frozen=True, slots=True)
class Books:
    """What the store says at the end."""

    runs: int
    attempts: int
    lost: int
    rows: int
    given_up: int
    """Runs whose attempts died with so many different agents that they are likely to be the cause."""


class Yard:
    """One service, some agents, and a sweep that goes on until `stop`. Whoever dies is replaced by `keep_up`.

    `serve`: options of the service.
    """

    def __init__(self, place: Place, *, agents: int, pause_s: float = 0.02, **serve: str) -> None:
        self.place = place
        # What agents keep is on another disk than the store.
        self._agents_with = {"SWEEPYARD_DIR": str(place.path / "agents")}
        self._serve_with = serve
        (place.path / "train.py").write_text(TRAIN)
        self._service = self._serve()
        note = json.loads((place.path / ".sweepyard" / "service.json").read_text())
        self.url: str = note["url"]
        self.agents_url = self.url
        self.client = Client(self.url)
        # Trouble is what is tried here: no run is given up for it.
        self.sweep_id = self.client.create_sweep(
            {
                "method": "random",
                "metric": {"name": "loss"},
                "run_cap": 10**6,
                "retry": {"max": 100, "on": ["crashed", "preempted"]},
                "parameters": {
                    "x": {"min": 1.0, "max": 2.0},
                    "steps": {"value": STEPS},
                    "pause_s": {"value": pause_s},
                },
            }
        ).id
        self.agents = [self.start_agent() for _ in range(agents)]

    def start_agent(self) -> Started:
        words = ("agent", self.sweep_id, "--url", self.agents_url, "--function", "train:train")
        return self.place.start(*words, **QUICK, **self._agents_with)

    def agents_go_by(self, url: str, redis_url: str) -> None:
        """Agents that start from now on reach the service and Redis at these addresses."""
        self.agents_url = url
        self._agents_with["SWEEPYARD_REDIS_URL"] = redis_url

    def kill_service(self) -> None:
        self._service.abandon()

    def keep_up(self) -> None:
        """Start again whoever is dead, as a supervisor would."""
        if self._service.process.poll() is not None:
            self._service = self._serve()
        if not self.is_over():
            self.agents = [each if each.process.poll() is None else self.start_agent() for each in self.agents]

    def is_over(self) -> bool:
        """Whether the sweep has ended; a service that does not answer now has not said so."""
        with suppress(Unavailable):
            return self.client.sweep(self.sweep_id).state in SWEEP_ENDED
        return False

    def ended(self) -> int:
        """How many runs have ended, as far as the service says."""
        with suppress(Unavailable):
            return self.client.sweep(self.sweep_id).progress.ended
        return -1

    def trouble(self, what: Callable[[], object], *, times: int, every_s: float, dice: random.Random) -> int:
        """Do `what` so many times at random moments while the sweep goes on: how many times it was."""
        for done in range(times):
            pause_s = dice.uniform(0.5, 1.5) * every_s
            if wait_until(self.is_over, pause_s, 0.1):
                return done
            what()
            self.keep_up()
        return times

    def finish(self) -> Books:
        """Let what was begun end in peace, and look at every run."""
        self.keep_up()
        created = self.client.sweep(self.sweep_id).progress.created
        self.client.edit(self.sweep_id, changes={"run_cap": created + AGENTS_MOST})

        def over() -> bool:
            self.keep_up()
            return self.is_over()

        assert wait_until(over, LIMIT_S, 0.2), self._state()
        for agent in self.agents:
            agent.process.send_signal(signal.SIGTERM)
            agent.end()
        self.client.close()
        self._service.process.terminate()
        assert self._service.end() == 0, self._service.text[-3000:]
        assert wait_until(lambda: not self.place.living(), 10), "I8: somebody still lives"
        return self.look()

    def look(self) -> Books:
        """I1 to I3: each run has ended well, with one attempt that counts and all of its rows, each once."""
        with closing(open_store(f"sqlite:///{self.place.path}/.sweepyard/store.db")) as store:
            runs = store.runs(self.sweep_id)
            assert [run.number for run in runs] == list(range(1, len(runs) + 1)), "I1: runs are missing"
            attempts = lost = rows = given_up = 0
            for run in runs:
                *earlier, last = store.attempts(run.key)
                if run.state is RunState.crashed and "different agents" in run.state_reason:
                    given_up += 1
                    continue
                assert run.state is RunState.finished, f"run {run.number} is {run.state}: {run.state_reason}"
                assert last.state is AttemptState.ended
                assert all(each.reason or each.outcome for each in earlier), "I11: without a reason"
                history = store.history(run.key)
                assert [row.line for row in history] == list(range(len(history)))
                for attempt in (*earlier, last):
                    mine = [row.data["k"] for row in history if row.attempt == attempt.n]
                    assert mine == list(range(len(mine))), f"I3: rows of run {run.number}: {mine}"
                assert len(mine) == STEPS, f"I3: run {run.number} has {len(mine)} rows"
                attempts += 1 + len(earlier)
                lost += sum(each.state is AttemptState.lost for each in earlier)
                rows += len(history)
            return Books(len(runs), attempts, lost, rows, given_up)

    def _state(self) -> str:
        sweep = self.client.sweep(self.sweep_id)
        open_runs = [run for run in self.client.runs(self.sweep_id, limit=500).items if run.state not in RUN_ENDED]
        shown = [(run.number, run.state, run.state_reason) for run in open_runs]
        return f"{sweep.state} {sweep.counts} {shown}\n{self._service.text[-3000:]}\n{self.agents[0].text[-2000:]}"

    def _serve(self) -> Started:
        began_s = SYSTEM_CLOCK.monotonic()
        words = [
            word for name, value in self._serve_with.items() for word in (f"--{name.replace('_', '-')}", value)
        ]
        service = self.place.start("serve", "--port", "0", *words, **QUICK)
        service.wait_for(" serving ")
        self.came_back_after_s = SYSTEM_CLOCK.monotonic() - began_s
        return service
