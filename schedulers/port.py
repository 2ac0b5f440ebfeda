"""The port of every early-termination rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a rule decided at one rung, and why (a sentence for the user).

    `rung`: the resource value at which the run was judged; `value`: the metric that was compared, as logged;
    `threshold`: what it had to reach, as logged (None: nothing to compare with); `peers`: how many runs set
    the threshold, this one included.
    """

    action: Literal["continue", "stop"]
    rule: str
    reason: str
    rung: int
    value: float
    threshold: float | None
    peers: int


class Scheduler(Protocol):
    """Decides which runs to stop. A pure function of the curves."""

    def judge(self, run_id: str, curves: Mapping[str, Sequence[float]]) -> Verdict | None:
        """Judge `run_id`, whose newest value has just arrived.

        `curves[id]` holds the finite values of the sweep's metric of each run so far, as logged, oldest first:
        the k-th value is resource k. Runs in any state are there. None: nothing to decide at this point.
        """
        ...
