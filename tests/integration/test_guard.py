"""What stands before every request: limits, keys that end, headers; and the trail that each change leaves."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from httpx import Client, Response
from integration.http_service import CONFIG, KEY, NOW, SWEEP, make_service, serving

from sweepyard.clock import wait_until
from sweepyard.controller import stream
from sweepyard.controller.guard import HEADERS
from sweepyard.controller.limits import Limits
from sweepyard.controller.policy import POLICY
from sweepyard.tracking.apikeys import new_key
from sweepyard.tracking.records import Actor, Role
from sweepyard.tracking.sql import SqlStore, open_store

API = "/api/v1"
ME = Actor(name="me", role=Role.admin)
ROLES = {"greedy": Role.editor, "neighbour": Role.editor, "root": Role.admin}


@contextmanager
def asking(store: SqlStore, **options: Any) -> Iterator[Client]:
    with serving(make_service(store, **options)) as url, Client(base_url=url) as client:
        yield client


@pytest.fixture
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlStore]:
    with closing(open_store(f"sqlite:///{tmp_path_factory.mktemp('guard')}/store.db")) as store:
        yield store


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def status_of_stream(http: Client) -> int:
    with http.stream("GET", f"{API}/stream") as response:
        return response.status_code


def kind(response: Response) -> str:
    return str(response.json()["type"]).rpartition(":")[2]


class TestLimits:
    def test_who_asks_too_often_waits(self, local: SqlStore) -> None:
        with asking(local, limits=Limits(requests_per_s=0.01)) as http:
            # The burst is ten seconds' worth, here a tenth of a request: even the first one has to wait.
            refused = http.get(f"{API}/sweeps")
        assert refused.status_code == 429
        assert kind(refused) == "too-many-requests"
        assert int(refused.headers["retry-after"]) > 60
        assert "Try again in" in refused.json()["detail"]

    def test_a_burst_is_let_through(self, local: SqlStore) -> None:
        with asking(local, limits=Limits(requests_per_s=2)) as http:
            codes = [http.get(f"{API}/health").status_code for _ in range(21)]
        assert codes[:20] == [200] * 20

    def test_a_key_has_so_many_sweeps_that_are_not_over(self, local: SqlStore) -> None:
        keys = {name: new_key(name, role, 1.0) for name, role in ROLES.items()}
        for _, key in keys.values():
            local.add_api_key(key, ME)

        def create(name: str) -> Response:
            return http.post(f"{API}/sweeps", json={"config": CONFIG}, headers=bearer(keys[name][0]))

        with asking(local, limits=Limits(sweeps_per_key=2)) as http:
            first, second, third = (create("greedy") for _ in range(3))
            assert (first.status_code, second.status_code, third.status_code) == (201, 201, 409)
            assert "'greedy' has 2 sweeps that are not over" in third.json()["detail"]
            assert create("neighbour").status_code == 201
            assert [create("root").status_code for _ in range(3)] == [201] * 3
            http.post(f"{API}/sweeps/{first.json()['id']}/cancel", headers=bearer(keys["greedy"][0]))
            assert create("greedy").status_code == 201

    def test_many_wrong_keys_and_the_address_is_locked_out(self, local: SqlStore) -> None:
        shown, key = new_key("ci", Role.viewer, 1.0)
        local.add_api_key(key, ME)
        with asking(local, api_key=KEY, limits=Limits(wrong_keys=3)) as http:
            codes = [http.get(f"{API}/sweeps", headers=bearer(f"guess {n}")).status_code for n in range(5)]
            assert codes == [401, 401, 401, 429, 429]
            locked = http.get(f"{API}/sweeps", headers=bearer(KEY))
            assert (locked.status_code, kind(locked)) == (429, "locked-out")
            assert 0 < int(locked.headers["retry-after"]) <= 30
            # Nobody guesses a key of the store, so the neighbours of a guesser keep their access.
            assert http.get(f"{API}/sweeps", headers=bearer(shown)).status_code == 200
            assert http.get(f"{API}/sweeps").status_code == 401  # no guess
            assert http.get(f"{API}/health").status_code == 200

    def test_so_many_event_streams_and_no_more(self, local: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stream, "MOST_OPEN", 1)
        with asking(local) as http:
            with http.stream("GET", f"{API}/stream") as first:
                lines = first.iter_lines()  # kept: the response is closed with it
                next(lines)
                refused = http.get(f"{API}/stream")
                assert (refused.status_code, kind(refused)) == (429, "too-many-requests")
                assert refused.headers["retry-after"]
            assert wait_until(lambda: status_of_stream(http) == 200, 20)  # the first has left

    def test_the_size_of_bodies_is_a_setting(self, local: SqlStore) -> None:
        with asking(local, limits=Limits(body_bytes=2048)) as http:
            assert http.post(f"{API}/sweeps", json={"yaml": "#" * 2048}).status_code == 413
            assert http.post(f"{API}/sweeps", json={"config": CONFIG}).status_code == 201


class TestKeys:
    def test_a_key_ends_at_its_time(self, local: SqlStore) -> None:
        lasting, first = new_key("lasting", Role.viewer, 1.0, expires_at=NOW + 1)
        ended, second = new_key("ended", Role.admin, 1.0, expires_at=NOW)
        local.add_api_key(first, ME)
        local.add_api_key(second, ME)
        with asking(local) as http:
            assert http.get(f"{API}/sweeps", headers=bearer(lasting)).status_code == 200
            refused = http.get(f"{API}/sweeps", headers=bearer(ended))
        assert refused.status_code == 401
        assert "'ended' has expired" in refused.json()["detail"]

    def test_the_last_use_is_noted_once_a_minute(self, local: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
        shown, key = new_key("ci", Role.viewer, 1.0)
        local.add_api_key(key, ME)
        noted: list[str] = []
        note = SqlStore.used_api_key
        monkeypatch.setattr(SqlStore, "used_api_key", lambda *use: (noted.append(use[1]), note(*use)))
        with asking(local) as http:
            for _ in range(5):
                http.get(f"{API}/sweeps", headers=bearer(shown))
            http.get(f"{API}/sweeps", headers=bearer("wrong"))
        assert noted == ["ci"]
        assert local.api_keys() == [replace(key, last_used_at=NOW)]

    @pytest.mark.parametrize(
        ("method", "path", "code"),
        [("GET", f"{API}/sweeps", 200), ("POST", f"{API}/sweeps/{SWEEP}/cancel", 401)],
    )
    def test_a_browser_may_look_with_the_key_as_password_and_change_nothing(
        self, local: SqlStore, method: str, path: str, code: int
    ) -> None:
        login = base64.b64encode(f"anyone:{KEY}".encode()).decode()
        with asking(local, api_key=KEY) as http:
            assert http.request(method, path, headers={"Authorization": f"Basic {login}"}).status_code == code
            asked = http.get("/local/digits/sweeps/x").headers["www-authenticate"]
        assert asked.startswith("Basic")

    def test_a_page_of_another_origin_changes_nothing_even_with_a_key(self, local: SqlStore) -> None:
        with asking(local, api_key=KEY) as http:
            strange = bearer(KEY) | {"Origin": "https://evil.example"}
            assert http.post(f"{API}/sweeps/{SWEEP}/cancel", headers=strange).status_code == 403


@pytest.mark.parametrize("path", [f"{API}/health", f"{API}/sweeps", "/nope", f"{API}/connect?sweep={SWEEP}"])
@pytest.mark.parametrize("api_key", [None, KEY])
def test_every_answer_has_the_headers(local: SqlStore, path: str, api_key: str | None) -> None:
    with asking(local, api_key=api_key) as http:
        answered = http.get(path).headers
    assert {name: answered.get(name) for name in HEADERS} == HEADERS


BODIES: dict[str, Any] = {
    f"{API}/sweeps": {"config": CONFIG},
    f"{API}/sweeps/{{sweep_id}}/runs": {"params": {"lr": 0.5, "bs": 16}},
    f"{API}/sweeps/{{sweep_id}}": {"set": {"run_cap": 30}},
    f"{API}/sweeps/{{sweep_id}}/retry": {"states": ["failed"]},
}
CHANGING = sorted((method, path) for method, path in POLICY if method not in ("GET", "HEAD"))


@pytest.mark.parametrize(("method", "path"), CHANGING)
def test_every_change_leaves_one_entry_that_names_the_key(local: SqlStore, method: str, path: str) -> None:
    shown, key = new_key("alice", Role.admin, 1.0)
    local.add_api_key(key, ME)
    before = local.audit()
    words = {"sweep_id": SWEEP, "ref": "6", "agent_id": "agent-a"}
    place = path.format(**words, verb="drain" if "agents" in path else "pause")
    with asking(local) as http:
        query = {"older_than_days": 1} if "audit" in path else {}
        answer = http.request(method, place, json=BODIES.get(path), params=query, headers=bearer(shown))
        assert answer.is_success, answer.text
        assert http.request(method, place.replace(SWEEP, "nosuch00"), json={}, headers=bearer(shown)).is_error
    new = [entry for entry in local.audit() if entry not in before]
    assert [(entry.actor, entry.role, entry.at) for entry in new] == [("alice", Role.admin, NOW)]
    assert new[0].address == "127.0.0.1"


def test_the_trail_is_for_admins_and_is_read_in_pages(local: SqlStore) -> None:
    admin, editor = new_key("root", Role.admin, 1.0), new_key("eve", Role.editor, NOW - 86_400)
    for _, key in (admin, editor):
        local.add_api_key(key, ME)
    with asking(local) as http:
        for verb in ("pause", "resume", "stop"):
            http.post(f"{API}/sweeps/{SWEEP}/{verb}", headers=bearer(editor[0]))
        assert http.get(f"{API}/audit", headers=bearer(editor[0])).status_code == 403
        first = http.get(f"{API}/audit", params={"limit": 2}, headers=bearer(admin[0])).json()
        assert [(one["actor"], one["verb"], one["target"]) for one in first["items"]] == [
            ("eve", "sweep.stop", SWEEP),
            ("eve", "sweep.resume", SWEEP),
        ]
        query = {"before": first["next_before"]}
        rest = http.get(f"{API}/audit", params=query, headers=bearer(admin[0])).json()
        assert [one["verb"] for one in rest["items"]] == ["sweep.pause", "key.create", "key.create"]
        assert rest["next_before"] is None
        pruned = http.delete(f"{API}/audit", params={"older_than_days": 0.5}, headers=bearer(admin[0])).json()
    assert pruned == {"entries": 1}
    assert next(entry.verb for entry in local.audit()) == "audit.prune"
