"""Who may do what: the least role for each route, in one place. A test holds it and the routes together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from sweepyard.tracking.records import Role

API = "/api/v1"
SWEEP = f"{API}/sweeps/{{sweep_id}}"
RUN = f"{SWEEP}/runs/{{ref}}"

_LOOK = (
    f"{API}/openapi.json",
    f"{API}/sweeps",
    f"{API}/stream",
    f"{API}/runs/{{run_id}}/explanation",
    SWEEP,
    f"{SWEEP}/runs",
    f"{SWEEP}/agents",
    f"{SWEEP}/front",
    f"{SWEEP}/recommendation",
    f"{SWEEP}/importance",
    f"{SWEEP}/events",
    f"{SWEEP}/prior_runs",
    f"{SWEEP}/versions",
    RUN,
    f"{RUN}/explanation",
    f"{RUN}/history",
    "/",
    "/{entity}/{project}/sweeps/{sweep_id}",
)
_CHANGE = (
    ("POST", f"{API}/sweeps"),
    ("POST", f"{SWEEP}/runs"),
    ("PATCH", SWEEP),
    ("POST", f"{SWEEP}/retry"),
    ("POST", f"{RUN}/stop"),
    ("POST", f"{SWEEP}/agents/{{agent_id}}/{{verb}}"),
    ("POST", f"{SWEEP}/{{verb}}"),
)

POLICY: Mapping[tuple[str, str], Role | None] = MappingProxyType(
    {("GET", path): Role.viewer for path in _LOOK}
    | dict.fromkeys(_CHANGE, Role.editor)
    | dict.fromkeys((("GET", f"{API}/audit"), ("DELETE", f"{API}/audit")), Role.admin)
    # It tells secrets: the way to Redis, and what offers are signed with.
    | {("GET", f"{API}/connect"): Role.agent}
    | {("GET", f"{API}/health"): None}
)
"""By method and path. None: anyone, without a key."""


def needed(routes: Iterable[BaseRoute], scope: Scope) -> Role | None:
    """The least role for a request: an admin's where a route has no policy; a viewer's where there is no route."""
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    for route in routes:
        if route.matches(scope)[0] is Match.FULL:
            return POLICY.get((method, getattr(route, "path", "")), Role.admin)
    return Role.viewer
