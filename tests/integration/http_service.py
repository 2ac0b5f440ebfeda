"""What the tests of API and client share: an engine without agents, a sweep with a past, a real server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import uvicorn
from fastapi import FastAPI

from sweepyard.clock import SystemClock, wait_until
from sweepyard.controller import verbs
from sweepyard.controller.audit import entry_of
from sweepyard.controller.http import ConnectionInfo, make_app
from sweepyard.controller.ledger import Ledger
from sweepyard.controller.limits import Limits
from sweepyard.controller.moves import first_version, new_id
from sweepyard.controller.port import AgentVerb, Verb
from sweepyard.controller.spec import Spec, read_spec
from sweepyard.errors import NotFound
from sweepyard.plain import Params
from sweepyard.tracking.port import Transaction
from sweepyard.tracking.records import (
    Actor,
    Agent,
    Attempt,
    AttemptState,
    Decision,
    Event,
    Outcome,
    PriorRun,
    Row,
    Run,
    RunState,
    SpecVersion,
    Sweep,
    SweepState,
)
from sweepyard.tracking.sql import SqlStore

Made = TypeVar("Made")

KEY = "open-sesame"
NOW = 2000.0
GENEROUS = Limits(requests_per_s=1e6, wrong_keys=10**6)
"""So that tests may ask as fast as they can."""
SWEEP = "abcd1234"
CONFIG = {
    "method": "random",
    "metric": {"name": "acc", "goal": "maximize", "target": 0.99},
    "parameters": {"lr": {"min": 0.1, "max": 0.9}, "bs": {"values": [16, 32]}},
    "early_terminate": {"type": "hyperband", "min_iter": 3},
    "run_cap": 20,
    "program": "train.py",
    "project": "digits",
}


class FixedClock(SystemClock):
    """Always `NOW`, as far as anyone sees."""

    def wall(self) -> float:
        return NOW


class StoreEngine:
    """Writes what a user does, as the engine would, and nothing else: it has no bus."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.epoch = store.take_over()

    def create_sweep(self, spec: Spec, prior_runs: Sequence[PriorRun] = (), *, by: Actor) -> Sweep:
        sweep = Sweep(
            id=new_id(),
            entity=spec.entity,
            project=spec.project,
            name=spec.name,
            spec=spec.data,
            seed=7 if spec.seed is None else spec.seed,
            created_at=NOW,
        )
        with self.store.transaction(self.epoch) as tx:
            tx.add_sweep(sweep)
            tx.add_version(first_version(sweep))
            tx.add_prior_runs([replace(run, sweep_id=sweep.id) for run in prior_runs])
            tx.add_event(Event(sweep_id=sweep.id, kind="sweep.created", text="made", at=NOW))
            tx.add_audit(entry_of(by, "sweep.create", sweep.id, sweep, NOW))
        return sweep

    def control(self, sweep_id: str, verb: Verb, *, by: Actor) -> Sweep:
        def work(ledger: Ledger, tx: Transaction) -> Sweep:
            verbs.control(ledger, tx, verb, NOW)
            return ledger.sweep

        return self._on(sweep_id, by, f"sweep.{verb}", work)

    def stop_run(self, sweep_id: str, ref: str | int, *, by: Actor) -> Run:
        return self._on(sweep_id, by, "run.stop", lambda ledger, tx: verbs.stop_run(ledger, tx, ref, NOW))

    def retry(
        self, sweep_id: str, refs: Sequence[str | int], states: Collection[RunState], *, by: Actor
    ) -> list[Run]:
        return self._on(sweep_id, by, "sweep.retry", lambda ledger, tx: verbs.retry(ledger, tx, refs, states, NOW))

    def edit(
        self, sweep_id: str, source: str | Mapping[str, Any] | None, wishes: Mapping[str, Any], *, by: Actor
    ) -> SpecVersion:
        return self._on(sweep_id, by, "sweep.edit", lambda ledger, tx: verbs.edit(ledger, tx, source, wishes, NOW))

    def enqueue(self, sweep_id: str, params: Params, *, outside: bool, by: Actor) -> Run:
        return self._on(
            sweep_id,
            by,
            "run.enqueue",
            lambda ledger, tx: verbs.enqueue(ledger, tx, params, NOW, outside=outside),
        )

    def order_agent(self, sweep_id: str, agent_id: str, verb: AgentVerb, *, by: Actor) -> Agent:
        found = next((agent for agent in self.store.agents(sweep_id) if agent.id == agent_id), None)
        if found is None:
            raise NotFound(f"There is no agent '{agent_id}'.")
        changed = replace(found, order=None if verb == "release" else verb, order_reason="asked for by the user")
        with self.store.transaction(self.epoch) as tx:
            tx.save_agent(changed)
            tx.add_audit(entry_of(by, f"agent.{verb}", sweep_id, f"agent {agent_id}", NOW))
        return changed

    def prune_audit(self, before: float, *, by: Actor) -> int:
        with self.store.transaction(self.epoch) as tx:
            gone = tx.prune_audit(before)
            tx.add_audit(entry_of(by, "audit.prune", "audit", f"{gone} entries", NOW))
        return gone

    def _on(self, sweep_id: str, by: Actor, verb: str, work: Callable[[Ledger, Transaction], Made]) -> Made:
        sweep = self.store.sweep(sweep_id)
        assert sweep is not None
        with self.store.transaction(self.epoch) as tx:
            made = work(Ledger.read(self.store, sweep), tx)
            tx.add_audit(entry_of(by, verb, sweep_id, made, NOW))
            return made

    def health(self) -> dict[str, Any]:
        return {"status": "ok", "engine": "ok", "redis": "ok", "epoch": self.epoch}


