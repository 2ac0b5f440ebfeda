"""The service's HTTP API from Python: a method for each route, a view for each answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import SecretStr, TypeAdapter, ValidationError

from sweepyard.errors import (
    Conflict,
    NotFound,
    Problem,
    SpecError,
    SweepyardError,
    Unauthorized,
    Unavailable,
    UserError,
)
from sweepyard.tracking.records import RunState
from sweepyard.views import (
    AgentView,
    AuditPage,
    Connection,
    EventView,
    Explanation,
    Front,
    Health,
    HistoryPage,
    Importances,
    NewSweep,
    PriorRunPage,
    ProblemView,
    Pruned,
    Recommendation,
    RunDetail,
    RunPage,
    RunView,
    SweepDetail,
    SweepPage,
    SweepView,
    VersionView,
)

if TYPE_CHECKING:
    import httpx

__all__ = ["Client", "Connection"]

TIMEOUT_S = 40.0
"""Longer than the service takes to answer that it is too busy."""

CONNECT_TIMEOUT_S = 5.0
PATIENCE_S = 30.0
"""How long in all a client waits because the service says that it asks too often."""
SILENCE_TIMEOUT_S = 60.0
"""How long an event stream may be silent; the service says something every 15 s."""

Answer = TypeVar("Answer")
Verb = Literal["pause", "resume", "stop", "cancel"]
AgentVerb = Literal["drain", "stop", "quarantine", "release"]

_ERRORS: Mapping[str, type[SweepyardError]] = {
    "not-found": NotFound,
    "conflict": Conflict,
    "unauthorized": Unauthorized,
    "locked-out": Unauthorized,
    "too-many-requests": Unavailable,
    "unavailable": Unavailable,
    "internal": SweepyardError,
}


class Client:
    """Talks to the service at `url`. Safe to share between threads; usable as a context manager.

    Every method raises `Unavailable` if the service does not answer, `Unauthorized` without the right key, and
    for what the service refuses the error that the service itself had (`NotFound`, `Conflict`, `SpecError`,
    `UserError`).
    """

    def __init__(self, url: str, api_key: str | SecretStr | None = None) -> None:
        self.url = url.rstrip("/")
        self._key = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key

    def create_sweep(
        self,
        source: str | Mapping[str, Any],
        *,
        entity: str | None = None,
        project: str | None = None,
        name: str | None = None,
        lenient: bool = False,
        prior_runs: Sequence[Any] = (),
        source_name: str = "sweep config",
    ) -> NewSweep:
        """Create a sweep from the text of a sweep file or a mapping.

        `entity`, `project`, `name` win over what it says; `lenient` makes unknown keys notes. `source_name` heads
        the messages of a `SpecError`. `prior_runs`: ids, and of CSV files name and text (`priorruns.to_send`).
        """
        body: dict[str, Any] = {"entity": entity, "project": project, "name": name, "lenient": lenient}
        body["prior_runs"] = list(prior_runs)
        body["yaml" if isinstance(source, str) else "config"] = source
        try:
            return self._ask(NewSweep, "POST", "/sweeps", body=body)
        except SpecError as error:
            raise SpecError(error.problems, source=source_name) from None

    def sweeps(self, *, offset: int = 0, limit: int = 100) -> SweepPage:
        """All sweeps, newest first."""
        return self._ask(SweepPage, "GET", "/sweeps", {"offset": offset, "limit": limit})

    def sweep(self, sweep_id: str) -> SweepDetail:
        return self._ask(SweepDetail, "GET", f"/sweeps/{_safe(sweep_id)}")

    def control(self, sweep_id: str, verb: Verb) -> SweepView:
        """Returns when the change is committed."""
        return self._ask(SweepView, "POST", f"/sweeps/{_safe(sweep_id)}/{verb}")

    def agents(self, sweep_id: str) -> list[AgentView]:
        """A sweep's agents, those that are gone too."""
        return self._ask(list[AgentView], "GET", f"/sweeps/{_safe(sweep_id)}/agents")

    def order_agent(self, sweep_id: str, agent_id: str, verb: AgentVerb) -> AgentView:
        """Returns when the change is committed."""
        return self._ask(AgentView, "POST", f"/sweeps/{_safe(sweep_id)}/agents/{_safe(agent_id)}/{verb}")

    def edit(
        self,
        sweep_id: str,
        changes: Mapping[str, Any] | None = None,
        *,
        source: str | Mapping[str, Any] | None = None,
        source_name: str = "edit",
    ) -> VersionView:
        """Change a sweep: by `source`, a whole new sweep file, and by `changes`, values by dotted path (None takes
        a key away). The answer: its spec as it is now, and what was changed."""
        body: dict[str, Any] = {"set": changes or {}}
        if source is not None:
            body["yaml" if isinstance(source, str) else "config"] = source
        try:
            return self._ask(VersionView, "PATCH", f"/sweeps/{_safe(sweep_id)}", body=body)
        except SpecError as error:
            raise SpecError(error.problems, source=source_name) from None

    def prior_runs(self, sweep_id: str, *, offset: int = 0, limit: int = 100) -> PriorRunPage:
        """What a sweep knew from elsewhere when it was created."""
        query = {"offset": offset, "limit": limit}
        return self._ask(PriorRunPage, "GET", f"/sweeps/{_safe(sweep_id)}/prior_runs", query)

    def versions(self, sweep_id: str) -> list[VersionView]:
        """A sweep's spec through all its edits, oldest first."""
        return self._ask(list[VersionView], "GET", f"/sweeps/{_safe(sweep_id)}/versions")

    def stop_run(self, sweep_id: str, ref: str | int) -> RunView:
        """End one run early, by number or id."""
        return self._ask(RunView, "POST", f"/sweeps/{_safe(sweep_id)}/runs/{_safe(ref)}/stop")

    def retry(
        self, sweep_id: str, refs: Sequence[str | int] = (), *, states: Sequence[str] = ("failed", "crashed")
    ) -> list[RunView]:
        """Try runs that have ended again: those named, else all in `states`. The answer has them."""
        body = {"runs": [str(ref) for ref in refs], "states": [str(state) for state in states]}
        return self._ask(list[RunView], "POST", f"/sweeps/{_safe(sweep_id)}/retry", body=body)

    def enqueue(self, sweep_id: str, params: Mapping[str, Any], *, outside: bool = False) -> RunView:
        """Let a sweep try a point: its parameters, nested or by dotted names; with `outside` any point.

        The next free agent takes it. Raises `SpecError` if it is not in the sweep's space.
        """
        body = {"params": params, "outside": outside}
        try:
            return self._ask(RunView, "POST", f"/sweeps/{_safe(sweep_id)}/runs", body=body)
        except SpecError as error:
            raise SpecError(error.problems, source="point") from None

    def runs(
        self,
        sweep_id: str,
        *,
        states: Sequence[RunState] = (),
        sort: str = "number",
        order: Literal["asc", "desc"] = "asc",
        offset: int = 0,
        limit: int = 100,
    ) -> RunPage:
        """A sweep's runs, those in `states` if any are given. Runs without a value to sort by come last."""
        page = {"sort": sort, "order": order, "offset": offset, "limit": limit}
        query = {**page, "state": [str(state) for state in states]}
        return self._ask(RunPage, "GET", f"/sweeps/{_safe(sweep_id)}/runs", query)

    def run(self, sweep_id: str, ref: str | int) -> RunDetail:
        """One run, by number or id."""
        return self._ask(RunDetail, "GET", f"/sweeps/{_safe(sweep_id)}/runs/{_safe(ref)}")

    def explain(self, ref: str | int, sweep_id: str | None = None) -> Explanation:
        """Why a run was stopped early, or was not. Without `sweep_id`, `ref` is the run's id."""
        place = "" if sweep_id is None else f"/sweeps/{_safe(sweep_id)}"
        return self._ask(Explanation, "GET", f"{place}/runs/{_safe(ref)}/explanation")

    def front(self, sweep_id: str) -> Front:
        """What a sweep with several metrics lets its user choose between."""
        return self._ask(Front, "GET", f"/sweeps/{_safe(sweep_id)}/front")

    def recommendation(self, sweep_id: str) -> Recommendation:
        """The run to use by the model's mean, beside the best one observed."""
        return self._ask(Recommendation, "GET", f"/sweeps/{_safe(sweep_id)}/recommendation")

    def importance(self, sweep_id: str, metric: str | None = None) -> Importances:
        """Which parameters matter for a metric, the sweep's first one if none is named."""
        query = {} if metric is None else {"metric": metric}
        return self._ask(Importances, "GET", f"/sweeps/{_safe(sweep_id)}/importance", query)

    def history(
        self,
        sweep_id: str,
        ref: str | int,
        *,
        keys: Sequence[str] | None = None,
        after_line: int = -1,
        limit: int = 1000,
    ) -> HistoryPage:
        """Rows that a run has logged, with only the values of `keys` if given."""
        query: dict[str, Any] = {"after_line": after_line, "limit": limit}
        if keys is not None:
            query["keys"] = ",".join(keys)
        return self._ask(HistoryPage, "GET", f"/sweeps/{_safe(sweep_id)}/runs/{_safe(ref)}/history", query)

    def events(self, sweep_id: str, *, after: int = 0, limit: int = 1000) -> list[EventView]:
        """A sweep's story from the event after id `after`, oldest first."""
        query = {"after": after, "limit": limit}
        return self._ask(list[EventView], "GET", f"/sweeps/{_safe(sweep_id)}/events", query)

    def connect(self, sweep_id: str) -> Connection:
        """What an agent needs to work on a sweep."""
        return self._ask(Connection, "GET", "/connect", {"sweep": sweep_id})

    def audit(self, *, before: int | None = None, limit: int = 100) -> AuditPage:
        """Who did what, newest first, from the entry before the id `before` on. For admins."""
        query = {"limit": limit} | ({} if before is None else {"before": before})
        return self._ask(AuditPage, "GET", "/audit", query)

    def prune_audit(self, older_than_days: float) -> int:
        """Forget old entries: how many."""
        return self._ask(Pruned, "DELETE", "/audit", {"older_than_days": older_than_days}).entries

    def health(self) -> Health:
        return self._ask(Health, "GET", "/health")

    def stream(self, sweep_id: str | None = None, *, after: int = 0) -> Iterator[EventView]:
        """Events after id `after`, then each as it happens, until the service ends the stream."""
        query = {"after": after} | ({"sweep": sweep_id} if sweep_id else {})
        with (
            self._explained(),
            self._http.stream("GET", "/stream", params=query, timeout=SILENCE_TIMEOUT_S) as response,
        ):
            if response.is_error:
                response.read()
                raise self._error(response)
            for line in response.iter_lines():
                if line.startswith("data:"):
                    yield EventView.model_validate_json(line.removeprefix("data:"))

    def close(self) -> None:
        """Close the connections. The client stays usable; it dials again."""
        self._http.close()
        del self._http

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def _http(self) -> httpx.Client:
        import httpx  # half of what importing this module would cost

        return httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            verify=self.url.startswith("https:"),  # reading the certificates takes 20 ms
            trust_env=_host(self.url) not in ("localhost", "127.0.0.1", "::1"),  # no proxy to ourselves
        )

    def _ask(
        self,
        answer: type[Answer],
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        content = None if body is None else _encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        waited_s = 0.0
        while True:
            with self._explained():
                response = self._http.request(method, path, params=query, content=content, headers=headers)
            pause_s = _pause_s(response)
            waited_s += pause_s
            if not pause_s or waited_s > PATIENCE_S:
                break
            time.sleep(pause_s)
        if not response.is_success:
            raise self._error(response)
        try:
            read: Answer = _reader(answer).validate_json(response.content)  # type: ignore[arg-type] # it has a hash
        except ValidationError:
            raise self._stranger(f"an answer to {path} that this version cannot read") from None
        return read

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn httpx' errors into ours."""
        import httpx

        try:
            yield
        except (httpx.TransportError, httpx.InvalidURL) as error:
            if isinstance(error, httpx.ReadTimeout):
                raise Unavailable(f"The sweepyard service at {self.url} does not answer in time.") from None
            raise Unavailable(
                f"No sweepyard service answers at {self.url} ({error or type(error).__name__}). "
                "Start one with: sweepyard serve"
            ) from None

    def _error(self, response: httpx.Response) -> SweepyardError:
        """The error that the service had."""
        try:
            found = ProblemView.model_validate_json(response.content)
        except ValidationError:
            return self._stranger(f"HTTP status {response.status_code}")
        kind = found.type.rpartition(":")[2]
        if kind == "spec":
            return SpecError([Problem(**item.model_dump()) for item in found.errors])
        return _ERRORS.get(kind, UserError)(found.detail)

    def _stranger(self, what: str) -> Unavailable:
        return Unavailable(f"What answers at {self.url} is not a sweepyard service of this version: {what}.")


def _host(url: str) -> str:
    """The host of a service's address. Raises `UserError` if it is none."""
    try:
        address = urlsplit(url)
        if address.scheme in ("http", "https") and address.hostname and address.port != 0:
            return address.hostname
    except ValueError:
        pass
    raise UserError(f"'{url}' is not the address of a service. It should look like http://host:7077.")


def _pause_s(response: httpx.Response) -> float:
    """How long the service wants to be left alone before it is asked the same again; 0: it does not."""
    if response.status_code != 429 or b"locked-out" in response.content:
        return 0.0
    after = response.headers.get("retry-after", "")
    return float(after) if after.isascii() and after.isdecimal() else 1.0


def _safe(part: str | int) -> str:
    """An id as one segment of a path."""
    if "/" in str(part):
        raise NotFound(f"There is no '{part}' here: give the id alone.")
    return quote(str(part), safe="")


@cache
def _reader(answer: Any) -> TypeAdapter[Any]:
    return TypeAdapter(answer)


def _encode(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, default=_plain).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"sweep config: {error}") from None


def _plain(value: Any) -> Any:
    """What JSON can say instead of `value`: numpy's scalars and arrays have a plain form."""
    if hasattr(value, "tolist") and not hasattr(plain := value.tolist(), "tolist"):
        return plain
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} cannot stand in it: use numbers, text, lists and dicts")
