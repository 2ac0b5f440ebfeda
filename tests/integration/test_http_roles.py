"""Which role may use which route: every route has a policy, and every role gets what it says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TypeAlias

import pytest
from fastapi import FastAPI
from httpx import Client
from integration.http_service import SWEEP, make_service, serving
from starlette.routing import Route

from sweepyard.controller.policy import POLICY
from sweepyard.errors import Conflict, NotFound
from sweepyard.tracking.apikeys import digest_of, key_of, new_key
from sweepyard.tracking.records import Actor, Role
from sweepyard.tracking.sql import SqlStore, open_store

ME = Actor(name="me", role=Role.admin)
MASTER = "the key of the environment"
STREAM = ("GET", "/api/v1/stream")
Yard: TypeAlias = tuple[FastAPI, Client, dict[Role, str]]


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with closing(open_store(f"sqlite:///{tmp_path_factory.mktemp('roles')}/store.db")) as store:
        shown = {}
        for role in Role:
            shown[role], key = new_key(f"a {role}", role, 1.0)
            store.add_api_key(key, ME)
        app = make_service(store, api_key=MASTER)
        with serving(app) as url, Client(base_url=url, timeout=60) as client:
            yield app, client, shown


def routes(app: FastAPI) -> set[tuple[str, str]]:
    """Those that the schema shows, and those beside it."""
    shown = {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}
    return shown | {("GET", route.path) for route in app.routes if isinstance(route, Route)}


def ask(client: Client, method: str, path: str, key: str | None) -> int:
    place = path.format(
        sweep_id=SWEEP, ref="1", run_id="nosuch", agent_id="a", verb="pause", entity="local", project="digits"
    )
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    query = {"after": "-1"} if (method, path) == STREAM else {}  # refused by itself, or it would never end
    return client.request(method, place, headers=headers, params=query).status_code


def test_every_route_has_a_policy_and_every_policy_a_route(
    yard: Yard,
) -> None:
    assert routes(yard[0]) == set(POLICY)


@pytest.mark.parametrize(("method", "path"), POLICY)
def test_each_role_gets_what_the_policy_says(yard: Yard, method: str, path: str) -> None:
    _, client, shown = yard
    least = POLICY[method, path]
    assert (ask(client, method, path, None) == 401) == (least is not None)
    assert (ask(client, method, path, "sy_wrong") == 401) == (least is not None)
    for role, key in shown.items():
        code = ask(client, method, path, key)
        assert (code == 403) == (least is not None and not role.covers(least)), (role, code)
        assert code != 401
    assert ask(client, method, path, MASTER) not in (401, 403)


def test_what_is_no_route_is_told_to_holders_of_a_key_only(
    yard: Yard,
) -> None:
    _, client, shown = yard
    assert ask(client, "GET", "/nope", None) == 401
    assert ask(client, "GET", "/nope", shown[Role.viewer]) == 404
    assert ask(client, "DELETE", "/api/v1/sweeps", shown[Role.viewer]) == 405


def test_roles_are_a_ladder() -> None:
    assert [[role.covers(other) for other in Role] for role in Role] == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, True],
    ]


def test_the_store_has_hashes_and_a_revoked_key_is_nobodys(store: SqlStore) -> None:
    shown, key = new_key("ci", Role.editor, 1.0)
    other, _ = new_key("other", Role.admin, 1.0)
    assert shown != other
    assert len(shown) > 40
    store.add_api_key(key, ME)
    assert store.api_keys() == [key]
    assert key.digest == digest_of(shown)
    assert shown not in repr(store.api_keys())
    assert key_of(shown, store.api_keys()) == key
    assert key_of(other, store.api_keys()) is key_of("", store.api_keys()) is None
    with pytest.raises(Conflict, match="already"):
        store.add_api_key(new_key("ci", Role.viewer, 2.0)[1], ME)
    store.remove_api_key("ci", ME, 3.0)
    assert key_of(shown, store.api_keys()) is None
    with pytest.raises(NotFound, match="keys list"):
        store.remove_api_key("ci", ME, 3.0)


def test_the_first_key_closes_the_door_and_the_end_of_the_last_one_does_not_open_it(sqlite_url: str) -> None:
    with (
        closing(open_store(sqlite_url)) as store,
        serving(make_service(store)) as url,
        Client(base_url=url) as client,
    ):
        assert client.get("/api/v1/sweeps").status_code == 200
        shown, key = new_key("first", Role.viewer, 1.0)
        store.add_api_key(key, ME)
        assert client.get("/api/v1/sweeps").status_code == 401
        assert client.get("/api/v1/sweeps", headers={"Authorization": f"Bearer {shown}"}).status_code == 200
        store.remove_api_key("first", ME, 3.0)
        assert client.get("/api/v1/sweeps", headers={"Authorization": f"Bearer {shown}"}).status_code == 401
