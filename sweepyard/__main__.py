"""`python -m sweepyard` is the `sweepyard` command."""

from __future__ import annotations

from sweepyard.garbage import collect_seldom


def main() -> None:
    collect_seldom()
    from sweepyard.cli import main  # what it loads is what is spared

    main()


if __name__ == "__main__":
    main()
