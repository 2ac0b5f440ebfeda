"""The reading end of a spool, and the reports made from it until the controller has acknowledged them.

A report is held as a place in the file, not as its content: a long outage costs disk, not memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sweepyard.agent.journal import Journal
from sweepyard.agent.rundir import JOURNAL, SPOOL
from sweepyard.bus.wire import AttemptRef, Ended, Finite, Int64, Report, Rows, Started, WireRow

SLICE_BYTES = 256 * 1024
SLICE_LINES = 500
WINDOW = 64
"""The most reports of one attempt that wait for acknowledgement; the rest waits in the spool."""
AT_ONCE = 16
"""The most reports of one attempt in one exchange."""
PATIENCE_MAX_S = 60.0
"""Resending backs off to this, while nobody acknowledges."""


class SpoolReader:
    """Tails a spool file in slices of whole lines; a torn last line waits until it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def next_slice(self) -> tuple[int, int] | None:
        """The place `(start, end)` of the next slice, None while there is no further whole line.

        At most 500 lines and 256 KiB, unless one line alone is larger.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                chunk = file.read(SLICE_BYTES)
                if len(chunk) == SLICE_BYTES and b"\n" not in chunk:
                    chunk += file.readline()
        except FileNotFoundError:  # someone has cleaned up; what was read before remains true
            return None
        lines = chunk.split(b"\n")[:-1][:SLICE_LINES]
        if not lines:
            return None
        start, self._at = self._at, self._at + sum(len(line) + 1 for line in lines)
        return start, self._at

    def seek(self, at: int) -> None:
        """Go on at a place where a slice has ended."""
        self._at = at

    def rows(self, place: tuple[int, int]) -> Rows:
        """The content of a slice. Lines that are none of ours (a full disk tears them, a bad one turns bits) are
        left out."""
        rows: list[WireRow] = []
        config: dict[str, Any] = {}
        summary: dict[str, Any] = {}
        for line in self._lines(*place):
            fact = _parse(line)
            if fact.h is not None and fact.d is not None:
                rows.append(WireRow(*fact.h, fact.d))
                # The reader of a report takes rows before summary: what was logged later must win there too.
                for key in summary.keys() & fact.d.keys():
                    del summary[key]
            config.update(fact.c)
            summary.update(fact.s)
        return Rows(rows=rows, config=config, summary=summary)

    def exit_code(self) -> int | None:
        """What the code told to `finish()`, if that was its last word."""
        size = self._path.stat().st_size if self._path.exists() else 0
        lines = self._lines(max(0, size - 128), size)
        return _parse(lines[-2]).x if len(lines) > 1 else None

    def _lines(self, start: int, end: int) -> list[bytes]:
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                return file.read(end - start).split(b"\n")
        except FileNotFoundError:
            return []


class _Fact(BaseModel):
    """A line of a spool: see `recorder`."""

    h: tuple[Int64, Finite, Finite] | None = None
    d: dict[str, Any] | None = None
    c: dict[str, Any] = {}
    s: dict[str, Any] = {}
    x: int | None = None


NOTHING = _Fact()


def _parse(line: bytes) -> _Fact:
    try:
        return _Fact.model_validate_json(line)
    except ValueError:
        return NOTHING


@dataclass(frozen=True, slots=True)
class Source:
    """Whose reports these are: of which attempt, executed by which agent. `number`: of the run, for people."""

    sweep: str
    run: str
    number: int
    attempt: int
    agent: str

    @property
    def ref(self) -> AttemptRef:
        return AttemptRef(self.run, self.attempt)


@dataclass(frozen=True, slots=True)
class _Held:
    seq: int
    source: Started | Ended | tuple[int, int]


class Outbox:
    """The numbered reports of one attempt, from `Started` over its rows to `Ended`, kept until acknowledged.

    What stays unacknowledged for `resend_after_s` is sent again, all of it in order; then with growing patience.
    """

    def __init__(self, source: Source, spool: Path, resend_after_s: float, *, is_new: bool = True) -> None:
        self.source = source
        self._reader = SpoolReader(spool)
        self._journal = Journal(spool.with_name(JOURNAL))
        if is_new:
            self._journal.note(asdict(source))
        self._held: deque[_Held] = deque()
        self._seq = 0
        self._sent = 0
        self._acked = 0
        self._patience_s = self._first_patience_s = resend_after_s
        self._waiting_since = 0.0
        self._last: Ended | None = None
        self._complete = False

    @classmethod
    def restore(cls, run_dir: Path, resend_after_s: float) -> Outbox | None:
        """The outbox of an agent that is gone, as far as it had come; None if it had nothing to say.

        Nothing of it counts as sent or acknowledged: what was is a duplicate to the controller, whose answer says
        how far it is.
        """
        head, *facts = Journal(run_dir / JOURNAL).read() or [{}]
        try:
            outbox = cls(Source(**head), run_dir / SPOOL, resend_after_s, is_new=False)
            for fact in facts:
                outbox._recall(fact)
        except (TypeError, ValueError):  # not of ours, or of a broken disk
            return None
        return outbox

    def _recall(self, fact: Mapping[str, Any]) -> None:
        if "started" in fact:
            self._keep(Started.model_validate(fact["started"]))
        elif "slice" in fact:
            start, end = fact["slice"]
            if not 0 <= start < end:
                raise ValueError("no slice")
            self._reader.seek(end)
            self._keep((start, end))
        elif "ended" in fact:
            self._last = Ended.model_validate(fact["ended"])

    @property
    def is_settled(self) -> bool:
        """Whether `Ended` is acknowledged: nothing of this attempt is needed here any more."""
        return self._complete and not self._held

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits for acknowledgement, and nothing further is in the spool."""
        self._fill()
        return not self._held

    @property
    def is_full(self) -> bool:
        """Whether rows wait in the spool for acknowledgements of earlier ones."""
        return len(self._held) >= WINDOW

    def start(self, body: Started) -> None:
        self._journal.note({"started": body.model_dump(mode="json")})
        self._keep(body)

    def end(self, body: Ended) -> None:
        """`body` follows the last row in the spool, to which nothing is added any more."""
        self._journal.note({"ended": body.model_dump(mode="json")})
        self._last = body

    def exit_code(self) -> int | None:
        return self._reader.exit_code()

    def due(self, now_s: float) -> list[Report]:
        """The reports to send next, in order; empty if there is nothing to say."""
        self._fill()
        if self._sent > self._acked and now_s - self._waiting_since >= self._patience_s:
            self._sent = self._acked
            self._patience_s = min(2 * self._patience_s, PATIENCE_MAX_S)
        fresh = [held for held in self._held if held.seq > self._sent]
        return [self._report(held) for held in fresh[:AT_ONCE]]

    def sent(self, upto: int, now_s: float) -> None:
        """Reports up to number `upto` are on their way."""
        if self._sent == self._acked:
            self._waiting_since = now_s
        self._sent = max(self._sent, upto)

    def acknowledge(self, upto: int, now_s: float) -> None:
        """The controller has reports up to number `upto`."""
        if upto <= self._acked:
            return
        while self._held and self._held[0].seq <= upto:
            self._held.popleft()
        self._acked = min(upto, self._seq)
        self._sent = max(self._sent, self._acked)
        self._waiting_since = now_s
        self._patience_s = self._first_patience_s

    def _fill(self) -> None:
        while not self._complete and not self.is_full:
            place = self._reader.next_slice()
            if place is not None:
                self._journal.note({"slice": place})
                self._keep(place)
            elif self._last is not None:
                self._keep(self._last)
                self._complete = True
            else:
                return

    def _keep(self, source: Started | Ended | tuple[int, int]) -> None:
        self._seq += 1
        self._held.append(_Held(self._seq, source))

    def _report(self, held: _Held) -> Report:
        body = self._reader.rows(held.source) if isinstance(held.source, tuple) else held.source
        return Report(
            sweep=self.source.sweep,
            run=self.source.run,
            attempt=self.source.attempt,
            agent=self.source.agent,
            seq=held.seq,
            body=body,
        )
