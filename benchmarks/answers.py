"""How long the service takes to answer, on a kept connection and on new ones, by the number of runs of a sweep.

    python benchmarks/answers.py [--runs 100 1000 10000] [--times 100]

Medians over so many requests, one after the other. `health` is what the frame costs: HTTP, routing, limits.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx
from start import DEADLINE_S, SPEC, a_run, is_led, url_in

from sweepyard.client import Client
from sweepyard.clock import wait_until
from sweepyard.tracking.records import Sweep, SweepState
from sweepyard.tracking.sql import open_store

SWEEP = "sweep000"
ROUTES = {
    "health": "/api/v1/health",
    "a sweep": f"/api/v1/sweeps/{SWEEP}",
    "100 of its runs": f"/api/v1/sweeps/{SWEEP}/runs?limit=100",
    "its page": f"/e/p/sweeps/{SWEEP}",
}


def fill(url: str, runs: int) -> None:
    """A store with one finished sweep."""
    store = open_store(url)
    with store.transaction(store.take_over()) as tx:
        sweep = Sweep(id=SWEEP, entity="e", project="p", name="", spec=SPEC, seed=0, state=SweepState.finished)
        tx.add_sweep(sweep)
        for number in range(1, runs + 1):
            tx.add_run(a_run(SWEEP, number, f"r{number:07}"))
    store.close()


def answer_ms(client: httpx.Client, path: str, times: int, *, kept: bool) -> float:
    """The middle one of so many."""
    headers = {} if kept else {"Connection": "close"}
    took_s = []
    for _ in range(times + 1):
        begin = time.perf_counter()
        client.get(path, headers=headers).raise_for_status()
        took_s.append(time.perf_counter() - begin)
    return 1000 * median(took_s[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--times", type=int, default=100)
    given = parser.parse_args()
    print(f"{'runs':>8}{'':<24}{'kept ms':>10}{'new ms':>10}")
    for runs in given.runs:
        with tempfile.TemporaryDirectory() as folder:
            store_url = f"sqlite:///{folder}/store.db"
            fill(store_url, runs)
            words = ["serve", "--dir", f"{folder}/yard", "--port", "0", "--store-url", store_url]
            process = subprocess.Popen([sys.executable, "-m", "sweepyard", *words], stderr=subprocess.DEVNULL)
            try:
                url = url_in(Path(folder) / "yard" / "service.json", process)
                with Client(url) as ours:
                    assert wait_until(lambda ours=ours: is_led(ours), DEADLINE_S)
                with httpx.Client(base_url=url) as client:
                    for name, path in ROUTES.items():
                        kept, new = (answer_ms(client, path, given.times, kept=kept) for kept in (True, False))
                        print(f"{runs:>8,}    {name:<20}{kept:>10.1f}{new:>10.1f}", flush=True)
            finally:
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
