"""Edits of a sweep that lives: which keys may change, and what an edit says. Functions of spec and wishes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from sweepyard.controller.spec import Spec, read_spec
from sweepyard.controller.spelling import show
from sweepyard.controller.together import leaves_of
from sweepyard.controller.yamlfile import from_python, load
from sweepyard.errors import Problem, SpecError
from sweepyard.schedulers.registry import resource_of

EDITABLE = frozenset(
    {"run_cap", "budget", "retry", "stall_after_s", "early_terminate"}
    | {"parameters", "constraints", "initial_points", "description"}
)
"""Top-level keys that an edit may change; of `metric` only the target."""

GIVEN_ONCE = ("entity", "project", "name", "seed")
"""Keys that a new file need not repeat: who creates a sweep may give them beside its file."""

MOST_TOLD = 20


def edited(spec: dict[str, Any], source: str | Mapping[str, Any] | None, wishes: Mapping[str, Any]) -> Spec:
    """The spec that follows on `spec`, which is in normal form.

    `source`: a whole new sweep file, as text or as a mapping; None: as it is. `wishes`: values by dotted path,
    such as `parameters.lr.max`, which win over it; None takes a key away.

    Raises:
        SpecError: it is no sweep that can run, or changes what can not change; all problems are named.
    """
    if wishes or source is None:
        base = _mapping(spec, source)
        for path, value in from_python(wishes, name="edit").value.items():
            _set(base, path, value, path)
        new = read_spec({key: value for key, value in base.items() if value is not None}, name="edit")
    else:
        new = read_spec(source, name="edit", overrides=_not_repeated(spec, source))
    problems = list(_fixed(spec, new.data))
    if problems:
        raise SpecError(problems, source="edit")
    return new


def told(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What an edit changes, for the user; empty if nothing."""
    before, after = dict(_flat(old)), dict(_flat(new))
    paths = [path for path in dict.fromkeys([*before, *after]) if before.get(path) != after.get(path)]
    words = [f"{path}: {_said(before, path)} -> {_said(after, path)}" for path in paths[:MOST_TOLD]]
    more = [f"and {len(paths) - MOST_TOLD} more"] if len(paths) > MOST_TOLD else []
    return "; ".join(words + more)


def _mapping(spec: dict[str, Any], source: str | Mapping[str, Any] | None) -> dict[str, Any]:
    if source is None:
        return deepcopy(spec)
    given = load(source, name="edit") if isinstance(source, str) else from_python(source, name="edit")
    if not isinstance(given.value, dict):
        return read_spec(source).data  # says what is wrong with it
    return _not_repeated(spec, source) | given.value


def _not_repeated(spec: dict[str, Any], source: str | Mapping[str, Any]) -> dict[str, Any]:
    given = load(source, name="edit").value if isinstance(source, str) else source
    return {key: spec[key] for key in GIVEN_ONCE if key in spec and key not in (given or ())}


def _set(node: dict[str, Any], path: str, value: Any, whole: str) -> None:
    """Set what `path` names below `node`. Names may hold dots; `parameters` between them may be left out."""
    for key in sorted((key for key in node if path == key or path.startswith(f"{key}.")), key=len, reverse=True):
        if path == key:
            node[key] = value
            return
        if isinstance(node[key], dict):
            return _set(node[key], path[len(key) + 1 :], value, whole)
    head, dot, rest = path.partition(".")
    if not dot:
        node[path] = value
    elif isinstance(node.get("parameters"), dict) and path != whole:
        _set(node["parameters"], path, value, whole)
    elif path == whole and head in EDITABLE:
        node[head] = {}
        _set(node[head], rest, value, whole)
    else:
        raise SpecError([Problem(path=whole, message=f"there is no {head} in this sweep")], source="edit")


def _fixed(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Problem]:
    """What the edit changes and must not."""
    advice = "Create another sweep instead; with this one among its prior runs it goes on from here"
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key), new.get(key)
        if key == "metric" and before and after:
            before, after = before | {"target": None}, after | {"target": None}
        if key not in EDITABLE and before != after:
            shown = "" if isinstance(before, dict | list) else f" ({show(before)})"
            yield Problem(path=key, message=f"can not change{shown} while the sweep lives. {advice}")
    names = {name: _rule(leaf) for name, leaf in leaves_of(old["parameters"])}
    others = {name: _rule(leaf) for name, leaf in leaves_of(new["parameters"])}
    for name in sorted(names.keys() ^ others.keys()):
        verb = "removed" if name in names else "added"
        yield Problem(path=f"parameters.{name}", message=f"can not be {verb} while the sweep lives. {advice}")
    for name in sorted(names.keys() & others.keys()):
        if names[name] != others[name]:
            message = f"its condition or expression can not change while the sweep lives. {advice}"
            yield Problem(path=f"parameters.{name}", message=message)
    if resource_of(old.get("early_terminate")) != resource_of(new.get("early_terminate")):
        yield Problem(
            path="early_terminate.resource",
            message="can not change: what runs have reported was measured by it",
        )


def _rule(leaf: Mapping[str, Any]) -> tuple[Any, Any]:
    return leaf.get("when"), leaf.get("expression")


def _flat(value: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            inner = above if key == "parameters" and above else f"{above}.{key}" if above else key
            yield from _flat(item, inner)
    else:
        yield above, value


def _said(values: Mapping[str, Any], path: str) -> str:
    value = values.get(path)
    if isinstance(value, list):
        return str(value) if len(str(value)) <= 60 else f"a list of {len(value)}"
    return "none" if value is None else show(value).strip("'")
