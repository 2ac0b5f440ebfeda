"""Each test that a page names is there, and each promise names one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
WORDS = {path: path.read_text() for path in TESTS.rglob("*.py")}
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
INVARIANTS = {number for words in WORDS.values() for number in re.findall(r"\bI(\d+)\b", words)}
PATH, FILE, FUNCTION, CLASS, TARGET = (
    re.compile(pattern)
    for pattern in (r"tests(?:/\w+)+(?:\.py)?", r"test_\w+\.py", r"test_\w+", r"Test\w+", r"make ([a-z]+).*")
)


def is_there(name: str) -> bool:
    """Whether what a page calls by `name` exists; true of what is no name of a test."""
    if PATH.fullmatch(name):
        return (ROOT / name).exists()
    if FILE.fullmatch(name):
        return any(path.name == name for path in WORDS)
    if FUNCTION.fullmatch(name):
        return any(f"def {name}(" in words for words in WORDS.values())
    if CLASS.fullmatch(name):
        return any(f"class {name}" in words for words in WORDS.values())
    if target := TARGET.fullmatch(name):
        return target[1] in TARGETS
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`([^`\n]+)`", page.read_text())
    assert [name for name in named if not is_there(name)] == []


def test_each_promise_names_its_test() -> None:
    page = (ROOT / "docs/promises.md").read_text()
    rows = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("|")]
    assert len(rows) > 10
    for promise, _, tested_by in rows[2:]:
        assert re.search(r"`tests/|simulation|conformance|chaos", tested_by), promise
        assert set(re.findall(r"\bI(\d+)\b", tested_by)) <= INVARIANTS, promise
