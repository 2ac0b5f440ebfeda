"""A sweep's life by its commands: tried again, edited, resumed; agents that wait; what is known from elsewhere."""

from __future__ import annotations

import re

from acceptance.commands import Place

FAILS_WHILE_BROKEN = """
import pathlib
import sweepyard
sweepyard.init()
sweepyard.log({"loss": sweepyard.config.x})
if pathlib.Path("broken").exists():
    raise ValueError("no such layer")
"""


def test_retry_edit_resume_and_an_agent_that_waits(place: Place) -> None:
    file = place.write_sweep(runs=1)
    (place.path / "train.py").write_text(FAILS_WHILE_BROKEN)
    (place.path / "broken").touch()
    assert place.run("run", file, "--workers", 1).returncode == 3
    ((failed,), (sweep,)) = (place.json("runs", place.json("status")[0]["id"]), place.json("status"))
    sweep_id = sweep["id"]
    assert (failed["state"], failed["attempt"]) == ("failed", 1)

    (place.path / "broken").unlink()
    again = place.run("retry", sweep_id)
    assert again.returncode == 0, again.stderr
    assert re.search(r"Run 1 is pending, attempt 2: .* \(ValueError: no such layer\)", again.stdout)
    agent = place.run("agent", sweep_id)
    assert agent.returncode == 0, agent.stderr
    (run,) = place.json("runs", sweep_id)
    assert (run["state"], run["attempt"], run["params"]) == ("finished", 2, failed["params"])
    assert place.run("retry", sweep_id).stdout.startswith(f"No run of sweep {sweep_id} is failed or crashed")

    wrong = place.run("edit", sweep_id, "--set", "method=bayes")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("edit: method: can not change ('random') while the sweep lives.")
    edited = place.run("edit", sweep_id, "--set", "run_cap=2", "--set", "parameters.x.max=3")
    assert edited.stdout.startswith(f"Sweep {sweep_id} is at version 2: ")
    assert "run_cap: 1 -> 2" in place.run("edit", sweep_id).stdout

    waiting = place.start("agent", sweep_id, "--wait")
    waiting.wait_for(f"waiting: sweep {sweep_id} is finished")
    assert place.run("sweep", "--resume", sweep_id).returncode == 0
    waiting.wait_for("the sweep goes on")
    waiting.wait_for("run #2 finished")
    stopped = place.run("stop", sweep_id, "#2")
    assert stopped.returncode == 2
    assert "there is nothing to stop" in stopped.stderr
    waiting.wait_for(f"waiting: sweep {sweep_id} is finished: run_cap 2 is reached")
    late = place.run("agent", sweep_id)
    assert late.returncode == 0
    assert "There is nothing to do" in late.stdout


def test_what_is_known_from_elsewhere(place: Place) -> None:
    file = place.write_sweep(runs=1)
    (place.path / "old.csv").write_text("x,loss\n1.5,0.5\n9,0.4\n")
    (place.path / "bad.csv").write_text("xx,loss\n1.5,0.5\n")
    wrong = place.run("sweep", file, "-R", "bad.csv")
    assert wrong.returncode == 2
    assert "bad.csv: row 1, column 1: 'xx' is neither a parameter nor the metric" in wrong.stderr
    done = place.run("sweep", file, "--prior_run", "old.csv")
    assert done.returncode == 0, done.stderr
    assert "note: prior runs: 1 of 2 are outside the space, each with a note" in done.stdout
    (sweep,) = place.json("status")
    seen = place.run("sweep", file, "--dry-run", "-R", sweep["id"])
    assert (seen.returncode, seen.stdout.splitlines()[-1]) == (0, f"prior runs: sweep {sweep['id']}: no runs")
    gone = place.run("sweep", file, "--dry-run", "-R", f"{sweep['id']}/7")
    assert (gone.returncode, "has no run '7'" in gone.stderr) == (2, True)
