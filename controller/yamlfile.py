"""Reads sweep files: YAML 1.2 without surprises, with the place of every node.

Numbers are YAML 1.2's (`1e-5` is a float, `010` is ten), only true and false are booleans, dates stay text and
keys are always text. Anchors, merge keys, tags other than the five plain ones and duplicate keys are refused,
and so is what is too big; the caps are checked while the file is read, so that a bomb costs no more than its
first few thousand nodes. JSON is YAML, too. Python values come in through `from_python`, under the same caps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import yaml

from sweepyard.errors import Problem, SpecError, UserError
from sweepyard.wording import shorten

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 10_000

NodePath: TypeAlias = "tuple[str | int, ...]"


class Place(NamedTuple):
    """Where a node begins, counted from 1; (0, 0): unknown."""

    line: int
    column: int


NOWHERE = Place(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A plain value (dict, list, str, int, float, bool, None) and where each of its nodes was written.

    Both maps are empty for a value that came from Python.
    """

    value: Any
    where: Mapping[NodePath, Place] = field(default_factory=dict)
    keys: Mapping[NodePath, Place] = field(default_factory=dict)

    def key_place(self, path: NodePath) -> Place:
        """Where the key of `path` stands; of its nearest ancestor if it has none."""
        while path and path not in self.keys:
            path = path[:-1]
        return self.keys[path] if path else self.where.get((), NOWHERE)

    def place(self, path: NodePath) -> Place:
        """Where the value at `path` stands; its key, if the value begins on a later line."""
        value, key = self.where.get(path), self.key_place(path)
        return key if value is None or (path in self.keys and value.line != key.line) else value


def dotted(path: NodePath) -> str:
    """`path` as people write it: `parameters.lr.values[2]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return shorten(text.removeprefix("."), 120)


def read_text(path: str | Path) -> str:
    """The text of a sweep file. Raises `UserError` if it is not there, not readable or not text."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"There is no file {path}. Give the path of a sweep file, such as sweep.yaml.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder. Give the path of a sweep file in it, such as sweep.yaml.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot read it: {getattr(error, 'strerror', None) or error}") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(raw) > MAX_BYTES:
            raise SpecError([_too_long()], source=str(path)) from None
        raise UserError(f"{path}: byte {error.start + 1} is not UTF-8. Save the file as UTF-8 text.") from None


def load(text: str, *, name: str = "sweep.yaml") -> Document:
    """Read the YAML (or JSON) `text`. Raises `SpecError` with the place of what is wrong; `name` heads it."""
    try:
        if len(text.encode()) > MAX_BYTES:
            raise SpecError([_too_long()], source=name)
        try:
            return _Composer(yaml.parse(text, Loader=_LOADER)).document()
        except yaml.MarkedYAMLError:
            if (joined := _PAIR.sub(_joined, text)) == text:
                raise
            return _Composer(yaml.parse(joined, Loader=_LOADER)).document()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        problem = Problem(path="", message="not valid text (a lone surrogate)", line=line)
    except yaml.MarkedYAMLError as error:
        problem = _syntax_problem(error, text)
    except yaml.YAMLError as error:
        reason = getattr(error, "reason", "unreadable")
        problem = Problem(path="", message=f"not YAML: {reason}")
    except _Refusal as refusal:
        problem = Problem(path=dotted(refusal.path), message=str(refusal), **refusal.place._asdict())
    raise SpecError([problem], source=name)


def from_python(value: Any, *, name: str = "sweep config") -> Document:
    """Take a Python value in: tuples become lists, numpy's scalars numbers. `SpecError` for what JSON lacks."""
    try:
        return Document(value=_Taker().take(value, ()))
    except _Refusal as refusal:
        raise SpecError([Problem(path=dotted(refusal.path), message=str(refusal))], source=name) from None


def number(text: str) -> int | float | None:
    """The number that YAML 1.2 sees in `text`, None if it sees none. Infinities and nan are no numbers here."""
    if len(text) > _LONGEST_NUMBER:
        return None
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    for pattern, base in ((_HEX, 16), (_OCTAL, 8)):
        if pattern.fullmatch(text):
            return int(text[2:], base)
    return None


