"""The distributions of W&B's sweep schema and one more: a uniform draw in, a plain value out.

Every class turns a number `u` of [0, 1] into a value by its inverse cumulative distribution, as W&B does, with
four corrections: u = 0 and u = 1 stay inside the domain; a quantised value outside the bounds becomes the bound;
quantised values are ints when `min`, `max` and `q` are whole numbers; a value of probability 0 is no value.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist
from typing import Any, Protocol

from sweepyard.plain import finite

_STANDARD = NormalDist()
_EDGE = 2.0**-53
"""How near to 0 and 1 a quantile may come where the inverse has no value at them: 8.2 sigma of a normal."""


class Axis(Protocol):
    """Countable values, none twice: those of one parameter in an enumeration."""

    def size(self) -> int | None:
        """How many values there are; None if they cannot be counted."""
        ...

    def value(self, index: int) -> Any:
        """The value at `index`, 0 <= index < size."""
        ...


class Distribution(Axis, Protocol):
    """Where the values of one parameter come from. Values are plain Python, never numpy's."""

    def ppf(self, u: float) -> Any:
        """The value at quantile `u`; quantiles outside [0, 1] count as the nearest end."""
        ...

    def cdf(self, value: Any) -> float:
        """The quantile of `value`, of [0, 1], so that `ppf(cdf(value))` is `value` again.

        A value that owns an interval of quantiles gives the middle of it.

        Raises:
            ValueError: `value` is none that this distribution could give.
        """
        ...


def canonical(value: Any) -> Any:
    """A hashable that is equal for equal values: 1 and 1.0 are, 1 and True are not, nor [1] and [1.0].

    A tuple holds the values of parameters that move together: it is equal if each of them is.
    """
    if isinstance(value, tuple):
        return tuple(map(canonical, value))
    if isinstance(value, str) or finite(value) is not None:
        return value
    return (json.dumps(value, sort_keys=True, default=repr),)


@dataclass(frozen=True, slots=True)
class Constant:
    """One value."""

    only: Any

    def ppf(self, u: float) -> Any:  # noqa: ARG002
        return self.only

    def cdf(self, value: Any) -> float:  # noqa: ARG002
        return 0.5

    def size(self) -> int:
        return 1

    def value(self, index: int) -> Any:  # noqa: ARG002
        return self.only


@dataclass(frozen=True, slots=True)
class Categorical:
    """Different values of any kind. `cumulative`: their summed probabilities, None if all are as likely."""

    values: tuple[Any, ...]
    keys: tuple[Any, ...]
    cumulative: tuple[float, ...] | None

    @classmethod
    def of(cls, values: Sequence[Any], probabilities: Sequence[float] | None = None) -> Categorical:
        """Of `values` as listed; one that is listed twice is one value, twice as likely."""
        weights: dict[Any, float] = {}
        kept: dict[Any, Any] = {}
        for value, weight in zip(values, probabilities or [1.0] * len(values), strict=True):
            if weight > 0:
                key = canonical(value)
                weights[key] = weights.get(key, 0.0) + weight
                kept[key] = value
        if not kept:
            raise ValueError("there is no value to choose from")
        even = probabilities is None and len(kept) == len(values)
        total = 1.0 if probabilities else len(values)
        cumulative = None if even else tuple(accumulate(weight / total for weight in weights.values()))
        return cls(tuple(kept.values()), tuple(kept), cumulative)

    def ppf(self, u: float) -> Any:
        u, n = _unit(u), len(self.values)
        index = math.ceil(u * n) - 1 if self.cumulative is None else bisect_right(self.cumulative, u)
        return self.values[min(max(index, 0), n - 1)]

    def cdf(self, value: Any) -> float:
        index = self.index(value)
        if self.cumulative is None:
            return (index + 0.5) / len(self.values)
        return (self.cumulative[index] + (self.cumulative[index - 1] if index else 0.0)) / 2

    def index(self, value: Any) -> int:
        """Where `value` stands in `values`.

        Raises:
            ValueError: it is none of them.
        """
        return self.keys.index(canonical(value))

    def size(self) -> int:
        return len(self.values)

    def value(self, index: int) -> Any:
        return self.values[index]


@dataclass(frozen=True, slots=True)
class IntUniform:
    """Whole numbers from `low` to `high`, both included."""

    low: int
    high: int

    def ppf(self, u: float) -> int:
        return self.low + min(max(math.ceil(_unit(u) * self.size()) - 1, 0), self.size() - 1)

    def cdf(self, value: Any) -> float:
        return _unit((_number(value) - self.low + 0.5) / self.size())

    def size(self) -> int:
        return self.high - self.low + 1

    def value(self, index: int) -> int:
        return self.low + index


class _Continuous:
    """Real numbers between `low` and `high`: none is like another."""

    __slots__ = ()

    def size(self) -> int | None:
        return None

    def value(self, index: int) -> Any:
        raise TypeError(f"{type(self).__name__} has no value number {index}: its values cannot be counted")


@dataclass(frozen=True, slots=True)
class Uniform(_Continuous):
    """Real numbers, all as likely."""

    low: float
    high: float

    def ppf(self, u: float) -> float:
        return min(max(self.low + _unit(u) * (self.high - self.low), self.low), self.high)

    def cdf(self, value: Any) -> float:
        return _unit((_number(value) - self.low) / (self.high - self.low))


