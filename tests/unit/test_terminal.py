"""Views in, text out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from pydantic import ValidationError
from rich.console import Console, RenderableType

from sweepyard import explain_cli, findings, tables, terminal, wording
from sweepyard.tracking.records import RunState, SweepState
from sweepyard.views import (
    AgentView,
    DecisionView,
    EventView,
    Explanation,
    Importances,
    MetricView,
    OutlookView,
    ParameterImportance,
    Progress,
    Recommendation,
    RunDetail,
    RungView,
    RunView,
    SavedView,
    SweepDetail,
    View,
)

AnyView = TypeVar("AnyView", bound=View)


def run_view(number: int = 1, **changes: Any) -> RunView:
    fields: dict[str, Any] = {
        "id": f"run0000{number}",
        "number": number,
        "name": f"run-{number}",
        "state": RunState.running,
        "state_reason": "",
        "attempt": 1,
        "order": None,
        "order_reason": "",
        "spec_version": 1,
        "outside": False,
        "params": {"lr": 0.0123456, "opt": {"name": "adam"}, "epochs": 27},
        "reason": f"random draw {number}",
        "config": {},
        "summary": {"acc": 0.5},
        "objective": 0.75,
        "steps": 3,
        "lines": 3,
        "created_at": 0.0,
        "started_at": 0.0,
        "ended_at": None,
    }
    return RunView(**fields | changes)


def agent_view(pid: int, **changes: Any) -> AgentView:
    fields: dict[str, Any] = {
        "id": f"agent-{pid}",
        "host": "box",
        "pid": pid,
        "version": "1",
        "state": "active",
        "first_seen_at": 0.0,
        "last_seen_at": 0.0,
        "order": None,
        "order_reason": "",
        "runs": [],
    }
    return AgentView(**fields | changes)


def event_view(kind: str, text: str = "", number: int | None = 1) -> EventView:
    return EventView(
        id=1, sweep_id="sweep000", kind=kind, text=text, at=0.0, run_number=number, attempt=1, agent_id=None
    )


def sweep_view(**changes: Any) -> SweepDetail:
    fields: dict[str, Any] = {
        "id": "sweep000",
        "entity": "local",
        "project": "tests",
        "name": "digits",
        "url": "http://127.0.0.1:1/local/tests/sweeps/sweep000",
        "state": SweepState.running,
        "reason": "",
        "method": "bayes",
        "metric": MetricView(name="acc", goal="maximize", target=None),
        "run_cap": 30,
        "version": 1,
        "seed": 1,
        "created_at": 0.0,
        "ended_at": None,
        "counts": {RunState.finished: 12, RunState.stopped: 4, RunState.running: 2},
        "best": run_view(9, state=RunState.finished, objective=0.97),
        "config": {
            "parameters": {
                "lr": {"distribution": "uniform", "min": 0.0, "max": 1.0},
                "opt": {"parameters": {"name": {"distribution": "categorical", "values": ["adam", "sgd"]}}},
                "epochs": {"distribution": "constant", "value": 27},
            }
        },
        "size": None,
        "progress": Progress(created=18, ended=16, total=30, fraction=16 / 30, eta_s=35.2),
        "agents": [agent_view(11, runs=[17]), agent_view(12), agent_view(13, state="lost")],
        "running": [run_view(17)],
        "decisions": [],
        "saved": SavedView(steps=41, seconds=200.0, used_steps=123, share=0.25),
    }
    return SweepDetail(**fields | changes)


ATTACK = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\x08\u202eevil\u2066[bold]"
"""What would set a terminal's title, clear it, colour it, write over a line, or turn the direction of letters."""


def poisoned(view: AnyView) -> AnyView:
    """The view with the attack in each of its texts that may hold any text."""
    plain = view.model_dump(mode="json")

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            value = node[key]
            if isinstance(value, dict | list):
                walk(value)
            elif isinstance(value, str) and key != "kind":  # which is ours
                node[key] = value + ATTACK
                try:
                    type(view).model_validate(plain)
                except ValidationError:  # a word of a closed set
                    node[key] = value
        if isinstance(node, dict) and isinstance(node.get("lr"), float):  # parameters
            node["x" + ATTACK] = ATTACK

    walk(plain)
    return type(view).model_validate(plain)


def shown(what: RenderableType, width: int = 100) -> list[str]:
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(what)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_the_live_picture_tells_progress_best_run_agents_and_story() -> None:
    story = [terminal.story_line(event_view("run.stopped", "rung 3: 0.2 is below 0.5"))]
    lines = shown(terminal.live(sweep_view(), story))
    assert lines[0] == "digits  sweep000  running  bayes, maximize acc"
    assert lines[1].endswith(" 16 of 30 runs, about 35 s left")
    assert lines[2] == "2 running, 12 finished, 4 stopped"
    assert lines[3] == "best so far: acc 0.97, run 9 (lr=0.01235, opt.name=adam)"
    assert lines[5].split() == ["agent", "run", "step", "acc", "parameters"]
    assert lines[6].split() == ["box/11", "17", "3", "0.5", "lr=0.01235,", "opt.name=adam"]
    assert lines[7].split() == ["box/12", "waiting"]
    assert lines[8].split() == ["box/13", "lost"]
    assert lines[10] == "run 1 stopped early: rung 3: 0.2 is below 0.5"


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_live_picture_never_breaks_a_line(width: int) -> None:
    story = [terminal.story_line(event_view("run.failed", "ValueError: " + "x" * 300))] * 9
    sweep = sweep_view(reason="r" * 300, state=SweepState.finishing, name="n" * 30)
    lines = shown(terminal.live(sweep, story), width)
    assert max(map(len, lines)) <= width
    assert sum(line.startswith("run 1 failed") for line in lines) == terminal.LINES_SHOWN
    assert len(lines) == len(shown(terminal.live(sweep, story), 400))


