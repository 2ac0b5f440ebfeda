"""The controller and the agent die at every failpoint, at the first and the second hit, and the sweep decides as
if nothing had happened: its decision log equals that of the same sweep undisturbed.

One agent at a time, so that results come in the same order; real processes, a real Valkey, a real store.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
from acceptance.commands import DEADLINE_S, Place, Started
from acceptance.nursery import Nursery

from sweepyard.bus.controller_side import RedisControllerBus
from sweepyard.bus.wire import AttemptRef
from sweepyard.client import Client
from sweepyard.clock import wait_until
from sweepyard.errors import Unavailable
from sweepyard.failpoints import AGENT, CONTROLLER, EXIT_CODE, VARIABLE
from sweepyard.tracking.records import RUN_ENDED, SWEEP_ENDED
from sweepyard.tracking.sql import open_store

Answer = TypeVar("Answer")

QUICK = {"SWEEPYARD_HEARTBEAT_S": "0.2", "SWEEPYARD_LOST_AFTER_S": "2"}
RUNS = 5
TRAIN = """
import time
import sweepyard

def train(config):
    for step in range(4):
        sweepyard.log({"loss": (config["x"] * 7 % 5 + 1) / (step + 1)})
        time.sleep(0.1)
"""
SWEEP = """
method: {method}
metric: {{name: loss, goal: minimize}}
early_terminate: {{type: hyperband, min_iter: 2, min_peers: 2}}
seed: 5
run_cap: {runs}
parameters:
  x: {{min: 1, max: 40}}
