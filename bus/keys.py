"""The only place that knows the names of our keys in Redis. rq's own keys begin with `rq:`."""

from __future__ import annotations

from dataclasses import dataclass

EPOCH = "epoch"


@dataclass(frozen=True, slots=True)
class Keys:
    """Key names of one installation. `prefix` holds its instance id, so that two never meet.

    | key | type | what |
    | --- | --- | --- |
    | `<prefix>:reports` | stream | messages of agents, trimmed once the store has them |
    | `<prefix>:presence` | hash | agent id -> its last `Presence` |
    | `<prefix>:mark` | counter | grows while the controller lives; goes back when Redis has forgotten something |
    | `<prefix>:epoch` | sorted set | the largest epoch of a controller that was here, as the score of `epoch` |
    | `<prefix>:agent:<id>:<epoch>` | hash | what the controller of that epoch has to say to one agent |
    | `<prefix>:hint:<id>` | channel | "look at your hash now" |
    | `rq:queue:<prefix>-<sweep>` | list (rq's) | offers of one sweep |
    """

    prefix: str

    @property
    def reports(self) -> str:
        return f"{self.prefix}:reports"

    @property
    def presence(self) -> str:
        return f"{self.prefix}:presence"

    @property
    def mark(self) -> str:
        return f"{self.prefix}:mark"

    @property
    def epoch(self) -> str:
        return f"{self.prefix}:epoch"

    def agent(self, agent_id: str, epoch: int) -> str:
        return f"{self.prefix}:agent:{agent_id}:{epoch}"

    def hint(self, agent_id: str) -> str:
        return f"{self.prefix}:hint:{agent_id}"

    def queue(self, sweep_id: str) -> str:
        """The name of the rq queue, without rq's prefix."""
        return f"{self.prefix}-{sweep_id}"
