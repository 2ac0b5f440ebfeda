"""The diagrams in docs/architecture.md are the lifecycle tables. To draw them anew: make docs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from sweepyard.tracking.lifecycle import ATTEMPT_MOVES, RUN_MOVES, SWEEP_MOVES

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
HEADING = "## States\n"


def diagram(title: str, table: Mapping[tuple[Any, Any], StrEnum]) -> str:
    states = [state for state, _ in table]
    ends = [state for state in dict.fromkeys(table.values()) if state not in states]
    lines = [f"    [*] --> {states[0]}"]
    lines += [f"    {state} --> {after}: {event}" for (state, event), after in table.items()]
    lines += [f"    {state} --> [*]" for state in ends]
    return "\n".join([f"### {title}", "", "```mermaid", "stateDiagram-v2", *lines, "```", ""])


def diagrams() -> str:
    tables = {"Sweep": SWEEP_MOVES, "Run": RUN_MOVES, "Attempt": ATTEMPT_MOVES}
    return "\n".join(diagram(title, table) for title, table in tables.items())


def drawn(page: str) -> str:
    """The page with its diagrams replaced by those of the tables."""
    head, _, tail = page.partition(HEADING)
    return head + HEADING + tail.partition("### Sweep")[0] + diagrams()


def test_the_diagrams_are_the_tables() -> None:
    page = PAGE.read_text()
    assert page == drawn(page)


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
    sys.stdout.write(f"{PAGE.name} drawn\n")
