from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def search(*arguments: str) -> list[list[str]]:
    command = [sys.executable, BENCHMARKS / "search.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]


def test_a_suite_runs_and_a_search_that_the_file_has_is_not_run_again(tmp_path):
    kept = tmp_path / "results.jsonl"
    arguments = ["--only", "training", "--evals", "25", "--seeds", "4", "--workers", "4", "--results", str(kept)]

    rows = search(*arguments)
    lines = kept.read_text()
    again = search(*arguments)

    assert again == rows
    assert kept.read_text() == lines
    assert lines.count("\n") == 8
    means = {row[0]: float(row[1]) for row in rows if row[0] in ("random", "bayes") and "x" in row[-1]}
    assert means["bayes"] < means["random"]
    assert any(row[0].endswith(f"known only afterwards (4 seeds): {min(means.values()):.3f}.") for row in rows)
    less = next(row[1] for row in rows if row[0] == "random" and "to" in row[1])
    assert float(less.split()[0]) == pytest.approx(means["random"] - means["bayes"], abs=0.0015)  # each is rounded


def test_a_recorded_task_answers_with_trainings_that_happened(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import numpy as np
    import trainings

    tasks = trainings.load_tasks()
    rng = np.random.default_rng(0)

    for task in tasks:
        config = task.random_config(rng)
        values, seconds = task.curve(config, seed=1)
        assert task.evaluate(config, seed=1) == (values[-1], seconds[-1])
        assert len(values) == len(seconds) == (task.epochs or 1)
        assert np.all(np.diff(seconds) > 0)
        assert any(values is row or np.array_equal(values, row) for rows in task.valid.values() for row in rows)
        inactive = [child for child, parent, allowed in task.conditions if config[parent] not in allowed]
        for p in task.space:
            if p.name in inactive:
                assert task.true_value({**config, p.name: p.sample(rng)}) == task.true_value(config)
    assert len({task.name.split("-")[0] for task in tasks if task.epochs}) >= 3
    assert len({task.name.split("-")[1] for task in tasks}) >= 4
