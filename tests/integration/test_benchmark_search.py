from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "search.py"


def test_the_shipped_suite_runs_and_prints_a_row_for_each_method():
    arguments = ["--only", "training", "--evals", "50", "--seeds", "1", "--workers", "4"]

    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=True)

    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["task", "method", "@25", "@50", "CPU", "s"]
    regrets = {(task, method): float(last) for task, method, _at_25, last, _cpu_s in rows[1:5]}
    assert set(regrets) == {(task, method) for task in ("training", "MEAN") for method in ("random", "bayes")}
    assert rows[-1][:4] == ["bayes", "against", "random", "@50:"]
    assert regrets["training", "bayes"] < regrets["training", "random"]
