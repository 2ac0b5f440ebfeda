"""Prior runs as a user names them: ids, and CSV files on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sweepyard.client import Client
from sweepyard.controller.priors import Csv, gather
from sweepyard.controller.spec import Spec
from sweepyard.errors import NotFound, UserError

MOST_SHOWN = 5


def to_send(refs: Iterable[str | Path]) -> list[Any]:
    """What the service is told: ids as they are, of files (names that end in .csv) name and text.

    Raises:
        UserError: a file cannot be read.
    """
    return [_file(Path(ref)) if str(ref).lower().endswith(".csv") else str(ref) for ref in refs]


def foretold(spec: Spec, refs: Sequence[str], client: Client | None) -> Iterator[str]:
    """What a sweep of `spec` would know from elsewhere, in lines. `client`: of a service that runs; runs are not
    looked up without one.

    Raises:
        SpecError, UserError: a file cannot be read, or is not what it should be; a run or sweep is not there.
    """
    for source in to_send(refs):
        if isinstance(source, dict):
            yield from _of_file(spec, Csv(source["name"], source["csv"]))
        elif client is None:
            yield f"prior runs: {source} (not looked up: no service runs here)"
        else:
            yield f"prior runs: {_of_service(client, source)}"


def _of_file(spec: Spec, file: Csv) -> Iterator[str]:
    runs, _ = gather(None, spec, [file])
    values = [run.value for run in runs if run.value is not None]
    best = f", best {spec.objective.name} {spec.objective.best(values):g}" if spec.objective and values else ""
    failed = sum(run.failed for run in runs)
    yield f"prior runs: {len(runs)} of {file.name}{best}{f', {failed} failed' if failed else ''}"
    outside = [run for run in runs if run.outside]
    for run in outside[:MOST_SHOWN]:
        yield f"  {run.source} is outside the space: {run.note}"
    if len(outside) > MOST_SHOWN:
        yield f"  and {len(outside) - MOST_SHOWN} more are outside the space"


def _of_service(client: Client, ref: str) -> str:
    sweep_id, slash, run_ref = ref.strip().partition("/")
    if slash:
        run = client.run(sweep_id, run_ref.lstrip("#"))
        return f"run {run.number} of sweep {sweep_id}, {run.state}"
    try:
        counts = client.sweep(sweep_id).counts
    except NotFound:
        found = client.explain(ref).run
        return f"run {found.number} ({found.id}), {found.state}"
    present = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"sweep {sweep_id}: {present or 'no runs'}"


def _file(path: Path) -> dict[str, str]:
    try:
        return {"name": path.name, "csv": path.read_text(encoding="utf-8")}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
