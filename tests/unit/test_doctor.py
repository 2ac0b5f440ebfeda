"""What the doctor makes of what it sees."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sweepyard.bus.acl import acl_file
from sweepyard.bus.checkup import RedisFacts
from sweepyard.doctor import file_system_of, heed, of_agents, of_file_system, of_redis, of_schema
from sweepyard.errors import UserError
from sweepyard.tracking.checkup import StoreFacts

HEALTHY = RedisFacts(
    version=(7, 2, 4),
    appends=True,
    snapshots=False,
    trouble="",
    eviction="noeviction",
    ahead_s=0.1,
    is_local=True,
    has_password=True,
)


def test_nothing_is_wrong_with_a_healthy_redis() -> None:
    assert {finding.state for finding in of_redis(HEALTHY)} == {"ok"}


@pytest.mark.parametrize(
    ("changes", "what", "state", "remedy"),
    [
        ({"version": (6, 0, 16)}, "redis version", "wrong", "Install Redis 6.2"),
        ({"appends": False}, "redis persistence", "warning", "appendonly yes"),
        ({"appends": False, "snapshots": True}, "redis persistence", "warning", "appendonly yes"),
        ({"trouble": "its last snapshot failed"}, "redis persistence", "wrong", "room on its disk"),
        ({"eviction": "allkeys-lru"}, "redis eviction", "wrong", "maxmemory-policy noeviction"),
        ({"ahead_s": -3.0}, "clock", "warning", "NTP"),
        ({"is_local": False, "has_password": False}, "redis access", "wrong", "doctor --acl"),
    ],
)
def test_each_trouble_of_redis_has_its_remedy(
    changes: dict[str, object], what: str, state: str, remedy: str
) -> None:
    (found,) = [each for each in of_redis(dataclasses.replace(HEALTHY, **changes)) if each.state != "ok"]
    assert (found.what, found.state) == (what, state)
    assert remedy in found.remedy


def test_before_serving_findings_are_told_and_only_the_loss_of_results_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heed(of_redis(dataclasses.replace(HEALTHY, eviction="allkeys-lru", appends=False)), despite=False)
    assert [(record.levelname, record.args[0]) for record in caplog.records if record.args] == [
        ("WARNING", "redis persistence"),
        ("ERROR", "redis eviction"),
    ]
    assert "CONFIG SET maxmemory-policy noeviction" in caplog.text
    shared = of_file_system(Path("/mnt/store.db"), "nfs4")
    with pytest.raises(UserError, match=r"on nfs4.*local disk.*SWEEPYARD_DESPITE_FINDINGS=true"):
        heed([shared], despite=False)
    heed([shared], despite=True)
    assert "network file system" in caplog.text


def test_a_clock_says_in_which_direction() -> None:
    (behind,) = [each for each in of_redis(dataclasses.replace(HEALTHY, ahead_s=9.0)) if each.what == "clock"]
    assert behind.text == "this machine is 9.0 s behind Redis"


@pytest.mark.parametrize(
    ("schema", "state"), [("0001", "ok"), ("", "warning"), ("0000", "warning"), ("0002", "wrong")]
)
def test_a_schema_is_ours_older_or_newer(schema: str, state: str) -> None:
    assert of_schema(StoreFacts(schema=schema, newest_schema="0001", file=None, agents={})).state == state


def test_agents_of_another_version_are_named() -> None:
    assert of_agents({}, "2").state == of_agents({"a": "2"}, "2").state == "ok"
    found = of_agents({"a": "2", "b": "1"}, "2")
    assert (found.state, found.text) == ("wrong", "1 of 2 differ from 2: b (1)")


def test_the_file_system_is_that_of_the_deepest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    here = tmp_path.resolve()
    mounts.write_text(f"dev / ext4 rw 0 0\nsrv:/x {here} nfs4 rw 0 0\nsrv:/y {here}/a/b ext4 rw 0 0\n")
    assert file_system_of(here / "a", mounts) == "nfs4"
    assert file_system_of(here / "a/b/store.db", mounts) == "ext4"
    assert file_system_of(Path("/elsewhere"), mounts) == "ext4"
    assert file_system_of(here, tmp_path / "none") == ""
    assert of_file_system(here, "nfs4").state == "wrong"
    assert of_file_system(here, "ext4").state == "ok"


def test_an_acl_file_names_only_what_the_server_knows_and_holds_no_password() -> None:
    old, new = (
        acl_file(version, "sy-x", controller_password="secret1", agent_password="secret2")
        for version in ((7, 0, 15), (7, 2, 4))
    )
    assert "client|setinfo" not in old
    assert new.count("client|setinfo") == 2
    assert "secret" not in old + new
    assert [line.split()[1] for line in new.splitlines()] == ["default", "controller", "agent"]
