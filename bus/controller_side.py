"""The controller's side of the bus on Redis."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

import redis
from pydantic import ValidationError

from sweepyard.bus import offers
from sweepyard.bus.connection import address_of, connect, reachable
from sweepyard.bus.keys import EPOCH, Keys
from sweepyard.bus.wire import MESSAGE, AttemptOrder, AttemptRef, Message, Offer, Presence, other_version
from sweepyard.errors import Fenced

READ_AT_ONCE = 500
AGENT_HASH_TTL_S = 24 * 3600

log = logging.getLogger(__name__)


def youngest_epoch(redis_url: str, prefix: str) -> int:
    """The largest epoch of a controller that an installation's Redis has seen; 0 if it has seen none."""
    with connect(redis_url) as client, reachable(client):
        return int(client.zscore(Keys(prefix).epoch, EPOCH) or 0)


class RedisControllerBus:
    """`port.ControllerBus` on Redis, of the controller of `epoch`. `read` may run in a thread of its own."""

    def __init__(self, redis_url: str, prefix: str, signing_key: bytes, epoch: int = 0) -> None:
        self._signing_key = signing_key
        self._epoch = epoch
        self._mark = 1  # what a Redis that has forgotten everything counts first
        self._keys = Keys(prefix)
        self._client = connect(redis_url)
        self._reader = connect(redis_url, wait_s=10)
        self._rq_client = redis.Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=2)

    def offer(self, offer: Offer) -> None:
        with reachable(self._client):
            mine = offer.model_copy(update={"epoch": self._epoch})
            offers.put(self._queue(offer.sweep), mine, self._signing_key)

    def withdraw(self, sweep_id: str, refs: Sequence[AttemptRef]) -> None:
        with reachable(self._client):
            offers.remove(self._queue(sweep_id), refs)

    def waiting(self, sweep_id: str) -> set[AttemptRef]:
        with reachable(self._client):
            return offers.waiting(self._queue(sweep_id))

    def queues(self) -> set[str]:
        with reachable(self._client):
            return offers.sweeps_with_queues(self._rq_client, self._keys)

    def close(self, sweep_id: str) -> None:
        with reachable(self._client):
            offers.close(self._queue(sweep_id))

    def read(self, after: str, timeout_s: float) -> list[tuple[str, Message | None]]:
        with reachable(self._client):
            answer = self._reader.xread({self._keys.reports: after}, READ_AT_ONCE, int(timeout_s * 1000))
        entries = cast("list[tuple[str, list[tuple[str, dict[str, str]]]]]", answer or [])
        return [(at, _parse(fields)) for _, rows in entries for at, fields in rows]

    def forget(self, upto: str) -> None:
        milliseconds, _, counter = upto.partition("-")
        with reachable(self._client):
            self._client.xtrim(
                self._keys.reports, minid=f"{milliseconds}-{int(counter or 0) + 1}", approximate=True
            )

    def presence(self) -> tuple[Mapping[str, Presence], str]:
        with reachable(self._client), self._client.pipeline(transaction=True) as pipeline:
            pipeline.hgetall(self._keys.presence)
            pipeline.xrevrange(self._keys.reports, count=1)
            fields, last = pipeline.execute()
        found = {agent_id: _parse({"m": text}) for agent_id, text in fields.items()}
        words = {agent_id: word for agent_id, word in found.items() if isinstance(word, Presence)}
        return words, last[0][0] if last else "0"

    def remove_presence(self, agent_id: str) -> None:
        with reachable(self._client), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hdel(self._keys.presence, agent_id)
            pipeline.delete(self._keys.agent(agent_id, self._epoch))
            pipeline.execute()

    def tell(
        self,
        agent_id: str,
        *,
        acks: Mapping[AttemptRef, int] | None = None,
        orders: Mapping[AttemptRef, AttemptOrder] | None = None,
        words: Mapping[str, str] | None = None,
    ) -> None:
        fields: dict[Any, Any] = {f"ack:{ref}": seq for ref, seq in (acks or {}).items()}
        fields |= {f"order:{ref}": order.model_dump_json() for ref, order in (orders or {}).items()}
        fields |= words or {}
        key = self._keys.agent(agent_id, self._epoch)
        with reachable(self._client), self._client.pipeline(transaction=False) as pipeline:
            if fields:
                pipeline.hset(key, mapping=fields)
                pipeline.expire(key, AGENT_HASH_TTL_S)
            if orders or words:
                pipeline.publish(self._keys.hint(agent_id), "look")
            pipeline.execute()

    def intact(self) -> bool:
        with reachable(self._client), self._client.pipeline(transaction=True) as pipeline:
            pipeline.incr(self._keys.mark)
            pipeline.zadd(self._keys.epoch, {EPOCH: self._epoch}, gt=True)
            pipeline.zscore(self._keys.epoch, EPOCH)
            mark, _, youngest = pipeline.execute()
        if youngest > self._epoch:
            raise Fenced(
                f"Another controller leads at Redis {address_of(self._client)} "
                f"(its epoch is {youngest:.0f}, ours {self._epoch}). This one must end."
            )
        before, self._mark = self._mark, mark
        return bool(mark > before)

    def _queue(self, sweep_id: str) -> Any:
        return offers.open_queue(self._rq_client, self._keys, sweep_id)


def _parse(fields: Mapping[str, str]) -> Message | None:
    try:
        return MESSAGE.validate_json(fields["m"])
    except (ValidationError, KeyError):
        if trouble := other_version(fields.get("m", "")):
            _say_once(trouble)
        return None


@cache
def _say_once(trouble: str) -> None:
    log.warning("%s", trouble)
