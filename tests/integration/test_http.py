"""The HTTP API on a real store, in process: what each route answers, who may ask, and one shape for all errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import Client, Response
from integration.http_service import CONFIG, KEY, SWEEP, StoreEngine, make_service, serving
from sqlalchemy import Engine, event

from sweepyard.controller.spec import read_spec
from sweepyard.errors import Conflict, NotFound, Unavailable
from sweepyard.tracking.sql import SqlStore, open_store
from sweepyard.views import ProblemView

API = "/api/v1"


@pytest.fixture
def http(store: SqlStore) -> Iterator[Client]:
    """Asks a service of its own, on each kind of database."""
    with asking(make_service(store)) as client:
        yield client


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Asks a service that all tests here share, and that none may change."""
    url = f"sqlite:///{tmp_path_factory.mktemp('http')}/store.db"
    with closing(open_store(url)) as store, asking(make_service(store)) as client:
        yield client


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """As `reader`, of a service with an API key."""
    url = f"sqlite:///{tmp_path_factory.mktemp('http')}/store.db"
    with closing(open_store(url)) as store, asking(make_service(store, api_key=KEY)) as client:
        yield client


@contextmanager
def asking(app: FastAPI) -> Iterator[Client]:
    with serving(app) as url, Client(base_url=url, follow_redirects=True) as client:
        yield client


def get(http: Client, path: str, **query: Any) -> Any:
    """The answer to a request that must succeed, read as strictly as any JSON reader may."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    response = http.get(f"{API}{path}", params=query)
    assert response.status_code == 200, response.text
    return json.loads(response.content, parse_constant=refuse)


def problem(response: Response, status: int, kind: str) -> ProblemView:
    """The error in `response`, which must have the one shape that errors have."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = ProblemView.model_validate_json(response.content)
    assert found.status == status
    assert found.type == f"urn:sweepyard:problem:{kind}"
    assert found.detail
    assert "Traceback" not in response.text
    return found


