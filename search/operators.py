"""What the operators and functions of expressions compute, for plain values and within caps."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from sweepyard.plain import finite
from sweepyard.search.distributions import canonical

MAX_EXPONENT = 1000
MAX_INT = 2**63


class ExpressionError(ValueError):
    """An expression that cannot be read, or not be computed for these values. The message says why and where."""


def computed(what: str, function: Callable[..., Any], values: list[Any]) -> int | float:
    """A number of numbers, within the caps."""
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ExpressionError(f"{what} needs numbers, not {shown(value)}")
    try:
        result = function(*values)
    except ZeroDivisionError:
        raise ExpressionError(f"{what} divides by zero") from None
    except (ValueError, OverflowError, TypeError):
        raise ExpressionError(f"{what} of {', '.join(map(shown, values))} has no value") from None
    if (
        isinstance(result, complex)
        or finite(result) is None
        or (isinstance(result, int) and abs(result) > MAX_INT)
    ):
        raise ExpressionError(f"{what} of {', '.join(map(shown, values))} is no number, or too big a one")
    return result  # type: ignore[no-any-return]


def _power(base: float, exponent: float) -> Any:
    if abs(exponent) > MAX_EXPONENT:
        raise OverflowError
    whole = isinstance(base, int) and isinstance(exponent, int)
    if whole and abs(base) > 1 and exponent > 64:
        raise OverflowError  # without computing it
    return base**exponent


def _rounded(number: float, digits: float = 0) -> int | float:
    if not isinstance(digits, int) or abs(digits) > 15:
        raise ValueError
    return round(number, digits) if digits else round(number)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def check(left: Any, right: Any) -> bool:
        texts = isinstance(left, str) and isinstance(right, str)
        if not texts and (finite(left) is None or finite(right) is None):
            raise ExpressionError(f"cannot tell which of {shown(left)} and {shown(right)} is larger")
        return compare(left, right)

    return check


def _equal(left: Any, right: Any) -> bool:
    return bool(canonical(left) == canonical(right))


def _in(left: Any, right: Any) -> bool:
    if not isinstance(right, list):
        raise ExpressionError(f"in needs a list, such as ['a', 'b'], not {shown(right)}")
    return any(_equal(left, item) for item in right)


def truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ExpressionError(f"{shown(value)} is neither true nor false")
    return value


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": _power,
}
COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "in": _in,
    "not in": lambda left, right: not _in(left, right),
}
FUNCTIONS: Mapping[str, tuple[Callable[..., Any], int, int]] = {
    "min": (lambda *values: min(values), 1, 100),
    "max": (lambda *values: max(values), 1, 100),
    "abs": (abs, 1, 1),
    "log": (math.log, 1, 2),
    "exp": (math.exp, 1, 1),
    "round": (_rounded, 1, 2),
}
"""Each with the fewest and the most values that it takes."""
