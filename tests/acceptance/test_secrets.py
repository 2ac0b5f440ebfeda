"""A whole sweep whose program tells all that it knows: no secret is stored, logged, sent or shown."""

from __future__ import annotations

from acceptance.commands import Place

KEY = "canary-of-the-api-key-0123456789"
TOKEN = "canary-of-a-token-abcdefgh"
ARGUMENT = "canary-of-an-argument-42"

TRAIN = """
import os, sys
print(dict(os.environ), sys.argv)
raise ValueError(f"{os.environ['HF_TOKEN']} at redis://:{os.environ['SWEEPYARD_API_KEY']}@host, {sys.argv}")
"""

SWEEP = f"""
program: train.py
command: ["${{interpreter}}", "${{program}}", "--api-key", "{ARGUMENT}", "${{args}}"]
method: random
run_cap: 1
parameters: {{x: {{min: 1.0, max: 2.0}}}}
"""


def test_no_secret_leaves_the_run(place: Place) -> None:
    (place.path / "train.py").write_text(TRAIN)
    (place.path / "sweep.yaml").write_text(SWEEP)
    secrets = {"SWEEPYARD_API_KEY": KEY, "HF_TOKEN": TOKEN}
    done = place.run("run", "sweep.yaml", "--workers", 1, **secrets)
    assert "note: command: it seems to hold a secret" in done.stdout
    assert "1 run failed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 3  # every run has failed
    (sweep,) = place.json("status", **secrets)
    shown = done.stdout + done.stderr + place.run("runs", sweep["id"], "1", **secrets).stdout
    for words in (("status", sweep["id"]), ("runs", sweep["id"], "1")):
        shown += str(place.json(*words, **secrets))
    shown += place.run("sweep", "sweep.yaml", "--dry-run", **secrets).stdout
    for secret in (KEY, TOKEN, ARGUMENT):
        assert secret not in shown
    files = [file for file in (place.path / ".sweepyard").rglob("*") if file.is_file()]
    # What the run printed stays on its own machine, as it printed it; and the sweep file says what to run.
    told = {file.name for file in files if any(s.encode() in file.read_bytes() for s in (KEY, TOKEN))}
    assert len(told) == 1
    assert told.pop().endswith("-1.log")
    assert {"store.db", "service.log", "agent-1.log"} <= {file.name for file in files}
    with_argument = {file.name for file in files if ARGUMENT.encode() in file.read_bytes()}
    assert all(name.startswith("store.db") or name.endswith("-1.log") for name in with_argument), with_argument
