"""`sweepyard enqueue`, with real processes: the point is tried first, and others are explained."""

from __future__ import annotations

import re

from acceptance.commands import Place


def test_an_enqueued_point_is_tried(place: Place) -> None:
    file = place.write_sweep(runs=2)
    created = place.run("sweep", file)
    sweep_id = re.search(r"Created sweep ([a-z0-9]{8})", created.stdout)[1]

    wrong = place.run("enqueue", sweep_id, "--set", "x=5")
    assert wrong.returncode == 2
    assert wrong.stderr == "point: x: 5 is outside the space: 1 to 2\n"
    assert place.run("enqueue", sweep_id, "--set", "x").returncode == 2
    done = place.run("enqueue", sweep_id, "--set", "x=1.5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Run 1 is pending: ")

    assert place.run("run", "--resume", sweep_id).returncode == 0
    first, second = place.json("runs", sweep_id)
    assert (first["params"], first["reason"]) == ({"x": 1.5, "steps": 3, "pause_s": 0.0}, "enqueued by the user")
    assert [first["state"], second["state"]] == ["finished", "finished"]
    assert second["reason"].startswith("random draw 2")
