"""Users for a Redis of one's own: one for the service, one for agents, each confined to what it needs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sweepyard.bus.keys import Keys

AGENT_COMMANDS = (
    "hello auth ping select info client|setname client|list client|info client|unblock "
    "exists get set del expire persist hset hget hdel hgetall hincrby hincrbyfloat hexists "
    "sadd srem smembers scard zadd zrem zcard zscore zrange zrangebyscore zremrangebyscore "
    "rpush lpush lpop lpos lrange lrem llen blmove lmove xadd watch unwatch multi exec discard "
    "subscribe unsubscribe publish"
)
"""What our agent and rq's worker send, of both majors of rq, with room for neither scripts nor administration."""

SETINFO_SINCE = (7, 2)
"""An older server does not start with the name of a command that it does not know."""


def acl_file(version: Sequence[int], prefix: str, *, controller_password: str, agent_password: str) -> str:
    """An ACL file for a server of `version`, for the installation of `prefix`. It holds no password, only hashes.

    Nobody else may enter: `default` is off. What no ACL can prevent: an agent may write to queues.
    """
    keys = Keys(prefix)
    newer = ["client|setinfo"] if tuple(version[:2]) >= SETINFO_SINCE else []
    where = f"resetkeys ~{prefix}:* ~rq:* resetchannels &{keys.hint('*')}"
    agent = " ".join(f"+{command}" for command in [*AGENT_COMMANDS.split(), *newer])
    controller = " ".join(f"+{command}" for command in ["info", "client|setname", "client|list", *newer])
    return (
        "user default off\n"
        f"user controller on #{_sha256(controller_password)} {where} +@all -@admin -@dangerous {controller}\n"
        f"user agent on #{_sha256(agent_password)} {where} -@all {agent}\n"
    )


def _sha256(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
