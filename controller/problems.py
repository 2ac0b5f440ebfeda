"""Every error that leaves the API has one shape: problem+json, after RFC 9457."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sweepyard.errors import Conflict, NotFound, SpecError, SweepyardError, Unauthorized, Unavailable, UserError
from sweepyard.redaction import redact
from sweepyard.views import ProblemItem, ProblemView

MEDIA_TYPE = "application/problem+json"

_KINDS: Mapping[type[SweepyardError], tuple[int, str]] = {
    SpecError: (422, "spec"),
    NotFound: (404, "not-found"),
    Conflict: (409, "conflict"),
    Unauthorized: (401, "unauthorized"),
    UserError: (400, "request"),
    Unavailable: (503, "unavailable"),
}
"""Status and kind of each error of ours; the first that fits counts."""

_STATUS_KINDS = {
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method",
    413: "too-large",
    429: "too-many-requests",
}


def problem(
    status: int,
    kind: str,
    detail: str,
    *,
    errors: Sequence[ProblemItem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error as a response."""
    view = ProblemView(
        type=f"urn:sweepyard:problem:{kind}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=redact(detail),
        errors=list(errors),
    )
    return Response(view.model_dump_json(), status, headers, MEDIA_TYPE)


def add_handlers(app: FastAPI) -> None:
    """Answer every exception with a problem."""
    app.add_exception_handler(SweepyardError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _bug)


def responses(*statuses: int) -> dict[int | str, dict[str, object]]:
    """What a route's OpenAPI entry says about its errors."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemView"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def _ours(_request: Request, error: Exception) -> Response:
    status, kind = next(
        (known for wanted, known in _KINDS.items() if isinstance(error, wanted)), (500, "internal")
    )
    found = error.problems if isinstance(error, SpecError) else ()
    return problem(status, kind, str(error), errors=[ProblemItem.model_validate(each) for each in found])


def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return _bug(request, error)
    detail = str(error.detail)
    if error.status_code == 404:
        detail = f"There is no {request.url.path} here. /api/v1/openapi.json lists all routes."
    elif error.status_code == 405:
        detail = f"{request.method} is not possible on {request.url.path}."
    kind = _STATUS_KINDS.get(error.status_code, "request")
    return problem(error.status_code, kind, detail, headers=error.headers)


def _invalid(_request: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else ()
    items = [
        ProblemItem(path=".".join(map(str, each["loc"])), message=str(each["msg"]).removeprefix("Value error, "))
        for each in found
    ]
    return problem(
        422, "request", "; ".join(f"{item.path}: {item.message}" for item in items[:10]), errors=items[:50]
    )


def _bug(_request: Request, _error: Exception) -> Response:
    """The server logs the traceback; the caller gets none of it."""
    return problem(500, "internal", "The service failed at this request. Its log says where.")
