"""Every route, asked with what its schema allows and with what it does not, keeps to the schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from integration.http_service import SWEEP, make_service
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS

from sweepyard.tracking.sql import open_store
from sweepyard.views import ProblemView

HEADERS = {"Host": "localhost"}
# A config that the schema allows may still be no sweep.
CHECKED = [check for check in CHECKS.get_all() if check.__name__ != "positive_data_acceptance"]
PATHS = {
    "/sweeps": ("GET", "POST"),
    "/sweeps/{sweep_id}": ("GET", "PATCH"),
    "/sweeps/{sweep_id}/versions": ("GET",),
    "/sweeps/{sweep_id}/prior_runs": ("GET",),
    "/sweeps/{sweep_id}/runs": ("GET", "POST"),
    "/sweeps/{sweep_id}/runs/{ref}": ("GET",),
    "/sweeps/{sweep_id}/runs/{ref}/explanation": ("GET",),
    "/sweeps/{sweep_id}/runs/{ref}/history": ("GET",),
    "/runs/{run_id}/explanation": ("GET",),
    "/sweeps/{sweep_id}/runs/{ref}/stop": ("POST",),
    "/sweeps/{sweep_id}/retry": ("POST",),
    "/sweeps/{sweep_id}/front": ("GET",),
    "/sweeps/{sweep_id}/recommendation": ("GET",),
    "/sweeps/{sweep_id}/importance": ("GET",),
    "/sweeps/{sweep_id}/events": ("GET",),
    "/sweeps/{sweep_id}/agents": ("GET",),
    "/sweeps/{sweep_id}/agents/{agent_id}/{verb}": ("POST",),
    "/sweeps/{sweep_id}/{verb}": ("POST",),
    "/audit": ("GET", "DELETE"),
    "/connect": ("GET",),
    "/health": ("GET",),
}
ROUTES = [(path, method) for path, methods in PATHS.items() for method in methods]
TAKES_ANYTHING = (
    "/sweeps/{sweep_id}/front",
    "/sweeps/{sweep_id}/recommendation",
    "/sweeps/{sweep_id}/importance",
    "/sweeps/{sweep_id}",
    "/sweeps/{sweep_id}/versions",
    "/sweeps/{sweep_id}/agents",
    "/sweeps/{sweep_id}/runs/{ref}",
    "/sweeps/{sweep_id}/runs/{ref}/explanation",
    "/runs/{run_id}/explanation",
    "/sweeps/{sweep_id}/runs/{ref}/stop",
    "/health",
)
"""Routes that any text suits, so that no request is wrong by the schema."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    url = f"sqlite:///{tmp_path_factory.mktemp('http')}/store.db"
    with closing(open_store(url)) as store:
        yield schemathesis.openapi.from_asgi("/api/v1/openapi.json", make_service(store), headers=HEADERS)


def test_no_route_is_left_out(api: schemathesis.BaseSchema) -> None:
    documented = {(each.ok().path, each.ok().method.upper()) for each in api.get_all_operations()}
    assert documented == {(f"/api/v1{path}", method) for path, method in [*ROUTES, ("/stream", "GET")]}


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_what_a_route_allows(api: schemathesis.BaseSchema, path: str, method: str) -> None:
    @_given(api, path, method, GenerationMode.POSITIVE)
    def ask(case: Case) -> None:
        if "sweep_id" in case.path_parameters:
            case.path_parameters["sweep_id"] = SWEEP
        _ask(case)

    ask()


@pytest.mark.parametrize(("path", "method"), [route for route in ROUTES if route[0] not in TAKES_ANYTHING])
def test_what_a_route_does_not_allow(api: schemathesis.BaseSchema, path: str, method: str) -> None:
    _given(api, path, method, GenerationMode.NEGATIVE)(_ask)()


def _given(api: schemathesis.BaseSchema, path: str, method: str, mode: GenerationMode) -> Callable[..., Any]:
    operation = api[f"/api/v1{path}"][method]
    everything = settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    return lambda ask: everything(given(case=operation.as_strategy(generation_mode=mode))(ask))


def _ask(case: Case) -> None:
    response = case.call(headers=HEADERS)
    case.validate_response(response, checks=CHECKED)
    assert response.status_code < 500
    if response.status_code >= 400:
        assert response.headers["content-type"] == ["application/problem+json"]
        ProblemView.model_validate_json(response.content)
