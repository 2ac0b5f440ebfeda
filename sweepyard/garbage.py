"""The garbage collector, in processes that load a thousand modules and keep them until they end.

Left alone it walks over all of them again and again while they load, and once more at the end: a third of a start.
"""

from __future__ import annotations

import atexit
import gc

YOUNG = 50_000
"""So many new objects are looked at together. Python's own 700 is for programs that begin small and stay so."""


def collect_seldom() -> None:
    """Look for garbage less often, and not when this process ends. Before anything dear is imported.

    Not for processes that run users' code: how often those collect is for them to say.
    """
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)
