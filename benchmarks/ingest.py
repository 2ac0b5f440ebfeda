"""Rows of history a second from reports in Redis to the store, how late they are there, and in what memory.

    python benchmarks/ingest.py [--postgres URL] [--rate 5000] [--seconds 20]

A real service with its embedded Valkey; 20 simulated agents send what real ones would: numbered reports of 25
rows, one value each, not more than 64 of them unacknowledged. First `--rate` rows a second for so many seconds:
the lag is from the moment before a report is sent until another process can read its last row in the store.
Then as many rows as the service acknowledges. Peers, if installed: Optuna's storages, taking the same values
with `set_trial_intermediate_value`, the only way that they have, in one process and one after the other: their
lag is that call. CPU seconds are those of the service, its start included, or of the peer's process; a server's
own are not counted. `--postgres`: an empty database of that kind, beside SQLite; its tables are dropped in the
end.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from simulated import Simulated
from sqlalchemy import text
from start import cpu_s, empty, peak_mib, url_in

from sweepyard.bus.wire import Ended, Rows, Started, WireRow
from sweepyard.client import Client, Connection
from sweepyard.clock import wait_until
from sweepyard.tracking.database import Database, connect
from sweepyard.tracking.records import Outcome

AGENTS, BATCH, WINDOW, AT_ONCE = 20, 25, 64, 16
FLOOD_ROWS = 100_000
PEER_ROWS = 2_000
DEADLINE_S = 300.0
LOOK_S = 0.005
SPEC = {
    "method": "random",
    "metric": {"name": "loss"},
    "parameters": {"lr": {"min": 0.0, "max": 1.0}},
    "run_cap": AGENTS,
}


class Sender(Simulated):
    """An agent whose run is nothing but its rows. `sent`: by last line, when that was sent."""

    def __init__(self, connection: Connection, number: int) -> None:
        super().__init__(connection, f"sender-{number}")
        self._seq = self._acked = 0
        self.lines = 0
        self.sent: dict[int, float] = {}
        self.offer = self.first_offer(DEADLINE_S)
        self._send([Started(host="here", pid=1)])

    def send_batch(self) -> None:
        """Report the next rows, or as many reports at once as wait, and hear what is acknowledged."""
        self.sent[self.lines + BATCH] = time.monotonic()
        self._send([self._rows()])

    def send_all(self, rows: int) -> None:
        """Report so many rows as fast as they are acknowledged."""
        last = self.lines + rows
        while self.lines < last or self._acked < self._seq:
            room = min(AT_ONCE, WINDOW - (self._seq - self._acked), (last - self.lines) // BATCH)
            self._send([self._rows() for _ in range(room)])
            if not room:
                time.sleep(LOOK_S)

    def end(self) -> None:
        self._send([Ended(outcome=Outcome.finished)])

    def _rows(self) -> Rows:
        begin, self.lines = self.lines, self.lines + BATCH
        return Rows(rows=[WireRow(k, 0.1 * k, float(k), {"loss": 1 / (k + 1)}) for k in range(begin, self.lines)])

    def _send(self, bodies: Sequence[Started | Rows | Ended]) -> None:
        reports = []
        for body in bodies:
            self._seq += 1
            reports.append(self._report(self.offer, self._seq, body))
        control = self._bus.exchange(reports, self._presence(self.offer))
        self._acked = control.acks.get(str(self.offer.ref), self._acked)


@dataclass
class Watch:
    """Looks into the store from outside: when each report could be read there."""

    database: Database
    senders: Sequence[Sender]
    lags_s: list[float] = field(default_factory=list)

    def until(self, over: Callable[[], bool]) -> None:
        waiting = {sender.offer.run: sender for sender in self.senders}
        while not over() or any(sender.sent for sender in self.senders):
            for run, lines in self._lines():
                sent = waiting[run].sent
                now = time.monotonic()
                for line in [line for line in list(sent) if line <= lines]:
                    self.lags_s.append(now - sent.pop(line))
            time.sleep(LOOK_S)

    def _lines(self) -> Iterator[tuple[str, int]]:
        with self.database.reading() as connection:
            yield from ((run, lines) for run, lines in connection.execute(text("SELECT id, lines FROM runs")))


def steady(database: Database, senders: Sequence[Sender], rate: float, seconds: float) -> list[float]:
    """Send at a rate: the lags."""
    begin = time.monotonic()
    period_s = BATCH * len(senders) / rate

    def work(sender: Sender, phase: float) -> None:
        due = begin + phase * period_s
        while due < begin + seconds:
            time.sleep(max(0.0, due - time.monotonic()))
            sender.send_batch()
            due += period_s

    threads = [threading.Thread(target=work, args=(sender, n / len(senders))) for n, sender in enumerate(senders)]
    for thread in threads:
        thread.start()
    watch = Watch(database, senders)
    watch.until(lambda: not any(thread.is_alive() for thread in threads))
    return watch.lags_s


def flood(senders: Sequence[Sender]) -> float:
    """Send as fast as it goes: rows a second until the last is acknowledged."""
    begin = time.monotonic()
    each = FLOOD_ROWS // len(senders) // BATCH * BATCH
    threads = [threading.Thread(target=sender.send_all, args=(each,)) for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return each * len(senders) / (time.monotonic() - begin)


@contextmanager
def service(folder: Path, store_url: str) -> Iterator[tuple[Client, int]]:
    words = ["serve", "--dir", str(folder / "yard"), "--port", "0", "--store-url", store_url]
    process = subprocess.Popen([sys.executable, "-m", "sweepyard", *words], stderr=subprocess.DEVNULL)
    try:
        with Client(url_in(folder / "yard" / "service.json", process)) as client:
            yield client, process.pid
    finally:
        process.terminate()
        process.wait()


def ours(folder: Path, store_url: str, rate: float, seconds: float) -> str:
    with service(folder, store_url) as (client, pid), closing(connect(store_url)) as database:
        told = client.connect(client.create_sweep(SPEC).id)
        senders = [Sender(told, number) for number in range(AGENTS)]
        lags_s = steady(database, senders, rate, seconds)
        rows_per_s = flood(senders)
        busy_s = cpu_s(pid)
        for sender in senders:
            sender.end()
        assert wait_until(lambda: client.sweep(told.sweep.id).state == "finished", DEADLINE_S)
        expected = sum(sender.lines for sender in senders)
        assert sum(run.steps for run in client.runs(told.sweep.id).items) == expected, "rows are missing"
        return line(rows_per_s, expected / busy_s, lags_s, peak_mib(pid))


def line(rows_per_s: float, rows_per_cpu_s: float, lags_s: Sequence[float], mib: float) -> str:
    ms = sorted(1000 * lag for lag in lags_s)
    p99_ms = ms[int(0.99 * len(ms))]
    return f"{rows_per_s:>10,.0f}{rows_per_cpu_s:>14,.0f}{median(ms):>12.1f}{p99_ms:>12.1f}{mib:>12.0f}"


def optuna_peer(kind: str, place: str) -> str:
    """In this process: it is started anew for each storage, so that its memory is that storage's."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if kind == "journal":
        backend = optuna.storages.journal.JournalFileBackend(place)
        storage: optuna.storages.BaseStorage = optuna.storages.JournalStorage(backend)
    else:
        storage = optuna.storages.RDBStorage(place.replace("postgresql://", "postgresql+psycopg://"))
    study = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
    trials = [storage.create_new_trial(study) for _ in range(AGENTS)]
    took_s = []
    began_s = time.process_time()
    for step in range(PEER_ROWS // AGENTS):
        for trial in trials:
            begin = time.monotonic()
            storage.set_trial_intermediate_value(trial, step, 1 / (step + 1))
            took_s.append(time.monotonic() - begin)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return line(
        len(took_s) / sum(took_s), len(took_s) / (time.process_time() - began_s), took_s, used.ru_maxrss / 1024
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--rate", type=float, default=5000.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peer:
        print(optuna_peer(*given.peer))
        return
    # An agent that has sent its rows is silent until all have.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "SWEEPYARD_LOST_AFTER_S": "600"}
    print(f"{'':<32}{'rows/s':>10}{'rows/CPU s':>14}{'lag p50 ms':>12}{'lag p99 ms':>12}{'peak MiB':>12}")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        stores = {"SQLite": f"sqlite:///{folder}/store.db"}
        peers = {
            "SQLite": ("rdb", f"sqlite:///{folder}/optuna.db"),
            "journal file": ("journal", f"{folder}/journal.log"),
        }
        if given.postgres:
            stores["PostgreSQL"] = given.postgres
            peers["PostgreSQL"] = "rdb", given.postgres
            stack.callback(empty, given.postgres)
        for kind, url in stores.items():
            print(f"{f'sweepyard, {kind}':<32}{ours(folder / kind, url, given.rate, given.seconds)}", flush=True)
        for kind, peer in peers.items() if find_spec("optuna") else ():
            if kind == "PostgreSQL":
                empty(given.postgres)
            words = [sys.executable, __file__, "--peer", *peer]
            print(f"{f'Optuna, {kind}':<32}{subprocess.check_output(words, text=True).rstrip()}", flush=True)


if __name__ == "__main__":
    main()
