"""A sweep on real processes that a test makes trouble for, and the look at the books afterwards."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from acceptance.commands import Place, Started

from sweepyard.client import Client
from sweepyard.clock import SYSTEM_CLOCK, wait_until
from sweepyard.errors import Unavailable
from sweepyard.tracking.records import (
    RUN_ENDED,
    SWEEP_ENDED,
    Attempt,
    AttemptState,
    Outcome,
    Row,
    Run,
    RunState,
)
from sweepyard.tracking.sql import open_store

LIMIT_S = 120.0
LOST_AFTER_S = 2.0
QUICK = {"SWEEPYARD_HEARTBEAT_S": "0.2", "SWEEPYARD_LOST_AFTER_S": str(LOST_AFTER_S)}
STEPS = 8
AGENTS_MOST = 10
"""More than any yard has: so many runs may be made while the last cap is set."""
LOOK_S = 0.2
"""How often somebody looks: each look is work for the service, which six tests have at once."""

TRAIN = """
import time
import sweepyard


def train(config):
    for k in range(config["steps"]):
        sweepyard.log({"loss": config["x"] / (k + 1), "k": k})
        time.sleep(config["pause_s"])
"""


@dataclass(slots=True)
class Books:
    """What the store says at the end."""

    runs: int = 0
    rows: int = 0
    lost: int = 0
    """Attempts that were lost with their agents, and tried again."""
    preempted: int = 0
    given_up: int = 0
    """Runs whose attempts died with so many different agents that they are likely to be the cause."""
    noticed_s: list[float] = field(default_factory=list)
    """From each blow that cost an attempt until it was called lost."""
    back_s: list[float] = field(default_factory=list)
    """From each such blow until the run was executed again."""
    reasons: list[str] = field(default_factory=list)
    """Why attempts were lost."""


class Yard:
    """One service, some agents, and a sweep that goes on until `finish`. Whoever dies is replaced by `keep_up`.

    `via_url`: how the service reaches the store, if not by `store_url`. `serve`: its other options.
    """

    def __init__(
        self, place: Place, store_url: str, *, agents: int, pause_s: float = 0.1, via_url: str = "", **serve: str
    ) -> None:
        self.place = place
        self._store_url = store_url
        # What agents keep is on another disk than the store.
        self._agents_with = {"SWEEPYARD_DIR": str(place.path / "agents")}
        self._serve_with = {"store_url": via_url or store_url, **serve}
        self._blows: list[tuple[int, float]] = []
        self.services = 0
        """How many have been started."""
        self.back_s: list[float] = []
        """Seconds that it took after each trouble until runs ended again."""
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

    def agents_go_by(self, url: str, redis_url: str, *, stop_after_s: float) -> None:
        """Agents that start from now on reach the service and Redis at these addresses, and train on for so long
        without them."""
        self.agents_url = url
        self._agents_with |= {"SWEEPYARD_REDIS_URL": redis_url, "SWEEPYARD_STOP_AFTER_S": str(stop_after_s)}

    def kill_service(self) -> None:
        self._service.abandon()

    def strike(self, agent: Started, number: int) -> None:
        """Send an agent a signal, and remember when: the books tell when that was noticed."""
        self._blows.append((agent.process.pid, SYSTEM_CLOCK.wall()))
        agent.process.send_signal(number)

    def living_agents(self) -> list[Started]:
        return [each for each in self.agents if each.process.poll() is None]

    def working_agents(self, least: int) -> list[Started]:
        """Those that have begun a run at some time; at least so many."""
        found: list[Started] = []

        def enough() -> bool:
            self.keep_up()
            found[:] = [each for each in self.living_agents() if "run #" in each.text]
            return len(found) >= least

        assert wait_until(enough, LIMIT_S, LOOK_S), self._state()
        return found

    def recovers(self) -> None:
        """Wait until one more run has ended than have now, as far as the service knows."""
        began_s, before = SYSTEM_CLOCK.monotonic(), -1

        def goes_on() -> bool:
            nonlocal before
            self.keep_up()
            ended = self.ended()
            before = ended if before < 0 else before
            return ended > before >= 0

        assert wait_until(goes_on, LIMIT_S, LOOK_S), self._state()
        self.back_s.append(SYSTEM_CLOCK.monotonic() - began_s)

    def keep_up(self) -> None:
        """Start again whoever is dead, as a supervisor would."""
        self._keep_service()
        self.agents = [each if each.process.poll() is None else self.start_agent() for each in self.agents]

    def _keep_service(self) -> None:
        if self._service.process.poll() is not None:
            self._service = self._serve()

    def ended(self) -> int:
        """How many runs have ended, as far as the service says."""
        with suppress(Unavailable):
            return self.client.sweep(self.sweep_id).progress.ended
        return -1

    def trouble(self, what: Callable[[], object], *, times: int, every_s: float, dice: random.Random) -> None:
        """Do `what` so many times at random moments while the sweep goes on."""
        for _ in range(times):
            wait_until(lambda: False, dice.uniform(0.5, 1.5) * every_s)
            what()
            self.keep_up()

    def finish(self) -> Books:
        """Let what was begun end in peace, and look at every run."""
        self.keep_up()
        created = self.client.sweep(self.sweep_id).progress.created
        self.client.edit(self.sweep_id, changes={"run_cap": created + AGENTS_MOST})

        def over() -> bool:
            """An agent that is dead is replaced, unless it has left because the sweep is over."""
            self._keep_service()
            with suppress(Unavailable):
                if self.client.sweep(self.sweep_id).state in SWEEP_ENDED:
                    return True
            self.keep_up()
            return False

        assert wait_until(over, LIMIT_S, 0.2), self._state()
        self._look_at_service()
        for agent in self.agents:
            agent.process.send_signal(signal.SIGTERM)
            agent.end()
        self.client.close()
        self._service.process.terminate()
        assert self._service.end() == 0, self._service.text[-3000:]
        assert wait_until(lambda: not self.place.living(), 10), "I8: somebody still lives"
        said = [each.text for each in self.place.started if "Traceback" in each.text]
        assert not said, f"I14: {said[0][-3000:]}"
        return self.look()

    def _look_at_service(self) -> None:
        """I13: what the service holds after all that trouble is what any service holds."""
        process = Path(f"/proc/{self._service.process.pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        held = {
            "descriptors": (len(list((process / "fd").iterdir())), 60),
            "threads": (int(status["Threads"]), 40),
            "memory in MB": (int(status["VmRSS"].split()[0]) // 1024, 300),
        }
        over = {name: figure for name, (figure, most) in held.items() if figure > most}
        assert not over, f"I13: the service holds {over}"

    def look(self) -> Books:
        """I1 to I3: each run has ended well, with one attempt that counts and all of its rows, each once."""
        books = Books(back_s=self.back_s)
        with closing(open_store(self._store_url)) as store:
            runs = store.runs(self.sweep_id)
            assert [run.number for run in runs] == list(range(1, len(runs) + 1)), "I1: runs are missing"
            for run in runs:
                self._look_at(run, store.attempts(run.key), store.history(run.key), books)
        return books

    def _look_at(self, run: Run, attempts: list[Attempt], history: list[Row], books: Books) -> None:
        *earlier, last = attempts
        books.runs += 1
        books.rows += len(history)
        for attempt, following in zip(attempts, [*attempts[1:], None], strict=True):
            if attempt.state is AttemptState.lost:
                books.lost += 1
                books.reasons.append(attempt.reason)
                self._date(attempt, following, books)
        books.preempted += sum(each.outcome is Outcome.preempted for each in attempts)
        assert all(each.reason or each.outcome for each in earlier), "I11: without a reason"
        assert [row.line for row in history] == list(range(len(history))), f"I3: lines of run {run.number}"
        for attempt in attempts:
            mine = [row.data["k"] for row in history if row.attempt == attempt.n]
            assert mine == list(range(len(mine))), f"I3: rows of run {run.number}: {mine}"
        if run.state is RunState.crashed and "different agents" in run.state_reason:
            books.given_up += 1
            return
        assert run.state is RunState.finished, f"run {run.number} is {run.state}: {run.state_reason}"
        assert last.state is AttemptState.ended
        assert len(mine) == STEPS, f"I3: run {run.number} has {len(mine)} rows"

    def _date(self, attempt: Attempt, following: Attempt | None, books: Books) -> None:
        """How long after the blow it was seen, and made good."""
        blows = [at for pid, at in self._blows if f"-{pid}-" in attempt.agent_id and at < (attempt.ended_at or 0)]
        if blows and attempt.ended_at:
            books.noticed_s.append(attempt.ended_at - blows[-1])
            if following and following.started_at:
                books.back_s.append(following.started_at - blows[-1])

    def _state(self) -> str:
        sweep = self.client.sweep(self.sweep_id)
        open_runs = [run for run in self.client.runs(self.sweep_id, limit=500).items if run.state not in RUN_ENDED]
        shown = [(run.number, run.state, run.state_reason) for run in open_runs]
        return f"{sweep.state} {sweep.counts} {shown}\n{self._service.text[-3000:]}\n{self.agents[0].text[-2000:]}"

    def _serve(self) -> Started:
        words = [
            word for name, value in self._serve_with.items() for word in (f"--{name.replace('_', '-')}", value)
        ]
        service = self.place.start("serve", "--port", "0", *words, **QUICK)
        service.wait_for(" serving ")
        self.services += 1
        return service


def descendants(pid: int) -> set[tuple[int, str]]:
    """All processes below one, each with the time of its start: a number is given again to another."""
    parents, starts = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)], starts[int(entry.name)] = int(fields[1]), fields[19]
    found, new = set[int](), {pid}
    while new:
        found |= new
        new = {child for child, parent in parents.items() if parent in new} - found
    return {(each, starts[each]) for each in found - {pid}}


def lives(process: tuple[int, str]) -> bool:
    """Whether a process of `descendants` does anything any more: a dead one may wait to be put away."""
    try:
        fields = Path(f"/proc/{process[0]}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[19] == process[1] and fields[0] not in "ZX"
