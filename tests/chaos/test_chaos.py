"""Kill anything at any time: real processes, a real Valkey, SQLite and PostgreSQL, faults by the hundred.

After each test the books are looked at (`yard.Yard.look`): no run lost or counted twice, no row missing or double.
The dice are seeded; what the operating system makes of them is not. Where a test is made for each store, each has
half of the faults.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from acceptance.commands import Place
from chaos.conftest import SCALE, Survived
from chaos.proxy import Mode, Proxy
from chaos.redisserver import RedisServer
from chaos.yard import LOST_AFTER_S, Yard, descendants, lives
from postgresserver import PostgresServer

from sweepyard.clock import SYSTEM_CLOCK, wait_until
from sweepyard.errors import Unavailable

pytestmark = pytest.mark.timeout(600)

AGENTS = 3
AT_ONCE = 2


def times(count: float) -> int:
    return max(1, round(count * SCALE))


def test_agents_are_killed(place: Place, store_url: str, survived: Survived) -> None:
    """F1. Nobody else is hurt, and no training outlives its agent."""
    dice = random.Random(1)
    # As many live as die, and runs are short: few of them meet three deaths.
    yard = Yard(place, store_url, agents=2 * AT_ONCE, pause_s=0.05)
    orphans_s: list[float] = []

    def kill() -> None:
        agents = dice.sample(yard.living_agents(), k=AT_ONCE)
        families = set().union(*(descendants(agent.process.pid) for agent in agents))
        for agent in agents:
            yard.strike(agent, signal.SIGKILL)
        began_s = SYSTEM_CLOCK.monotonic()
        assert wait_until(lambda: not any(map(lives, families)), 10), "training outlives its agent"
        orphans_s.append(SYSTEM_CLOCK.monotonic() - began_s)
        for agent in agents:  # or who keeps up takes it for alive
            agent.end()

    count = times(50)
    yard.trouble(kill, times=count, every_s=0.4, dice=dice)
    books = yard.finish()
    survived("agents killed, two at a time", count * AT_ONCE, books)
    survived("their training, until it is gone", count * AT_ONCE, back_s=orphans_s)


def test_agents_are_told_to_leave(place: Place, store_url: str, survived: Survived) -> None:
    """F3. By SIGTERM: the run is handed back and costs nothing, and nothing counts as lost or failed."""
    dice = random.Random(8)
    yard = Yard(place, store_url, agents=AGENTS)
    left_s: list[float] = []

    def drain() -> None:
        agents = dice.sample(yard.working_agents(AT_ONCE), k=AT_ONCE)
        began_s = SYSTEM_CLOCK.monotonic()
        for agent in agents:
            agent.process.terminate()
        codes = [agent.end() for agent in agents]
        left_s.append(SYSTEM_CLOCK.monotonic() - began_s)
        assert codes == [0, 0], [agent.text for agent in agents]

    count = times(25)
    yard.trouble(drain, times=count, every_s=0.3, dice=dice)
    books = yard.finish()
    assert not books.reasons
    books.back_s = left_s
    survived("agents told to leave, until they are gone", count * AT_ONCE, books)


def test_redis_is_killed(place: Place, redis_server: RedisServer, store_url: str, survived: Survived) -> None:
    """F5. With its file, it costs nothing."""
    yard = Yard(place, store_url, agents=AGENTS, redis_url=redis_server.url)

    def kill() -> None:
        redis_server.restart()
        yard.recovers()

    count = times(25)
    yard.trouble(kill, times=count, every_s=0.5, dice=random.Random(2))
    survived("Redis killed and started again", count, yard.finish())


def test_redis_forgets(place: Place, redis_server: RedisServer, store_url: str, survived: Survived) -> None:
    """F6. Flushed, or back from before its last seconds."""
    yard = Yard(place, store_url, agents=AGENTS, redis_url=redis_server.url)
    dice = random.Random(3)
    faults = [redis_server.flush, redis_server.cut_tail] * times(10)

    def forget() -> None:
        faults.pop()()
        yard.recovers()

    count = len(faults)
    yard.trouble(forget, times=count, every_s=0.5, dice=dice)
    survived("Redis flushed, or robbed of its file's end", count, yard.finish())


def test_the_controller_is_killed(place: Place, store_url: str, survived: Survived) -> None:
    """F4. At random moments; agents train on, and what they have reported is there."""
    yard = Yard(place, store_url, agents=AGENTS)

    def kill() -> None:
        yard.kill_service()
        yard.recovers()

    count = times(15)
    yard.trouble(kill, times=count, every_s=0.5, dice=random.Random(4))
    books = yard.finish()
    survived("controllers killed and started again", count, books)


def test_agents_are_frozen(place: Place, store_url: str, survived: Survived) -> None:
    """F9, F10. A frozen agent is given up; thawed, it is refused and says nothing more."""
    yard = Yard(place, store_url, agents=AGENTS)
    dice = random.Random(5)
    long = [True, False] * times(5)

    def freeze() -> None:
        agent = dice.choice(yard.living_agents())
        yard.strike(agent, signal.SIGSTOP)
        wait_until(lambda: False, 3 * LOST_AFTER_S if long.pop() else 0.5)
        agent.process.send_signal(signal.SIGCONT)

    count = len(long)
    yard.trouble(freeze, times=count, every_s=0.5, dice=dice)
    survived("agents frozen and thawed", count, yard.finish())


def test_postgresql_is_killed(
    place: Place, postgres: PostgresServer, postgres_url: str, survived: Survived
) -> None:
    """The service outlives its store, says what is wrong meanwhile, and has no run tried again."""
    yard = Yard(place, postgres_url, agents=AGENTS)
    dice = random.Random(9)

    def kill() -> None:
        postgres.kill()
        with pytest.raises(Unavailable, match=r"The store .* cannot be used: .*Is the server up"):
            yard.client.sweep(yard.sweep_id)
        wait_until(lambda: False, dice.choice([0, 0.5, 1.5 * LOST_AFTER_S]))
        postgres.start()
        yard.recovers()
        assert yard.services == 1, "the service has ended"

    count = times(20)
    yard.trouble(kill, times=count, every_s=0.5, dice=dice)
    books = yard.finish()
    assert not books.reasons
    survived("PostgreSQL killed and started again", count, books)


MODES: tuple[Mode, ...] = ("refuse", "silence", "mute", "deaf", "slow")
AT_EACH_CONNECTION: tuple[Mode, ...] = ("reset", "corrupt")
"""What is over with a connection: how long it goes on does not matter, if only there are several."""
DURATIONS_S = (0.5 * LOST_AFTER_S, 2 * LOST_AFTER_S, 4 * LOST_AFTER_S)
STOP_AFTER_S = 3 * LOST_AFTER_S
"""Less than the longest of the durations: agents then hand their runs back."""


@pytest.fixture
def proxy() -> Iterator[Callable[[tuple[str, int] | str], Proxy]]:
    """Makes proxies before an address."""
    made: list[Proxy] = []

    def make(target: tuple[str, int] | str) -> Proxy:
        made.append(Proxy(target))
        return made[-1]

    yield make
    for each in made:
        each.close()


MakeProxy = Callable[[tuple[str, int] | str], Proxy]


@pytest.mark.parametrize("link", ["controller to Redis", "agents to Redis", "agents to controller"])
def test_a_link_breaks(
    place: Place, redis_server: RedisServer, store_url: str, proxy: MakeProxy, survived: Survived, link: str
) -> None:
    """F7. Each link in each way, for less and for more than `lost_after_s`, and for more than `stop_after_s`."""
    theirs, ours = proxy(("127.0.0.1", redis_server.port)), proxy(("127.0.0.1", redis_server.port))
    yard = Yard(place, store_url, agents=0, redis_url=_at(redis_server.url, redis_server.port, ours.port))
    http = proxy(("127.0.0.1", int(yard.url.rpartition(":")[2])))
    by_redis = _at(redis_server.url, redis_server.port, theirs.port)
    yard.agents_go_by(f"http://127.0.0.1:{http.port}", by_redis, stop_after_s=STOP_AFTER_S)
    yard.agents = [yard.start_agent() for _ in range(AGENTS)]
    links = {"controller to Redis": ours, "agents to Redis": theirs, "agents to controller": http}
    cases = _cases(is_second=store_url.startswith("postgresql"))
    for mode, duration_s in cases:
        _break(yard, links[link], mode, duration_s)
    survived(f"link broken: {link}", len(cases), yard.finish())


@pytest.mark.parametrize("is_second", [False, True])
def test_the_link_to_postgresql_breaks(
    place: Place,
    postgres: PostgresServer,
    postgres_url: str,
    proxy: MakeProxy,
    survived: Survived,
    *,
    is_second: bool,
) -> None:
    """The same between controller and store, and no run is tried again."""
    link = proxy(postgres.socket)
    via_url = f"postgresql://postgres@127.0.0.1:{link.port}/postgres"
    yard = Yard(place, postgres_url, agents=AGENTS, via_url=via_url)
    cases = _cases(is_second=is_second)
    for mode, duration_s in cases:
        _break(yard, link, mode, duration_s)
    books = yard.finish()
    assert not books.reasons
    survived("link broken: controller to PostgreSQL", len(cases), books)


def _at(url: str, port: int, other: int) -> str:
    return url.replace(f":{port}/", f":{other}/")


def _cases(*, is_second: bool) -> list[tuple[Mode, float]]:
    """One half or the other of all modes with all durations, each duration and each of `MODES` in both."""
    cases = [(mode, duration_s) for mode in MODES for duration_s in DURATIONS_S]
    cases += [(mode, LOST_AFTER_S) for mode in AT_EACH_CONNECTION]
    return cases[is_second::2] * times(1)


def _break(yard: Yard, link: Proxy, mode: Mode, duration_s: float) -> None:
    link.be(mode)
    wait_until(lambda: False, duration_s)
    link.be("pass")
    yard.recovers()


def _fill_and_free(yard: Yard, filling: Path, full_s: float) -> None:
    """A file takes all the room that its disk has, for a while."""
    with suppress(OSError), filling.open("wb", 0) as file:
        while file.write(bytes(2**16)):
            pass
    wait_until(lambda: False, full_s)
    filling.unlink()
    yard.recovers()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_the_disk_is_full(place: Place, survived: Survived) -> None:
    """F11. The store takes nothing for a while; when there is room again, it goes on where it was."""
    disk = place.path / ".sweepyard"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=True)
    try:
        yard = Yard(place, f"sqlite:///{disk}/store.db", agents=AGENTS)
        fault = partial(_fill_and_free, yard, disk / "filling", LOST_AFTER_S)
        count = times(10)
        yard.trouble(fault, times=count, every_s=0.5, dice=random.Random(7))
        books = yard.finish()
    finally:
        place.clear()
        subprocess.run(["umount", disk], check=True)
    survived("disk full and free again", count, books)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_the_disk_of_the_agents_is_full(place: Place, survived: Survived) -> None:
    """F11. What is logged waits in memory, no run is begun without room, and no row is missing in the end."""
    disk = place.path / "agents"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    try:
        yard = Yard(place, f"sqlite:///{place.path}/.sweepyard/store.db", agents=AT_ONCE)
        fault = partial(_fill_and_free, yard, disk / "filling", 0.5)
        count = times(5)
        yard.trouble(fault, times=count, every_s=0.5, dice=random.Random(10))
        assert any("no room for a run" in agent.text for agent in yard.agents)
        books = yard.finish()
    finally:
        place.clear()
        subprocess.run(["umount", disk], check=True)
    assert not books.lost
    survived("agents' disk full and free again", count, books)
