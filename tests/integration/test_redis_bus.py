"""The bus on a real Valkey: the conformance suite, and what rq must not be able to do."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import Any
from uuid import uuid4

import pytest
import redis
from chaos.proxy import Proxy
from conformance.bus import DEADLINE_S, SWEEP, BusConformance, offer_of, presence_of
from rq import Callback
from rq import Queue as RqQueue
from rq.serializers import DefaultSerializer, JSONSerializer

from sweepyard.bus.agent_side import RedisAgentBus
from sweepyard.bus.controller_side import RedisControllerBus
from sweepyard.bus.embedded import EmbeddedRedis
from sweepyard.bus.keys import Keys
from sweepyard.bus.offers import CALLABLE
from sweepyard.bus.signing import sign
from sweepyard.bus.wire import Offer
from sweepyard.clock import wait_until
from sweepyard.errors import Unavailable, UserError

PREFIX = "sy-test"
KEY = bytes(range(32))


@pytest.fixture
def prefix() -> str:
    """One of its own for each test: takers of earlier tests may still wait for an offer."""
    return f"sy-{uuid4().hex[:8]}"


@pytest.fixture
def agent(redis_url: str, prefix: str) -> RedisAgentBus:
    return RedisAgentBus(redis_url, prefix, "a1", KEY, 1)


@pytest.fixture
def controller(redis_url: str, prefix: str) -> RedisControllerBus:
    return RedisControllerBus(redis_url, prefix, KEY, 1)


class TestRedisBus(BusConformance):
    @pytest.fixture(autouse=True)
    def _keep_url(self, redis_url: str, prefix: str) -> None:
        self.url, self.prefix = redis_url, prefix

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def remember(self) -> Callable[[], object]:
        with redis.Redis.from_url(self.url) as client:
            keys = {key: client.dump(key) for key in client.keys(f"{self.prefix}:*")}

        def forget() -> None:
            with redis.Redis.from_url(self.url) as client:
                for key, value in keys.items():
                    client.restore(key, 0, value, replace=True)

        return forget

    def younger(self) -> RedisControllerBus:
        return RedisControllerBus(self.url, self.prefix, KEY, 2)


class Gadget:
    """What unpickling would execute."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def test_nothing_in_redis_makes_an_agent_run_code(
    redis_url: str,
    prefix: str,
    agent: RedisAgentBus,
    controller: RedisControllerBus,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The agent takes our offer and refuses everything else that a writer to Redis can put before it."""
    canary = tmp_path / "pwned"
    queue = RqQueue(
        Keys(prefix).queue(SWEEP), connection=redis.Redis.from_url(redis_url), serializer=JSONSerializer
    )
    touch = f"touch {canary}"
    offer = offer_of()
    text = offer.model_dump_json()
    queue.enqueue("os.system", touch, job_id="x-1")
    queue.enqueue("os.system", text, sign(KEY, text), job_id="x-2")
    queue.enqueue("subprocess.call", args=(["touch", str(canary)],), job_id="x-3")
    queue.enqueue(CALLABLE, touch, job_id="x-4")
    queue.enqueue(CALLABLE, text, sign(KEY, text), text, job_id="x-5")
    queue.enqueue(CALLABLE, text, sign(KEY, text), job_id="another-id")
    queue.enqueue(CALLABLE, args=(text, sign(KEY, text)), kwargs={"instance": "os"}, job_id="x-6")
    calls_back = Callback("test_redis_bus.pwn")
    queue.enqueue("os.system", touch, job_id="x-7", on_failure=calls_back, on_success=calls_back)
    pickles = RqQueue(queue.name, connection=queue.connection, serializer=DefaultSerializer)
    pickles.enqueue("os.system", touch, job_id="x-8")
    pickles.enqueue(CALLABLE, Gadget(canary), job_id="x-9")
    other_calls = list(calls(str(canary), text))
    for n, (name, args, kwargs) in enumerate(other_calls):
        queue.enqueue_call(name, args=args, kwargs=kwargs, job_id=f"y-{n}")
    bad = list(forgeries(offer))
    for shown, signature in bad:
        queue.enqueue(CALLABLE, shown, *signature, job_id=str(Offer.model_validate_json(shown).ref))
    controller.offer(offer_of("run00099"))
    taken: Queue[Offer] = Queue()
    leave, ready = threading.Event(), threading.Event()
    ready.set()

    def take(offer: Offer) -> bool:
        taken.put(offer)
        return True

    threading.Thread(target=agent.take_offers, args=(SWEEP, take, leave, ready), daemon=True).start()
    assert taken.get(timeout=DEADLINE_S).run == "run00099"
    with pytest.raises(Empty):
        taken.get_nowait()
    assert not canary.exists()
    assert wait_until(lambda: queue.get_job_ids() == [] and not _jobs(queue.connection), DEADLINE_S)
    lines = [record.message for record in caplog.records if record.message.startswith("refused job")]
    assert len(lines) == 10 + len(other_calls) + len(bad) >= 50
    leave.set()


NAMES = (
    *("os.system", "posix.system", "subprocess.call", "builtins.exec", "builtins.eval", "runpy.run_path"),
    *("importlib.import_module", "rq.utils.import_attribute", "sweepyard.Offer", "sweepyard.offer.run", ""),
)


def calls(canary: str, text: str) -> Iterator[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """What else rq would call, each in several ways: by its arguments, as an offer, beside one, with keywords."""
    code = f"open({canary!r}, 'w')"
    for name in NAMES:
        yield name, (code,), {}
        yield name, (text, sign(KEY, text)), {}
        yield name, (["touch", canary],), {"shell": True, "instance": "os"}


def forgeries(offer: Offer) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Texts of offers, each with the signatures that it comes with: none of them is good."""

    def text(run: str, **changes: Any) -> str:
        return offer.model_copy(update={"run": run, **changes}).model_dump_json()

    yield text("unsigned1"), ()
    yield text("unsigned2"), ("",)
    yield text("unsigned3"), (None,)
    yield text("otherkey"), (sign(bytes(32), text("otherkey")),)
    yield text("nottext"), (7,)
    yield text("cut0"), (sign(KEY, text("cut0"))[:-1],)
    yield text("altered", params={"lr": 9.0}), (sign(KEY, text("altered")),)
    yield text("spaced") + " ", (sign(KEY, text("spaced")),)
    yield text("elsewhere", sweep="sweep002"), (sign(KEY, text("elsewhere", sweep="sweep002")),)


