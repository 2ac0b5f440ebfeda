"""CMA-ES: a normal distribution that moves to where runs are good (Hansen 2016, arXiv 1604.00772).

The state is a fold over the history, so nothing is kept that the history does not tell: every `population` runs
that ended, whoever proposed them, are a generation. Points that the present distribution would hardly draw (those
of an older one, of a user) are injected as Hansen (2011, arXiv 1110.4181, eq. 4) does. Coordinates are quantiles;
categories lie side by side in the order of the list. What has steps keeps a standard deviation of a part of a step
at least, so that no value dies out (the aim of CMA-ES with margin: Hamano et al. 2022).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from sweepyard.search.encoding import Array, Column, Encoding
from sweepyard.search.modelled import Runs

_SIGMA = 0.25
_OF_A_STEP = 0.3
_SIGMA_MOST = 1.0


@dataclass(frozen=True)
class Constants:
    """Of Hansen (2016, table 1), for `d` columns; without negative weights."""

    population: int
    weights: Array
    mu_eff: float
    c_sigma: float
    d_sigma: float
    c_c: float
    c_1: float
    c_mu: float
    chi: float

    @classmethod
    def of(cls, d: int) -> Constants:
        population = 4 + int(3 * math.log(d))
        weights = np.log((population + 1) / 2) - np.log(np.arange(1, population // 2 + 1))
        weights /= weights.sum()
        mu_eff = 1 / float((weights**2).sum())
        c_sigma = (mu_eff + 2) / (d + mu_eff + 5)
        c_1 = 2 / ((d + 1.3) ** 2 + mu_eff)
        return cls(
            population,
            weights,
            mu_eff,
            c_sigma,
            1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (d + 1)) - 1) + c_sigma,
            (4 + mu_eff / d) / (d + 4 + 2 * mu_eff / d),
            c_1,
            min(1 - c_1, 2 * (0.25 + mu_eff + 1 / mu_eff - 2) / ((d + 2) ** 2 + mu_eff)),
            math.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d * d)),
        )


@dataclass(frozen=True)
class State:
    mean: Array
    sigma: float
    covariance: Array
    path: Array
    path_sigma: Array
    generation: int = 0

    @classmethod
    def first(cls, mean: Array) -> State:
        d = len(mean)
        return cls(mean, _SIGMA, np.eye(d), np.zeros(d), np.zeros(d))

    def axes(self) -> tuple[Array, Array]:
        """The square roots of the eigenvalues, and the eigenvectors, of the covariance."""
        values, vectors = np.linalg.eigh(self.covariance)
        return np.sqrt(np.maximum(values, 1e-14)), vectors

    def after(self, rows: Array, losses: Array, c: Constants) -> State:
        """The state when a generation has ended. `rows`: shape (population, columns)."""
        d = len(self.mean)
        roots, vectors = self.axes()
        inverse = (vectors / roots) @ vectors.T
        steps = (rows - self.mean) / self.sigma
        lengths = np.linalg.norm(steps @ inverse, axis=1)
        steps *= np.minimum(1.0, (math.sqrt(d) + 2 * d / (d + 2)) / np.maximum(lengths, 1e-12))[:, None]
        best = steps[np.argsort(losses, kind="stable")[: len(c.weights)]]
        move = c.weights @ best
        path_sigma = (1 - c.c_sigma) * self.path_sigma + math.sqrt(c.c_sigma * (2 - c.c_sigma) * c.mu_eff) * (
            inverse @ move
        )
        length = float(np.linalg.norm(path_sigma))
        stall = (
            length / math.sqrt(1 - (1 - c.c_sigma) ** (2 * (self.generation + 1))) < (1.4 + 2 / (d + 1)) * c.chi
        )
        path = (1 - c.c_c) * self.path + stall * math.sqrt(c.c_c * (2 - c.c_c) * c.mu_eff) * move
        kept = 1 - c.c_1 - c.c_mu + (not stall) * c.c_1 * c.c_c * (2 - c.c_c)
        covariance = kept * self.covariance + c.c_1 * np.outer(path, path) + c.c_mu * (best.T * c.weights) @ best
        growth = math.exp(min(1.0, c.c_sigma / c.d_sigma * (length / c.chi - 1)))
        mean = np.clip(self.mean + self.sigma * move, 0.0, 1.0)
        sigma = min(self.sigma * growth, _SIGMA_MOST)
        return State(mean, sigma, covariance, path, path_sigma, self.generation + 1)


def propose(encoding: Encoding, runs: Runs, rng: np.random.Generator) -> tuple[Iterator[Array], str]:
    """Draws from the distribution after all whole generations."""
    units = _units(encoding, runs.rows[: runs.ended])
    losses = runs.losses[: runs.ended]
    d = len(encoding.columns)
    constants = Constants.of(d)
    size = constants.population
    state = State.first(units[losses[: 2 * size].argmin()])
    for start in range(0, len(units) - size + 1, size):
        part = slice(start, start + size)
        state = state.after(units[part], losses[part], constants)
    reason = f"generation {state.generation + 1} of CMA-ES, step {state.sigma:.2g} of the range"
    return _draws(encoding, state, rng), reason


def _draws(encoding: Encoding, state: State, rng: np.random.Generator) -> Iterator[Array]:
    roots, vectors = state.axes()
    least = np.array([_OF_A_STEP / count if (count := _count(column)) else 0.0 for column in encoding.columns])
    deviations = state.sigma * np.sqrt(np.maximum(np.diag(state.covariance), 1e-300))
    more = np.sqrt(np.maximum(least**2 - deviations**2, 0.0))
    for _ in repeat(None):
        step = state.sigma * vectors @ (roots * rng.standard_normal(len(roots)))
        unit = state.mean + step + more * rng.standard_normal(len(roots))
        yield _rows(
            encoding, 1 - np.abs(1 - np.abs(unit) % 2)
        )  # what leaves the range comes back, as from a mirror


def _count(column: Column) -> int:
    """How many values a parameter has; 0 if it has no steps."""
    return column.categories or (0 if column.steps is None else len(column.steps))


def _units(encoding: Encoding, rows: Array) -> Array:
    units = rows.copy()
    for j, column in enumerate(encoding.columns):
        if column.categories:
            units[:, j] = (rows[:, j] + 0.5) / column.categories
    return units


def _rows(encoding: Encoding, unit: Array) -> Array:
    found: Array = encoding.spread(np.minimum(unit, 1 - 1e-12)[None, :])[0]
    return found
