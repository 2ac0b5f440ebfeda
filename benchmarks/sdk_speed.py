"""How long `log()` and `import sweepyard` take. Each figure comes from processes of its own.

    python benchmarks/sdk_speed.py

`log()` is measured in a training process with a spool on this machine's disk, beside what anyone would write by
hand: one `json.dumps` and one `write` of a line. The import is measured beside a bare interpreter.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sweepyard.agent import rundir
from sweepyard.agent.rundir import RunInfo

CALLS = 50_000
STARTS = 15
ROW = '{"loss": 0.123456 / (n + 1), "val_accuracy": 0.9, "epoch": n}'

TIMING = f"""
import json, sys, time
tick = time.perf_counter_ns
times = []
for n in range({CALLS}):
    row = ROW_HERE
    begin = tick()
    CALL_HERE
    times.append(tick() - begin)
times.sort()
print(json.dumps([times[len(times) // 2] / 1e3, times[int(len(times) * 0.99)] / 1e3]))
"""

LOGS = {
    "sweepyard.log": ("import sweepyard; sweepyard.init()", "sweepyard.log(row)", ROW),
    "sweepyard.log, numpy": (
        "import sweepyard, numpy; sweepyard.init()",
        "sweepyard.log(row)",
        ROW.replace("0.9", "numpy.float32(0.9)"),
    ),
    "sweepyard.log, 50 values": (
        "import sweepyard; sweepyard.init()",
        "sweepyard.log(row)",
        '{f"metric_{k}": n / (k + 1) for k in range(50)}',
    ),
    "json.dumps + write": (
        "f = open('rows.jsonl', 'a', buffering=1)",
        "f.write(json.dumps({'step': n, 'time': time.time(), 'data': row}) + '\\n')",
        ROW,
    ),
}


def measure_log(setup: str, call: str, row: str) -> tuple[float, float]:
    """Median and 99th percentile of one call, in microseconds."""
    with tempfile.TemporaryDirectory() as folder:
        info = RunInfo(sweep_id="bench", id="bench", attempt=1, dir=Path(folder))
        rundir.prepare(Path(folder), {"lr": 0.1})
        code = setup + TIMING.replace("ROW_HERE", row).replace("CALL_HERE", call)
        answer = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **info.environment()},
            cwd=folder,
            check=True,
            capture_output=True,
        )
    median, p99 = json.loads(answer.stdout)
    return median, p99


def measure_start(code: str) -> float:
    """Median of how long an interpreter runs for `code`, in milliseconds."""
    times = []
    for _ in range(STARTS):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(times)


def main() -> None:
    print(f"{'one call':<28}{'median':>12}{'p99':>12}")
    for name, (setup, call, row) in LOGS.items():
        median, p99 = measure_log(setup, call, row)
        print(f"{name:<28}{median:>9.1f} us{p99:>9.1f} us")
    bare = measure_start("pass")
    print(f"\n{'one start of Python':<28}{'median':>12}{'over bare':>12}")
    for name, code in {
        "bare": "pass",
        "import sweepyard": "import sweepyard",
        "import and init()": "import sweepyard, sys, os; sys.stderr = open(os.devnull, 'w'); sweepyard.init()",
    }.items():
        took = measure_start(code)
        print(f"{name:<28}{took:>9.1f} ms{took - bare:>9.1f} ms")


if __name__ == "__main__":
    main()
