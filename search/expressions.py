"""The expression language of sweep files: what `when`, `constraints` and `expression` are written in.

    hidden_dim * layers <= 4096 and optimizer in ['adam', 'sgd']

Numbers, texts, true, false, null, lists; names of parameters, nested ones by their dotted path, odd ones in
backticks (`` `weight-decay` ``); + - * / // % **; == != < <= > >= (also chained), in, not in; and, or, not;
min, max, abs, log, exp, round. There is nothing else in it: no attribute, no other call, no loop. Length and depth
are capped, and so is every number on the way.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sweepyard.plain import finite
from sweepyard.search.operators import (
    ARITHMETIC,
    COMPARE,
    FUNCTIONS,
    MAX_INT,
    ExpressionError,
    computed,
    shown,
    truth,
)

MAX_LENGTH = 500
MAX_DEPTH = 20

Names: TypeAlias = "Mapping[str, Any]"
Value: TypeAlias = "Callable[[Names], Any]"


class Undefined(Exception):
    """An expression uses a name that has no value: that of an inactive parameter."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression. `names`: those of the parameters that it uses."""

    text: str
    names: frozenset[str] = field(compare=False)
    _value: Value = field(compare=False, repr=False)

    def value(self, names: Names) -> Any:
        """Its value, plain JSON.

        Raises:
            Undefined: a name that it needs is not in `names`.
            ExpressionError: it cannot be computed: a division by zero, a text among numbers, a number too big.
        """
        try:
            return self._value(names)
        except ExpressionError as error:
            raise ExpressionError(f"{self.text}: {error}") from None

    def holds(self, names: Names) -> bool:
        """Whether it is true. Raises as `value` does, and `ExpressionError` if it is neither true nor false."""
        value = self.value(names)
        if not isinstance(value, bool):
            raise ExpressionError(f"{self.text}: is {shown(value)}, neither true nor false")
        return value


def parse(text: str) -> Expression:
    """The expression in `text`. Raises `ExpressionError`, which tells the character where it went wrong."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"has {len(text):,} characters, more than {MAX_LENGTH}")
    parser = _Parser(text)
    value = parser.whole()
    return Expression(text, frozenset(parser.names), value)


# -- reading ------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
    |(?P<text>'[^']*'|"[^"]*")
    |(?P<quoted>`[^`]+`)
    |(?P<word>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    |(?P<sign>\*\*|//|==|!=|<=|>=|[-+*/%<>()\[\],])
    )""",
    re.VERBOSE | re.ASCII,
)
_WORDS = frozenset({"and", "or", "not", "in"})
_CONSTANTS: Mapping[str, Any] = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "None": None,
}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            hint = "; to compare, write ==" if text[at] == "=" else ""
            raise ExpressionError(f"character {at + 1}, {text[at]!r}, is not understood{hint}")
        kind = str(match.lastgroup)
        found = match[kind]
        yield _Token("sign" if found in _WORDS else kind, found, match.start(kind))
        at = match.end()
    yield _Token("end", "", len(text))


