"""Points near a point, for population based training (Jaderberg et al. 2017, section 4.1.1, "explore")."""

from __future__ import annotations

from typing import Any

import numpy as np

from sweepyard.plain import Params
from sweepyard.search.distributions import Categorical, Constant, Distribution
from sweepyard.search.rules import INACTIVE
from sweepyard.search.space import Space

FACTORS = (0.8, 1.25)
RESAMPLED = 0.25
"""How probable it is that a value is drawn anew from its distribution."""
TRIES = 100


def perturbed(space: Space, params: Params, rng: np.random.Generator) -> Params:
    """A point of `space` near `params`.

    Each value is drawn anew with a probability of 1/4; else a number is multiplied by 0.8 or 1.25 (a whole one is
    moved by at least 1) and kept within its bounds, and anything else stays. If no such point satisfies the
    constraints, `params` itself; so also if it is no point of the space.
    """
    values = space.flatten(params)
    if values is None:
        return params
    for _ in range(TRIES):
        near = space.settle([_near(axis, value, rng) for axis, value in zip(space.axes, values, strict=True)])
        if space.allows(near):
            return space.nest(near)
    return params


def _near(axis: Distribution, value: Any, rng: np.random.Generator) -> Any:
    if value is INACTIVE or rng.random() < RESAMPLED:
        return axis.ppf(float(rng.random()))
    if isinstance(axis, Categorical | Constant) or isinstance(value, bool) or not isinstance(value, int | float):
        return value
    factor = FACTORS[int(rng.integers(2))]
    moved = value * factor
    if isinstance(value, int) and round(moved) == value:
        moved = value + (1 if factor > 1 else -1)
    return axis.ppf(min(1.0, max(0.0, axis.cdf(moved))))