class TestSweeps:
    def test_create_from_config(self, http: Client) -> None:
        response = http.post(f"{API}/sweeps", json={"config": CONFIG, "name": "mine", "entity": "me"})
        assert response.status_code == 201
        made = response.json()
        assert (made["name"], made["entity"], made["project"]) == ("mine", "me", "digits")
        assert made["state"] == "pending"
        assert made["url"] == f"{str(http.base_url).rstrip('/')}/me/digits/sweeps/{made['id']}"
        assert made["size"] is None
        assert response.headers["location"] == f"{API}/sweeps/{made['id']}"
        assert (
            get(http, f"/sweeps/{made['id']}")["config"]
            == read_spec(CONFIG, overrides={"name": "mine", "entity": "me"}).data
        )

    def test_create_from_yaml(self, http: Client) -> None:
        text = "method: grid\nparameters:\n  a: {values: ['1', 2]}\n  b: {min: 1, max: 5}\n"
        made = http.post(f"{API}/sweeps", json={"yaml": text}).json()
        assert made["size"] == 10
        assert made["notes"] == [
            "parameters.a: the value '1' is text, not a number; leave out the quotes to make it one"
        ]
        assert made["project"] == "uncategorized"

    def test_a_bad_file_is_explained(self, http: Client) -> None:
        text = "method: bayesian\nparameters:\n  a: [1]\n"
        found = problem(http.post(f"{API}/sweeps", json={"yaml": text}), 422, "spec")
        assert [(item.path, item.line, item.column) for item in found.errors] == [
            ("method", 1, 9),
            ("parameters.a", 3, 6),
        ]
        assert "did you mean bayes?" in found.detail
        assert get(http, "/sweeps")["total"] == 1

    def test_a_lenient_request_forgives_unknown_keys(self, http: Client) -> None:
        config = {**CONFIG, "foo": 1}
        problem(http.post(f"{API}/sweeps", json={"config": config}), 422, "spec")
        made = http.post(f"{API}/sweeps", json={"config": config, "lenient": True}).json()
        assert made["notes"] == ["foo: unknown key, ignored"]

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"config": CONFIG, "yaml": "a: 1"},
            {"yaml": 5},
            {"config": []},
            {"config": CONFIG, "foo": 1},
            [],
            None,
        ],
    )
    def test_a_bad_request_is_explained(self, reader: Client, body: Any) -> None:
        assert problem(reader.post(f"{API}/sweeps", json=body), 422, "request").errors

    def test_an_astronomic_space_is_created_and_counted(self, http: Client) -> None:
        wide = {f"p{i}": {"min": 1, "max": 10} for i in range(12)}
        assert (
            http.post(
                f"{API}/sweeps", json={"config": {"method": "grid", "parameters": wide, "run_cap": 9}}
            ).json()["size"]
            == 10**12
        )
        huge = {f"p{i}": {"min": -(2**63), "max": 2**63 - 1} for i in range(1600)}
        made = http.post(f"{API}/sweeps", json={"config": {"method": "grid", "parameters": huge, "run_cap": 9}})
        assert made.json()["size"] is None

    def test_list_is_paged_newest_first(self, http: Client) -> None:
        made = [http.post(f"{API}/sweeps", json={"config": CONFIG}).json()["id"] for _ in range(3)]
        page = get(http, "/sweeps", limit=2, offset=1)
        assert [item["id"] for item in page["items"]] == [made[1], made[0]]
        assert (page["total"], page["offset"], page["limit"]) == (4, 1, 2)

    def test_detail(self, http: Client) -> None:
        shown = get(http, f"/sweeps/{SWEEP}")
        assert shown["counts"] == {
            "pending": 1,
            "running": 1,
            "finished": 2,
            "stopped": 2,
            "failed": 1,
            "crashed": 0,
            "killed": 0,
            "preempted": 0,
            "paused": 0,
        }
        assert (shown["best"]["number"], shown["best"]["objective"]) == (5, 0.95)
        assert shown["metric"] == {"name": "acc", "goal": "maximize", "target": 0.99, "summary": None}
        # 4 runs ended in the 1000 s since the first of the last 5 did; 15 are missing.
        assert shown["progress"] == {"created": 7, "ended": 5, "total": 20, "fraction": 0.25, "eta_s": 3750.0}
        assert [(agent["id"], agent["runs"]) for agent in shown["agents"]] == [("agent-a", []), ("agent-b", [6])]
        assert [run["number"] for run in shown["running"]] == [6]
        assert [(one["run_number"], one["action"]) for one in shown["decisions"]] == [(2, "continue"), (2, "stop")]
        assert shown["saved"]["steps"] == 47 + 41
        assert shown["saved"]["seconds"] == 0, "both took longer than the whole one"
        assert shown["saved"]["share"] == pytest.approx(88 / (88 + 50 + 3 + 9 + 40 + 12))

    def test_ids_are_read_in_any_case(self, reader: Client) -> None:
        assert get(reader, f"/sweeps/{SWEEP.upper()}")["id"] == SWEEP

    @pytest.mark.parametrize("sweep_id", ["nope", "%00", "%F0%9F%98%80", "a" * 5000, "..%2e", "%ed%a0%80"])
    def test_unknown_sweep(self, reader: Client, sweep_id: str) -> None:
        found = problem(reader.get(f"{API}/sweeps/{sweep_id}"), 404, "not-found")
        assert len(found.detail) < 6000

    def test_verbs(self, http: Client) -> None:
        for verb, state in [
            ("pause", "paused"),
            ("resume", "running"),
            ("stop", "finishing"),
            ("cancel", "cancelled"),
        ]:
            shown = http.post(f"{API}/sweeps/{SWEEP}/{verb}").json()
            assert (shown["state"], shown["reason"]) == (state, f"{verb} by the user")
        found = problem(http.post(f"{API}/sweeps/{SWEEP}/pause"), 409, "conflict")
        assert found.detail == f"Sweep {SWEEP} is cancelled (cancel by the user): pause is not possible."
        problem(http.post(f"{API}/sweeps/nope/pause"), 404, "not-found")
        problem(http.post(f"{API}/sweeps/{SWEEP}/explode"), 422, "request")

    def test_agents(self, http: Client) -> None:
        place = f"{API}/sweeps/{SWEEP}/agents"
        assert [agent["id"] for agent in http.get(place).json()] == ["agent-a", "agent-b"]
        shown = http.post(f"{place}/agent-a/quarantine").json()
        assert (shown["order"], shown["order_reason"]) == ("quarantine", "asked for by the user")
        assert http.post(f"{place}/agent-a/release").json()["order"] is None
        problem(http.post(f"{place}/nobody/drain"), 404, "not-found")
        problem(http.post(f"{place}/agent-a/explode"), 422, "request")

    def test_events(self, reader: Client) -> None:
        events = get(reader, f"/sweeps/{SWEEP}/events")
        assert [event["run_number"] for event in events] == [1, 2, 3, 4, 5, 6, 7]
        assert get(reader, f"/sweeps/{SWEEP}/events", after=events[4]["id"], limit=1) == [events[5]]

    def test_the_page_of_a_sweep_leads_to_what_the_api_says(self, reader: Client) -> None:
        url = get(reader, f"/sweeps/{SWEEP}")["url"]
        page = reader.get(url)
        assert page.headers["content-type"].startswith("text/html")
        assert f"/api/v1/sweeps/{SWEEP}" in page.text


