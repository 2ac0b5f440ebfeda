"""Takes secrets out of text that is logged, shown, sent or stored: by their names, their forms, their values.

The text is for people: that a word too much becomes `***` costs less than one too few.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import unquote, urlsplit

from sweepyard.plain import printable

HIDDEN = "***"
SHORTEST = 6
"""Values shorter than this are no secrets worth the damage: they occur everywhere."""

_WORDS = r"pass(?:word|wd|phrase)|secret|api[_-]?key|(?:access|private|secret|signing|auth)[_-]?key|credentials?"
# Bare "token", and those of services: max_tokens, tokenizer and pad_token are everyday words of training code.
_CARDS = r"(?:(?:auth|access|api|bearer|bot|gh|github|gitlab|hf|hub|id|refresh|session|slack|wandb)[_-])?token"
_NAME = rf"(?<![A-Za-z0-9])(?:[A-Za-z0-9]{{1,40}}[_-]){{0,6}}?(?:{_WORDS})|(?<![A-Za-z0-9_-])(?:--?)?(?:{_CARDS})"
_OPTIONS = rf"--?(?:[A-Za-z0-9]{{1,40}}[_-]){{0,6}}?(?:{_WORDS}|{_CARDS})"
_VALUE = r"[^\s\"',;&<>(){}\[\]]+"

_NAMED = re.compile(rf"(?i)({_NAME})(?![A-Za-z0-9_-])([\"']?\s{{0,3}}[=:]\s{{0,3}}[\"']?)({_VALUE})")
_OPTION = re.compile(rf"(?i)({_OPTIONS})([\"']?,?\s{{1,3}}[\"']?)({_VALUE})")
_WORD = re.compile(rf"(?i){_OPTIONS}")
_LOGIN = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@\"']*):([^\s/@\"']+)@")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_OURS = re.compile(r"\bsy_[A-Za-z0-9_-]{20,}")
_OF_ENVIRONMENT = re.compile(rf"(?i)(?:^|_)(?:{_WORDS}|token|key|pass|pwd|dsn)$")


def redact(text: str, known: Collection[str] = ()) -> str:
    """`text` with `***` for what is secret. `known`: values that are, wherever they stand."""
    for value in sorted(known, key=len, reverse=True):
        if len(value) >= SHORTEST:
            text = text.replace(value, HIDDEN)
    text = _LOGIN.sub(rf"\1:{HIDDEN}@", text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    text = _OURS.sub(HIDDEN, text)
    text = _OPTION.sub(rf"\1\2{HIDDEN}", text)
    return _NAMED.sub(rf"\1\2{HIDDEN}", text)


def harmless(text: str) -> str:
    """`text` for a terminal: without secrets, and without what a terminal obeys. Lines stay lines."""
    return printable(redact(text), keep="\n\t")


def redact_words(words: Sequence[str]) -> list[str]:
    """A command line with `***` for what is secret; each word stays one."""
    shown: list[str] = []
    for word in words:
        follows = bool(shown) and _WORD.fullmatch(shown[-1])
        shown.append(HIDDEN if follows else redact(word))
    return shown


def secrets_of(environ: Mapping[str, str]) -> frozenset[str]:
    """The values of environment variables that are secret by their names, and the passwords in those of URLs."""
    named = {value for name, value in environ.items() if _OF_ENVIRONMENT.search(name)}
    return frozenset(named | {password for value in environ.values() for password in passwords_of(value)})


def passwords_of(url: str) -> frozenset[str]:
    """The password in a URL, as it stands there and as it is; nothing if there is none."""
    try:
        password = urlsplit(url).password if "://" in url else None
    except ValueError:
        return frozenset()
    return frozenset({password, unquote(password)}) if password else frozenset()


def without_login(url: str) -> str:
    """What is meant to be a URL, without all that stands before its last @: it may be no URL at all."""
    scheme, mark, _ = url.partition("://")
    return f"{scheme + mark if mark else ''}{HIDDEN}@{url.rpartition('@')[2]}" if "@" in url else url


class Redacting(logging.Formatter):
    """Formats log records, tracebacks and all, without secrets."""

    def __init__(self, format: str, known: Collection[str] = ()) -> None:
        super().__init__(format)
        self._known = known

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record), self._known)
