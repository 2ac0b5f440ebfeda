"""Server-sent events: the stories of sweeps as they are written."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator

import anyio
from anyio import to_thread
from sse_starlette import EventSourceResponse, ServerSentEvent

from sweepyard.controller.views import of
from sweepyard.tracking.port import Store
from sweepyard.tracking.records import Event
from sweepyard.views import EventView

POLL_S = 0.25
PING_S = 15
BATCH = 500


def event_stream(
    store: Store, closing: threading.Event, *, sweep_id: str | None, after: int
) -> EventSourceResponse:
    """Events above id `after`, then new ones within `POLL_S`, until `closing` is set or the reader leaves."""
    return EventSourceResponse(_events(store, closing, sweep_id, after), ping=PING_S, sep="\n")


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
