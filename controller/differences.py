"""What a sweep file does here otherwise than on W&B's service, as far as it matters for that file.

docs/coming-from-wandb.md is the whole list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sweepyard.controller.together import leaves_of
from sweepyard.schedulers.registry import rules_of

BEYOND = (
    *("seed", "order", "constraints", "initial_points", "zip", "repeat", "budget", "retry", "stall_after_s"),
    "run_name",
)
"""Top-level keys that W&B's schema lacks. W&B warns of them and goes on."""


def differences(spec: dict[str, Any]) -> list[str]:
    """Sentences about the spec `spec` (in normal form); empty if it means the same there."""
    return [*_of_method(spec), *_of_parameters(spec), *_of_command(spec), *_of_keys(spec)]


def _of_method(spec: dict[str, Any]) -> Iterator[str]:
    method = spec["method"]
    if method == "grid":
        yield (
            "grid: a point is done when its run has ended, whatever the script does to its config;"
            " W&B proposes it again if the script changes or lacks a parameter"
        )
    if method == "random":
        yield (
            "random: reproducible (seed), and a space that can be counted is drawn without repeats and then ends;"
            " W&B has no seed, repeats points and never ends"
        )
    for rule in rules_of(spec.get("early_terminate")):
        if rule.get("strict") is True:
            yield "early_terminate: strict is true if the file does not say, as in W&B's code; its docs say false"
        if rule["type"] == "hyperband" and not rule.get("reevaluate"):
            yield (
                "early_terminate: a run is judged once, when it comes to a band, and only among min_peers;"
                " W&B judges it again until the next band, and of two runs stops the worse: reevaluate: true"
            )


def _of_parameters(spec: dict[str, Any]) -> Iterator[str]:
    for path, leaf in leaves_of(spec["parameters"]):
        kind = leaf.get("distribution", "")
        if kind.startswith("q_"):
            numbers = [leaf[key] for key in ("min", "max", "q") if key in leaf]
            if not isinstance(leaf["q"], int) and all(float(number).is_integer() for number in numbers):
                yield f"{path}: gives ints, because its numbers are whole; W&B gives floats such as 32.0"
            if any(bound % leaf["q"] for bound in (leaf.get("min", 0), leaf.get("max", 0)) if "log" not in kind):
                yield f"{path}: never leaves its bounds; W&B rounds beyond them"
        if kind == "q_uniform" and spec["method"] == "grid":
            yield f"{path}: the grid includes max where the steps meet it; W&B leaves it out"
        if kind == "inv_log_uniform_values":
            yield f"{path}: draws as log_uniform_values does, on W&B as well: it does not favour values near max"
        if kind == "reverse_log_uniform_values":
            yield f"{path}: reverse_log_uniform_values is beyond W&B's schema: W&B cannot run this file"
        if kind == "categorical_w_probabilities" and spec["method"] == "bayes":
            yield f"{path}: probabilities work with bayes; W&B's search fails on them"


def _of_command(spec: dict[str, Any]) -> Iterator[str]:
    command = spec.get("command")
    if command is None or "${interpreter}" in command:
        yield "command: ${interpreter} is the Python that the agent runs on; W&B takes any `python` on PATH"
    names = {path for path, _ in leaves_of(spec["parameters"])}
    if any(f"${{{name}}}" in item for item in command or () for name in names):
        yield "command: ${parameter} is replaced by its value; W&B leaves or drops it"


def _of_keys(spec: dict[str, Any]) -> Iterator[str]:
    if spec["method"] not in ("grid", "random", "bayes"):
        yield f"method {spec['method']} is beyond W&B's schema: W&B cannot run this file"
    if any(key in leaf for _, leaf in leaves_of(spec["parameters"]) for key in ("when", "expression")):
        yield "when and expression are beyond W&B's schema: W&B cannot run this file"
    if beyond := [key for key in BEYOND if key in spec]:
        yield f"{', '.join(beyond)}: beyond W&B's schema; W&B warns and ignores it"
