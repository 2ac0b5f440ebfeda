from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sweepyard import failpoints

ROOT = Path(__file__).parents[2]


def test_the_lists_name_what_the_code_has() -> None:
    folders = ("sweepyard", "controller", "agent", "tracking", "bus")
    files = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    named = [name for path in files for name in re.findall(r'failpoint\("([^"]+)"\)', path.read_text())]
    assert set(named) == failpoints.CONTROLLER | failpoints.AGENT
    assert all(name.startswith("agent.") for name in failpoints.AGENT)


@pytest.mark.parametrize(
    ("wish", "printed", "code"), [("", "123", 0), ("x:2", "1", 137), ("x", "", 137), ("y", "123", 0)]
)
def test_it_dies_at_the_hit_that_was_asked_for(wish: str, printed: str, code: int) -> None:
    program = (
        "from sweepyard.failpoints import failpoint\nfor n in '123': failpoint('x'); print(n, end='', flush=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={failpoints.VARIABLE: wish},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == (printed, code)
