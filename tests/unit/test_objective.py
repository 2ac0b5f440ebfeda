from __future__ import annotations

import pytest

from sweepyard.tracking.records import Objective

VALUES = [4.0, 1.0, 7.0, 4.0]


@pytest.mark.parametrize(
    ("summary", "goal", "sums"),
    [
        (None, "minimize", [4, 1, 1, 1]),
        (None, "maximize", [4, 4, 7, 7]),
        ("best", "minimize", [4, 1, 1, 1]),
        ("best", "maximize", [4, 4, 7, 7]),
        ("last", "maximize", [4, 1, 7, 4]),
        ("min", "maximize", [4, 1, 1, 1]),
        ("max", "minimize", [4, 4, 7, 7]),
        ("mean", "minimize", [4, 2.5, 4, 4]),
    ],
)
def test_the_values_of_a_run_are_summed_up_one_by_one(summary, goal, sums):
    objective = Objective(name="loss", goal=goal, summary=summary)
    found: list[float] = []
    for k, value in enumerate(VALUES, 1):
        found.append(objective.summed(found[-1] if found else None, value, k))
    assert found == pytest.approx(sums)
