"""Two services on one PostgreSQL: one leads, the other takes over when that dies, freezes or loses it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from acceptance.commands import DEADLINE_S, Place, Started
from chaos.proxy import Proxy
from postgresserver import PostgresServer

from sweepyard.bus.embedded import EmbeddedRedis
from sweepyard.client import Client
from sweepyard.clock import wait_until
from sweepyard.errors import Unavailable
from sweepyard.tracking.records import AttemptState, RunState, SweepState
from sweepyard.tracking.sql import open_store

STEPS = 6
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
QUICK = {"SWEEPYARD_HEARTBEAT_S": "0.3", "SWEEPYARD_LOST_AFTER_S": "3"}
PATIENT_S = 9
"""Where a leader must not be taken for dead, though the machine is busy."""


@pytest.fixture
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    # Not in the test's folder: whoever looks there for leftovers must not find it.
    server = EmbeddedRedis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def admin(postgres_url: str) -> Iterator[psycopg.Connection]:
    """May shut out the user `cutoff`."""
    open_store(postgres_url).close()  # so that nothing belongs to it
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE cutoff SUPERUSER LOGIN")
        yield admin
        admin.execute(f"{END_SESSIONS} WHERE usename = 'cutoff'")
        admin.execute("DROP ROLE cutoff")


def serve(place: Place, name: str, store_url: str, *words: str, **settings: str) -> tuple[Started, str]:
    """A service with a directory of its own, and its address."""
    argv = ("serve", "--port", 0, "--dir", name, "--store-url", store_url, *words)
    started = place.start(*argv, **(QUICK | settings))
    started.wait_for(" serving ")
    return started, json.loads((place.path / name / "service.json").read_text())["url"]


@pytest.mark.timeout(300)
def test_the_lead_goes_round_and_no_run_is_lost_or_counted_twice(
    place: Place, postgres_url: str, redis_url: str, admin: psycopg.Connection
) -> None:
    def one() -> tuple[Started, str]:
        url = postgres_url.replace("postgres@", "cutoff@")
        return serve(place, "one", url, "--redis-url", redis_url)

    def two() -> tuple[Started, str]:
        return serve(place, "two", postgres_url, "--redis-url", redis_url)

    file = place.write_sweep(runs=10**6, steps=STEPS, pause_s=0.1)
    first, first_url = one()
    second, second_url = two()
    assert f"standing by: {first_url}" in second.text
    with Client(first_url) as client:
        sweep_id = client.create_sweep((place.path / file).read_text()).id
    agents = [place.start("agent", sweep_id, "--url", url) for url in (first_url, second_url)]
    assert_stands_by(Client(second_url), first_url, sweep_id)
    wait_for_runs(first_url, sweep_id)

    first.process.send_signal(signal.SIGSTOP)
    second.wait_for("leading with epoch 2: ")
    wait_for_runs(second_url, sweep_id)
    first.process.send_signal(signal.SIGCONT)
    assert_was_shut_out(first)

    first, first_url = one()
    second.process.kill()
    first.wait_for("leading with epoch 3: ")
    wait_for_runs(first_url, sweep_id)

    second, second_url = two()
    admin.execute("ALTER ROLE cutoff NOLOGIN")
    admin.execute(f"{END_SESSIONS} WHERE usename = 'cutoff'")
    second.wait_for("leading with epoch 4: ")
    wait_for_runs(second_url, sweep_id)
    admin.execute("ALTER ROLE cutoff LOGIN")
    assert_was_shut_out(first)

    finish(second_url, sweep_id, second)
    assert [agent.end() for agent in agents] == [0, 0]
    assert_each_run_counts_once(postgres_url, sweep_id)


def wait_for_runs(url: str, sweep_id: str) -> None:
    """Until some more of them have ended, under whoever leads there."""
    with Client(url) as client:
        ended = client.sweep(sweep_id).progress.ended
        assert wait_until(lambda: client.sweep(sweep_id).progress.ended >= ended + 3, DEADLINE_S)
        assert client.health().status == "ok"


def finish(url: str, sweep_id: str, leader: Started) -> None:
    """Let what was begun, and two runs more, end under whoever leads there."""
    with Client(url) as client:
        client.edit(sweep_id, changes={"run_cap": client.sweep(sweep_id).progress.created + 2})
        assert wait_until(lambda: client.sweep(sweep_id).state is SweepState.finished, DEADLINE_S), leader.text


def assert_was_shut_out(leader: Started) -> None:
    """It ends, and says why: the store has told it, or Redis, whichever it met first."""
    assert leader.end() == 1
    assert "leaving: Another controller " in leader.text
    assert "This one must end." in leader.text


def assert_stands_by(standby: Client, leader_url: str, sweep_id: str) -> None:
    """It answers what only reads, and says who leads."""
    health = standby.health()
    assert (health.status, health.epoch) == ("standby", 1)
    assert leader_url in health.leader
    assert standby.sweep(sweep_id).id == sweep_id
    with pytest.raises(Unavailable, match=f"only stands by. Ask the one that leads: {leader_url}"):
        standby.control(sweep_id, "pause")
    standby.close()


def assert_each_run_counts_once(store_url: str, sweep_id: str) -> None:
    """All runs are there, each from one attempt, with all its rows."""
    with closing(open_store(store_url)) as store:
        runs = store.runs(sweep_id)
        assert [run.number for run in runs] == list(range(1, len(runs) + 1))
        for run in runs:
            assert run.state is RunState.finished
            assert [row.step for row in store.history(run.key)] == list(range(STEPS))
            assert [attempt.state for attempt in store.attempts(run.key)] == [AttemptState.ended]


def test_a_leader_that_ends_hands_over_at_once_and_stands_by_when_it_returns(
    place: Place, postgres_url: str, redis_url: str
) -> None:
    first, _ = serve(place, "one", postgres_url, "--redis-url", redis_url)
    second, second_url = serve(place, "two", postgres_url, "--redis-url", redis_url)
    first.process.terminate()
    assert first.end() == 0
    second.wait_for("leading with epoch 2: nobody leads")
    again, _ = serve(place, "one", postgres_url, "--redis-url", redis_url)
    assert f"standing by: {second_url}" in again.text
    again.process.terminate()
    assert again.end() == 0
    second.abandon()
    back, _ = serve(place, "two", postgres_url, "--redis-url", redis_url)
    assert "leading with epoch 3" in back.text
    assert "has ended" in back.text


def test_links_to_postgresql_that_hang_half_open(
    place: Place, postgres: PostgresServer, postgres_url: str, redis_url: str
) -> None:
    """The leader's: the standby leads, and the old one ends when the link is back. The standby's own: nothing."""
    file = place.write_sweep(runs=10**6, steps=STEPS, pause_s=0.1)
    patient = {"SWEEPYARD_LOST_AFTER_S": str(PATIENT_S)}
    with closing(Proxy(postgres.socket)) as ours, closing(Proxy(postgres.socket)) as theirs:
        first, first_url = serve(place, "one", _by(ours), "--redis-url", redis_url, **patient)
        second, second_url = serve(place, "two", _by(theirs), "--redis-url", redis_url, **patient)
        with Client(first_url) as client:
            sweep_id = client.create_sweep((place.path / file).read_text()).id
        agent = place.start("agent", sweep_id, "--url", first_url)
        wait_for_runs(first_url, sweep_id)

        theirs.be("silence")
        wait_until(lambda: False, PATIENT_S)
        theirs.be("pass")
        wait_for_runs(first_url, sweep_id)
        assert "leading" not in second.text

        ours.be("silence")
        second.wait_for("leading with epoch 2: ")
        wait_for_runs(second_url, sweep_id)
        ours.be("pass")
        assert_was_shut_out(first)
        finish(second_url, sweep_id, second)
        assert agent.end() == 0
        second.process.terminate()
        assert second.end() == 0
    assert_each_run_counts_once(postgres_url, sweep_id)


def _by(proxy: Proxy) -> str:
    return f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"


def test_a_standby_misses_redis_before_it_must_lead(place: Place, postgres_url: str, redis_url: str) -> None:
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    with closing(Proxy(("127.0.0.1", port))) as link:
        first, _ = serve(place, "one", postgres_url, "--redis-url", redis_url)
        by_link = redis_url.replace(f":{port}/", f":{link.port}/")
        second, url = serve(place, "two", postgres_url, "--redis-url", by_link)
        with Client(url) as client:
            assert client.health().redis == "ok"
            link.be("refuse")
            second.wait_for("Without it this service can not take over")
            assert "does not answer" in client.health().redis
            first.abandon()
            link.be("pass")
            second.wait_for("leading with epoch 2: ")
            assert client.health().status == "ok"


def test_a_standby_needs_the_redis_of_the_leader(place: Place, postgres_url: str) -> None:
    leader, url = serve(place, "one", postgres_url)
    lonely = place.start("serve", "--port", 0, "--dir", "two", "--store-url", postgres_url, **QUICK)
    assert lonely.end() == 2
    assert f"sweepyard: This store has a leader already, {url}" in lonely.text
    assert "--redis-url" in lonely.text
    assert "Traceback" not in lonely.text
    leader.process.terminate()


def test_a_sqlite_store_has_one_service(place: Place, sqlite_url: str) -> None:
    first, _ = serve(place, "one", sqlite_url)
    second = place.run("serve", "--port", 0, "--dir", "two", "--store-url", sqlite_url)
    assert second.returncode == 2
    assert "store.db is already served, by process " in second.stderr
    assert "Traceback" not in second.stderr
    first.process.terminate()
