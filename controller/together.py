"""What several keys of a sweep file tell only together: what W&B notices when the first run is requested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sweepyard.controller.macros import macro_mistakes
from sweepyard.controller.specmodel import GRID_KINDS
from sweepyard.controller.yamlfile import NodePath
from sweepyard.search.registry import METHODS

_ADVICE = "add metric with name and goal"
_BESIDE_METRICS = {
    "metric": "stands beside metrics: keep one of them",
    "early_terminate": "judges by one metric, and metrics has several: give metric, or leave it out",
    "repeat": "sums up one metric, and metrics has several: give metric, or leave it out",
}
_GRID_REFUSAL = (
    "{} has no list of points that a grid could cover"
    f" (allowed: {', '.join(GRID_KINDS)}): give values, int_uniform or q_uniform, or choose another method"
)


class Mistake(NamedTuple):
    """What is wrong at a place of the file: at a key itself, or at its value."""

    path: NodePath
    message: str
    key: bool = False


def mistakes(given: dict[str, Any], parameters: dict[str, Any]) -> Iterator[Mistake]:
    """Those of a file's keys, with its rules and `parameters` in normal form, all else as it was `given`."""
    method = given.get("method")
    if "metrics" in given:
        yield from (Mistake((key,), why, True) for key, why in _BESIDE_METRICS.items() if key in given)
    leaves = [item for item in _leaves(parameters, ("parameters",)) if "expression" not in item[1]]
    learns = method in ("bayes", "tpe", "cmaes")
    has_metric = bool(given.keys() & {"metric", "metrics"})
    if learns and not has_metric:
        yield Mistake(("method",), f"{method} needs a metric to learn from: {_ADVICE}")
    if "early_terminate" in given and not has_metric:
        yield Mistake(("early_terminate",), f"needs a metric to judge by: {_ADVICE}", True)
    if "repeat" in given and (pausing := next(_pausing(given.get("early_terminate")), None)):
        said = f"does not go with {pausing}, where runs pause and go on: leave one of them out"
        yield Mistake(("repeat",), said, True)
    if learns and leaves and all(leaf["distribution"] == "constant" for _, leaf in leaves):
        yield Mistake(("parameters",), f"{method} needs at least one parameter that is not constant", True)
    if "order" in given and isinstance(method, str) and method in METHODS and method != "grid":
        yield Mistake(("order",), f"belongs to method grid, not to {method}: leave it out", True)
    if method == "grid":
        for path, leaf in leaves:
            if leaf["distribution"] not in GRID_KINDS:
                yield Mistake(path, _GRID_REFUSAL.format(leaf["distribution"]), True)


def _pausing(rules: Any) -> Iterator[str]:
    """What of the rules makes runs pause and go on."""
    for rule in rules if isinstance(rules, list) else [rules or {}]:
        if rule.get("type") == "population":
            yield "a population"
        elif rule.get("promote"):
            yield "promote: true"


def seed_mistakes(seed: Sequence[str], parameters: dict[str, Any]) -> Iterator[Mistake]:
    """`seed`: the keys under which a run finds the seeds that it is given."""
    for name in seed:
        if name in parameters:
            said = f"each run finds its seed as {name}, which is a parameter: name another key as seed"
            yield Mistake(("repeat",), said)


def command_mistakes(given: dict[str, Any], parameters: dict[str, Any], more: Sequence[str]) -> Iterator[Mistake]:
    """`more`: names that a command may use beside those of the parameters."""
    command = given.get("command")
    if isinstance(command, list):
        names = {name for name, _ in leaves_of(parameters)} | set(parameters) | set(more)
        for index, sentence in macro_mistakes(command, names):
            yield Mistake(("command", index), sentence)


def leaves_of(parameters: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every leaf in normal form, by its dotted name."""
    return ((".".join(map(str, path[::2])), leaf) for path, leaf in _leaves(parameters, ()))


def _leaves(parameters: dict[str, Any], path: NodePath) -> Iterator[tuple[NodePath, dict[str, Any]]]:
    """Every leaf in normal form, with its path in the file; broken ones are left out."""
    for name, parameter in parameters.items():
        if "parameters" in parameter:
            yield from _leaves(parameter["parameters"], (*path, name, "parameters"))
        elif parameter:
            yield (*path, name), parameter
