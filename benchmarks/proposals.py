"""How long a free agent waits for its next config with Bayesian search: 64 agents, 1,000 runs in the past.

    python benchmarks/proposals.py [--runs 1000] [--agents 64] [--mean-s 20] [--waits 300]

The engine, the store and the searcher's process are the real ones; agents and Redis are simulated in this process,
so that a wait is what the controller makes of it: from the report of a run's end to the offer of the next. Runs of
14 mixed parameters end at random (exponential, `--mean-s`). Beside it Optuna's TPE, asked with as many trials in
the past and open; it has no service around it.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from sweepyard.bus.wire import AttemptRef, Ended, Message, Offer, Presence, Report, Rows, Started, WireRow
from sweepyard.clock import SYSTEM_CLOCK
from sweepyard.controller.engine import Engine
from sweepyard.controller.spec import read_spec
from sweepyard.search.random import RandomSearcher
from sweepyard.search.space import Space
from sweepyard.tracking.port import Store
from sweepyard.tracking.records import Outcome, Run, RunState, Sweep, SweepState
from sweepyard.tracking.sql import open_store

PARAMETERS: dict[str, Any] = {
    **{f"x{i}": {"min": 0.0, "max": 1.0} for i in range(6)},
    **{f"rate{i}": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1.0} for i in range(3)},
    **{f"width{i}": {"distribution": "int_uniform", "min": 1, "max": 512} for i in range(2)},
    "batch": {"values": [16, 32, 64, 128]},
    "optimizer": {"values": ["adam", "sgd", "lion"]},
    "depth": {"min": 1, "max": 12},
}


def loss(params: Mapping[str, Any]) -> float:
    value = sum((params[f"x{i}"] - 0.3) ** 2 for i in range(6))
    value += sum((math.log10(params[f"rate{i}"]) + 3) ** 2 for i in range(3)) / 10
    value += sum(abs(math.log2(params[f"width{i}"] / 64)) for i in range(2)) / 10 + abs(params["depth"] - 5) / 20
    return value + {"adam": 0.0, "sgd": 0.2, "lion": 0.1}[params["optimizer"]] + abs(params["batch"] - 64) / 200


class Floor:
    """Agents on paper, and the bus between them and the engine."""

    def __init__(self, sweep_id: str, agents: int, mean_s: float) -> None:
        self._sweep_id, self._mean_s, self._dice = sweep_id, mean_s, random.Random(1)
        self._idle = deque((f"agent-{i}", time.monotonic(), False) for i in range(agents))
        self._ends: list[tuple[float, str, Offer]] = []
        self._said: list[tuple[str, Message | None]] = []
        self._changed = threading.Condition()
        self._beats = Counter[str]()
        self.waits_ms: list[float] = []
        for name, *_ in self._idle:
            self._say(self._presence(name, 1))

    def offer(self, offer: Offer) -> None:
        with self._changed:
            name, since, counts = self._idle.popleft()
            if counts:
                self.waits_ms.append(1000 * (time.monotonic() - since))
            self._say(self._report(offer, name, 1, Started(host="h", pid=1)), self._presence(name, 0))
            ends = time.monotonic() + self._dice.expovariate(1 / self._mean_s)
            heapq.heappush(self._ends, (ends, name, offer))

    def work(self, waits: int) -> None:
        """End runs when their time has come, until so many waits are known."""
        while len(self.waits_ms) < waits:
            time.sleep(0.001)
            with self._changed:
                while self._ends and self._ends[0][0] <= time.monotonic():
                    _, name, offer = heapq.heappop(self._ends)
                    row = WireRow(step=0, runtime_s=1.0, logged_at=0.0, data={"loss": loss(offer.params)})
                    self._say(
                        self._report(offer, name, 2, Rows(rows=[row])),
                        self._report(offer, name, 3, Ended(outcome=Outcome.finished)),
                        self._presence(name, 1),
                    )
                    self._idle.append((name, time.monotonic(), True))

    def read(self, after: str, timeout_s: float) -> list[tuple[str, Message | None]]:
        with self._changed:
            self._changed.wait_for(lambda: len(self._said) > int(after), timeout_s)
            return self._said[int(after) :]

    def _say(self, *messages: Message) -> None:
        with self._changed:
            self._said += [(str(len(self._said) + i + 1), message) for i, message in enumerate(messages)]
            self._changed.notify_all()

    def _presence(self, name: str, free: int) -> Presence:
        self._beats[name] += 1
        word = {"host": "h", "pid": 1, "version": "0", "beat": self._beats[name], "free": free}
        return Presence.model_validate({"sweep": self._sweep_id, "agent": name, **word})

    def _report(self, offer: Offer, name: str, seq: int, body: Started | Rows | Ended) -> Report:
        return Report(sweep=offer.sweep, run=offer.run, attempt=offer.attempt, agent=name, seq=seq, body=body)

    def presence(self) -> Mapping[str, Presence]:
        return {}

    def waiting(self, _sweep_id: str) -> set[AttemptRef]:
        return set()

    def intact(self) -> bool:
        return True

    def queues(self) -> set[str]:
        return set()

    def close(self, sweep_id: str) -> None: ...

    def withdraw(self, sweep_id: str, refs: Sequence[AttemptRef]) -> None: ...

    def forget(self, upto: str) -> None: ...

    def remove_presence(self, agent_id: str) -> None: ...

    def tell(self, agent_id: str, **words: Any) -> None: ...


class TimedEngine(Engine):
    """Keeps how long each of its steps took: nobody else is served meanwhile."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.steps_ms: list[float] = []

    def _step(self, items: list[Any]) -> None:
        begin = time.monotonic()
        super()._step(items)
        self.steps_ms.append(1000 * (time.monotonic() - begin))


