"""The bus on a real Valkey: the conformance suite, and what rq must not be able to do."""

from __future__ import annotations

import threading
from pathlib import Path
from queue import Empty, Queue
from uuid import uuid4

import pytest
import redis
from conformance.bus import DEADLINE_S, SWEEP, BusConformance, offer_of, presence_of
from rq import Queue as RqQueue
from rq.serializers import DefaultSerializer, JSONSerializer

from sweepyard.bus.agent_side import RedisAgentBus
from sweepyard.bus.controller_side import RedisControllerBus
from sweepyard.bus.embedded import EmbeddedRedis
from sweepyard.bus.keys import Keys
from sweepyard.bus.offers import CALLABLE
from sweepyard.bus.wire import Offer
from sweepyard.clock import wait_until
from sweepyard.errors import Unavailable, UserError

PREFIX = "sy-test"


@pytest.fixture
def prefix() -> str:
    """One of its own for each test: takers of earlier tests may still wait for an offer."""
    return f"sy-{uuid4().hex[:8]}"


@pytest.fixture
def agent(redis_url: str, prefix: str) -> RedisAgentBus:
    return RedisAgentBus(redis_url, prefix, "a1")


@pytest.fixture
def controller(redis_url: str, prefix: str) -> RedisControllerBus:
    return RedisControllerBus(redis_url, prefix)


class TestRedisBus(BusConformance):
    @pytest.fixture(autouse=True)
    def _keep_url(self, redis_url: str) -> None:
        self.url = redis_url

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()


def test_nothing_in_redis_makes_an_agent_run_code(
    redis_url: str, prefix: str, agent: RedisAgentBus, controller: RedisControllerBus, tmp_path: Path
) -> None:
    """The agent takes our offer and drops everything else that a writer to Redis can put before it."""
    canary = tmp_path / "pwned"
    queue = RqQueue(
        Keys(prefix).queue(SWEEP), connection=redis.Redis.from_url(redis_url), serializer=JSONSerializer
    )
    good = offer_of().model_dump(mode="json")
    queue.enqueue("os.system", f"touch {canary}", job_id="x-1")
    queue.enqueue("os.system", good, job_id="x-2")
    queue.enqueue("subprocess.call", args=(["touch", str(canary)],), job_id="x-3")
    queue.enqueue(CALLABLE, f"touch {canary}", job_id="x-4")
    queue.enqueue(CALLABLE, good, good, job_id="x-5")
    queue.enqueue(CALLABLE, good, job_id="another-id")
    queue.enqueue(CALLABLE, args=(good,), kwargs={"instance": "os"}, job_id="x-6")
    unreadable = RqQueue(queue.name, connection=queue.connection, serializer=DefaultSerializer)
    unreadable.enqueue("os.system", f"touch {canary}", job_id="x-7")
    controller.offer(offer_of("run00009"))
    taken: Queue[Offer] = Queue()
    leave, ready = threading.Event(), threading.Event()
    ready.set()

    def take(offer: Offer) -> bool:
        taken.put(offer)
        return True

    threading.Thread(target=agent.take_offers, args=(SWEEP, take, leave, ready), daemon=True).start()
    assert taken.get(timeout=DEADLINE_S).run == "run00009"
    with pytest.raises(Empty):
        taken.get_nowait()
    assert not canary.exists()
    assert wait_until(lambda: queue.get_job_ids() == [] and not _jobs(queue.connection), DEADLINE_S)
    leave.set()


def test_offers_survive_a_restart_of_redis_and_agents_find_it_again(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    server.start()
    url = server.url
    agent, controller = RedisAgentBus(url, PREFIX, "a1"), RedisControllerBus(url, PREFIX)
    with BusConformance().taking(agent) as offers:
        controller.offer(offer_of("before"))
        assert offers.get(timeout=DEADLINE_S).run == "before"
        server.stop()
        with pytest.raises(Unavailable, match="does not answer"):
            agent.exchange([], presence_of(1))
        again = EmbeddedRedis(tmp_path)
        again.start()
        assert again.url == url
        controller.offer(offer_of("after"))
        assert offers.get(timeout=DEADLINE_S).run == "after"
    again.stop()


def test_an_embedded_redis_is_adopted_by_the_next_controller(tmp_path: Path) -> None:
    first, second = EmbeddedRedis(tmp_path), EmbeddedRedis(tmp_path)
    first.start()
    second.start()
    assert first.url == second.url
    second.stop()
    with pytest.raises(Unavailable):
        RedisControllerBus(first.url, PREFIX).intact()
    first.stop()


def test_a_bad_url_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match="not a Redis URL"):
        RedisControllerBus("http://localhost", PREFIX)


def _jobs(client: redis.Redis) -> list[bytes]:
    return list(client.scan_iter("rq:job:*"))