class TestRuns:
    def test_pages(self, reader: Client) -> None:
        page = get(reader, f"/sweeps/{SWEEP}/runs", offset=2, limit=2)
        assert [run["number"] for run in page["items"]] == [3, 4]
        assert (page["total"], page["offset"], page["limit"]) == (7, 2, 2)

    def test_filter_and_sort(self, reader: Client) -> None:
        page = get(reader, f"/sweeps/{SWEEP}/runs", state=["finished", "stopped"], sort="objective", order="desc")
        assert [run["number"] for run in page["items"]] == [5, 1, 3, 2]
        assert page["total"] == 4

    @pytest.mark.parametrize(
        "query",
        [
            {"limit": 0},
            {"limit": 1001},
            {"offset": -1},
            {"sort": "lr"},
            {"state": "happy"},
            {"order": "up"},
            {"offset": 2**63},
        ],
    )
    def test_bad_queries(self, reader: Client, query: dict[str, Any]) -> None:
        [name] = query
        found = problem(reader.get(f"{API}/sweeps/{SWEEP}/runs", params=query), 422, "request")
        assert name in found.errors[0].path

    def test_one_run_by_number_and_id(self, reader: Client) -> None:
        run = get(reader, f"/sweeps/{SWEEP}/runs/2")
        assert run == get(reader, f"/sweeps/{SWEEP}/runs/RUN00002")
        assert (run["state"], run["params"]["lr"], run["reason"]) == ("stopped", 0.2, "random draw 2")
        assert [(one["n"], one["outcome"], one["tail"]) for one in run["attempts"]] == [(1, "stopped", "Boom")]
        assert [one["reason"] for one in run["decisions"]] == ["0.5 against 0.45", "0.4 against 0.45"]
        assert [event["text"] for event in run["story"]] == ["run 2"]

    @pytest.mark.parametrize("ref", ["99", "nope", "-1", "²", "9" * 40, "1.5", "%00"])
    def test_unknown_run(self, reader: Client, ref: str) -> None:
        problem(reader.get(f"{API}/sweeps/{SWEEP}/runs/{ref}"), 404, "not-found")
        problem(reader.get(f"{API}/sweeps/{SWEEP}/runs/{ref}/history"), 404, "not-found")
        problem(reader.get(f"{API}/runs/{ref}/explanation"), 404, "not-found")

    def test_numbers_that_are_not_finite_are_words(self, reader: Client) -> None:
        assert get(reader, f"/sweeps/{SWEEP}/runs/1")["summary"] == {"acc": 0.9, "odd": "NaN"}
        assert get(reader, f"/sweeps/{SWEEP}/runs/1/history")["rows"][0]["data"]["loss"] == "Infinity"

    def test_history_is_paged_by_line(self, reader: Client) -> None:
        path = f"/sweeps/{SWEEP}/runs/1/history"
        first = get(reader, path, limit=4)
        assert [row["line"] for row in first["rows"]] == [0, 1, 2, 3]
        rest = get(reader, path, limit=4, after_line=first["next_after_line"])
        assert [row["line"] for row in rest["rows"]] == [4, 5]
        assert rest["next_after_line"] is None

    def test_history_by_key(self, reader: Client) -> None:
        path = f"/sweeps/{SWEEP}/runs/1/history"
        page = get(reader, path, keys="acc,other")
        assert [(row["line"], row["data"]) for row in page["rows"]] == [
            (1, {"acc": 0.1}),
            (3, {"acc": 0.3}),
            (5, {"acc": 0.5}),
        ]
        page = get(reader, path, keys="acc", limit=3)
        assert [row["line"] for row in page["rows"]] == [1]
        assert page["next_after_line"] == 2
        assert get(reader, path, keys="other")["rows"] == []