"""
ONCE = {
    *("migration.before_commit", "takeover.after", "load.after", "shutdown.mid"),
    *("withdraw.before", "withdraw.after", "presence.before", "presence.after"),
    *("close.before", "close.after"),
    *("agent.leave_before", "agent.drain_mid"),
}
"""What a process passes once in this story."""

NOBODY_SERVES = "No sweepyard service answers"

pytestmark = pytest.mark.timeout(600)

SCENARIOS = [
    pytest.param(name, hit, id=f"{name}-{hit}")
    for name in sorted(CONTROLLER | AGENT)
    for hit in ((1,) if name in ONCE else (1, 2))
]


@pytest.mark.parametrize(("name", "hit"), SCENARIOS)
def test_it_dies_and_decides_the_same(
    place: Place, undisturbed: Callable[[str], Any], name: str, hit: int
) -> None:
    method = "bayes" if name == "ask.before" else "random"
    story = Story(place, method, dies=name, hit=hit)
    assert story.tell() == undisturbed(method)
    assert story.deaths == 1, f"it never came by {name} for the {hit}. time"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Callable[[str], Any]:
    """The decision log of the same sweep when nobody dies."""

    @cache
    def told(method: str) -> Any:
        place = Place(tmp_path_factory.mktemp(method), nursery.popen)
        story = Story(place, method)
        try:
            return story.tell()
        finally:
            place.clear()

    return told


class Story:
    """A sweep from its creation to its end, by commands; whoever has died is started again.

    `dies`: the failpoint at which, by its `hit`, the controller or the agent dies.
    """

    def __init__(self, place: Place, method: str, *, dies: str = "", hit: int = 1) -> None:
        self._place = place
        self._dies, self._hit = dies, hit
        self.deaths = 0
        (place.path / "train.py").write_text(TRAIN)
        (place.path / "sweep.yaml").write_text(SWEEP.format(method=method, runs=RUNS))
        self._service = self._serve()
        self.client = Client(json.loads((place.path / ".sweepyard" / "service.json").read_text())["url"])

    def tell(self) -> list[Any]:
        """Live through it: the decision log."""
        self._sweep_id = self._insist(self._create)
        for verb in ("pause", "resume"):
            self._insist(lambda verb=verb: self.client.control(self._sweep_id, verb))
        self._agent = self._work()
        if self._dies == "agent.drain_mid":
            self._agent.wait_for("run #1 started")
            self._agent.process.terminate()
        # An agent leaves when the sweep is over.
        assert wait_until(lambda: not self._agent_lives(), DEADLINE_S), (self._service.text, self._agent.text)
        if self._dies.startswith(("presence.", "close.")):
            assert wait_until(lambda: self._insist(lambda: self.deaths == 1), DEADLINE_S, 0.1)
        self._service.process.terminate()
        self._is_dead(self._service)
        self.client.close()
        return decisions(self._place.path / ".sweepyard" / "store.db", self._sweep_id)

    def _create(self) -> str:
        """A sweep with its first run in the queue. Whoever got no answer looks before asking again."""
        known = self.client.sweeps().items
        sweep_id = (
            known[0].id if known else self.client.create_sweep((self._place.path / "sweep.yaml").read_text()).id
        )
        if not self.client.runs(sweep_id).items:
            self.client.enqueue(sweep_id, {"x": 3})
        return sweep_id

    def _agent_lives(self) -> bool:
        """Whether there is an agent: one that has died, or left too early, is followed by another."""
        self._keep_service()
        if self._agent.process.poll() is None:
            return True
        over = self._insist(lambda: self.client.sweep(self._sweep_id)).state in SWEEP_ENDED
        if self._is_dead(self._agent) or not over:
            # The next agent comes when all that this one had is in the queue again: results keep their order.
            assert wait_until(self._all_waits, DEADLINE_S, 0.1), self._service.text
            self._agent = self._work()
            return True
        return False

    def _all_waits(self) -> bool:
        """Whether each open run is in the queue. That nobody is there is not enough: one who died before its first
        word was heard may have taken an offer."""
        agents = self._insist(lambda: self.client.agents(self._sweep_id))
        runs = self._insist(lambda: self.client.runs(self._sweep_id)).items
        there = self._insist(lambda: self.client.connect(self._sweep_id))
        bus = RedisControllerBus(there.redis_url, there.prefix, bytes.fromhex(there.signing_key))
        queued = bus.waiting(self._sweep_id)
        open_now = {AttemptRef(run.id, run.attempt) for run in runs if run.state not in RUN_ENDED}
        return open_now <= queued and all(agent.state != "active" for agent in agents)

    def _insist(self, ask: Callable[[], Answer]) -> Answer:
        """The answer of a service that may die over it."""
        answers: list[Answer] = []

        def asked() -> bool:
            self._keep_service()
            try:
                answers.append(ask())
            except Unavailable:
                return False
            return True

        assert wait_until(asked, DEADLINE_S), self._service.text
        return answers[0]

    def _keep_service(self) -> None:
        if self._service.process.poll() is not None and self._is_dead(self._service):
            self._service = self._serve()

    def _is_dead(self, started: Started) -> bool:
        """Whether it died at its failpoint, and did not just end, as an agent does that meets no service."""
        code = started.end()
        assert code in (0, EXIT_CODE) or NOBODY_SERVES in started.text, started.text
        self.deaths += code == EXIT_CODE
        return code == EXIT_CODE

    def _serve(self) -> Started:
        service = self._start("serve", "--port", "0")
        assert wait_until(lambda: " serving " in service.text or service.process.poll() is not None, DEADLINE_S)
        if service.process.poll() is not None and self._is_dead(service):
            return self._serve()
        return service

    def _work(self) -> Started:
        return self._start("agent", self._sweep_id, "--function", "train:train")

    def _start(self, *words: str) -> Started:
        """Armed, unless somebody has died already."""
        who = "agent" if words[0] == "agent" else "serve"
        armed = bool(self._dies) and not self.deaths and (who == "agent") == self._dies.startswith("agent.")
        return self._place.start(*words, **QUICK, **({VARIABLE: f"{self._dies}:{self._hit}"} if armed else {}))


def decisions(store_db: Path, sweep_id: str) -> list[Any]:
    """All that was decided about a sweep. Not how far each run came: without a controller it just goes on."""
    with closing(open_store(f"sqlite:///{store_db}")) as store:
        log: list[Any] = []
        for run in store.runs(sweep_id):
            judged = [
                (each.rule, each.action, each.rung, each.value, each.threshold, each.peers, each.reason)
                for each in store.decisions(sweep_id, run.key)
                if each.attempt == run.attempt
            ]
            log.append((run.number, run.params, run.reason, judged))
        return log
