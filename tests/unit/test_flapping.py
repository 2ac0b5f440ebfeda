"""When an agent is the likely cause of its runs' failures."""

from __future__ import annotations

from sweepyard.bus.wire import Ended, Report, Rows, Started, WireRow
from sweepyard.controller.flapping import Flapping
from sweepyard.tracking.records import Outcome

SWEEP = "sweep001"


class Story:
    """Reports in order; each run begins one second before what is told of it."""

    def __init__(self) -> None:
        self.rule = Flapping()
        self.now = 100.0
        self.runs = 0

    def tell(self, agent: str, run: str, body: Started | Rows | Ended, age_s: float = 1.0) -> None:
        self.now += 1
        report = Report(sweep=SWEEP, run=run, attempt=1, agent=agent, seq=1, body=body)
        self.rule.take(report, self.now - age_s, self.now)

    def fails(self, agent: str, *, reports: bool = False, age_s: float = 1.0) -> str:
        self.runs += 1
        run = f"run{self.runs}"
        if reports:
            self.reports(agent, run)
        self.tell(agent, run, Ended(outcome=Outcome.failed), age_s)
        return run

    def reports(self, agent: str, run: str = "other") -> None:
        self.tell(agent, run, Rows(rows=[WireRow(0, 0.1, 1.0, {"loss": 1.0})]))

    @property
    def found(self) -> list[str]:
        return list(self.rule.found(SWEEP))


def test_three_quick_failures_while_others_get_further() -> None:
    story = Story()
    runs = [story.fails("bad") for _ in range(3)]
    assert story.found == []
    story.reports("good")
    assert story.found == ["bad"]
    assert story.rule.found(SWEEP)["bad"].startswith(
        "its last 3 runs failed within 60 s of their start without a re"
    )
    assert story.rule.found("sweep002") == {}
    assert story.rule.take_failures(["bad", "unheard"]) == [("bad", run) for run in runs]
    assert story.found == []
    assert story.rule.take_failures(["bad"]) == []


def test_what_fails_everywhere_is_the_codes_fault() -> None:
    story = Story()
    story.reports("good")
    for _ in range(9):
        story.fails("bad")
        story.fails("good")
    assert story.found == []


def test_what_breaks_the_chain() -> None:
    story = Story()
    for between in (
        lambda: story.fails("bad", reports=True),
        lambda: story.fails("bad", age_s=61),
        lambda: story.tell("bad", "x", Ended(outcome=Outcome.finished)),
        lambda: story.rule.forget(["bad"]),
    ):
        story.fails("bad")
        story.fails("bad")
        between()
        story.fails("bad")
        story.reports("good")
        assert story.found == []
        story.rule.forget(["bad"])


def test_ends_that_say_nothing() -> None:
    story = Story()
    for _ in range(2):
        story.fails("bad")
        story.tell("bad", "x", Ended(outcome=Outcome.preempted))
        story.tell("bad", "x", Rows(config={"a": 1}))
    story.fails("bad")
    story.reports("good")
    assert story.found == ["bad"]