def pwn(*_: Any) -> None:
    raise AssertionError("a callback was called")


def test_rqs_maintenance_calls_nothing_on_the_word_of_redis(
    redis_url: str, prefix: str, agent: RedisAgentBus, controller: RedisControllerBus, tmp_path: Path
) -> None:
    """rq itself would import and call the failure callback of a job that seems abandoned."""
    canary = tmp_path / "spoil.py"
    canary.write_text(f"open({str(tmp_path / 'pwned')!r}, 'w')")
    client = redis.Redis.from_url(redis_url)
    queue = RqQueue(Keys(prefix).queue(SWEEP), connection=client, serializer=JSONSerializer)
    job = queue.enqueue("os.getpid", job_id="x-1", on_failure=Callback("spoil.anything"))
    queue.remove(job)
    client.hset(job.key, "status", "started")
    client.zadd(queue.started_job_registry.key, {"x-1:1": 1})
    controller.offer(offer_of())
    sys.path.insert(0, str(tmp_path))
    try:
        with BusConformance().taking(agent) as offers:
            assert offers.get(timeout=DEADLINE_S) == offer_of()
            assert wait_until(lambda: queue.get_job_ids() == [], DEADLINE_S)
    finally:
        sys.path.remove(str(tmp_path))
    assert not (tmp_path / "pwned").exists()