class _Refusal(Exception):
    def __init__(self, path: NodePath, message: str, place: Place = NOWHERE) -> None:
        super().__init__(message)
        self.path, self.place = path, place


class _Caps:
    """Counts nodes while they come in."""

    def __init__(self) -> None:
        self._nodes = 0

    def admit(self, path: NodePath, place: Place = NOWHERE) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _Refusal((), f"more than {MAX_NODES:,} nodes: a sweep file this big is refused", place)
        if len(path) > MAX_DEPTH:
            raise _Refusal((), f"nested more than {MAX_DEPTH} levels deep", place)


class _Taker(_Caps):
    """Makes a plain copy of a Python value."""

    def take(self, value: Any, path: NodePath) -> Any:
        self.admit(path)
        if isinstance(value, Mapping):
            return {self._key(key, path): self.take(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.take(item, (*path, index)) for index, item in enumerate(value)]
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float | str):
            return _checked(value, path, NOWHERE)
        if hasattr(value, "tolist") and not hasattr(plain := value.tolist(), "tolist"):
            return self.take(plain, path)
        raise _Refusal(path, f"a {type(value).__name__} cannot stand here: use numbers, text, lists and dicts")

    def _key(self, key: Any, path: NodePath) -> str:
        if not isinstance(key, str):
            raise _Refusal(path, f"key {shorten(repr(key))} is not text")
        self.admit(path)
        return str(_checked(key, path, NOWHERE))


class _Composer(_Caps):
    """Builds the value from the parser's events, refusing on the way."""

    def __init__(self, events: Iterator[Any]) -> None:
        super().__init__()
        self._events = events
        self.where: dict[NodePath, Place] = {}
        self.keys: dict[NodePath, Place] = {}

    def document(self) -> Document:
        value = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if self.where:
                    raise _Refusal((), "a second document begins here: a sweep file holds one", _start(event))
                value = self._node(next(self._events), ())
        return Document(value=value, where=self.where, keys=self.keys)

    def _node(self, event: Any, path: NodePath) -> Any:
        place = self.where[path] = _start(event)
        self.admit(path, place)
        self._refuse_extras(event, path, place)
        if isinstance(event, yaml.ScalarEvent):
            return _checked(_scalar(event, path, place), path, place)
        if event.tag is not None:
            raise _Refusal(path, f"the tag {shorten(event.tag)} is not supported: leave it out", place)
        return self._list(path) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(path)

    def _list(self, path: NodePath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items))))
        return items

    def _mapping(self, path: NodePath) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path)
            inner = (*path, key)
            if key in items:
                first = self.keys[inner].line
                raise _Refusal(inner, f"written twice, first on line {first}: keep one of them", _start(event))
            self.keys[inner] = _start(event)
            items[key] = self._node(next(self._events), inner)
        return items

    def _key(self, event: Any, path: NodePath) -> str:
        place = _start(event)
        self.admit(path, place)
        self._refuse_extras(event, path, place)
        if not isinstance(event, yaml.ScalarEvent) or event.tag is not None:
            raise _Refusal(path, "a key must be plain text", place)
        if event.value == "<<" and event.implicit[0]:
            raise _Refusal(path, "merge keys (<<) are not supported: write the keys out", place)
        return str(_checked(event.value, path, place))

    def _refuse_extras(self, event: Any, path: NodePath, place: Place) -> None:
        if event.anchor is not None:
            name = event.anchor[:40]
            if isinstance(event, yaml.AliasEvent):
                raise _Refusal(path, f"aliases (*{name}) are not supported: write the value out", place)
            raise _Refusal(path, f"anchors (&{name}) are not supported: leave it out", place)