def test_a_sweep_with_nothing_in_it_yet() -> None:
    empty = Progress(created=0, ended=0, total=None, fraction=None, eta_s=None)
    sweep = sweep_view(best=None, counts={}, agents=[], running=[], progress=empty, state=SweepState.pending)
    lines = shown(terminal.live(sweep, []))
    assert lines[1:3] == ["0 runs ended, no run_cap", "no runs yet"]
    assert lines[4] == "waiting for agents (sweep-agent sweep000 starts one)"


def test_a_sweep_without_a_metric() -> None:
    sweep = sweep_view(metric=None, method="grid")
    assert shown(terminal.header(sweep)) == ["digits  sweep000  running  grid"]
    assert terminal.best_line(sweep) is None
    assert "17" in shown(tables.agents_table(sweep))[1]
    shown(terminal.result(sweep, []))


def test_the_result_names_what_was_found_and_what_was_saved() -> None:
    top = [
        run_view(9, state=RunState.finished, objective=0.97),
        run_view(3, state=RunState.stopped, objective=0.9),
    ]
    counts = {RunState.finished: 12, RunState.stopped: 4, RunState.failed: 1}
    lines = shown(terminal.result(sweep_view(state=SweepState.finished, counts=counts), top))
    assert "best acc 0.97  run 9 (finished after 3 steps)" in lines
    assert "  lr        0.012346" in lines
    assert lines[-2] == "4 runs stopped early, which saved 41 steps (25%) and about 3 min."
    assert lines[-1] == "1 run failed: sweepyard runs sweep000 --state failed"
    begin = lines.index("top 2 runs")
    assert [line.split()[:4] for line in lines[begin + 2 : begin + 4]] == [
        ["9", "finished", "0.97", "3"],
        ["3", "stopped", "0.9", "3"],
    ]


def test_status_tells_the_last_decisions_with_their_reasons() -> None:
    decision = DecisionView(
        run_number=4,
        attempt=1,
        action="stop",
        rule="hyperband",
        reason="rung 9: acc 0.2 is below 0.5",
        rung=9,
        value=0.2,
        threshold=0.5,
        peers=3,
        decided_at=0.0,
    )
    assert shown(terminal.status(sweep_view(decisions=[decision])))[-1] == (
        "  run 4: stop, rung 9: acc 0.2 is below 0.5"
    )


@pytest.mark.parametrize(
    ("event", "run", "line"),
    [
        (event_view("run.started"), None, "run 1 started"),
        (event_view("run.started"), run_view(), "run 1 started: random draw 1 (lr=0.01235, opt.name=adam)"),
        (event_view("run.finished"), run_view(), "run 1 finished at 0.75 after 3 steps"),
        (event_view("run.finished"), run_view(objective=None, steps=0), "run 1 finished"),
        (event_view("run.failed", "boom"), None, "run 1 failed: boom"),
        (
            event_view("run.retried", "its agent was lost"),
            run_view(),
            "run 1 goes back to the queue: its agent was lost",
        ),
        (event_view("sweep.paused", "pause by the user", None), None, "the sweep is paused: pause by the user"),
    ],
)
def test_story_lines(event: EventView, run: RunView | None, line: str) -> None:
    assert terminal.story_line(event, run, {"epochs"}).plain == line


