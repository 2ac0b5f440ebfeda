"""The agent's side of the bus on Redis."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Event

import redis

from sweepyard.bus import offers
from sweepyard.bus.connection import connect, reachable
from sweepyard.bus.keys import EPOCH, Keys
from sweepyard.bus.wire import WORDS, AttemptOrder, Control, Message, Offer, Presence
from sweepyard.errors import Unavailable

OUTAGE_PAUSE_S = 1.0

log = logging.getLogger(__name__)


class RedisAgentBus:
    """`port.AgentBus` on Redis: rq for offers, one pipeline for everything else.

    `epoch`: of the controller that is known to lead. A younger one is believed from its first word on.
    """

    def __init__(self, redis_url: str, prefix: str, agent_id: str, signing_key: bytes, epoch: int = 0) -> None:
        self._signing_key = signing_key
        self._epoch = epoch
        self._url = redis_url
        self._keys = Keys(prefix)
        self._agent_id = agent_id
        self._client = connect(redis_url)
        self._hints = connect(redis_url).pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._read: set[str] = set()
        self._workers: list[tuple[str, str]] = []

    def take_offers(self, sweep_id: str, take: Callable[[Offer], bool], leave: Event, ready: Event) -> None:
        logging.getLogger("rq.worker").setLevel(logging.CRITICAL)
        while not leave.is_set():
            # A name of its own each time: rq refuses one that it still knows from before an outage.
            name = f"{self._agent_id}-{len(self._workers)}"
            self._workers.append((name, self._keys.queue(sweep_id)))
            try:
                client = redis.Redis.from_url(self._url, client_name=name)
                queue = offers.open_queue(client, self._keys, sweep_id)
                worker = offers.OfferWorker(
                    queue, name, sweep_id, self._signing_key, self._is_current, take, leave, ready
                )
                worker.work(logging_level="CRITICAL")
            except (redis.RedisError, OSError, ValueError) as error:
                # ValueError: rq knows the name all the same.
                log.debug("offers interrupted: %s", error)
            else:
                if worker.refusal is not None:
                    raise worker.refusal
            leave.wait(OUTAGE_PAUSE_S)

    def interrupt(self) -> None:
        names = {name for name, _ in self._workers}
        with reachable(self._client):
            for client in self._client.client_list():
                if client["name"] in names:
                    # Redis decides which came first: this, or an offer.
                    self._client.client_unblock(int(client["id"]), error=True)

    def _is_current(self, offer: Offer) -> bool:
        return offer.epoch >= self._epoch

    def exchange(self, messages: Sequence[Message], presence: Presence) -> Control:
        mine = self._keys.agent(self._agent_id, self._epoch)
        stale = [field for field in self._read if field.partition(":")[2] not in presence.running]
        with reachable(self._client), self._client.pipeline(transaction=True) as pipeline:
            for message in messages:
                pipeline.xadd(self._keys.reports, {"m": message.model_dump_json()})
            pipeline.hset(self._keys.presence, self._agent_id, presence.model_dump_json())
            pipeline.hgetall(mine)
            pipeline.get(self._keys.mark)
            pipeline.zscore(self._keys.epoch, EPOCH)
            if stale:
                # In the transaction that reads them once more, so that no newer word is lost unread.
                pipeline.hdel(mine, *stale)
            fields, pulse, epoch = pipeline.execute()[len(messages) + 1 :][:3]
        if epoch is not None and epoch > self._epoch:
            # Another controller leads: what the former one has said is not read any more.
            self._epoch, self._read = int(epoch), set()
            return self.exchange([], presence)
        self._read = {field for field in fields if ":" in field} - set(stale)
        return read_control(fields, pulse)

    def wait_for_hint(self, timeout_s: float) -> bool:
        try:
            with reachable(self._client):
                if not self._hints.subscribed:
                    self._hints.subscribe(self._keys.hint(self._agent_id))
                return self._hints.get_message(timeout=timeout_s) is not None
        except Unavailable:
            self._hints.reset()  # it would stumble over the rest of a damaged answer for ever
            raise

    def leave(self, message: Message) -> None:
        with reachable(self._client), self._client.pipeline(transaction=False) as pipeline:
            pipeline.xadd(self._keys.reports, {"m": message.model_dump_json()})
            pipeline.hdel(self._keys.presence, self._agent_id)
            pipeline.delete(self._keys.agent(self._agent_id, self._epoch))
            for name, queue in self._workers:
                offers.forget_worker(pipeline, name, queue)
            pipeline.execute()


def read_control(fields: Mapping[str, str], pulse: str | None) -> Control:
    """The controller's word, as `controller_side` writes it: one hash field per fact, if it can be read."""
    acks: dict[str, int] = {}
    orders: dict[str, AttemptOrder] = {}
    for field, value in fields.items():
        kind, _, ref = field.partition(":")
        with suppress(ValueError):
            if kind == "ack":
                acks[ref] = int(value)
            elif kind == "order":
                orders[ref] = AttemptOrder.model_validate_json(value)
    said = {name: fields.get(name) or None for name in WORDS}
    return Control(acks=acks, orders=orders, pulse=pulse, **said)
