"""What a sweep has found, by the API and as the terminal shows it: front, recommendation, importance."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from integration.http_service import StoreEngine, make_service, serving
from rich.console import Console, RenderableType

from sweepyard import findings, terminal
from sweepyard.client import Client
from sweepyard.controller.spec import read_spec
from sweepyard.errors import Conflict, NotFound
from sweepyard.search.random import RandomSearcher
from sweepyard.search.space import Space
from sweepyard.tracking.records import Run, RunState, Sweep, SweepState
from sweepyard.tracking.sql import SqlStore, open_store

PARAMETERS = {"a": {"min": 0.0, "max": 1.0}, "b": {"min": 0.0, "max": 1.0}}
SEVERAL = {
    "method": "bayes",
    "metrics": [{"name": "loss"}, {"name": "speed", "goal": "maximize"}],
    "parameters": PARAMETERS,
}
ONE = {"method": "random", "metric": {"name": "loss"}, "parameters": PARAMETERS}
NONE = {"method": "random", "parameters": PARAMETERS}


def write(store: SqlStore, sweep_id: str, config: dict[str, Any], results: list[dict[str, float]]) -> None:
    """A sweep whose runs, drawn by chance, ended with these results."""
    spec = read_spec(config)
    points = RandomSearcher(Space.of(spec.data), 1).suggest([], [], len(results))
    with store.transaction(StoreEngine(store).epoch) as tx:
        state = SweepState.running
        tx.add_sweep(Sweep(id=sweep_id, entity="e", project="p", name="", spec=spec.data, seed=1, state=state))
        for number, (point, result) in enumerate(zip(points, results, strict=True), 1):
            tx.add_run(
                Run(
                    id=f"{sweep_id[:4]}{number:04}",
                    sweep_id=sweep_id,
                    number=number,
                    params=point.params,
                    reason="",
                    state=RunState.finished,
                    objective=result.get("loss") if config is ONE else None,
                    summary=result,
                    ended_at=float(number),
                )
            )


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    path: Path = tmp_path_factory.mktemp("findings") / "store.db"
    with closing(open_store(f"sqlite:///{path}")) as store:
        app = make_service(store)
        trade = [
            {"loss": 0.1, "speed": 1.0},
            {"loss": 0.2, "speed": 3.0},
            {"loss": 0.3, "speed": 2.0},
            {"loss": 0.0},
        ]
        write(store, "severals", SEVERAL, trade)
        points = RandomSearcher(Space.from_spec(PARAMETERS), 1).suggest([], [], 150)
        dice = random.Random(1)
        losses = [(point.params["a"] - 0.4) ** 2 * 4 + dice.gauss(0, 0.15) for point in points]
        write(store, "onemetri", ONE, [{"loss": loss} for loss in losses])
        write(store, "nometric", NONE, [{}])
        write(store, "toyoungs", ONE, [])
        with serving(app) as url, Client(url) as found:
            yield found


def shown(what: RenderableType) -> str:
    console = Console(width=120, record=True)
    console.print(what)
    return console.export_text()


def test_the_front_holds_the_runs_that_no_other_one_beats(client: Client) -> None:
    front = client.front("severals")
    assert [(run.number, run.values) for run in front.runs] == [(1, [0.1, 1.0]), (2, [0.2, 3.0])]
    assert front.of == 3
    assert [metric.name for metric in front.metrics] == ["loss", "speed"]
    sweep = client.sweep("severals")
    assert sweep.front == front
    assert sweep.best is None
    text = shown(terminal.front(sweep, front))
    assert "Pareto front: 2 of 3 runs" in text
    assert "minimize loss, maximize speed" in shown(terminal.status(sweep))
    assert "Pareto front: 2 of 3 runs (sweepyard best severals)" in shown(terminal.status(sweep))


def test_a_sweep_of_one_metric_has_no_front(client: Client) -> None:
    assert client.sweep("onemetri").front is None
    with pytest.raises(Conflict, match="no several metrics"):
        client.front("onemetri")


def test_where_the_metric_is_noisy_the_lucky_run_is_not_the_one_to_use(client: Client) -> None:
    found = client.recommendation("onemetri")
    assert found.best is not None
    assert found.recommended is not None
    assert found.best.objective == min(run.objective or 0 for run in client.runs("onemetri", limit=1000).items)
    assert found.recommended.number != found.best.number
    assert abs(found.recommended.params["a"] - 0.4) < 0.1
    metric = client.sweep("onemetri").metric
    assert metric is not None
    assert f"Use run {found.recommended.number} rather: loss" in shown(findings.recommended(found, metric))


def test_without_values_there_is_nothing_to_recommend(client: Client) -> None:
    found = client.recommendation("toyoungs")
    assert (found.recommended, found.best, found.reason) == (None, None, "no run has a value yet")
    for sweep_id in ("severals", "nometric"):
        with pytest.raises(Conflict):
            client.recommendation(sweep_id)


def test_importance_tells_what_matters_and_how_sure_it_is(client: Client) -> None:
    found = client.importance("onemetri")
    first, second = found.parameters
    assert (first.name, second.name, found.runs) == ("a", "b", 150)
    assert first.share > second.share
    text = shown(findings.importance(found))
    assert "what matters for loss" in text
    assert found.verdict in " ".join(text.split())
    assert client.importance("severals", "speed").metric.name == "speed"
    assert "too few" in client.importance("severals").verdict
    with pytest.raises(NotFound, match="It has: loss, speed"):
        client.importance("severals", "accuracy")
    with pytest.raises(Conflict, match="has no metric"):
        client.importance("nometric")
