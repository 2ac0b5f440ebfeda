"""Server-sent events: the stories of sweeps as they are written."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator

import anyio
from anyio import to_thread
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException

from sweepyard.controller.views import of
from sweepyard.tracking.port import Store
from sweepyard.tracking.records import Event
from sweepyard.views import EventView

POLL_S = 0.25
MOST_OPEN = 200
"""Each looks into the store four times a second."""
PING_S = 15
BATCH = 500


class Streams:
    """The event streams of one service: how many are open."""

    def __init__(self) -> None:
        self.open = 0

    def start(
        self, store: Store, closing: threading.Event, *, sweep_id: str | None, after: int
    ) -> EventSourceResponse:
        """Events above id `after`, then new ones within `POLL_S`, until `closing` is set or the reader leaves.

        Raises:
            HTTPException: 429, if there are too many.
        """
        if self.open >= MOST_OPEN:
            raise HTTPException(429, f"{self.open} event streams are open.", {"Retry-After": str(PING_S)})
        events = _events(store, closing, sweep_id, after)
        return EventSourceResponse(self._counted(events), ping=PING_S, sep="\n")

    async def _counted(self, events: AsyncIterator[ServerSentEvent]) -> AsyncIterator[ServerSentEvent]:
        self.open += 1
        try:
            async for event in events:
                yield event
        finally:
            self.open -= 1


async def _events(
    store: Store, closing: threading.Event, sweep_id: str | None, after: int
) -> AsyncIterator[ServerSentEvent]:
    def read(after_id: int) -> list[Event]:
        return store.events(sweep_id=sweep_id, after_id=after_id, limit=BATCH)

    while not closing.is_set():
        events = await to_thread.run_sync(read, after)
        for event in events:
            after = event.id
            yield ServerSentEvent(of(EventView, event).model_dump_json(), event=event.kind, id=str(event.id))
        if len(events) < BATCH:
            await anyio.sleep(POLL_S)
