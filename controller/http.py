"""The HTTP API as an ASGI application."""

from __future__ import annotations

import threading
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.routing import Route

from sweepyard.clock import Clock
from sweepyard.controller import pages
from sweepyard.controller.guard import Guard
from sweepyard.controller.limits import Limits
from sweepyard.controller.port import ConnectionInfo, EnginePort
from sweepyard.controller.problems import add_handlers
from sweepyard.controller.routes import Parts, router
from sweepyard.tracking.port import Store
from sweepyard.views import ProblemView

__all__ = ["ConnectionInfo", "EnginePort", "let_lead", "make_app"]


def make_app(
    *,
    store: Store,
    engine: EnginePort,
    connection: ConnectionInfo,
    api_key: str | None,
    clock: Clock,
    limits: Limits | None = None,
    closing: threading.Event | None = None,
) -> FastAPI:
    """The application. Without `api_key`, and without keys in the store, it answers to loopback names only.

    `closing`: set it when the server is about to end, so that open event streams do.
    """
    limits = limits or Limits()
    app = _Api(
        title="sweepyard",
        version=version("sweepyard"),
        docs_url=None,  # both would load scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        middleware=[Middleware(Guard, api_key=api_key, keys=store, clock=clock, limits=limits)],
    )
    app.state.parts = Parts(
        store=store,
        engine=engine,
        connection=connection,
        clock=clock,
        sweeps_per_key=limits.sweeps_per_key,
        closing=closing or threading.Event(),
    )
    app.include_router(router)
    app.add_api_route("/", pages.sweeps_page, include_in_schema=False)
    app.add_api_route("/{entity}/{project}/sweeps/{sweep_id}", pages.sweep_page, include_in_schema=False)
    # Some versions of FastAPI list an included router as one route.
    app.state.routes = [*router.routes, *(route for route in app.routes if isinstance(route, Route))]
    add_handlers(app)
    return app


def let_lead(app: FastAPI, engine: EnginePort) -> None:
    """Have an application of `make_app` carry its requests out by another engine from now on."""
    app.state.parts = replace(app.state.parts, engine=engine)


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The schema, with the shape of errors that every route names."""
        if self.openapi_schema is None:
            schemas = super().openapi()["components"]["schemas"]
            problem = ProblemView.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= {**problem.pop("$defs"), "ProblemView": problem}
        return super().openapi()