class _Parser:
    """Recursive descent, the loosest operator first. Each method makes a function of the names' values."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0
        self.names: set[str] = set()

    def whole(self) -> Value:
        """All of the text."""
        value = self._any()
        if self._here.kind != "end":
            self._refuse("an operator or the end")
        return value

    @property
    def _here(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *signs: str) -> str | None:
        """The sign that stands here, taken, if it is one of `signs`."""
        token = self._here
        if token.kind != "sign" or token.text not in signs:
            return None
        self._next += 1
        return token.text

    def _refuse(self, wanted: str) -> None:
        token = self._here
        found = f"not {token.text!r}" if token.text else "but it ends there"
        raise ExpressionError(f"character {token.at + 1}: expected {wanted}, {found}")

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            self._refuse(f"{sign!r}")

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(f"nested more than {MAX_DEPTH} levels deep")
        yield
        self._depth -= 1

    def _any(self) -> Value:
        with self._deeper():
            parts = [self._all()]
            while self._take("or"):
                parts.append(self._all())
        return parts[0] if len(parts) == 1 else lambda names: any(truth(part(names)) for part in parts)

    def _all(self) -> Value:
        parts = [self._not()]
        while self._take("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else lambda names: all(truth(part(names)) for part in parts)

    def _not(self) -> Value:
        turns = 0
        while self._take("not"):
            turns += 1
        part = self._comparison()
        return (lambda names: truth(part(names)) != (turns % 2 == 1)) if turns else part

    def _comparison(self) -> Value:
        parts, signs = [self._sum()], []
        while sign := self._comparing():
            signs.append(sign)
            parts.append(self._sum())
        return _chain(parts, signs) if signs else parts[0]

    def _comparing(self) -> str | None:
        if self._take("not"):
            self._expect("in")
            return "not in"
        return self._take(*COMPARE)

    def _sum(self) -> Value:
        return self._folded(self._product, "+", "-")

    def _product(self) -> Value:
        return self._folded(self._signed, "*", "/", "//", "%")

    def _folded(self, read: Callable[[], Value], *signs: str) -> Value:
        first, rest = read(), []
        while sign := self._take(*signs):
            rest.append((sign, read()))
        return _fold(first, rest) if rest else first

    def _signed(self) -> Value:
        signs = ""
        while sign := self._take("-", "+"):
            signs += sign
        part, factor = self._power(), -1 if signs.count("-") % 2 else 1
        return (lambda names: computed(signs[0], operator.mul, [part(names), factor])) if signs else part

    def _power(self) -> Value:
        base = self._atom()
        if not self._take("**"):
            return base
        with self._deeper():
            exponent = self._signed()
        return _fold(base, [("**", exponent)])

    def _atom(self) -> Value:
        token = self._here
        if self._take("("):
            return self._bracketed()
        if self._take("["):
            return _listed(self._items("]"))
        if token.kind not in ("number", "text", "quoted", "word"):
            self._refuse("a value")
        self._next += 1
        if token.kind == "number":
            return _constant(_number(token))
        if token.kind == "text":
            return _constant(token.text[1:-1])
        if token.kind == "word" and token.text in _CONSTANTS:
            return _constant(_CONSTANTS[token.text])
        if token.kind == "word" and self._take("("):
            return self._call(token)
        return self._name(token.text.strip("`"))

    def _name(self, name: str) -> Value:
        self.names.add(name)

        def value(names: Names) -> Any:
            try:
                return names[name]
            except KeyError:
                raise Undefined(name) from None

        return value

    def _bracketed(self) -> Value:
        """One value in brackets; with commas a list."""
        items = self._items(")")
        is_list = len(items) != 1 or self._tokens[self._next - 2].text == ","
        return _listed(items) if is_list else items[0]

    def _items(self, end: str) -> list[Value]:
        items: list[Value] = []
        while not self._take(end):
            items.append(self._any())
            if not self._take(","):
                self._expect(end)
                break
        return items

    def _call(self, token: _Token) -> Value:
        if token.text not in FUNCTIONS:
            known = ", ".join(FUNCTIONS)
            raise ExpressionError(
                f"character {token.at + 1}: there is no function {token.text!r}; there are {known}"
            )
        function, least, most = FUNCTIONS[token.text]
        items = self._items(")")
        if not least <= len(items) <= most:
            raise ExpressionError(f"character {token.at + 1}: {token.text} does not take {len(items)} values")
        return lambda names: computed(token.text, function, [item(names) for item in items])


def _number(token: _Token) -> int | float:
    number = int(token.text) if token.text.isdigit() else float(token.text)
    if finite(number) is None or (isinstance(number, int) and number > MAX_INT):
        raise ExpressionError(f"character {token.at + 1}: {token.text} is too big a number")
    return number


def _constant(value: Any) -> Value:
    return lambda _: value


def _listed(items: Sequence[Value]) -> Value:
    return lambda names: [item(names) for item in items]


def _fold(first: Value, rest: Sequence[tuple[str, Value]]) -> Value:
    """Operators of one strength, from left to right, without a level of Python's stack for each."""

    def value(names: Names) -> Any:
        result = first(names)
        for sign, part in rest:
            result = computed(sign, ARITHMETIC[sign], [result, part(names)])
        return result

    return value


def _chain(parts: Sequence[Value], signs: Sequence[str]) -> Value:
    """`a < b < c` as in Python: every neighbouring pair."""

    def value(names: Names) -> bool:
        left = parts[0](names)
        for sign, part in zip(signs, parts[1:], strict=True):
            right = part(names)
            if not COMPARE[sign](left, right):
                return False
            left = right
        return True

    return value
