"""A metric that no run logs under its name: what a person should be told about it."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from sweepyard.controller.spelling import show
from sweepyard.plain import finite
from sweepyard.schedulers.registry import resource_of
from sweepyard.tracking.records import Objective, Run, RunState
from sweepyard.wording import some

MOST_NAMED = 8
CLOSE = 0.6
"""How alike two names must be for one to be taken for the other's misspelling, of 0 to 1 (difflib's ratio)."""


def troubles(spec: Mapping[str, Any], run: Run) -> list[str]:
    """What a run of a sweep with this spec never logs, and what to change."""
    objective, resource = Objective.of(spec), resource_of(spec.get("early_terminate"))
    found = [trouble(objective.name, run)] if objective else []
    if resource is not None and resource not in run.summary:
        names = _other_names(resource, run.summary)
        found.append(f"run {run.number} never logs {show(resource)}, which early_terminate counts: {names}")
    return [words for words in found if words]


def trouble(metric: str, run: Run) -> str | None:
    """Why a run has no value of the sweep's metric, and what to change; None if it has some."""
    if run.steps:
        return None
    has = "finished without" if run.state is RunState.finished else "has not logged"
    story = f"run {run.number} {has} a value of the metric {show(metric)}"
    if metric not in run.summary:
        return f"{story}: {_other_names(metric, run.summary)}"
    value = run.summary[metric]
    if finite(value) is None:
        return f"{story}: it logs {show(value)} under this name, which is no finite number"
    return f"{story}: its summary holds {value:g}, but only values given to log() count"


def nearest(metric: str, logged: Iterable[str]) -> str | None:
    """The logged key that was probably meant, None if none comes near."""
    keys = {_bare(key): key for key in sorted(logged, reverse=True)}
    wanted = _bare(metric)
    if wanted in keys:
        return keys[wanted]
    tails = [key for bare, key in keys.items() if _last(bare) == _last(wanted)]
    close = difflib.get_close_matches(wanted, keys, n=1, cutoff=CLOSE)
    return (tails + [keys[bare] for bare in close] + [None])[0]


def _other_names(metric: str, logged: Iterable[str]) -> str:
    keys = sorted(logged)
    if not keys:
        return "it logs nothing at all"
    meant = nearest(metric, keys)
    if meant is not None:
        return f"you log {show(meant)}. Log it as {show(metric)}, or name {show(meant)} in the sweep file"
    return f"it logs {some([show(key) for key in keys], MOST_NAMED)}"


def _bare(name: str) -> str:
    """Without what eyes pass over: spaces at the ends, case, and which sign parts the words."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return " ".join("".join(letter if letter.isalnum() or letter == "/" else " " for letter in text).split())


def _last(bare: str) -> str:
    """`loss` of `val/loss`."""
    return bare.rpartition("/")[2]
