"""`sweepyard doctor` on a real installation, and a sweep on a Redis with the users that it makes."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
from acceptance.commands import DEADLINE_S, Place

from sweepyard.bus.embedded import _program
from sweepyard.clock import wait_until


@contextmanager
def valkey(folder: Path, port: int, *options: str, url: str = "") -> Iterator[str]:
    """A Redis as an administrator runs it; it answers at `url`."""
    url = url or f"redis://127.0.0.1:{port}"
    argv = [_program(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", *options]
    with subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL) as server:

        def answers() -> bool:
            with suppress(redis.RedisError), redis.Redis.from_url(url) as client:
                return bool(client.ping())
            return False

        try:
            assert wait_until(answers, DEADLINE_S)
            yield url
        finally:
            server.terminate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_doctor_finds_what_is_wrong_and_makes_nothing(place: Place) -> None:
    healthy = place.run("doctor")
    assert healthy.returncode == 0, healthy.stdout
    assert not (place.path / ".sweepyard").exists()
    with valkey(place.path, free_port(), "--maxmemory-policy", "allkeys-lru") as url:
        sick = place.run("doctor", "--json", SWEEPYARD_REDIS_URL=url)
        service = place.start("serve", "--port", "0", SWEEPYARD_REDIS_URL=url)
        service.wait_for("redis eviction: maxmemory-policy is allkeys-lru")
        service.wait_for("serving")
        service.process.terminate()
        assert service.end() == 0
    assert sick.returncode == 1
    states = {finding["what"]: finding["state"] for finding in json.loads(sick.stdout)}
    assert states["redis version"] == "ok"
    assert states["redis eviction"] == "wrong"
    assert states["redis persistence"] == "warning"
    gone = place.run("doctor", SWEEPYARD_REDIS_URL=url)
    assert gone.returncode == 1
    assert "WRONG    redis: Redis at 127.0.0.1" in gone.stdout


def test_the_doctor_examines_a_service_that_runs(place: Place) -> None:
    place.run("sweep", place.write_sweep())
    found = place.json("doctor")
    assert {finding["state"] for finding in found} == {"ok"}, found
    assert {"redis persistence", "store schema", "store file system", "agents"} <= {one["what"] for one in found}
    embedded = place.run("doctor", "--acl")
    assert (embedded.returncode, "give --redis-url" in embedded.stderr) == (2, True)


def test_a_sweep_runs_with_the_users_of_the_acl_file_and_agents_can_do_no_more(place: Place) -> None:
    port = free_port()
    with valkey(place.path, port) as url:
        said = place.run("doctor", "--acl", "--redis-url", url)
    assert said.returncode == 0, said.stderr
    # An administrator beside them, who sees what was refused.
    (place.path / "users.acl").write_text(said.stdout + "user admin on nopass ~* &* +@all\n")
    users = dict(re.findall(r"(SWEEPYARD_\w+)=(\S+)", said.stderr))
    controller_url, agent_url = users["SWEEPYARD_REDIS_URL"], users["SWEEPYARD_AGENT_REDIS_URL"]
    with valkey(place.path, port, "--aclfile", "users.acl", url=controller_url):
        service = place.start("serve", "--port", "0", **users)
        note = place.path / ".sweepyard/service.json"
        assert wait_until(note.exists, DEADLINE_S), service.text
        place.run("sweep", place.write_sweep(runs=2))
        (sweep,) = place.json("status")
        agent = place.run("agent", sweep["id"], "--url", json.loads(note.read_text())["url"])
        assert agent.returncode == 0, agent.stdout + agent.stderr
        assert place.json("status", sweep["id"])["state"] == "finished"
        service.process.terminate()
        assert service.end() == 0
        with redis.Redis.from_url(f"redis://admin:any@127.0.0.1:{port}") as admin:
            assert admin.acl_log() == []
        may_not(agent_url, "FLUSHALL", "CONFIG GET dir", "KEYS *", "EVAL return1 0", "SHUTDOWN", "ACL LIST")
        may_not(agent_url, "GET foreign", "SET foreign 1", "PUBLISH foreign x")
        may_not(controller_url, "FLUSHALL", "CONFIG GET dir", "SHUTDOWN", "GET foreign")
        with redis.Redis.from_url(f"redis://127.0.0.1:{port}") as nobody, pytest.raises(redis.AuthenticationError):
            nobody.ping()


def may_not(url: str, *commands: str) -> None:
    with redis.Redis.from_url(url) as client:
        for words in commands:
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*words.split())


def test_keys_are_made_listed_and_revoked(place: Place) -> None:
    made = place.run("keys", "create", "reader", "--role", "viewer")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert [(one["name"], one["role"]) for one in place.json("keys", "list")] == [("reader", "viewer")]
    file = place.write_sweep()
    assert place.run("sweep", file).returncode == 2
    assert place.run("status", SWEEPYARD_API_KEY=key).returncode == 0
    refused = place.run("sweep", file, SWEEPYARD_API_KEY=key)
    assert (refused.returncode, "needs the role 'editor'" in refused.stderr) == (2, True)
    other = place.run("keys", "create", "root", "--role", "admin", "--expires", "90d").stdout.strip()
    reader, root = place.json("keys", "list")
    assert (reader["expires_at"], root["last_used_at"]) == (None, None)
    assert reader["last_used_at"]
    assert root["expires_at"]
    assert re.search(r"root  admin  made .* UTC  never used  expires ", place.run("keys", "list").stdout)
    assert place.run("audit", SWEEPYARD_API_KEY=key).returncode == 2
    done = [(one["verb"], one["target"]) for one in place.json("audit", SWEEPYARD_API_KEY=other)]
    assert done == [("key.create", "root"), ("key.create", "reader")]
    wrong = place.run("keys", "create", "late", "--expires", "2020-01-01")
    assert (wrong.returncode, wrong.stderr) == (2, "sweepyard: --expires 2020-01-01: that is over already.\n")
    assert place.run("keys", "revoke", "reader").returncode == 0
    assert place.run("status", SWEEPYARD_API_KEY=key).returncode == 2
    assert place.run("keys", "revoke", "reader").returncode == 2
