"""Runs per second and the idle gap between two runs, with a training function that does nothing.

    python benchmarks/orchestration.py [--runs 300] [--agents 2]

The gap is measured by the function itself: from its last statement to its first one in the next run of the same
agent. Ours contains a fork, a process's end, the report, a commit, planning, random search, the offer through
rq, and `init()`. Peers, if installed (`pip install -e '.[bench]'`): Optuna with its journal and its SQLite
storage, as many processes on one study, random sampler. Optuna calls the function in the same process: it
isolates nothing and starts nothing, so its gap is storage alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median

OURS = """
import os, time
import sweepyard

def train():
    begin = time.time()
    sweepyard.init()
    sweepyard.log({"loss": sweepyard.config.lr})
    with open(f"times-{os.getppid()}.txt", "a") as file:
        file.write(f"{begin} {time.time()}\\n")
"""

OPTUNA = """
import os, sys, time, warnings
import optuna
warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)
kind, runs = sys.argv[1], int(sys.argv[2])
if kind == "journal":
    backend = optuna.storages.journal.JournalFileBackend("journal.log")
    storage = optuna.storages.JournalStorage(backend)
else:
    storage = "sqlite:///optuna.db"

def objective(trial):
    begin = time.time()
    value = trial.suggest_float("lr", 0.0, 1.0)
    trial.report(value, 0)
    with open(f"times-{os.getpid()}.txt", "a") as file:
        file.write(f"{begin} {time.time()}\\n")
    return value

sampler = optuna.samplers.RandomSampler()
study = optuna.create_study(study_name="s", storage=storage, sampler=sampler, load_if_exists=True)
study.optimize(objective, n_trials=runs)
"""


def gaps_ms(folder: Path) -> list[float]:
    """Idle gaps of all processes that left their times."""
    gaps: list[float] = []
    for file in folder.glob("times-*.txt"):
        spans = sorted(tuple(map(float, line.split())) for line in file.read_text().splitlines())
        gaps += [1000 * (after[0] - before[1]) for before, after in itertools.pairwise(spans)]
    return sorted(gaps)


def line(name: str, runs: int, took_s: float, folder: Path) -> str:
    gaps = gaps_ms(folder)
    p95 = gaps[int(0.95 * len(gaps))]
    return f"{name:<28}{runs / took_s:>10.1f}{median(gaps):>12.1f}{p95:>12.1f}"


@contextmanager
def service(folder: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "sweepyard", "serve", "--dir", str(folder / "yard"), "--port", "0"],
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    note = folder / "yard" / "service.json"
    while not note.exists():
        if process.poll() is not None:
            raise SystemExit("the service did not start")
        time.sleep(0.05)
    yield json.loads(note.read_text())["url"]
    process.terminate()
    process.wait()


def ours(folder: Path, runs: int, agents: int) -> str:
    from sweepyard.client import Client

    (folder / "noop.py").write_text(OURS)
    with service(folder) as url:
        client = Client(url)
        config = {"method": "random", "run_cap": runs, "parameters": {"lr": {"min": 0.0, "max": 1.0}}}
        sweep = client.create_sweep(config | {"metric": {"name": "loss"}})
        argv = [sys.executable, "-m", "sweepyard", "agent", sweep.id, "--url", url, "--quiet"]
        argv += ["--function", "noop:train"]
        processes = [subprocess.Popen(argv, cwd=folder) for _ in range(agents)]
        for process in processes:
            process.wait()
        found = client.runs(sweep.id, limit=1000).items
        assert all(run.state == "finished" for run in found)
        first, last = min(run.started_at or 0 for run in found), max(run.ended_at or 0 for run in found)
    return line("sweepyard", runs, last - first, folder)


def optuna(folder: Path, kind: str, runs: int, agents: int) -> str:
    argv = [sys.executable, "-c", OPTUNA, kind]
    subprocess.run([*argv, "0"], cwd=folder, check=True)
    processes = [subprocess.Popen([*argv, str(runs // agents)], cwd=folder) for _ in range(agents)]
    for process in processes:
        process.wait()
    spans = [
        tuple(map(float, row.split())) for f in folder.glob("times-*.txt") for row in f.read_text().splitlines()
    ]
    return line(f"Optuna, {kind}", runs, max(s[1] for s in spans) - min(s[0] for s in spans), folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--agents", type=int, default=2)
    given = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    print(f"{given.runs} runs of nothing, {given.agents} agents")
    print(f"{'':<28}{'runs/s':>10}{'gap ms':>12}{'gap p95':>12}")
    with tempfile.TemporaryDirectory() as folder:
        print(ours(Path(folder), given.runs, given.agents), flush=True)
    for kind in ("journal", "sqlite") if find_spec("optuna") else ():
        with tempfile.TemporaryDirectory() as folder:
            print(optuna(Path(folder), kind, given.runs, given.agents), flush=True)
    if not find_spec("optuna"):
        print("Optuna is not installed: pip install -e '.[bench]'")


if __name__ == "__main__":
    main()
