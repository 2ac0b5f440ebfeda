"""Prior runs as a user names them: ids, and CSV files on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sweepyard.errors import UserError


def to_send(refs: Iterable[str | Path]) -> list[Any]:
    """What the service is told: ids as they are, of files (names that end in .csv) name and text.

    Raises:
        UserError: a file cannot be read.
    """
    return [_file(Path(ref)) if str(ref).lower().endswith(".csv") else str(ref) for ref in refs]


def _file(path: Path) -> dict[str, str]:
    try:
        return {"name": path.name, "csv": path.read_text(encoding="utf-8")}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