class TestConnect:
    def test_an_agent_learns_what_it_needs(self, http: Client, store: SqlStore) -> None:
        shown = get(http, "/connect", sweep=SWEEP)
        assert (shown["redis_url"], shown["prefix"], shown["heartbeat_s"]) == (
            "redis://10.0.0.1:6379/0",
            "sy-test",
            5,
        )
        assert (shown["instance"], shown["wire_version"]) == (store.instance_id, 1)
        assert shown["signing_key"] == store.signing_key.hex()
        assert (shown["sweep"]["program"], shown["sweep"]["command"], shown["sweep"]["run_cap"]) == (
            "train.py",
            None,
            20,
        )

    def test_unknown_sweep(self, reader: Client) -> None:
        problem(reader.get(f"{API}/connect", params={"sweep": "nope"}), 404, "not-found")
        problem(reader.get(f"{API}/connect"), 422, "request")

    @pytest.mark.parametrize(
        ("redis_url", "host", "told"),
        [
            ("redis://:pw@0.0.0.0:6380/0", "box.lan:7077", "redis://:pw@box.lan:6380/0"),
            ("redis://0.0.0.0", "10.1.2.3", "redis://10.1.2.3"),
            ("redis://[::]:6380", "[fe80::1]:7077", "redis://[fe80::1]:6380"),
            ("redis://other:6380/1", "box.lan", "redis://other:6380/1"),
            ("unix:///run/redis.sock", "box.lan", "unix:///run/redis.sock"),
        ],
    )
    def test_a_redis_on_all_interfaces_is_named_as_the_caller_named_us(
        self, sqlite_url: str, redis_url: str, host: str, told: str
    ) -> None:
        store = open_store(sqlite_url)
        headers = {"Host": host, "Authorization": f"Bearer {KEY}"}
        with asking(make_service(store, redis_url=redis_url, api_key=KEY)) as http:
            shown = http.get(f"{API}/connect", params={"sweep": SWEEP}, headers=headers).json()
        store.close()
        assert shown["redis_url"] == told


