"""How long a decision of early termination takes from the report that it follows to the agent that must obey it.

    python benchmarks/decisions.py [--agents 50] [--seconds 60] [--period 1.0]

A real service (SQLite, embedded Valkey) and simulated agents in one other process: each takes offers through rq
and sends one report with one value of the metric every `period` seconds, as its pump would, and listens for hints.
Hyperband judges at 1, 3, 9, 27 values. `stored`: from the moment before a report is sent until its decision is
seen in the database, which is looked at every 5 ms. `order`: from the same moment until the agent holds the order
to stop.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

from orchestration import service
from simulated import Simulated

from sweepyard.bus.wire import AttemptOrder, Ended, Offer, Report, Rows, Started, WireRow
from sweepyard.client import Client, Connection
from sweepyard.tracking.records import Outcome

VALUES = 40
LOOK_S = 0.005
SPEC = {
    "method": "random",
    "metric": {"name": "loss"},
    "parameters": {"lr": {"min": 0.0, "max": 1.0}},
    "early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 3},
}

Sent = dict[tuple[str, int], float]
"""When the k-th value of a run was sent."""


class Trainer(Simulated):
    """Executes runs that are nothing but their reports. `order_s`: how long each order to stop took."""

    def __init__(self, connection: Connection, number: int, period_s: float, until: float, sent: Sent) -> None:
        self.order_s: list[float] = []
        super().__init__(connection, f"simulated-{number}")
        self._period_s, self._until, self._sent = period_s, until, sent
        self._leave = threading.Event()
        self._ready = threading.Event()
        self._ready.set()
        self._dice = random.Random(number)

    def work(self) -> None:
        time.sleep(self._dice.uniform(0, self._period_s))
        self._exchange()
        self._bus.take_offers(self._sweep, self._execute, self._leave, self._ready)

    def end(self) -> None:
        self._leave.set()

    def _execute(self, offer: Offer) -> bool:
        seq = iter(range(1, 10**6))
        self._exchange(self._report(offer, next(seq), Started(host="here", pid=1)), running=offer)
        level = self._dice.random()
        order = None
        for k in range(1, VALUES + 1):
            if order or time.monotonic() > self._until:
                break
            row = WireRow(k, 0.1 * k, float(k), {"loss": level + 1 / k + self._dice.gauss(0, 0.1)})
            self._sent[offer.run, k] = began = time.monotonic()
            order = self._exchange(self._report(offer, next(seq), Rows(rows=[row])), running=offer)
            order = order or self._listen(offer, began)
            if order:
                self.order_s.append(time.monotonic() - began)
        outcome = Outcome.stopped if order else Outcome.finished
        self._exchange(self._report(offer, next(seq), Ended(outcome=outcome)))
        if time.monotonic() > self._until:
            self._leave.set()
        return True

    def _listen(self, offer: Offer, began: float) -> AttemptOrder | None:
        """What a training does between two reports: time passes, hints are heard."""
        while (left_s := began + self._period_s - time.monotonic()) > 0:
            if self._bus.wait_for_hint(left_s) and (order := self._exchange(running=offer)):
                return order
        return None

    def _exchange(self, *reports: Report, running: Offer | None = None) -> AttemptOrder | None:
        presence = self._presence(running)
        control = self._bus.exchange([*reports, presence] if not running else reports, presence)
        return control.orders.get(str(running.ref)) if running else None


def new_decisions(database: sqlite3.Connection, after: int) -> Iterator[tuple[int, str, int]]:
    yield from database.execute(
        "SELECT d.id, r.id, d.rung FROM decisions d JOIN runs r ON r.key = d.run_key WHERE d.id > ? ORDER BY d.id",
        (after,),
    )


def watch(file: Path, sent: Sent, until: float) -> list[float]:
    """How long each decision took until it could be read."""
    took_s: list[float] = []
    last = 0
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        while time.monotonic() < until + 2:
            for decision, run, rung in new_decisions(database, last):
                last = decision
                took_s.append(time.monotonic() - sent[run, int(rung)])
            time.sleep(LOOK_S)
    return took_s


def line(name: str, seconds: Sequence[float]) -> str:
    ms = sorted(1000 * each for each in seconds)
    p95, p99 = ms[int(0.95 * len(ms))], ms[int(0.99 * len(ms))]
    return f"{name:<10}{len(ms):>8}{median(ms):>10.0f}{p95:>10.0f}{p99:>10.0f}{ms[-1]:>10.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--period", type=float, default=1.0)
    given = parser.parse_args()
    sent: Sent = {}
    with tempfile.TemporaryDirectory() as name, service(Path(name)) as url, Client(url) as client:
        connection = client.connect(client.create_sweep(SPEC).id)
        until = time.monotonic() + given.seconds
        agents = [Trainer(connection, n, given.period, until, sent) for n in range(given.agents)]
        threads = [threading.Thread(target=agent.work, daemon=True) for agent in agents]
        for thread in threads:
            thread.start()
        stored_s = watch(next(Path(name, "yard").glob("*.db")), sent, until)
        for agent in agents:
            agent.end()
    print(f"{given.agents} agents, {len(sent)} reports in {given.seconds:g} s")
    print(f"{'ms':<10}{'count':>8}{'p50':>10}{'p95':>10}{'p99':>10}{'most':>10}")
    print(line("stored", stored_s))
    print(line("order", [each for agent in agents for each in agent.order_s]))


if __name__ == "__main__":
    main()
