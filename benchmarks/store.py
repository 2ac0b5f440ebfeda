"""How many rows of history a second the tracking store takes in, and what reading costs in a large sweep.

    python benchmarks/store.py [--store-url postgresql://...]

Without a URL: SQLite with `synchronous=FULL` in a temporary folder. Peers, if installed: Optuna's SQLite and
journal storages, taking such values with `set_trial_intermediate_value`, one at a time: all that they offer.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from sweepyard.tracking.port import Store
from sweepyard.tracking.records import Attempt, Point, Row, Run, RunState, Sweep
from sweepyard.tracking.sql import open_store

ROWS, BATCH = 50_000, 100
PEER_ROWS = 2_000
RUNS = 10_000
SPEC = {"method": "random", "metric": {"name": "loss", "goal": "minimize"}, "parameters": {}}


def timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def new_run(store: Store, epoch: int, sweep: str, number: int) -> Run:
    with store.transaction(epoch) as tx:
        run = tx.add_run(Run(id=f"{sweep[:2]}{number:06}", sweep_id=sweep, number=number, params={}, reason=""))
        tx.add_attempt(Attempt(run_key=run.key, n=1))
    return run


def take_in(store: Store, epoch: int) -> float:
    """Rows a second: batches of rows with their points and the run's own row, as the controller writes them."""
    with store.transaction(epoch) as tx:
        tx.add_sweep(Sweep(id="ingest00", entity="e", project="p", name="", spec=SPEC, seed=0))
    run = new_run(store, epoch, "ingest00", 1)

    def work() -> None:
        for start in range(0, ROWS, BATCH):
            lines = range(start, start + BATCH)
            rows = [
                Row(line=i, attempt=1, step=i, runtime_s=1.0, logged_at=1.0, data={"loss": 1 / (i + 1)})
                for i in lines
            ]
            with store.transaction(epoch) as tx:
                tx.add_rows(run.key, rows)
                tx.add_points(run.key, 1, [Point(i + 1, 1 / (i + 1), i + 1) for i in lines])
                tx.save_run(replace(run, lines=start + BATCH))

    return ROWS / timed(work)


def read(store: Store, epoch: int) -> list[tuple[str, float]]:
    """Milliseconds of what a status page asks of a sweep with many runs."""
    sweep = Sweep(id="large000", entity="e", project="p", name="", spec=SPEC, seed=0)
    with store.transaction(epoch) as tx:
        tx.add_sweep(sweep)
        for number in range(1, RUNS + 1):
            run = Run(id=f"la{number:06}", sweep_id=sweep.id, number=number, params={"lr": 0.1}, reason="")
            tx.add_run(replace(run, state=RunState.finished, objective=1 / number))
    asked: dict[str, Callable[[], object]] = {
        "count by state": lambda: store.count_runs(sweep.id),
        "best run": lambda: store.best_run(sweep),
        "the best 50": lambda: store.runs(sweep.id, sort="objective", limit=50),
    }
    return [(what, 1000 * min(timed(work) for _ in range(5))) for what, work in asked.items()]


def optuna_rows(kind: str, folder: Path) -> float:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if kind == "journal":
        backend = optuna.storages.journal.JournalFileBackend(str(folder / "journal.log"))
        storage: optuna.storages.BaseStorage = optuna.storages.JournalStorage(backend)
    else:
        storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.db'}")
    study = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
    trial = storage.create_new_trial(study)

    def work() -> None:
        for step in range(PEER_ROWS):
            storage.set_trial_intermediate_value(trial, step, 1 / (step + 1))

    return PEER_ROWS / timed(work)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store-url")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(given.store_url or f"sqlite:///{folder}/store.db")
        epoch = store.take_over()
        print(f"{'rows a second':<44}{'':>10}")
        print(f"{f'sweepyard, {BATCH} rows a transaction':<44}{take_in(store, epoch):>10,.0f}", flush=True)
        for kind in ("sqlite", "journal") if find_spec("optuna") else ():
            print(f"{f'Optuna, {kind}, one at a time':<44}{optuna_rows(kind, Path(folder)):>10,.0f}", flush=True)
        print(f"\n{f'one read in a sweep of {RUNS:,} runs':<44}{'ms':>10}")
        for what, took_ms in read(store, epoch):
            print(f"{what:<44}{took_ms:>10.1f}")
        store.close()


if __name__ == "__main__":
    main()