class TestErrors:
    @pytest.mark.parametrize("path", ["/nope", f"{API}/nope", f"{API}/sweeps/x/y/z/w", "/docs", "/redoc"])
    def test_unknown_routes(self, reader: Client, path: str) -> None:
        assert "openapi.json" in problem(reader.get(path), 404, "not-found").detail

    def test_wrong_method(self, reader: Client) -> None:
        response = reader.delete(f"{API}/sweeps/{SWEEP}")
        problem(response, 405, "method")
        assert response.headers["allow"] == "GET"

    @pytest.mark.parametrize(
        "body",
        [b"{", b"\xff", b"[" * 100_000, b'{"config": {"a": 1e999}, "yaml": 1}', b'{"yaml": ' + b"9" * 5000 + b"}"],
    )
    def test_a_body_that_is_not_json(self, reader: Client, body: bytes) -> None:
        response = reader.post(f"{API}/sweeps", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code in (400, 422)
        problem(response, response.status_code, "request")

    def test_not_a_number_in_a_config(self, reader: Client) -> None:
        body = json.dumps({"config": {**CONFIG, "run_cap": float("nan")}})
        response = reader.post(f"{API}/sweeps", content=body, headers={"Content-Type": "application/json"})
        assert "not a finite number" in problem(response, 422, "spec").detail

    def test_a_large_body_is_refused(self, reader: Client) -> None:
        response = reader.post(f"{API}/sweeps", json={"yaml": "#" * 1024 * 1024})
        assert (
            problem(response, 413, "too-large").detail == "The body is larger than 1024 KiB (SWEEPYARD_BODY_KIB)."
        )

    def test_a_large_body_without_a_length_is_refused(self, reader: Client) -> None:
        pieces = (b" " * 65536 for _ in range(1000))
        response = reader.post(f"{API}/sweeps", content=pieces, headers={"Content-Type": "application/json"})
        problem(response, 413, "too-large")

    @pytest.mark.parametrize(
        ("error", "status", "kind"),
        [
            (RuntimeError("secret"), 500, "internal"),
            (Unavailable("The controller is busy."), 503, "unavailable"),
            (NotFound("gone"), 404, "not-found"),
            (Conflict("no"), 409, "conflict"),
        ],
    )
    def test_what_the_engine_raises(
        self, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, kind: str
    ) -> None:
        def fail(*_: object, **_by: object) -> None:
            raise error

        with closing(open_store(sqlite_url)) as store, asking(make_service(store)) as http:
            monkeypatch.setattr(StoreEngine, "control", fail)
            found = problem(http.post(f"{API}/sweeps/{SWEEP}/pause"), status, kind)
        assert "secret" not in found.detail


class TestKey:
    @pytest.mark.parametrize("path", ["/sweeps", f"/sweeps/{SWEEP}", "/connect", "/openapi.json", "/nope"])
    def test_without_the_key_nothing_is_told(self, keyed: Client, path: str) -> None:
        response = keyed.get(f"{API}{path}")
        assert "SWEEPYARD_API_KEY" in problem(response, 401, "unauthorized").detail
        assert response.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize("shown", ["Bearer wrong", f"Basic {KEY}", KEY, "Bearer open-sesame-2", "Bearer é"])
    def test_a_wrong_key(self, keyed: Client, shown: str) -> None:
        problem(keyed.get(f"{API}/sweeps", headers={"Authorization": shown.encode()}), 401, "unauthorized")

    def test_the_right_key(self, keyed: Client) -> None:
        headers = {"Authorization": f"Bearer {KEY}", "Host": "anything.example"}
        assert keyed.get(f"{API}/sweeps", headers=headers).status_code == 200

    def test_health_needs_no_key(self, keyed: Client) -> None:
        shown = get(keyed, "/health")
        assert shown["status"] == shown["redis"] == shown["engine"] == "ok"


class TestLoopback:
    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1:7077", "[::1]:7077", "LOCALHOST:1"])
    def test_names_of_this_machine(self, reader: Client, host: str) -> None:
        assert reader.get(f"{API}/health", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host", ["evil.example", "localhost.evil.example", "10.0.0.1", "", "[::1", "127.0.0.1@evil"]
    )
    def test_a_page_that_rebinds_its_name_is_refused(self, reader: Client, host: str) -> None:
        problem(reader.get(f"{API}/sweeps", headers={"Host": host}), 403, "forbidden")

    @pytest.mark.parametrize(
        "origin",
        ["https://evil.example", "null", "http://localhost.evil.example", "http://127.0.0.1:1", "http://["],
    )
    def test_foreign_pages_change_nothing(self, reader: Client, origin: str) -> None:
        problem(reader.post(f"{API}/sweeps/{SWEEP}/cancel", headers={"Origin": origin}), 403, "forbidden")

    def test_our_own_pages_may(self, http: Client) -> None:
        headers = {"Origin": str(http.base_url).rstrip("/")}
        assert http.post(f"{API}/sweeps/{SWEEP}/cancel", headers=headers).status_code == 200


def test_a_sweep_is_shown_without_reading_all_its_runs(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    with asking(make_service(store)) as http, statements() as seen:
        get(http, f"/sweeps/{SWEEP}")
    store.close()
    assert 0 < len(seen) < 15
    reading_runs = [sql for sql in seen if "FROM runs" in sql]
    assert all(any(word in sql for word in ("LIMIT", "count(", "sum(", "max(", "avg(")) for sql in reading_runs)


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL that any store sends meanwhile."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)
