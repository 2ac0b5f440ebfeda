"""Which run to take in the end: of a noisy metric the best value is luck in part, and a model knows how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from sweepyard.search.bayes.evidence import Data, Reader
from sweepyard.search.bayes.learning import SCORED_MIN, losses_learner
from sweepyard.search.encoding import Encoding
from sweepyard.search.port import Observation
from sweepyard.search.space import Space
from sweepyard.tracking.records import Objective

_NOISE_MIN = 0.03
"""Noise of a smaller deviation, in deviations of the losses, is none: the model's own error is larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The run with this number, and what its objective is believed to be, in the metric's units."""

    number: int
    mean: float
    std: float
    reason: str


def recommend(space: Space, objective: Objective, history: Sequence[Observation]) -> Recommendation | None:
    """The run of this sweep that is best by the model's mean; where there is no noise, the best one observed.

    None if no run of this sweep that lies in the space has a score. Takes as long as a proposal.
    """
    encoding = Encoding(space)
    sign = -1.0 if objective.goal == "maximize" else 1.0
    data = Reader(space, encoding, sign)(history).scored()
    ours = data.of(data.origins == 0)
    if not len(ours):
        return None
    if len(data) < SCORED_MIN or not encoding.columns:
        return _observed(ours, sign, "the best observed: too few runs for a model")
    with threadpool_limits(limits=1):
        return _modelled(data, ours, encoding, objective)


def _observed(ours: Data, sign: float, reason: str) -> Recommendation:
    best = int(ours.losses.argmin())
    value, std = sign * float(ours.losses[best]), float(ours.stds[best])
    return Recommendation(number=int(ours.numbers[best]), mean=value, std=std, reason=reason)


def _modelled(data: Data, ours: Data, encoding: Encoding, objective: Objective) -> Recommendation:
    sign = -1.0 if objective.goal == "maximize" else 1.0
    model = losses_learner(encoding)(data)
    posterior = model.posterior(np.empty((0, len(encoding.columns))))
    if posterior.noise < _NOISE_MIN**2 and not ours.stds.any():
        return _observed(ours, sign, "the best observed: the metric shows no noise")
    means, stds = posterior(ours.rows)
    best, seen = int(means.argmin()), int(ours.losses.argmin())
    ends = [sign * float(model.warp.back(np.array(means[best] + way * stds[best]))) for way in (-1, 0, 1)]
    reason = "the best observed, and the best by the model"
    if best != seen:
        expected = sign * float(model.warp.back(means[[seen]])[0])
        reason = (
            f"the best by the model: run {ours.numbers[seen]} had the best {objective.name}, "
            f"{sign * ours.losses[seen]:.4g}, of which {expected:.4g} is expected to last"
        )
    return Recommendation(
        number=int(ours.numbers[best]), mean=ends[1], std=abs(ends[2] - ends[0]) / 2, reason=reason
    )
