"""Named places where a test has a process die: around every commit, and around every effect that follows one.

`SWEEPYARD_FAILPOINT=offer.after:2` ends the process when it comes by `offer.after` for the second time: with code
137, and as abruptly as SIGKILL. Without the variable a failpoint costs one comparison.
"""

from __future__ import annotations

import os

VARIABLE = "SWEEPYARD_FAILPOINT"
EXIT_CODE = 137

CONTROLLER = frozenset(
    {
        "migration.before_commit",
        "takeover.after",
        "load.after",
        "commit.before",
        "commit.after",
        "answer.after",
        "ask.before",
        "offer.before",
        "offer.after",
        "tell.before",
        "tell.after",
        "withdraw.before",
        "withdraw.after",
        "close.before",
        "close.after",
        "guide.before",
        "guide.after",
        "presence.before",
        "presence.after",
        "forget.before",
        "forget.after",
        "shutdown.mid",
    }
)
AGENT = frozenset(
    {
        "agent.offer_taken",
        "agent.child_started",
        "agent.send_before",
        "agent.send_after",
        "agent.order_before",
        "agent.child_exited",
        "agent.settled_before",
        "agent.settled_after",
        "agent.drain_mid",
        "agent.leave_before",
    }
)

_name, _, _hit = os.environ.get(VARIABLE, "").partition(":")
_hits_left = int(_hit) if _hit.isdecimal() else 1


def failpoint(name: str) -> None:
    """Die here, if the environment says so."""
    if name == _name:
        _count()


def _count() -> None:
    global _hits_left
    _hits_left -= 1
    if _hits_left == 0:
        os._exit(EXIT_CODE)
