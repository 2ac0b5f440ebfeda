"""How long a service takes to start on a large store: until it answers, until its first offer, and in what memory.

    python benchmarks/start.py [--postgres URL] [--active 10 100]

The store has 100 sweeps of 100 runs of 500 rows: 5 million rows, and as many values of the metric. `--active`:
how many of the sweeps go on (with early termination); the others are finished. Times are from the start of the
process: Python, imports, the embedded Valkey and all. The first offer is that to an agent which connects as
soon as the service answers. `--postgres`: an empty database of that kind, beside SQLite; its tables are dropped
in the end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from simulated import Simulated
from sqlalchemy import Connection, text

from sweepyard.client import Client
from sweepyard.clock import wait_until
from sweepyard.errors import Unavailable
from sweepyard.tracking.database import connect
from sweepyard.tracking.records import Attempt, AttemptState, Outcome, Run, RunState, Sweep, SweepState
from sweepyard.tracking.sql import open_store

SWEEPS, RUNS, ROWS = 100, 100, 500
SPEC = {
    "method": "random",
    "metric": {"name": "loss", "goal": "minimize"},
    "early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 3},
    "parameters": {"lr": {"distribution": "uniform", "min": 0.0, "max": 1.0}},
}
# CROSS JOIN: SQLite then takes run after run, in the order of the tables' keys.
STEPS = "WITH RECURSIVE steps (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM steps WHERE i < :last)"
VALUE = "1.0 / (i + 1) + runs.number * 0.001"
HISTORY = f"""
    INSERT INTO history (run_key, line, attempt, step, runtime_s, logged_at, data)
    {STEPS} SELECT runs.key, i, 1, i, i, i, '{{"loss": ' || ({VALUE}) || ', "accuracy": 0.5}}'
    FROM runs CROSS JOIN steps
"""
POINTS = f"""
    INSERT INTO points (run_key, attempt, k, position, value)
    {STEPS} SELECT runs.key, 1, i + 1, i + 1, {VALUE} FROM runs CROSS JOIN steps
"""
DEADLINE_S = 300.0


def fill(url: str, sweeps: int) -> str:
    """Make the store, in which every sweep has finished: the id of the newest."""
    store = open_store(url)
    epoch = store.take_over()
    for n in range(sweeps):
        sweep_id = f"sweep{n:03}"
        state = SweepState.finished
        with store.transaction(epoch) as tx:
            tx.add_sweep(Sweep(id=sweep_id, entity="e", project="p", name="", spec=SPEC, seed=n, state=state))
            for number in range(1, RUNS + 1):
                run = tx.add_run(a_run(sweep_id, number, f"r{n:03}{number:04}"))
                ended, outcome = AttemptState.ended, Outcome.finished
                tx.add_attempt(Attempt(run_key=run.key, n=1, state=ended, outcome=outcome, seq=ROWS))
    store.close()
    with _writing(url) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL session_replication_role = replica"))  # the keys are good
        for statement in (HISTORY, POINTS):
            connection.execute(text(statement), {"last": ROWS - 1})
    return sweep_id


def let_go_on(url: str, active: int) -> None:
    """Have the newest sweeps go on, so many."""
    newest = "SELECT key FROM sweeps ORDER BY key DESC LIMIT :active"
    with _writing(url) as connection:
        connection.execute(
            text(f"UPDATE sweeps SET state = 'running' WHERE key IN ({newest})"), {"active": active}
        )


@contextmanager
def _writing(url: str) -> Iterator[Connection]:
    with closing(connect(url)) as database, database.writing() as connection:
        yield connection


def a_run(sweep_id: str, number: int, run_id: str) -> Run:
    return Run(
        id=run_id,
        sweep_id=sweep_id,
        number=number,
        params={"lr": number / RUNS},
        reason="drawn",
        state=RunState.finished,
        objective=1 / ROWS + number * 0.001,
        steps=ROWS,
        lines=ROWS,
        created_at=1.0,
        started_at=1.0,
        ended_at=2.0 + number,
        summary={"loss": 0.1},
    )


def measure(folder: Path, store_url: str, sweep_id: str) -> str:
    """Start the service: seconds until it answers and until the first offer, CPU seconds and memory until then."""
    begin = time.perf_counter()
    words = ["serve", "--dir", str(folder / "yard"), "--port", "0", "--store-url", store_url]
    process = subprocess.Popen([sys.executable, "-m", "sweepyard", *words], stderr=subprocess.DEVNULL)
    try:
        client = Client(url_in(folder / "yard" / "service.json", process))
        assert wait_until(lambda: is_led(client), DEADLINE_S, 0.005)
        ready_s = time.perf_counter() - begin
        Simulated(client.connect(sweep_id), "starter").first_offer(DEADLINE_S)
        first_s = time.perf_counter() - begin
        return f"{ready_s:>12.2f}{first_s:>16.2f}{cpu_s(process.pid):>10.2f}{peak_mib(process.pid):>12.0f}"
    finally:
        process.terminate()
        process.wait()


def url_in(note: Path, process: subprocess.Popen[bytes]) -> str:
    assert wait_until(lambda: note.exists() or process.poll() is not None, DEADLINE_S, 0.005)
    return str(json.loads(note.read_text())["url"])


def is_led(client: Client) -> bool:
    with suppress(Unavailable):
        return client.health().status == "ok"
    return False


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--active", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/store.db"
        sweep_id = fill(url, 1)
        let_go_on(url, 1)
        small = measure(Path(folder), url, sweep_id)
    print(f"{SWEEPS} sweeps, {SWEEPS * RUNS:,} runs, {SWEEPS * RUNS * ROWS:,} rows of history")
    print(f"{'':<36}{'ready s':>12}{'first offer s':>16}{'CPU s':>10}{'peak MiB':>12}")
    print(f"{'SQLite, one sweep of 100 runs':<36}{small}", flush=True)
    stores = {"SQLite": None, "PostgreSQL": given.postgres} if given.postgres else {"SQLite": None}
    for name, place in stores.items():
        with tempfile.TemporaryDirectory() as folder:
            url = place or f"sqlite:///{folder}/store.db"
            sweep_id = fill(url, SWEEPS)
            for active in given.active:
                let_go_on(url, active)
                for _ in range(given.times):
                    figures = measure(Path(folder) / name, url, sweep_id)
                    print(f"{f'{name}, {active} sweeps go on':<36}{figures}", flush=True)
    if given.postgres:
        empty(given.postgres)


def empty(url: str) -> None:
    """Drop the tables of a PostgreSQL."""
    with _writing(url) as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))


if __name__ == "__main__":
    main()