# libyaml reads the biggest file that we accept in a few milliseconds; pure Python needs half a second.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LONGEST_NUMBER = 100
# JSON writes a character beyond the first 65,536 as an escaped pair, which YAML refuses.
_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_OCTAL = re.compile(r"0o[0-7]+")
_NONFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TAGS: Mapping[str, Callable[[Any], bool]] = {
    "tag:yaml.org,2002:str": lambda _: True,
    "tag:yaml.org,2002:null": lambda value: value is None,
    "tag:yaml.org,2002:bool": lambda value: isinstance(value, bool),
    "tag:yaml.org,2002:int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "tag:yaml.org,2002:float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}
_SYNTAX_HINTS = {
    "mapping values are not allowed": "a second ':' on this line; put quotes around a text that contains ': '",
    "could not find expected ':'": "a ':' is missing after the key, or this line is indented wrongly",
    "did not find expected key": "this line is indented differently from its neighbours, or a quote is left over",
    "did not find expected '-' indicator": "expected a list item ('- ...') at this indentation",
    "unexpected end of stream": "a quote that was opened is never closed",
    "did not find expected node content": "a '[' or '{' is never closed, or a value is missing",
    "did not find expected ',' or ']'": "a '[' is never closed, or a ',' is missing",
    "did not find expected ',' or '}'": "a '{' is never closed, or a ',' is missing",
    "invalid Unicode character escape code": "write the character itself instead of half of a \\ud83d\\ude00 pair",
    "found character that cannot start any token": "this character needs quotes around the text",
}


def _joined(pair: re.Match[str]) -> str:
    high, low = int(pair[2], 16), int(pair[3], 16)
    return pair[1] + chr(0x10000 + ((high - 0xD800) << 10) + low - 0xDC00)


def _scalar(event: Any, path: NodePath, place: Place) -> Any:
    if event.tag is None:
        return _resolve(event.value, path, place) if event.implicit[0] else event.value
    fits = _TAGS.get(event.tag)
    if fits is None:
        raise _Refusal(path, f"the tag {shorten(event.tag)} is not supported: leave it out", place)
    if event.tag.endswith(":str"):
        return event.value
    value = _resolve(event.value, path, place)
    if not fits(value):
        raise _Refusal(path, f"'{shorten(event.value)}' is not a YAML {event.tag.rpartition(':')[2]}", place)
    return float(value) if event.tag.endswith(":float") else value


def _resolve(text: str, path: NodePath, place: Place) -> Any:
    """What a plain scalar means in YAML 1.2's core schema."""
    if text in _WORDS:
        return _WORDS[text]
    if _NONFINITE.fullmatch(text):
        raise _Refusal(path, f"{text} is not a finite number", place)
    if len(text) > _LONGEST_NUMBER and (_INT.fullmatch(text) or _FLOAT.fullmatch(text)):
        raise _Refusal(path, f"a number of {len(text):,} characters; in quotes it would be text", place)
    value = number(text)
    return text if value is None else value


def _checked(value: str | float, path: NodePath, place: Place) -> str | float:
    """`value`, if JSON, SQLite and PostgreSQL can all hold it."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise _Refusal(path, "this text contains a NUL character or a lone surrogate", place)
        return str(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise _Refusal(path, "this whole number needs more than 64 bits; in quotes it would be text", place)
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _Refusal(path, "this is not a finite number", place)
        return float(value)
    return value


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> Problem:
    said = error.problem or error.context or "unreadable"
    hint = next((hint for words, hint in _SYNTAX_HINTS.items() if words in said), "")
    lines = text.rstrip().splitlines() or [""]
    marks = [mark for mark in (error.problem_mark, error.context_mark) if mark is not None]
    # Of what is still open at the end, show where it was opened.
    inside = next((mark for mark in marks if mark.line < len(lines)), None)
    place = Place(inside.line + 1, inside.column + 1) if inside else Place(len(lines), len(lines[-1]))
    if lines[place.line - 1][place.column - 1 : place.column] == "\t":
        hint = "a tab; YAML indents with spaces only"
    message = f"not YAML: {hint} ({said})" if hint else f"not YAML: {said}"
    return Problem(path="", message=message, line=place.line, column=place.column)


def _too_long() -> Problem:
    return Problem(path="", message=f"bigger than {MAX_BYTES // 1024} KiB: a sweep file this big is refused")


def _start(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)