def test_offers_survive_a_restart_of_redis_and_agents_find_it_again(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    server.start()
    url = server.url
    agent, controller = RedisAgentBus(url, PREFIX, "a1", KEY), RedisControllerBus(url, PREFIX, KEY)
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
        RedisControllerBus(first.url, PREFIX, KEY).intact()
    first.stop()


def test_a_message_that_is_no_text_keeps_nothing_back(
    redis_url: str, agent: RedisAgentBus, controller: RedisControllerBus, prefix: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.xadd(Keys(prefix).reports, {"m": b"\xff\xfe"})
        client.hset(Keys(prefix).agent("a1", 1), mapping={"ack:r.1": b"\xff", "order:r.1": "{", b"\xff": "1"})
    word = presence_of(1)
    assert agent.exchange([word], word).acks == {}
    assert [message for _, message in controller.read("0", 0.1)] == [None, word]


def test_damaged_answers_are_an_outage(redis_url: str, prefix: str) -> None:
    """Whatever is damaged, nobody ends for it, and all works when the link does."""
    options = redis.connection.parse_url(redis_url)
    proxy = Proxy((options["host"], options["port"]))
    try:
        via = redis_url.replace(f":{options['port']}", f":{proxy.port}")
        agent, controller = RedisAgentBus(via, prefix, "a1", KEY, 1), RedisControllerBus(via, prefix, KEY, 1)
        others, word = RedisControllerBus(redis_url, prefix, KEY, 1), presence_of(1)
        calls: dict[str, Callable[[], object]] = {
            "exchange": lambda: agent.exchange([], word),
            "hints": lambda: (others.tell("a1", words={"exit": "over"}), agent.wait_for_hint(0.05)),
            "offer": lambda: controller.offer(offer_of()),
            "waiting": lambda: controller.waiting(SWEEP),
            "queues": controller.queues,
            "read": lambda: controller.read("0", 0.01),
            "presence": controller.presence,
            "tell": lambda: controller.tell("a1", acks={offer_of().ref: 1}, words={"exit": "over"}),
            "intact": controller.intact,
        }
        agent.exchange([word], word)
        failed = dict.fromkeys(calls, 0)
        for _ in range(20):
            proxy.be("pass")
            for call in calls.values():
                assert wait_until(lambda call=call: _works(call), DEADLINE_S)
            proxy.be("corrupt")
            for name, call in calls.items():
                failed[name] += not _works(call)
        assert min(failed.values()) > 0
    finally:
        proxy.close()


def _works(call: Callable[[], object]) -> bool:
    with suppress(Unavailable):
        call()
        return True
    return False


def test_a_bad_url_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match="not a Redis URL"):
        RedisControllerBus("http://localhost", PREFIX, KEY)


def _jobs(client: redis.Redis) -> list[bytes]:
    return list(client.scan_iter("rq:job:*"))


def test_an_agent_of_another_version_says_so_and_leaves_the_offer_to_others(
    redis_url: str, prefix: str, agent: RedisAgentBus, controller: RedisControllerBus
) -> None:
    queue = RqQueue(
        Keys(prefix).queue(SWEEP), connection=redis.Redis.from_url(redis_url), serializer=JSONSerializer
    )
    text = offer_of().model_dump_json().replace('"v":1', '"v":2', 1)
    queue.enqueue(CALLABLE, text, sign(KEY, text), job_id=str(offer_of().ref))
    leave, ready = threading.Event(), threading.Event()
    with pytest.raises(UserError, match="the service speaks wire version 2, this side 1: install"):
        agent.take_offers(SWEEP, lambda _offer: True, leave, ready)
    assert controller.waiting(SWEEP) == {offer_of().ref}


def test_the_service_says_which_agent_is_of_another_version(
    redis_url: str, prefix: str, controller: RedisControllerBus, caplog: pytest.LogCaptureFixture
) -> None:
    agent_id = f"agent-{prefix}"
    text = presence_of(1, agent=agent_id).model_dump_json().replace('"v":1', '"v":2', 1)
    with redis.Redis.from_url(redis_url) as client:
        client.hset(Keys(prefix).presence, agent_id, text)
    for _ in range(3):
        assert controller.presence()[0] == {}
    assert caplog.text.count(f"agent {agent_id} speaks wire version 2, this side 1") == 1
