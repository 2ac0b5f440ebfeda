"""Kill anything at any time: real processes, a real Valkey and a real store, faults by the hundred.

After each test the books are looked at (`yard.Yard.look`): no run lost or counted twice, no row missing or double.
The dice are seeded; what the operating system makes of them is not.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product

import pytest
from acceptance.commands import Place
from chaos.conftest import SCALE, Note
from chaos.proxy import Mode, Proxy
from chaos.redisserver import RedisServer
from chaos.yard import LOST_AFTER_S, Yard

from sweepyard.clock import SYSTEM_CLOCK, wait_until

pytestmark = pytest.mark.timeout(900)

AGENTS = 3


def times(count: int) -> int:
    return max(1, round(count * SCALE))


def test_agents_are_killed(place: Place, figure: Note) -> None:
    """F1. Nobody else is hurt, and no training outlives its agent."""
    kills, dice = times(200), random.Random(1)
    yard = Yard(place, agents=AGENTS)

    def kill() -> None:
        agent = dice.choice([each for each in yard.agents if each.process.poll() is None])
        agent.process.kill()

    done = yard.trouble(kill, times=kills, every_s=0.4, dice=dice)
    books = yard.finish()
    figure("agents killed", done)
    figure("runs given up because three agents died over them", books.given_up)
    figure("runs lost / attempts lost with their agents and tried again", f"0 of {books.runs} / {books.lost}")


def test_redis_is_killed(place: Place, redis_server: RedisServer, figure: Note) -> None:
    """F5. With its file, it costs nothing: no attempt is lost."""
    yard = Yard(place, agents=AGENTS, redis_url=redis_server.url)
    done = yard.trouble(redis_server.restart, times=times(50), every_s=1.0, dice=random.Random(2))
    books = yard.finish()
    figure("Redis killed and started again", done)
    figure("attempts lost by that", books.lost)


def test_redis_forgets(place: Place, redis_server: RedisServer, figure: Note) -> None:
    """F6. Flushed, or back from before its last seconds."""
    yard = Yard(place, agents=AGENTS, redis_url=redis_server.url)
    dice = random.Random(3)
    faults = [redis_server.flush, redis_server.cut_tail] * times(20)
    done = yard.trouble(lambda: faults.pop()(), times=len(faults), every_s=1.0, dice=dice)
    books = yard.finish()
    figure("Redis flushed or cut", done)
    figure("runs lost by that, rows missing or double", f"0 of {books.runs}, 0 of {books.rows}")


def test_the_controller_is_killed(place: Place, figure: Note) -> None:
    """F4. At random moments; agents train on, and what they have reported is there."""
    yard = Yard(place, agents=AGENTS)
    downs: list[float] = []

    def kill() -> None:
        yard.kill_service()
        yard.keep_up()
        downs.append(yard.came_back_after_s)

    done = yard.trouble(kill, times=times(30), every_s=1.0, dice=random.Random(4))
    books = yard.finish()
    figure("controllers killed", done)
    figure("controller back after, median", f"{sorted(downs)[len(downs) // 2]:.1f} s")
    figure("attempts lost by that", books.lost)


def test_agents_are_frozen(place: Place, figure: Note) -> None:
    """F9, F10. A frozen agent is given up; thawed, it is refused and says nothing more."""
    yard = Yard(place, agents=AGENTS)
    dice = random.Random(5)

    def freeze() -> None:
        agent = dice.choice(yard.agents).process
        agent.send_signal(signal.SIGSTOP)
        wait_until(lambda: False, 3 * LOST_AFTER_S if dice.random() < 0.5 else 0.5)
        agent.send_signal(signal.SIGCONT)

    done = yard.trouble(freeze, times=times(20), every_s=0.5, dice=dice)
    books = yard.finish()
    figure("agents frozen and thawed", done)
    figure("attempts given up meanwhile and tried again", books.lost)


MODES: tuple[Mode, ...] = ("refuse", "reset", "silence", "slow")
DURATIONS_S = (0.5 * LOST_AFTER_S, 2 * LOST_AFTER_S, 4 * LOST_AFTER_S)


@pytest.fixture
def proxies(redis_server: RedisServer) -> Iterator[Callable[[int], Proxy]]:
    made: list[Proxy] = []

    def make(port: int) -> Proxy:
        made.append(Proxy(("127.0.0.1", port)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_links_break(
    place: Place, redis_server: RedisServer, proxies: Callable[[int], Proxy], figure: Note
) -> None:
    """F7. Each link in each way, for less and for more than `lost_after_s`."""
    to_controller_s, to_agent = proxies(redis_server.port), proxies(redis_server.port)
    url = redis_server.url
    yard = Yard(place, agents=0, redis_url=url.replace(str(redis_server.port), str(to_controller_s.port)))
    to_http = proxies(int(yard.url.rpartition(":")[2]))
    agents_redis = url.replace(str(redis_server.port), str(to_agent.port))
    yard.agents_go_by(f"http://127.0.0.1:{to_http.port}", agents_redis)
    yard.agents = [yard.start_agent() for _ in range(AGENTS)]
    links = {"controller to Redis": to_controller_s, "agents to Redis": to_agent, "agents to controller": to_http}
    cases = list(product(links, MODES, DURATIONS_S)) * times(1)
    random.Random(6).shuffle(cases)
    for link, mode, duration_s in cases:
        links[link].be(mode)
        wait_until(lambda: False, duration_s)
        links[link].be("pass")
        wait_until(lambda: False, 0.5)
        yard.keep_up()
    books = yard.finish()
    figure("links broken", len(cases))
    figure("runs lost by that, rows missing or double", f"0 of {books.runs}, 0 of {books.rows}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_the_disk_is_full(place: Place, figure: Note) -> None:
    """F11. The store takes nothing for a while; when there is room again, it goes on where it was."""
    disk = place.path / ".sweepyard"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=True)
    try:
        yard = Yard(place, agents=AGENTS)
        filling = disk / "filling"

        def fill_and_free() -> None:
            with suppress(OSError), filling.open("wb") as file:
                while True:
                    file.write(bytes(2**16))
            wait_until(lambda: False, LOST_AFTER_S)
            filling.unlink()
            freed_s = SYSTEM_CLOCK.monotonic()
            before = yard.ended()
            assert wait_until(lambda: yard.ended() > before, 30, 0.05), "it does not recover"
            back_after_s.append(SYSTEM_CLOCK.monotonic() - freed_s)

        back_after_s: list[float] = []
        done = yard.trouble(fill_and_free, times=times(10), every_s=0.5, dice=random.Random(7))
        books = yard.finish()
    finally:
        place.clear()
        subprocess.run(["umount", disk], check=True)
    figure("disks full and free again", done)
    figure("runs end again after, at most", f"{max(back_after_s):.1f} s")
    figure("rows missing or double", f"0 of {books.rows}")
