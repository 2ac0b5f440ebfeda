"""Results from elsewhere that a new sweep knows: runs of this service, and the rows of CSV files.

Each becomes a point of the sweep's space where it can, and is kept `outside` with a note where it can not.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweepyard.controller.spec import Spec
from sweepyard.controller.spelling import nearest, show
from sweepyard.controller.yamlfile import number
from sweepyard.errors import Problem, SpecError
from sweepyard.plain import Params, finite
from sweepyard.schedulers.registry import resource_of
from sweepyard.search.inside import fits, locate, wished
from sweepyard.search.rules import INACTIVE
from sweepyard.search.space import Parameter, Space, at
from sweepyard.tracking.port import Store
from sweepyard.tracking.records import RUN_SCORED, Objective, PriorRun, Run, RunState, Sweep

MOST_PROBLEMS = 50
_WORDS = {"true": True, "false": False}
_FAILED = (RunState.failed, RunState.crashed)


@dataclass(frozen=True, slots=True)
class Csv:
    """A file with a column for each parameter, by its dotted name, and one for the metric."""

    name: str
    text: str


def gather(store: Store | None, spec: Spec, sources: Sequence[str | Csv]) -> tuple[list[PriorRun], list[str]]:
    """The prior runs that `sources` name, and notes that the user should read.

    A source is the id of a run of the sweep's project, `SWEEP` or `SWEEP/RUN` of this service, or a CSV file; of
    the latter alone no `store` is needed. Their `sweep_id` is still to be filled in.

    Raises:
        SpecError: something is not there, or not what it should be; all problems are named.
    """
    if sources and "metrics" in spec.data:
        raise SpecError([Problem(path="prior_runs", message="can not be told apart by several metrics yet")])
    found, notes = _Known(Space.of(spec.data), spec), list[str]()
    problems: list[Problem] = []
    for source in sources:
        try:
            if isinstance(source, Csv):
                found.take_csv(source)
            elif store is not None:
                notes += found.take_runs(store, source)
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems[:MOST_PROBLEMS], source="prior runs")
    outside = sum(run.outside for run in found.runs)
    if outside:
        notes.append(f"prior runs: {outside} of {len(found.runs)} are outside the space, each with a note")
    return found.runs, notes


class _Known:
    """The prior runs found so far."""

    def __init__(self, space: Space, spec: Spec) -> None:
        self.runs: list[PriorRun] = []
        self._space, self._spec = space, spec
        self._objective = spec.objective
        self._parameters = {name: each for each in space.parameters for name in each.names}

    def _add(self, source: str, given: Mapping[str, Any], value: float | None, **more: Any) -> None:
        try:
            params, note = self._space.nest(locate(self._space, given)), ""
        except SpecError as error:
            params = wished(self._spec.data, given, outside=True).params
            note = "; ".join(f"{each.path}: {each.message}".removeprefix(": ") for each in error.problems)
        n = len(self.runs) + 1
        self.runs.append(
            PriorRun(
                sweep_id="", n=n, source=source, params=params, value=value, outside=bool(note), note=note, **more
            )
        )

    # runs of this service

    def take_runs(self, store: Store, ref: str) -> list[str]:
        """Take in what `ref` names: notes about what was left out."""
        sweep_ref, slash, run_ref = ref.strip().lower().partition("/")
        if not slash and (run := store.run_of_project(self._spec.entity, self._spec.project, sweep_ref)):
            sweep_ref, slash, run_ref = run.sweep_id, "/", run.id
        sweep = store.sweep(sweep_ref)
        if sweep is None:
            place = f"{self._spec.entity}/{self._spec.project}"
            raise _wrong(f"there is no sweep '{sweep_ref[:40]}' here, and no run '{ref[:40]}' in {place}")
        if not slash:
            return self._take(store, sweep, store.runs(sweep.id), named=False)
        run = store.run(sweep.id, run_ref)
        if run is None and run_ref.isascii() and run_ref.isdecimal():
            run = store.run(sweep.id, int(run_ref[:18]))
        if run is None:
            raise _wrong(f"sweep {sweep.id} has no run '{run_ref[:40]}': give a run's number or its id")
        return self._take(store, sweep, [run], named=True)

    def _take(self, store: Store, sweep: Sweep, runs: Sequence[Run], *, named: bool) -> list[str]:
        """Notes about what was left out; a run that was `named` must not be."""
        curves, left_out = self._curves(store, sweep), 0
        for run in runs:
            curve = curves.get(run.id, [])
            value = self._value(run, curve)
            known = run.state in _FAILED or (
                run.state in RUN_SCORED and (self._objective is None or value is not None)
            )
            if not known and named:
                raise _wrong(self._why_unknown(run))
            if not known:
                left_out += 1
                continue
            failed = run.state in _FAILED
            kept = [] if failed or resource_of(sweep.spec.get("early_terminate")) != self._resource else curve
            given = self._given(run.params)
            self._add(f"{sweep.id}/{run.number}", given, None if failed else value, failed=failed, curve=kept)
        return [f"prior runs: {left_out} of sweep {sweep.id} have no result and are left out"] if left_out else []

    @property
    def _resource(self) -> str | None:
        return resource_of(self._spec.data.get("early_terminate"))

    def _curves(self, store: Store, sweep: Sweep) -> dict[str, list[list[float]]]:
        """Pairs of position and value, by run id, where the other sweep has the same metric."""
        other = Objective.of(sweep.spec)
        if self._objective is None or other is None or other.name != self._objective.name:
            return {}
        return {
            run_id: [[float(k if p.position is None else p.position), p.value] for k, p in enumerate(points, 1)]
            for run_id, points in store.curves(sweep.id).items()
        }

    def _value(self, run: Run, curve: Sequence[Sequence[float]]) -> float | None:
        if self._objective is None:
            return None
        value: float | None = None
        for k, (_, one) in enumerate(curve, 1):
            value = self._objective.summed(value, one, k)
        return value if curve else finite(run.summary.get(self._objective.name))

    def _why_unknown(self, run: Run) -> str:
        if run.state not in RUN_SCORED:
            return f"run {run.number} of sweep {run.sweep_id} is {run.state}: it has no result"
        metric = self._objective.name if self._objective else ""
        return f"run {run.number} of sweep {run.sweep_id} has no value of {metric}"

    def _given(self, params: Params) -> dict[str, Any]:
        """What another sweep's run says about the parameters of this one, by their dotted names."""
        parameters = self._space.parameters
        paths = {name: path for each in parameters for path, name in zip(each.paths, each.names, strict=True)}
        said = {name: at(params, path) for name, path in paths.items()}
        said = {name: params.get(name, INACTIVE) if value is INACTIVE else value for name, value in said.items()}
        return {name: value for name, value in said.items() if value is not INACTIVE}

    # rows of a file

    def take_csv(self, file: Csv) -> None:
        """Take in each row of a file."""
        try:
            rows = [row for row in csv.reader(io.StringIO(file.text.removeprefix("\ufeff")), strict=True) if row]
        except csv.Error as error:
            raise _wrong(f"{file.name} is no CSV file: {error}") from None
        if len(rows) < 2:
            raise _wrong(f"{file.name} has no rows: it needs a line with the names of columns, then a line a run")
        header = [name.strip() for name in rows[0]]
        problems = [*self._header(file, header)]
        if problems:
            raise SpecError(problems)
        for at_row, row in enumerate(rows[1:], start=2):
            problems += self._row(file, header, at_row, row)
        if problems:
            raise SpecError(problems)

    def _header(self, file: Csv, header: Sequence[str]) -> Iterator[Problem]:
        metric = [self._objective.name] if self._objective else []
        names = [*self._parameters, *metric]
        for column, name in enumerate(header, 1):
            path = f"{file.name}: row 1, column {column}"
            if name not in names:
                near = nearest(name, names)
                hint = f"; did you mean {near}?" if near else f" (there are {', '.join(names[:20])})"
                yield Problem(path=path, message=f"{show(name)} is neither a parameter nor the metric{hint}")
            elif name in header[: column - 1]:
                yield Problem(path=path, message=f"a second column {name}")
        for name in metric:
            if name not in header:
                yield Problem(path=f"{file.name}: row 1", message=f"no column {name}, the sweep's metric")

    def _row(self, file: Csv, header: Sequence[str], at_row: int, row: Sequence[str]) -> list[Problem]:
        where = f"{file.name}: row {at_row}"
        if len(row) != len(header):
            return [Problem(path=where, message=f"has {len(row)} cells under {len(header)} columns")]
        cells = {name: cell.strip() for name, cell in zip(header, row, strict=True) if cell.strip()}
        said = cells.pop(self._objective.name, None) if self._objective else None
        value = None if said is None else _float(said)
        if said is not None and value is None:
            name = self._objective.name if self._objective else ""
            return [Problem(path=f"{where}, column {name}", message=f"{show(said)} is not a number")]
        value = finite(value)
        given = {name: _meant(self._parameters[name], cell) for name, cell in cells.items()}
        self._add(f"{file.name}:{at_row}", given, value, failed=value is None and self._objective is not None)
        return []


def _wrong(message: str) -> SpecError:
    return SpecError([Problem(path="prior_runs", message=message)])


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _meant(parameter: Parameter, cell: str) -> Any:
    """What a cell means: a number or a truth value, unless only the text itself is a value of the parameter."""
    value = _WORDS.get(cell.lower(), number(cell))
    if value is None:
        return cell
    return cell if not fits(parameter, value) and fits(parameter, cell) else value
