"""How a message quotes what was given, and finds what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from sweepyard.wording import shorten


def show(value: Any) -> str:
    """`value` as a message quotes it."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nothing"}[value]
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return shorten(repr(value))


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """Which of `allowed` was probably meant by `word`, None if none comes near."""
    word = word.strip().lower().replace("-", "_").replace(" ", "_")
    choices = list(allowed)
    if not 1 < len(word) <= 64:
        return None
    guesses = [choice for choice in choices if choice in (word, _SYNONYMS.get(word))]
    guesses += [choice for choice in choices if choice.startswith(word)]
    guesses += difflib.get_close_matches(word, choices, n=1)
    guesses += [choice for choice in choices if len(choice) > 2 and word.startswith(choice)]
    return next(iter(guesses), None)


def suggest(word: Any, allowed: Iterable[str]) -> str:
    """The tail of a message: the nearest right spelling if there is one, and all of them."""
    choices = list(allowed)
    near = nearest(word, choices) if isinstance(word, str) else None
    return (f"; did you mean {near}?" if near else "") + f" (allowed: {', '.join(choices)})"


_SYNONYMS = {
    "maximise": "maximize",
    "minimise": "minimize",
    "higher": "maximize",
    "lower": "minimize",
    "gp": "bayes",
    "hyperopt": "tpe",
    "cma": "cmaes",
    "cma_es": "cmaes",
    "loguniform": "log_uniform_values",
    "choice": "categorical",
    "gaussian": "normal",
    "integer": "int_uniform",
    "randint": "int_uniform",
    "lower_bound": "min",
    "upper_bound": "max",
    "low": "min",
    "high": "max",
    "choices": "values",
    "default": "value",
    "mean": "mu",
    "std": "sigma",
    "step": "q",
    "max_runs": "run_cap",
    "early_stopping": "early_terminate",
    "search_space": "parameters",
    "script": "program",
}
