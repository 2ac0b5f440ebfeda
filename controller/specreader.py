"""Checks a sweep file part by part and puts it in normal form, finding everything that is wrong at once.

The form follows W&B's schema; what W&B finds out when the first run is requested is said here, at creation.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sweepyard.controller import specnotes, together
from sweepyard.controller.spacecheck import check_space
from sweepyard.controller.specfields import Misplaced, as_name
from sweepyard.controller.specmodel import (
    DISTRIBUTIONS,
    Budget,
    Condition,
    Derived,
    Group,
    Metric,
    OneOfMetrics,
    Part,
    Repeat,
    Retry,
    SweepFile,
)
from sweepyard.controller.spelling import nearest, show, suggest
from sweepyard.controller.stopmodel import AnyRule, model_of
from sweepyard.controller.yamlfile import Document, NodePath, dotted, number
from sweepyard.errors import Problem
from sweepyard.search.leaf import infer_distribution
from sweepyard.wording import shorten

MAX_PROBLEMS = 50
AnyPart = TypeVar("AnyPart", bound=Part)

_IGNORED = ("apiVersion", "kind")
_UNSUPPORTED = {
    "scheduler": "external schedulers are not supported: choose one of the methods of a sweep file",
    "job": "launching jobs is not supported: start agents where they shall run",
    "controller": "only type: cloud, the service itself, is supported: leave controller out",
    "image_uri": "launching images is not supported: start agents where they shall run",
}
_NO_KEYS = {
    "count": "is no key of a sweep file: give --count to an agent, or run_cap to limit the whole sweep",
    "prior_runs": "is no key of a sweep file: give --prior-run REF, or prior_runs to sweepyard.sweep()",
    "settings": "is no key of a sweep file",
}


class Reader:
    """Checks a document part by part, collecting problems and notes."""

    def __init__(self, document: Document, lenient: bool) -> None:
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self._unlisted = 0
        self._document = document
        self._lenient = lenient

    def listed(self) -> list[Problem]:
        """The problems in the order of the file."""
        problems = sorted(self.problems, key=lambda problem: (problem.line, problem.column))
        more = [Problem(path="", message=f"and {self._unlisted} more problems")] if self._unlisted else []
        return problems + more

    def sweep(self) -> dict[str, Any]:
        raw = self._document.value
        if raw is None or raw == {}:
            self._wrong((), "is empty: it needs at least method and parameters")
        elif not isinstance(raw, dict):
            self._wrong((), f"must be a mapping of keys such as method and parameters, not {show(raw)}")
        else:
            return self._sweep(raw)
        return {}

    def _sweep(self, raw: dict[str, Any]) -> dict[str, Any]:
        given = {key: value for key, value in raw.items() if value is not None or key in ("method", "parameters")}
        self._check_unsupported(given)
        top = self._part(SweepFile, {key: given[key] for key in given if key not in _SET_ASIDE}, ())
        parts = {
            key: self._part(model, _long(key, given[key]), (key,)) for key, model in _PARTS.items() if key in given
        }
        lists = {"early_terminate": self._rules, "metrics": self._metrics}
        rules = {key: read(given[key], (key,)) for key, read in lists.items() if key in given}
        parameters = self._group(given["parameters"], ("parameters",)) if "parameters" in given else {}
        self._check_together(given | rules, parameters, parts.get("repeat"))
        data = top.plain() if top else {}
        data |= {key: part.plain() for key, part in parts.items() if part} | rules | {"parameters": parameters}
        if parts.get("budget"):
            self._one_cap(data)
        if not self.problems:
            self._check_space(data)
            self.notes += specnotes.on_sweep(data)
        return data

    def _one_cap(self, data: dict[str, Any]) -> None:
        """Make `budget.runs` the `run_cap` that it is."""
        runs = data["budget"].pop("runs", None)
        if not data["budget"]:
            del data["budget"]
        if runs is not None and data.setdefault("run_cap", runs) != runs:
            self._wrong(("budget", "runs"), f"run_cap says the same, and says {data['run_cap']}: keep one of them")

    def _metrics(self, raw: Any, path: NodePath) -> list[dict[str, Any]]:
        if not isinstance(raw, list) or len(raw) < 2:
            self._wrong(path, "needs a list of two metrics or more, each with name and goal; one alone is metric")
            return []
        parts = [self._part(OneOfMetrics, each, (*path, i)) for i, each in enumerate(raw)]
        names = [part.name for part in parts if part]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._wrong(path, f"{name} is in it {names.count(name)} times: once is enough")
        return [part.plain() for part in parts if part]

    def _rules(self, raw: Any, path: NodePath) -> Any:
        """One rule of early termination, or a list of them."""
        if not isinstance(raw, list):
            return self._rule(raw, path)
        if not raw:
            self._wrong(path, "is an empty list: give a rule, or leave it out")
        rules = [self._rule(rule, (*path, i)) for i, rule in enumerate(raw)]
        counts = {str(rule.get("resource", "the values of the metric")) for rule in rules if "type" in rule}
        if len(counts) > 1:
            self._wrong(path, f"all rules must count the same resource, not {' and '.join(sorted(counts))}")
        return rules

    def _rule(self, raw: Any, path: NodePath) -> dict[str, Any]:
        if not isinstance(raw, dict):
            self._wrong(path, f"must be a mapping, not {show(raw)}")
            return {}
        kind, model = raw.get("type", "a rule"), model_of(raw)
        if model is AnyRule:  # what else it takes depends on its type, which is to be mended first
            raw = {key: value for key, value in raw.items() if key in AnyRule.model_fields}
        part = self._part(model, raw, path, whose=f"{kind} takes ")
        return part.plain() if part else {}

    def _check_space(self, data: dict[str, Any]) -> None:
        """What only the space as a whole tells."""
        problems, notes = check_space(data)
        self.notes += notes
        places = {dotted(path): path for path in self._document.where}
        for problem in problems:
            known = problem.path
            while known and known not in places:
                known = known.rpartition(".")[0]
            self._wrong(places.get(known, ()), problem.message, name=problem.path)

    def _check_unsupported(self, given: dict[str, Any]) -> None:
        for key, sentence in _UNSUPPORTED.items():
            if key in given and not (key == "controller" and given[key] == {"type": "cloud"}):
                self._wrong((key,), sentence, key=True)
        metric = given.get("metric")
        unused = ("impute", "impute_while_running")
        self.notes += [
            f"metric.{key}: kept, but no search method here uses it"
            for key in unused
            if isinstance(metric, dict) and key in metric
        ]

    def _group(self, raw: Any, path: NodePath) -> dict[str, Any]:
        """The parameters under `path`, whatever is nested included, in normal form."""
        if not isinstance(raw, dict):
            self._wrong(path, f"must be a mapping of parameter names, not {show(raw)}")
            return {}
        if not raw:
            self._wrong(path, "is empty: it needs at least one parameter")
        return {name: self._parameter(name, raw[name], (*path, name)) for name in raw}

    def _parameter(self, name: str, raw: Any, path: NodePath) -> dict[str, Any]:
        try:
            as_name(name)
        except ValueError as error:
            self._wrong(path, str(error), key=True)
        if not isinstance(raw, dict):
            key = "values" if isinstance(raw, list) else "value"
            self._wrong(path, f"must say what to try, not just {show(raw)}: write {key}: in front of it")
        else:
            condition = {key: raw[key] for key in raw if key == "when"}
            part = self._part(Condition, condition, path) if condition else None
            found = self._unconditional({key: raw[key] for key in raw if key != "when"}, path)
            return found | part.plain() if part and found else found
        return {}

    def _unconditional(self, raw: dict[str, Any], path: NodePath) -> dict[str, Any]:
        if "parameters" in raw:
            return self._nested(raw, path)
        if "expression" in raw:
            derived = self._part(Derived, raw, path, whose="a derived value takes ")
            return derived.plain() if derived else {}
        distribution = self._distribution(raw, path)
        return self._leaf(distribution, raw, path) if distribution else {}

    def _nested(self, raw: dict[str, Any], path: NodePath) -> dict[str, Any]:
        self._part(Group, raw, path, whose="a group of parameters takes only ")
        return {"parameters": self._group(raw["parameters"], (*path, "parameters"))}

    def _distribution(self, raw: dict[str, Any], path: NodePath) -> str | None:
        given = raw.get("distribution")
        if given is None:
            try:
                return _inferred(raw)
            except ValueError as error:
                self._wrong(path, _hint(raw) or str(error))
                return None
        if not isinstance(given, str) or given not in DISTRIBUTIONS:
            said = f"{show(given)} is no distribution{suggest(given, DISTRIBUTIONS)}"
            self._wrong((*path, "distribution"), said)
            return None
        weighted = given == "categorical" and "probabilities" in raw
        return "categorical_w_probabilities" if weighted else given

    def _leaf(self, distribution: str, raw: dict[str, Any], path: NodePath) -> dict[str, Any]:
        keys = {key: value for key, value in raw.items() if key != "distribution"}
        model = DISTRIBUTIONS[distribution]
        part = self._part(model, keys, path, whose=f"{distribution} takes ")
        if part is None:
            return {"distribution": distribution}
        self.notes += specnotes.on_parameter(dotted(path), distribution, raw, part)
        return {"distribution": distribution} | part.model_dump()

    def _part(self, model: type[AnyPart], raw: Any, path: NodePath, whose: str = "allowed: ") -> AnyPart | None:
        """`raw` as a `model`; None if it is none, and then each problem is noted."""
        if not isinstance(raw, dict):
            self._wrong(path, f"must be a mapping, not {show(raw)}")
            return None
        if self._lenient:
            raw = self._without_unknown(model, raw, path)
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                self._take(detail, model, path, whose)
            return None

    def _without_unknown(self, model: type[Part], raw: dict[str, Any], path: NodePath) -> dict[str, Any]:
        known: dict[str, Any] = {}
        unknown: list[str] = []
        for key, value in raw.items():
            if key in model.model_fields:
                known[key] = value
            else:
                unknown.append(key)
        self.notes += [f"{dotted((*path, key))}: unknown key, ignored" for key in unknown[:MAX_PROBLEMS]]
        return known

    def _take(self, detail: ErrorDetails, model: type[Part], path: NodePath, whose: str) -> None:
        """Say one of pydantic's findings in our words."""
        key = str(detail["loc"][0]) if detail["loc"] else None
        if detail["type"] == "missing":
            self._wrong(path, f"{key} is missing")
        elif detail["type"] == "extra_forbidden" and key is not None:
            self._unknown_key(key, model, path, whose)
        else:
            cause = detail["ctx"]["error"]
            key = cause.key if isinstance(cause, Misplaced) else key
            self._wrong((*path, key) if key else path, str(cause))

    def _unknown_key(self, key: str, model: type[Part], path: NodePath, whose: str) -> None:
        if not path and key in _NO_KEYS:
            self._wrong((key,), _NO_KEYS[key], key=True)
            return
        near = nearest(key, model.model_fields) if len(self.problems) < MAX_PROBLEMS else None
        hint = f"; did you mean {near}?" if near else ""
        self._wrong((*path, key), f"unknown key{hint} ({whose}{', '.join(model.model_fields)})", key=True)

    def _check_together(self, given: dict[str, Any], parameters: dict[str, Any], repeat: Part | None) -> None:
        seed = [repeat.seed] if isinstance(repeat, Repeat) else []
        mistakes = chain(
            together.mistakes(given, parameters),
            together.seed_mistakes(seed, parameters),
            islice(together.command_mistakes(given, parameters, seed), MAX_PROBLEMS),
        )
        for path, message, key in mistakes:
            self._wrong(path, message, key=key)

    def _wrong(self, path: NodePath, message: str, *, key: bool = False, name: str = "") -> None:
        """Note a problem at `path`; `name`: how to call it where the document does not know that path."""
        if len(self.problems) >= MAX_PROBLEMS:
            self._unlisted += 1
            return
        place = self._document.key_place(path) if key else self._document.place(path)
        problem = Problem(path=name or dotted(path), message=message, line=place.line, column=place.column)
        self.problems.append(problem)


