"""Searches that were kept in a file, a line of JSON each; `.gz` is read as well."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any


def read(*paths: Path | None) -> Iterator[dict[str, Any]]:
    """What the files hold; one that is None, or not there yet, holds nothing."""
    for path in paths:
        if path is not None and path.exists():
            with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
                yield from map(json.loads, file)


def keep(path: Path, search: Any) -> None:
    """One more line, written at once: whoever is interrupted loses only the search that it was at."""
    with path.open("a") as file:
        file.write(json.dumps(asdict(search), default=float) + "\n")
