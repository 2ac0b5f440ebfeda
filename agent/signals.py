"""The signals that an agent obeys: each asks it to hand its run back and to leave.

SIGUSR1 and SIGUSR2 are what users have batch systems send ahead of the end of a job's time (Slurm:
`--signal=B:USR1@60`).
"""

from __future__ import annotations

import signal

DRAINING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def heeded() -> list[signal.Signals]:
    """Those to catch here: who started us with SIGHUP ignored (nohup) wants us to survive it."""
    return [number for number in DRAINING if signal.getsignal(number) is not signal.SIG_IGN]
