"""`python -m sweepyard` is the `sweepyard` command."""

from __future__ import annotations

from sweepyard.cli import main

if __name__ == "__main__":
    main()