def test_user_text_is_never_taken_for_markup() -> None:
    sweep = sweep_view(name="[red]x[/red]", best=run_view(params={"[b]": "[/b]"}, objective=float("1e-7")))
    text = "\n".join(shown(terminal.live(sweep, [terminal.story_line(event_view("run.failed", "[/x] [bold]"))])))
    assert "[red]x[/red]" in text
    assert "[b]=[/b]" in text
    assert "[/x] [bold]" in text
    table = shown(tables.runs_table([run_view(params={"p": "[/b]"}, reason="[/i]")], sweep))
    assert "p=[/b]" in table[1]
    shown(tables.sweeps_table([sweep]))
    shown(terminal.best(run_view(params={"[b]": "[/b]"}), sweep.metric))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456789, "0.12346"),
        (1e-9, "1e-09"),
        (3, "3"),
        (None, "-"),
        ("NaN", "NaN"),
        (True, "True"),
        ([1], "[1]"),
    ],
)
def test_numbers(value: object, text: str) -> None:
    assert wording.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5000, "83 min"), (7800, "2 h 10 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


def test_every_state_that_the_terminal_colours_exists() -> None:
    known = {*RunState, *SweepState, "lost"}
    assert set(tables.STYLES) <= known


def run_detail(**changes: Any) -> RunDetail:
    attempt = {
        "n": 1,
        "state": "ended",
        "agent_id": "a",
        "offered_at": 0.0,
        "started_at": 0.0,
        "ended_at": 1.0,
        "outcome": "failed",
        "exit_code": 1,
        "signal": None,
        "reason": "ValueError: no",
        "tail": "Traceback\n  ValueError: no",
    }
    more: dict[str, Any] = {
        "detail": {"u": "x"},
        "attempts": [attempt],
        "decisions": [decision_view()],
        "story": [event_view("run.failed", "no")],
    }
    return RunDetail(**run_view(state=RunState.failed, state_reason="no").model_dump() | more | changes)


def decision_view() -> DecisionView:
    return DecisionView(
        run_number=4,
        attempt=1,
        action="stop",
        rule="hyperband",
        reason="0.5 is worse than 0.7",
        rung=3,
        value=0.5,
        threshold=0.7,
        peers=3,
        decided_at=0.0,
    )


def importances() -> Importances:
    one = ParameterImportance(name="lr", share=0.5, chance=0.01, runs=9)
    return Importances(metric=MetricView(name="acc", goal="maximize"), runs=9, verdict="sure", parameters=[one])


def explanation() -> Explanation:
    rung = RungView(
        rule="asha", at=3, value=0.5, threshold=0.7, peers=3, action="stop", reason="r", decided_at=0.0
    )
    return Explanation(
        run=run_view(),
        sweep_id="sweep000",
        metric="acc",
        resource="values logged",
        position=3,
        answer="stopped",
        rungs=[rung],
        outlook=[OutlookView(rule="asha", text="t")],
        hindsight="right",
    )


def test_agents_were_seen_so_long_ago() -> None:
    now = 10_000_000.0
    seen_s = (-5, 0, 89, 90, 5399, 5400, 129_599, 129_600, 3 * 86_400)
    agents = [agent_view(pid, last_seen_at=now - each) for pid, each in enumerate(seen_s)]
    _, *lines = shown(tables.agents_list(agents, now), 200)
    words = ("0 s", "0 s", "89 s", "2 min", "90 min", "2 h", "36 h", "2 d", "3 d")
    assert [" ".join(line.split()[-4:-1]) for line in lines] == [f"{word} ago" for word in words]


def test_a_time_has_its_date_unless_it_is_of_today() -> None:
    now = datetime.now().astimezone().replace(hour=12, minute=3, second=59)
    assert wording.clock(now.timestamp()) == f"12:03:59 {now:%Z}"
    before = datetime.fromtimestamp(now.timestamp() - 7 * 86_400).astimezone()
    assert wording.clock(before.timestamp()) == f"{before:%Y-%m-%d %H:%M %Z}"


@pytest.fixture
def zone_with_summer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """That of St John's, wherever this machine is."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "NST3:30NDT,M3.2.0,M11.1.0")
        time.tzset()
        yield
    time.tzset()


def test_a_time_names_its_zone_so_that_the_hour_that_comes_twice_is_told_apart(zone_with_summer: None) -> None:
    first = datetime(2025, 11, 2, 4, 0, tzinfo=UTC).timestamp()
    times = [wording.clock(first + hours * 3600) for hours in (0, 1, 24)]
    assert times == ["2025-11-02 01:30 NDT", "2025-11-02 01:30 NST", "2025-11-03 00:30 NST"]


def test_nothing_that_others_wrote_is_obeyed_by_the_terminal() -> None:
    sweep = poisoned(
        sweep_view(reason="why", state=SweepState.finishing, decisions=[decision_view()], warnings=["hm"])
    )
    sweep = sweep.model_copy(update={"config": {**sweep.config, "run_name": "x"}})
    run, agents = poisoned(run_view(state_reason="no")), [poisoned(agent_view(1, order="drain", order_reason="r"))]
    story = [terminal.story_line(poisoned(event_view("run.failed", "no")), run)]
    assert sweep.metric is not None
    assert "\x1b" in sweep.name
    for what in (
        terminal.live(sweep, story),
        terminal.status(sweep),
        terminal.result(sweep, [run, run]),
        tables.agents_list(agents, 0),
        tables.runs_table([run], sweep),
        terminal.run_page(poisoned(run_detail()), sweep),
        tables.sweeps_table([sweep]),
        terminal.best(run, sweep.metric),
        terminal.story_line(poisoned(event_view("sweep.finishing", "why", None))),
        findings.recommended(
            poisoned(Recommendation(recommended=run_view(1), mean=1.0, std=0.1, reason="r", best=run_view(2))),
            sweep.metric,
        ),
        findings.importance(poisoned(importances())),
        explain_cli.explanation(poisoned(explanation())),
    ):
        text = "\n".join(shown(what, 1000))
        assert "evil" in text
        assert all(letter.isprintable() or letter == "\n" for letter in text), repr(text)
    for line in (terminal.best_line(sweep), terminal.best_reached(sweep)):
        assert line is not None
        assert line.isprintable()