def past(store: Store, runs: int) -> Sweep:
    """A sweep with runs that have ended."""
    spec = read_spec({"method": "bayes", "metric": {"name": "loss"}, "parameters": PARAMETERS})
    sweep = Sweep(
        id="sweep001", entity="e", project="p", name="", spec=spec.data, seed=1, state=SweepState.running
    )
    points = RandomSearcher(Space.of(spec.data), 1).suggest([], [], runs)
    with store.transaction(store.take_over()) as tx:
        tx.add_sweep(sweep)
        for i, point in enumerate(points, 1):
            run = Run(
                id=f"run{i:05}", sweep_id=sweep.id, number=i, params=point.params, reason="", ended_at=float(i)
            )
            value = loss(point.params)
            tx.add_run(replace(run, state=RunState.finished, objective=value, steps=1, summary={"loss": value}))
    return sweep


def ours(runs: int, agents: int, mean_s: float, waits: int) -> tuple[list[float], list[float], list[Run]]:
    """The waits and the steps in milliseconds, and the runs that were waited for."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{Path(folder) / 'store.db'}")
        sweep = past(store, runs)
        floor = Floor(sweep.id, agents, mean_s)
        epoch = store.take_over()
        engine = TimedEngine(store, floor, SYSTEM_CLOCK, epoch=epoch, lost_after_s=1e6, proposal_deadline_s=60)
        engine.start()
        floor.work(waits + agents)
        engine.stop()
        made = store.runs(sweep.id)[runs + 2 * agents :]
        store.close()
    return floor.waits_ms[agents:], engine.steps_ms, made


def optuna(runs: int, agents: int, asks: int) -> list[float]:
    """Milliseconds of each ask."""
    import optuna as peer

    peer.logging.set_verbosity(peer.logging.ERROR)
    sampler = peer.samplers.TPESampler(seed=1, multivariate=False)
    study = peer.create_study(sampler=sampler)
    space = Space.of(read_spec({"method": "random", "parameters": PARAMETERS}).data)
    axes = distributions(peer)
    for point in RandomSearcher(space, 1).suggest([], [], runs):
        study.add_trial(peer.trial.create_trial(params=point.params, distributions=axes, value=loss(point.params)))
    took = []
    open_trials = deque(study.ask(axes) for _ in range(agents))
    for _ in range(asks):
        trial = open_trials.popleft()
        study.tell(trial, loss(trial.params))
        begin = time.monotonic()
        open_trials.append(study.ask(axes))
        took.append(1000 * (time.monotonic() - begin))
    return took


def distributions(peer: Any) -> dict[str, Any]:
    kinds = peer.distributions
    axes: dict[str, Any] = {f"x{i}": kinds.FloatDistribution(0.0, 1.0) for i in range(6)}
    axes |= {f"rate{i}": kinds.FloatDistribution(1e-5, 1.0, log=True) for i in range(3)}
    axes |= {f"width{i}": kinds.IntDistribution(1, 512) for i in range(2)}
    axes |= {"batch": kinds.CategoricalDistribution([16, 32, 64, 128]), "depth": kinds.IntDistribution(1, 12)}
    return axes | {"optimizer": kinds.CategoricalDistribution(["adam", "sgd", "lion"])}


def line(name: str, values: Iterable[float]) -> str:
    ordered = sorted(values)
    return f"{name:<34}{median(ordered):>10.1f}{ordered[int(0.95 * len(ordered))]:>10.1f}{ordered[-1]:>10.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--agents", type=int, default=64)
    parser.add_argument("--mean-s", type=float, default=20.0)
    parser.add_argument("--waits", type=int, default=300)
    given = parser.parse_args()
    waits, steps, made = ours(given.runs, given.agents, given.mean_s, given.waits)
    print(f"{given.runs} runs ended, {given.agents} agents, runs of {given.mean_s:g} s on average; milliseconds")
    print(f"{'':<34}{'median':>10}{'p95':>10}{'most':>10}")
    print(line("sweepyard, wait for an offer", waits))
    print(line("  cost of a suggestion", [run.detail["cost_ms"] for run in made]))
    print(line("a step of the controller meanwhile", steps))
    print(f"{'':<34}p99 {sorted(steps)[int(0.99 * len(steps))]:.1f} of {len(steps):,}")
    unseen = Counter(run.detail["unseen"] for run in made)
    print("  results unseen: " + ", ".join(f"{n} in {unseen[n]} suggestions" for n in sorted(unseen)))
    if find_spec("optuna"):
        peer = optuna(given.runs, given.agents, 50)
        print(line("Optuna TPE, ask", peer))
        print(f"median wait against Optuna's ask: {median(waits) / median(peer):.2f}")
    else:
        print("Optuna is not installed: pip install -e '.[bench]'")


if __name__ == "__main__":
    main()
