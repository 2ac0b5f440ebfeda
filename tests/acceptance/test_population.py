"""The example of population based training, cut short. Who takes turns when is tested beside the engine."""

from __future__ import annotations

from pathlib import Path

from acceptance.commands import Place

EXAMPLE = Path(__file__).parents[2] / "examples" / "population"
SHORT = {"size: 8": "size: 2", "max_iter: 20": "quantile: 0.5\n  max_iter: 8", "value: 20": "value: 8"}


def test_every_member_and_every_copy_comes_to_its_end(place: Place) -> None:
    code = (EXAMPLE / "train.py").read_text()
    (place.path / "train.py").write_text(code.replace("BATCH, VIEWS = 64, 32, 25", "BATCH, VIEWS = 32, 32, 5"))
    text = (EXAMPLE / "sweep.yaml").read_text()
    for whole, short in SHORT.items():
        assert whole in text
        text = text.replace(whole, short)
    (place.path / "sweep.yaml").write_text(f"{text}seed: 3\n")
    done = place.run("run", "sweep.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    (sweep,) = place.json("status")
    assert sweep["state"] == "finished"
    runs = place.json("runs", sweep["id"])
    assert {run["state"] for run in runs} <= {"finished", "stopped"}
    assert all(run["summary"]["epoch"] == 8 for run in runs if run["state"] == "finished" and run["steps"])
    copies = [run for run in runs if run["number"] > 2]
    assert len(copies) == sum(run["state"] == "stopped" for run in runs)
    assert all("from the checkpoint of run" in run["reason"] and run["steps"] < 8 for run in copies)