_PARTS: dict[str, type[Part]] = {
    "metric": Metric,
    "repeat": Repeat,
    "budget": Budget,
    "retry": Retry,
}
_SHORT = {"repeat": "times"}
"""Parts that may be written as the value of one of their keys."""
_SET_ASIDE = (*_IGNORED, *_UNSUPPORTED)


def _long(key: str, raw: Any) -> Any:
    return {_SHORT[key]: raw} if key in _SHORT and not isinstance(raw, dict) else raw


def _inferred(raw: dict[str, Any]) -> str:
    """The distribution of a parameter that names none. Raises `ValueError` with a sentence."""
    if "value" in raw and "values" in raw:
        raise ValueError("has both value and values: keep one of them")
    if needing := sorted(raw.keys() & {"q", "mu", "sigma", "a", "b"}):
        fitting = [name for name, model in DISTRIBUTIONS.items() if raw.keys() <= model.model_fields.keys()]
        others = f", such as {', '.join(fitting)}" if fitting else ""
        raise ValueError(f"{' and '.join(needing)} without a distribution beside it{others}")
    keys = next((keys for keys in _TELLING if raw.keys() & keys), ())
    given = {key: raw[key] for key in keys if key in raw}
    bounds = {key: number(given[key]) for key in ("min", "max") if isinstance(given.get(key), str)}
    return infer_distribution(given | bounds)


_TELLING = (("value",), ("values", "probabilities"), ("min", "max"))
"""Keys that tell a distribution, the strongest first."""


def _hint(raw: dict[str, Any]) -> str:
    """What was probably meant by a parameter whose keys say nothing; empty if there is no telling."""
    if raw and all(isinstance(value, dict) for value in raw.values()):
        return "does not say what to try; to nest parameters, put them under parameters:"
    known = ("value", "values", "min", "max", "distribution", "parameters")
    near = ((key, nearest(key, known)) for key in list(raw)[:8] if key not in known)
    meant = [f"did you mean {right} for {shorten(key)}?" for key, right in near if right]
    return "; ".join(["does not say what to try", *meant]) if meant else ""
