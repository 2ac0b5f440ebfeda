"""`sweepyard run`: a sweep from its file to its result."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from rich.console import Console

from sweepyard import terminal
from sweepyard.client import Client
from sweepyard.crew import GOODBYE_S, Crew, ServiceKeeper, lifeline
from sweepyard.errors import UserError
from sweepyard.redaction import harmless
from sweepyard.settings import Settings
from sweepyard.sweepfile import SweepFile
from sweepyard.tracking.records import RUN_SCORED, SWEEP_ENDED, SweepState
from sweepyard.views import RunView, SweepDetail, SweepView
from sweepyard.watch import Story, find_sweep, open_screen, watch

TOP_RUNS = 5
NO_RESULT = 3
RESUMABLE = (SweepState.paused, SweepState.finishing, SweepState.cancelled)


class Interrupted(BaseException):
    """A signal asks this command to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """How to run sweeps: with so many agents, shown on `console`."""

    settings: Settings
    workers: int
    console: Console

    def run_file(self, path: Path, *, project: str | None = None) -> int:
        """Create the sweep of a file and run it to its end: the exit code.

        Raises:
            UserError: the file is no sweep that can run here (`SpecError`: with every problem in it).
            SweepyardError: the service or all agents have ended, and starting them again did not help.
        """
        file = SweepFile.read(path)
        file.check_command()
        with self._service() as (service, lifeline_fd):
            sweep = service.client.create_sweep(file.text, project=project, source_name=str(path))
            for note in sweep.notes:
                self._say(f"note: {note}")
            self._program_note(sweep.id).parent.mkdir(exist_ok=True)
            self._program_note(sweep.id).write_text(str(file.program.resolve()) if file.program else "")
            return self._run(sweep, service, lifeline_fd, is_new=True)

    def run_again(self, ref: str | None) -> int:
        """Go on with a sweep, or with the newest one that has not ended: the exit code.

        Raises:
            UserError: there is none.
            SweepyardError: as `run_file`.
        """
        with self._service() as (service, lifeline_fd):
            client = service.client
            sweep: SweepView = find_sweep(client, ref) if ref else _newest_unfinished(client)
            if sweep.state is SweepState.finished:
                done = client.sweep(sweep.id)
                self._show_result(done, service)
                return _exit_code(done)
            if sweep.state in RESUMABLE:
                sweep = client.control(sweep.id, "resume")
            return self._run(sweep, service, lifeline_fd, is_new=False)

    @contextmanager
    def _service(self) -> Iterator[tuple[ServiceKeeper, int]]:
        """A service, and the lifeline for what else is started. Signals end both, and wait for the end."""
        with _interruptible(), lifeline() as lifeline_fd:
            service = ServiceKeeper(self.settings, lifeline_fd)
            try:
                yield service, lifeline_fd
            finally:
                with _deaf():
                    service.end()

    def _run(self, sweep: SweepView, service: ServiceKeeper, lifeline_fd: int, *, is_new: bool) -> int:
        story = Story(service.client, sweep.id)
        if not is_new:
            story.skip()
        with open_screen(self.console) as screen:
            crew = Crew(self.settings, self._agent_options(sweep, service), lifeline_fd, screen.say)
            try:
                screen.say(f"sweep {sweep.id}: {self.workers} agents, service at {service.url}")

                def revive() -> None:
                    crew.outages += 1
                    service.revive(screen.say)
                    story.client = service.client

                crew.start(self.workers)
                done = watch(story, sweep.id, screen, tend=crew.tend, revive=revive)
                crew.part()
            except Interrupted as interrupt:
                self._say("Stopping: the agents hand their runs back. (Ctrl-C again: at once.)")
                with suppress(Interrupted):
                    crew.dismiss(self.settings.term_grace_s + GOODBYE_S)
                self._say(f"Nothing is lost; go on with: {self._command('run', '--resume', sweep.id)}")
                return interrupt.exit_code
            finally:
                with _deaf():
                    crew.dismiss(GOODBYE_S)
        self._show_result(done, service)
        return _exit_code(done)

    def _agent_options(self, sweep: SweepView, service: ServiceKeeper) -> list[str]:
        note = self._program_note(sweep.id)
        program = note.read_text() if note.is_file() else ""
        return [sweep.id, "--url", service.url, *(["--program", program] if program else [])]

    def _program_note(self, sweep_id: str) -> Path:
        """Where it is written which program a sweep's agents ran on this machine, for whoever goes on with it."""
        return Path(self.settings.dir) / "programs" / sweep_id

    def _show_result(self, sweep: SweepDetail, service: ServiceKeeper) -> None:
        self.console.print(terminal.result(sweep, _top_runs(service.client, sweep)))
        self._say("")
        self._say(f"look again: {self._command('status', sweep.id)}")
        if service.is_ours:
            place = f"{sweep.entity}/{sweep.project}/sweeps/{sweep.id}"
            url = f"http://{self.settings.host}:{self.settings.port}/{place}"
            self._say(f"in a browser: {self._command('serve')}, then {url}")
        else:
            self._say(f"in a browser: {sweep.url}")

    def _command(self, *words: str) -> str:
        """A command for the same directory."""
        where = [] if self.settings.dir == Path(".sweepyard") else ["--dir", str(self.settings.dir)]
        return shlex.join(["sweepyard", *words, *where])

    def _say(self, line: str) -> None:
        self.console.print(harmless(line), markup=False, highlight=False, soft_wrap=True)


def _exit_code(sweep: SweepDetail) -> int:
    """0: finished, with a result; 1: ended otherwise; `NO_RESULT`: finished, and every run has failed."""
    if sweep.state is not SweepState.finished:
        return 1
    came_to_something = any(sweep.counts.get(state) for state in RUN_SCORED)
    return 0 if came_to_something or not sweep.progress.ended else NO_RESULT


def _newest_unfinished(client: Client) -> SweepView:
    offset = 0
    while page := client.sweeps(offset=offset).items:
        for sweep in page:
            if sweep.state not in SWEEP_ENDED:
                return sweep
        offset += len(page)
    raise UserError("There is no unfinished sweep here. Start one with: sweepyard run SWEEP.yaml")


def _top_runs(client: Client, sweep: SweepDetail) -> list[RunView]:
    best_first: Literal["asc", "desc"] = "desc" if sweep.metric and sweep.metric.goal == "maximize" else "asc"
    page = client.runs(sweep.id, states=sorted(RUN_SCORED), sort="objective", order=best_first, limit=TOP_RUNS)
    return [run for run in page.items if run.objective is not None]


def _interruptible() -> AbstractContextManager[None]:
    """Inside, a signal that asks this process to end raises `Interrupted`."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(number)

    return _handled_by(interrupt)


def _deaf() -> AbstractContextManager[None]:
    """Inside, those signals are ignored: what has begun to end is waited for."""
    return _handled_by(signal.SIG_IGN)


@contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    mine = [number for number, earlier in before.items() if earlier is not signal.SIG_IGN]  # nohup stays nohup
    for number in mine:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, before[number])
