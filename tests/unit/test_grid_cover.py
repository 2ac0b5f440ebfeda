"""A grid is an exact cover of its space, whatever happens to its runs, on the real controller but for its threads.

Only Redis and the agents are not there: the test says who takes an offer and what becomes of it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest

from sweepyard.bus.wire import AttemptRef, Ended, Left, Message, Offer, Presence, Report, Started
from sweepyard.controller import moves, verbs
from sweepyard.controller.ledger import Ledger
from sweepyard.controller.reconciler import Reconciler
from sweepyard.controller.spec import read_spec
from sweepyard.controller.telling import Effects
from sweepyard.plain import Params
from sweepyard.tracking.records import Outcome, RunState, Sweep, SweepState
from sweepyard.tracking.sql import SqlStore, open_store

SPEC = read_spec(
    {
        "method": "grid",
        "retry": {"max": 1, "on": ["crashed", "preempted", "failed"]},
        "parameters": {"a": {"values": [1, 2, 3]}, "b": {"values": ["x", "y"]}},
    }
).data
POINTS = {(a, b) for a in (1, 2, 3) for b in ("x", "y")}
GONE_WRONG = (RunState.failed, RunState.crashed, RunState.killed)
GOOD, BAD = ("finished", "stopped"), ("failed", "killed", "preempted", "lose")
EVENTS = (*["start"] * 8, *GOOD, *BAD, *BAD, "idle", "restart", "retry", "pause", *["resume"] * 2)


class StandingClock:
    """No time passes, so that nobody is lost unless the test says so."""

    def wall(self) -> float:
        return 1000.0

    monotonic = wall


class Table:
    """A bus on which offers lie until the test takes one."""

    def __init__(self) -> None:
        self.offers: dict[AttemptRef, Offer] = {}

    def offer(self, offer: Offer) -> None:
        self.offers[offer.ref] = offer

    def withdraw(self, _sweep_id: str, refs: Sequence[AttemptRef]) -> None:
        for ref in refs:
            self.offers.pop(ref, None)

    def tell(self, *_: Any, **__: Any) -> None:
        """Nobody listens."""


class World:
    """A sweep, the agents that take its runs, and a controller that can be exchanged for a new one."""

    def __init__(self, store: SqlStore) -> None:
        self.store, self.epoch = store, store.take_over()
        self.sweep_id, self.table = moves.new_id(), Table()
        self.running: list[tuple[Offer, str]] = []
        self.results: list[tuple[int, str]] = []
        self.said = 0
        with store.transaction(self.epoch) as tx:
            tx.add_sweep(Sweep(id=self.sweep_id, entity="e", project="p", name="", spec=SPEC, seed=1))
        self.restart()

    def restart(self) -> None:
        """A new controller, which knows what the store holds and offers everything again."""
        self.reconciler = Reconciler(self.store, self.table, StandingClock(), lost_after_s=15)  # type: ignore[arg-type]
        self.reconciler.load()
        self.step(self.word("idle", free=2))

    @property
    def ledger(self) -> Ledger:
        ledger = self.reconciler.ledger(self.sweep_id)
        assert ledger is not None
        return ledger

    def step(self, *messages: Message) -> None:
        """One step of the engine: what was said, and what follows."""
        effects = Effects()
        with self.store.transaction(self.epoch) as tx:
            for message in messages:
                self.said += 1
                self.reconciler.take_messages(tx, [(f"{self.said}-0", message)], effects)
            self.reconciler.plan(tx, effects)
        self.reconciler.act(effects, lambda _: None)

    def word(self, agent: str, *, free: int) -> Presence:
        return Presence(
            sweep=self.sweep_id, agent=agent, host="h", pid=1, version="0", beat=self.said + 1, free=free
        )

    def report(self, offer: Offer, agent: str, seq: int, body: Started | Ended) -> Report:
        return Report(sweep=offer.sweep, run=offer.run, attempt=offer.attempt, agent=agent, seq=seq, body=body)

    def happens(self, what: str, which: int = 0) -> None:
        match what:
            case "restart":
                self.restart()
            case "retry" | "pause" | "resume":
                self.obey(what)
            case "idle":
                self.step(self.word("idle", free=which))
            case "start" if self.table.offers:
                offer = self.table.offers.pop(sorted(self.table.offers)[which % len(self.table.offers)])
                agent = f"agent-{self.said}"
                self.running.append((offer, agent))
                started = self.report(offer, agent, 1, Started(host="h", pid=1))
                self.step(self.word(agent, free=0), started)
            case "lose" if self.running:
                _, agent = self.running.pop(which % len(self.running))
                self.step(Left(sweep=self.sweep_id, agent=agent))
            case _ if what in set(Outcome) and self.running:
                offer, agent = self.running.pop(which % len(self.running))
                if what in (Outcome.finished, Outcome.stopped) and self.listens_to(offer):
                    self.results.append(point_of(offer.params))
                self.step(self.report(offer, agent, 2, Ended(outcome=Outcome(what), reason=what)))

    def listens_to(self, offer: Offer) -> bool:
        """Whether what the offer's agent reports still counts."""
        run = self.ledger.runs[offer.run]
        return run.attempt == offer.attempt and run.state is RunState.running

    def obey(self, what: str) -> None:
        ledger = self.ledger
        with self.store.transaction(self.epoch) as tx:
            if what == "retry":
                verbs.retry(ledger, tx, [], GONE_WRONG, 1000.0)
            elif what == "resume" or ledger.sweep.state in (SweepState.running, SweepState.paused):
                verbs.control(ledger, tx, what, 1000.0)  # type: ignore[arg-type]
        self.step()

    def finish(self) -> None:
        """From now on everything goes well."""
        self.happens("resume")
        self.happens("idle", 2)
        for _ in range(100):
            if self.ledger.sweep.state is SweepState.finished:
                return
            self.happens("start")
            self.happens("finished")
        raise AssertionError(f"still {self.ledger.sweep.state}")

    def points(self) -> list[tuple[int, str]]:
        return [point_of(run.params) for run in self.store.runs(self.sweep_id)]


def point_of(params: Params) -> tuple[int, str]:
    return params["a"], params["b"]


@pytest.mark.parametrize("seed", range(20))
def test_a_grid_is_an_exact_cover_whatever_happens(sqlite_url: str, seed: int) -> None:
    dice = random.Random(seed)
    with closing(open_store(sqlite_url)) as store:
        world = World(store)
        for _ in range(60):
            world.happens(dice.choice(EVENTS), dice.randrange(4))
            points = world.points()
            assert len(points) == len(set(points))
        world.finish()
        assert sorted(world.points()) == sorted(POINTS)
        if any(run.state in GONE_WRONG for run in world.ledger.runs.values()):
            world.obey("retry")
            world.finish()
        assert {run.state for run in world.ledger.runs.values()} <= {RunState.finished, RunState.stopped}
        assert sorted(world.points()) == sorted(world.results) == sorted(POINTS)
