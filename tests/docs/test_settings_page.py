"""docs/settings.md holds the table of all settings. To write it anew: make docs."""

from __future__ import annotations

import sys
from pathlib import Path

from sweepyard.settings import settings_table

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def written(page: str) -> str:
    """The page with its table replaced by that of the code."""
    return page.partition("| variable |")[0] + settings_table()


def test_the_page_holds_the_table() -> None:
    page = PAGE.read_text()
    assert page == written(page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
    sys.stdout.write(f"{PAGE.name} written\n")
