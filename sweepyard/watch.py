"""Follows a sweep over HTTP and shows it: one screen that renews itself, or one line per event."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from sweepyard import terminal
from sweepyard.client import Client
from sweepyard.clock import SYSTEM_CLOCK
from sweepyard.errors import Unavailable, UserError
from sweepyard.redaction import harmless
from sweepyard.tracking.records import SWEEP_ENDED
from sweepyard.views import EventView, RunView, SweepDetail
from sweepyard.wording import constants

POLL_S = 0.5
EVENTS_AT_ONCE = 1000
RUNS_AT_ONCE = 200
STORY_KEPT = 50
OUTAGE_DEADLINE_S = 60.0
PLAIN_WIDTH = 500


def find_sweep(client: Client, ref: str) -> SweepDetail:
    """The sweep that ID, project/ID or entity/project/ID names.

    Raises:
        NotFound: there is none.
        UserError: it is in another project.
    """
    *place, sweep_id = ref.strip("/").split("/")
    found = client.sweep(sweep_id)
    if place and place != [found.entity, found.project][-len(place) :]:
        raise UserError(f"Sweep {sweep_id} belongs to {found.entity}/{found.project}, not to {'/'.join(place)}.")
    return found


class Screen(Protocol):
    """Where a sweep is shown."""

    def show(self, sweep: SweepDetail, lines: Sequence[Text]) -> None:
        """The sweep as it is now, and what has happened since the last call."""

    def say(self, line: str) -> None:
        """Something that is not about the sweep itself."""


class PlainScreen:
    """A line for each event and for each new best run: for files, pipes and CI."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._best: str | None = None

    def show(self, sweep: SweepDetail, lines: Sequence[Text]) -> None:
        for line in lines:
            self.say(line.plain)
        best = terminal.best_reached(sweep)
        if best is not None and best != self._best:
            self._best = best
            self.say(best)

    def say(self, line: str) -> None:
        self._console.print(harmless(line), markup=False, highlight=False, soft_wrap=True)


class LiveScreen:
    """The picture of the sweep, drawn again and again in the same place."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._story: deque[Text] = deque(maxlen=STORY_KEPT)

    def show(self, sweep: SweepDetail, lines: Sequence[Text]) -> None:
        self._story += lines
        self._live.update(terminal.live(sweep, list(self._story)), refresh=True)

    def say(self, line: str) -> None:
        self._live.console.print(harmless(line), markup=False, highlight=False)


def make_console() -> Console:
    """Standard output; wide and without colour where nobody looks at it."""
    console = Console(highlight=False)
    if console.is_terminal and not os.environ.get("CI"):
        return console
    return Console(highlight=False, force_terminal=False, color_system=None, width=PLAIN_WIDTH)


@contextmanager
def open_screen(console: Console) -> Iterator[Screen]:
    """The live picture on a terminal, plain lines elsewhere."""
    if not console.is_terminal:
        yield PlainScreen(console)
        return
    with Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop") as live:
        yield LiveScreen(live)


class Story:
    """A sweep's events as lines, each told once. `client` may be exchanged for one at a new address."""

    def __init__(self, client: Client, sweep_id: str) -> None:
        self.client = client
        self._sweep_id = sweep_id
        self._after = 0

    def skip(self) -> None:
        """Let what has happened so far be."""
        while self._next():
            pass

    def lines(self, sweep: SweepDetail) -> list[Text]:
        """What has happened since the last call."""
        told = [event for event in self._next() if event.kind in terminal.TOLD]
        runs = self._newest_runs() if told else {}
        fixed = constants(sweep.config)
        return [terminal.story_line(event, runs.get(event.run_number or 0), fixed) for event in told]

    def _next(self) -> list[EventView]:
        events = self.client.events(self._sweep_id, after=self._after, limit=EVENTS_AT_ONCE)
        if events:
            self._after = events[-1].id
        return events

    def _newest_runs(self) -> dict[int, RunView]:
        page = self.client.runs(self._sweep_id, sort="number", order="desc", limit=RUNS_AT_ONCE)
        return {run.number: run for run in page.items}


def watch(
    story: Story,
    sweep_id: str,
    screen: Screen,
    *,
    tend: Callable[[], None] = lambda: None,
    revive: Callable[[], None] = lambda: None,
) -> SweepDetail:
    """Show the sweep until it has ended.

    `tend` is called before each look while the service answers, `revive` after each that got no answer.

    Raises:
        Unavailable: the service has been silent for a minute.
    """
    silent_since: float | None = None
    while True:
        try:
            if silent_since is None:
                tend()
            sweep = story.client.sweep(sweep_id)
            lines = story.lines(sweep)  # after the sweep: once that has ended, the story is complete
        except Unavailable:
            now = SYSTEM_CLOCK.monotonic()
            if silent_since is None:
                silent_since = now
                screen.say(f"the service at {story.client.url} does not answer; waiting for it")
            elif now - silent_since > OUTAGE_DEADLINE_S:
                raise
            revive()
        else:
            silent_since = None
            screen.show(sweep, lines)
            if sweep.state in SWEEP_ENDED:
                return sweep
        time.sleep(POLL_S)
