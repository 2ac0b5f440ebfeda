"""The client against a real server: views come back, errors come back as what they were, streams end."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np
import pytest
from integration.http_service import CONFIG, KEY, SWEEP, make_service, serving
from pydantic import SecretStr

from sweepyard.bus.controller_side import RedisControllerBus
from sweepyard.client import Client
from sweepyard.clock import SYSTEM_CLOCK, wait_until
from sweepyard.controller.engine import Engine
from sweepyard.controller.http import ConnectionInfo, make_app
from sweepyard.errors import Conflict, NotFound, SpecError, Unauthorized, Unavailable, UserError
from sweepyard.tracking.records import RunState, SweepState
from sweepyard.tracking.sql import SqlStore, open_store
from sweepyard.views import EventView


@pytest.fixture
def store(sqlite_url: str) -> Iterator[SqlStore]:
    with closing(open_store(sqlite_url)) as store:
        yield store


@pytest.fixture
def client(store: SqlStore) -> Iterator[Client]:
    with serving(make_service(store)) as url, Client(url) as client:
        yield client


def test_reads(client: Client) -> None:
    assert [sweep.id for sweep in client.sweeps().items] == [SWEEP]
    sweep = client.sweep(SWEEP)
    assert sweep.counts[RunState.stopped] == 2
    assert sweep.best is not None
    assert sweep.best.number == 5
    page = client.runs(SWEEP, states=[RunState.stopped], sort="objective", order="desc", limit=1)
    assert ([run.number for run in page.items], page.total) == ([3], 2)
    assert client.runs(SWEEP).total == 7
    assert client.run(SWEEP, 4).attempts[0].tail == "Boom"
    assert client.run(SWEEP, "run00004").number == 4
    why = client.explain(2, SWEEP)
    assert why == client.explain("RUN00002")
    assert (why.sweep_id, why.run.number, why.answer[:20]) == (SWEEP, 2, "Stopped by hyperband")
    history = client.history(SWEEP, 1, keys=["acc"], limit=4)
    assert ([row.line for row in history.rows], history.next_after_line) == ([1, 3], 3)
    assert len(client.events(SWEEP)) == 7
    assert client.health().status == "ok"


def test_connect(client: Client) -> None:
    connection = client.connect(SWEEP)
    assert (connection.prefix, connection.sweep.program, connection.sweep.project) == (
        "sy-test",
        "train.py",
        "digits",
    )
    assert connection.sweep.url == f"{client.url}/local/digits/sweeps/{SWEEP}"


def test_create_and_control(client: Client) -> None:
    made = client.create_sweep(CONFIG, project="mine")
    assert (made.project, made.state) == ("mine", SweepState.pending)
    assert made.url == f"{client.url}/local/mine/sweeps/{made.id}"
    assert client.control(made.id, "pause").state is SweepState.paused
    assert client.control(made.id, "cancel").state is SweepState.cancelled
    with pytest.raises(Conflict, match=rf"Sweep {made.id} is cancelled \(cancel by the user\): pause is not"):
        client.control(made.id, "pause")


def test_prior_runs(client: Client) -> None:
    known = [f"{SWEEP}/1", {"name": "old.csv", "csv": "lr,bs,acc\n0.5,16,0.7\n5,16,0.8\n"}]
    made = client.create_sweep(CONFIG, prior_runs=known)
    assert made.notes == ["prior runs: 1 of 3 are outside the space, each with a note"]
    page = client.prior_runs(made.id)
    assert [(run.source, run.value, run.outside) for run in page.items] == [
        (f"{SWEEP}/1", 0.9, False),
        ("old.csv:2", 0.7, False),
        ("old.csv:3", 0.8, True),
    ]
    assert page.total == 3
    with pytest.raises(SpecError, match="there is no sweep 'nonesuch' here"):
        client.create_sweep(CONFIG, prior_runs=["nonesuch"])


def test_edit(client: Client) -> None:
    made = client.edit(SWEEP, {"run_cap": 30, "parameters.lr.max": 0.25})
    assert (made.version, made.spec["run_cap"]) == (2, 30)
    assert made.text == "parameters.lr.max: 0.9 -> 0.25; run_cap: 20 -> 30. Runs outside the space now: 5"
    assert [version.version for version in client.versions(SWEEP)] == [1, 2]
    assert client.sweep(SWEEP).version == 2
    assert [run.outside for run in client.runs(SWEEP).items] == [False, False] + [True] * 5
    assert client.edit(SWEEP, source=CONFIG).version == 3
    with pytest.raises(SpecError, match=r"edit: method: can not change \('random'\)"):
        client.edit(SWEEP, {"method": "bayes"})


def test_runs_are_stopped_and_tried_again(client: Client) -> None:
    told = client.stop_run(SWEEP, 6)
    assert (told.state, told.order, told.order_reason) == (RunState.running, "stop", "stopped by the user")
    with pytest.raises(Conflict, match="there is nothing to stop"):
        client.stop_run(SWEEP, 1)
    (failed,) = client.retry(SWEEP)
    assert (failed.number, failed.attempt, failed.state) == (4, 2, RunState.pending)
    assert [run.number for run in client.retry(SWEEP, [1, "run00005"])] == [1, 5]
    assert client.retry(SWEEP, states=["killed"]) == []
    with pytest.raises(NotFound):
        client.retry(SWEEP, ["nonesuch"])


def test_enqueue(client: Client) -> None:
    run = client.enqueue(SWEEP, {"lr": 0.5, "bs": 32})
    assert (run.params, run.state, run.reason) == ({"lr": 0.5, "bs": 32}, RunState.pending, "enqueued by the user")
    assert client.run(SWEEP, run.number).params == run.params
    with pytest.raises(SpecError, match=r"point: bs: 33 is outside the space: 16, 32") as caught:
        client.enqueue(SWEEP, {"lr": 0.5, "bs": 33})
    assert [problem.path for problem in caught.value.problems] == ["bs"]
    assert client.enqueue(SWEEP, {"lr": 9}, outside=True).params == {"lr": 9}
    with pytest.raises(NotFound):
        client.enqueue("nope", {"lr": 9})


def test_numpy_values_travel(client: Client) -> None:
    config = {
        **CONFIG,
        "parameters": {"lr": {"min": np.float32(0.5), "max": 0.75}, "bs": {"values": np.arange(3)}},
    }
    shown = client.sweep(client.create_sweep(config).id)
    assert shown.config["parameters"]["bs"]["values"] == [0, 1, 2]


def test_a_bad_file_comes_back_with_its_lines(client: Client) -> None:
    with pytest.raises(SpecError) as caught:
        client.create_sweep("method: bayesian\nparameters: {a: {value: 1}}\n", source_name="my.yaml")
    assert caught.value.problems[0].line == 1
    assert str(caught.value).startswith("my.yaml: line 1, column 9: method: 'bayesian' is not known")


@pytest.mark.parametrize("value", [print, {1, 2}, object()])
def test_values_that_cannot_travel(client: Client, value: object) -> None:
    with pytest.raises(UserError, match=r"sweep config: a .* cannot stand in it"):
        client.create_sweep({**CONFIG, "name": value})


def test_unknown_things(client: Client) -> None:
    for ask in (
        lambda: client.sweep("nope"),
        lambda: client.sweep("a/b?c#d"),
        lambda: client.run(SWEEP, 99),
        lambda: client.connect("nope"),
        lambda: list(client.stream("nope")),
    ):
        with pytest.raises(NotFound):
            ask()


def test_a_bad_question_is_a_users_error(client: Client) -> None:
    with pytest.raises(UserError, match="limit"):
        client.runs(SWEEP, limit=0)


def test_keys(store: SqlStore) -> None:
    with serving(make_service(store, api_key=KEY)) as url:
        for key in (None, "wrong"):
            with Client(url, key) as client, pytest.raises(Unauthorized, match="SWEEPYARD_API_KEY"):
                client.sweeps()
        for right in (KEY, SecretStr(KEY)):
            with Client(url, right) as client:
                assert client.sweeps().total == 1


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with Client(url) as client:
        for ask in (client.health, lambda: next(client.stream())):
            with pytest.raises(
                Unavailable, match=r"No sweepyard service answers at .*Start one with: sweepyard serve"
            ):
                ask()


@pytest.mark.parametrize("url", ["", "box:7077", "ftp://box", "http://", "http://[::1", "http://box:port"])
def test_not_an_address(url: str) -> None:
    with pytest.raises(UserError, match="It should look like http://host:7077"):
        Client(url).health()


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (404, b"nope"), (200, b'{"status": "ok"}'), (302, b"")]
)
def test_somebody_else_answers(status: int, body: bytes) -> None:
    said = "is not a sweepyard service of this version"
    with stranger(status, body) as url, Client(url) as client, pytest.raises(Unavailable, match=said):
        client.health()


def test_a_proxy_is_not_asked_for_this_machine(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert client.health().status == "ok"


class TestStream:
    def test_old_events_then_new_ones(self, client: Client) -> None:
        events = client.stream(SWEEP)
        assert [next(events).run_number for _ in range(7)] == [1, 2, 3, 4, 5, 6, 7]
        client.control(SWEEP, "pause")
        assert next(events).kind == "sweep.paused"
        events.close()

    def test_it_goes_on_where_it_was(self, client: Client) -> None:
        last = client.events(SWEEP)[4].id
        events = client.stream(SWEEP, after=last)
        assert next(events).run_number == 6
        events.close()

    def test_without_a_sweep_it_tells_of_all(self, client: Client) -> None:
        made = client.create_sweep(CONFIG)
        events = client.stream(after=client.events(SWEEP)[-1].id)
        assert next(events).sweep_id == made.id
        events.close()

    def test_a_browser_that_reconnects_misses_nothing(self, client: Client) -> None:
        known = client.events(SWEEP)[5].id
        headers = {"Last-Event-ID": str(known)}
        with client._http.stream("GET", "/stream", params={"sweep": SWEEP}, headers=headers) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = response.iter_lines()
            assert [next(lines) for _ in range(2)] == [f"id: {known + 1}", "event: run.pending"]

    def test_it_ends_when_the_service_does(self, store: SqlStore) -> None:
        ending = threading.Event()
        with serving(make_service(store, closing=ending)) as url, Client(url) as client:
            seen: list[EventView] = []
            reader = threading.Thread(target=lambda: seen.extend(client.stream(SWEEP)))
            reader.start()
            ending.set()
            reader.join(10)
            assert not reader.is_alive()

    def test_a_service_that_dies_is_unavailable(self, store: SqlStore) -> None:
        with serving(make_service(store)) as url:
            client = Client(url)
            events = client.stream(SWEEP)
            assert next(events).run_number == 1
        with pytest.raises(Unavailable):
            list(events)
        client.close()


def test_the_real_engine_behind_it(store: SqlStore, redis_url: str) -> None:
    prefix = f"sy-{store.instance_id}"
    epoch = store.take_over()
    engine = Engine(
        store,
        RedisControllerBus(redis_url, prefix, bytes(32), epoch),
        SYSTEM_CLOCK,
        epoch=epoch,
        lost_after_s=60,
        proposal_deadline_s=60,
    )
    engine.start()
    connection = ConnectionInfo(redis_url=redis_url, prefix=prefix, heartbeat_s=5, lost_after_s=60)
    app = make_app(store=store, engine=engine, connection=connection, api_key=None, clock=SYSTEM_CLOCK)
    try:
        with serving(app) as url, Client(url) as client:
            made = client.create_sweep({**CONFIG, "seed": 11})
            assert (client.sweep(made.id).seed, client.sweep(made.id).progress.created) == (11, 0)
            assert client.control(made.id, "cancel").state is SweepState.cancelled
            kinds = [event.kind for event in client.events(made.id)]
            assert kinds == ["sweep.created", "sweep.cancelled"]
            assert wait_until(lambda: client.health().status == "ok", 30)
            with pytest.raises(Conflict):
                client.control(made.id, "pause")
    finally:
        engine.stop()


@contextmanager
def stranger(status: int, body: bytes) -> Iterator[str]:
    """The URL of a server that is none of ours."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