@dataclass(frozen=True, slots=True)
class LogUniform(_Continuous):
    """Positive numbers whose logarithm is uniform between `log_low` and `log_high`."""

    log_low: float
    log_high: float
    low: float
    high: float

    @classmethod
    def between(cls, low: float, high: float) -> LogUniform:
        return cls(math.log(low), math.log(high), float(low), float(high))

    @classmethod
    def of_exponents(cls, low: float, high: float) -> LogUniform:
        return cls(low, high, _exp(low), _exp(high))

    def ppf(self, u: float) -> float:
        u = _unit(u)
        if u in (0.0, 1.0):  # the bounds as they were written: exp(log(x)) is not always x
            return self.high if u else self.low
        return min(max(_exp(self.log_low + u * (self.log_high - self.log_low)), self.low), self.high)

    def cdf(self, value: Any) -> float:
        number = min(max(_number(value), self.low), self.high)
        return _unit((math.log(number) - self.log_low) / (self.log_high - self.log_low))


@dataclass(frozen=True, slots=True)
class Mirrored(_Continuous):
    """`base` seen in a mirror between its bounds: what it has most of near `low` is here near `high`."""

    base: LogUniform

    def ppf(self, u: float) -> float:
        low, high = self.base.low, self.base.high
        return min(max(low + (high - self.base.ppf(1 - _unit(u))), low), high)

    def cdf(self, value: Any) -> float:
        return 1 - self.base.cdf(self.base.low + (self.base.high - _number(value)))


@dataclass(frozen=True, slots=True)
class Normal(_Continuous):
    """Real numbers around `mu` with standard deviation `sigma` > 0."""

    mu: float
    sigma: float
    low: float = -math.inf
    high: float = math.inf

    def ppf(self, u: float) -> float:
        return self.mu + self.sigma * _STANDARD.inv_cdf(_inner(u))

    def cdf(self, value: Any) -> float:
        return _STANDARD.cdf((_number(value) - self.mu) / self.sigma)


@dataclass(frozen=True, slots=True)
class LogNormal(_Continuous):
    """Positive numbers whose logarithm is normal."""

    log: Normal
    low: float = 0.0
    high: float = math.inf

    def ppf(self, u: float) -> float:
        return _exp(self.log.ppf(u))

    def cdf(self, value: Any) -> float:
        number = _number(value)
        return self.log.cdf(math.log(number)) if number > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Beta(_Continuous):
    """Numbers of [0, 1] with a Beta distribution, `a` and `b` > 0."""

    a: float
    b: float
    low: float = 0.0
    high: float = 1.0

    def ppf(self, u: float) -> float:
        from scipy.special import betaincinv  # a beta parameter is rare, and scipy is slow to import

        return float(betaincinv(self.a, self.b, _inner(u)))

    def cdf(self, value: Any) -> float:
        from scipy.special import betainc

        return float(betainc(self.a, self.b, _unit(_number(value))))


@dataclass(frozen=True, slots=True)
class Quantised:
    """The values of `base`, rounded to multiples of `q` (half to even) and kept within the bounds.

    `whole`: give ints.
    """

    base: Uniform | LogUniform | Normal | LogNormal | Beta
    q: float
    whole: bool

    def ppf(self, u: float) -> float:
        return self._multiple(self._nearest(self.base.ppf(u)))

    def cdf(self, value: Any) -> float:
        return self.base.cdf(value)

    def size(self) -> int | None:
        if math.isinf(self.base.high - self.base.low):
            return None
        return self._nearest(self.base.high) - self._nearest(self.base.low) + 1

    def value(self, index: int) -> float:
        return self._multiple(self._nearest(self.base.low) + index)

    @property
    def steps(self) -> Steps | None:
        """What a grid takes of it; None if it has no list of them."""
        bounds = self.base
        return Steps(bounds.low, bounds.high, self.q, self.whole) if isinstance(bounds, Uniform) else None

    def _nearest(self, number: float) -> int:
        return round(number / self.q)

    def _multiple(self, count: int) -> float:
        return as_written(min(max(count * self.q, self.base.low), self.base.high), self.whole)


@dataclass(frozen=True, slots=True)
class Steps:
    """`low`, `low` + `q`, ... up to `high`, which is one of them if the steps meet it.

    W&B leaves `high` out even then, and starts at `low` although its random search rounds to multiples of `q`.
    """

    low: float
    high: float
    q: float
    whole: bool

    def size(self) -> int:
        return math.floor((self.high - self.low) / self.q + 1e-9) + 1

    def value(self, index: int) -> float:
        return as_written(min(self.low + index * self.q, self.high), self.whole)

    def near(self, number: float) -> float:
        """The step that is nearest to `number`."""
        return self.value(min(max(round((number - self.low) / self.q), 0), self.size() - 1))


def as_written(number: float, whole: bool) -> float:
    """`number` as an int if `whole` and it is one, else as a float."""
    return int(number) if whole and float(number).is_integer() else float(number)


def _number(value: Any) -> float:
    number = finite(value)
    if number is None:
        raise ValueError(f"{value!r} is not a finite number")
    return number


def _unit(u: float) -> float:
    return min(max(float(u), 0.0), 1.0)


def _inner(u: float) -> float:
    return min(max(float(u), _EDGE), 1 - _EDGE)


def _exp(exponent: float) -> float:
    return math.exp(min(exponent, 709.0))  # the largest that a float can hold
