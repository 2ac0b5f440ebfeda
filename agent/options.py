"""What an agent process is started with."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`sweep`: id, project/id or entity/project/id. `dir`: our own local folder. `redis_url`: where this machine
    reaches Redis, if not where the service says.
    `term_grace_s`: seconds between SIGTERM and SIGKILL for a run that should end. `stop_after_s`: how long it goes
    on without contact. `checkpoint_root`: where runs
    save what they need to go on; what ended runs have left there is removed after `checkpoint_keep_days`. `wait`:
    stay when the sweep is over. `forward_signals`: a signal that ends the agent goes to its run as it is, not as
    SIGTERM."""

    sweep: str
    url: str
    api_key: str | None = field(default=None, repr=False)
    redis_url: str | None = field(default=None, repr=False)
    dir: str = ".sweepyard"
    term_grace_s: float = 10.0
    stop_after_s: float = 900.0
    checkpoint_root: str | None = None
    checkpoint_keep_days: float = 7.0
    count: int | None = None
    program: str | None = None
    wait: bool = False
    forward_signals: bool = False