def make_service(
    store: SqlStore,
    *,
    api_key: str | None = None,
    redis_url: str = "redis://10.0.0.1:6379/0",
    limits: Limits | None = None,
    closing: threading.Event | None = None,
) -> FastAPI:
    """The application on `store`, which holds `SWEEP` and its past."""
    engine = StoreEngine(store)
    with store.transaction(engine.epoch) as tx:
        _write_past(tx)
    connection = ConnectionInfo(redis_url=redis_url, prefix="sy-test", heartbeat_s=5, lost_after_s=15)
    clock = FixedClock()
    return make_app(
        store=store,
        engine=engine,
        connection=connection,
        api_key=api_key,
        clock=clock,
        limits=limits or GENEROUS,
        closing=closing,
    )


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The URL of a real server of `app`."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert wait_until(lambda: server.started, 60)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


# number, state, objective, steps, ended_at
PAST = [
    (1, RunState.finished, 0.9, 50, 1000.0),
    (2, RunState.stopped, 0.5, 3, 1100.0),
    (3, RunState.stopped, 0.6, 9, 1200.0),
    (4, RunState.failed, None, 0, 1300.0),
    (5, RunState.finished, 0.95, 40, 1400.0),
    (6, RunState.running, 0.7, 12, None),
    (7, RunState.pending, None, 0, None),
]


def _write_past(tx: Transaction) -> None:
    spec = read_spec(CONFIG)
    sweep = Sweep(
        id=SWEEP,
        entity="local",
        project="digits",
        name="first",
        spec=spec.data,
        seed=7,
        state=SweepState.running,
        created_at=500.0,
    )
    tx.add_sweep(sweep)
    tx.add_version(first_version(sweep))
    for one in ("agent-a", "agent-b"):
        tx.save_agent(
            Agent(id=one, sweep_id=SWEEP, host="box", pid=1, version="0", first_seen_at=500.0, last_seen_at=1999.0)
        )
    keys = [_write_run(tx, *past) for past in PAST]
    _write_decision(tx, keys[1], "continue", 0.5)
    _write_decision(tx, keys[1], "stop", 0.4)
    tx.add_rows(keys[0], [_row(line) for line in range(6)])


def _write_run(
    tx: Transaction, number: int, state: RunState, objective: float | None, steps: int, ended_at: float | None
) -> int:
    run = tx.add_run(
        Run(
            id=f"run0000{number}",
            sweep_id=SWEEP,
            number=number,
            name=f"run-{number}",
            params={"lr": number / 10, "bs": 16},
            reason=f"random draw {number}",
            detail={"u": [0.5]},
            state=state,
            objective=objective,
            steps=steps,
            summary={"acc": objective, "odd": float("nan")},
            created_at=900.0,
            started_at=None if state is RunState.pending else 950.0,
            ended_at=ended_at,
        )
    )
    attempt = Attempt(run_key=run.key, n=1, offered_at=900.0)
    if state is RunState.running:
        attempt = replace(attempt, state=AttemptState.running, agent_id="agent-b", started_at=950.0)
    elif state is not RunState.pending:
        outcome = Outcome(state)
        ended = {"state": AttemptState.ended, "ended_at": ended_at, "outcome": outcome, "tail": "Boom"}
        attempt = replace(attempt, agent_id="agent-a", started_at=950.0, **ended)
    tx.add_attempt(attempt)
    about = {"run_key": run.key, "run_number": number, "attempt": 1}
    tx.add_event(Event(sweep_id=SWEEP, kind=f"run.{state}", text=f"run {number}", at=950.0, **about))
    return run.key


def _write_decision(tx: Transaction, run_key: int, action: Any, value: float) -> None:
    tx.add_decision(
        Decision(
            run_key=run_key,
            attempt=1,
            action=action,
            rule="hyperband",
            reason=f"{value} against 0.45",
            rung=3,
            value=value,
            threshold=0.45,
            peers=2,
            decided_at=1050.0,
        )
    )


def _row(line: int) -> Row:
    data: dict[str, Any] = {"acc": line / 10} if line % 2 else {"loss": float("inf"), "note": "x"}
    return Row(line=line, attempt=1, step=line, runtime_s=line, logged_at=950.0 + line, data=data)
