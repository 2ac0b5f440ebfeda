from __future__ import annotations

import subprocess
import sys


def test_the_registry_is_cheap_to_import():
    slow = ("scipy", "sklearn")
    program = f"import sys, sweepyard.search.registry; print([m for m in {slow} if m in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "[]"
