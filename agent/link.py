"""JSON lines over a socket: how an agent and its forker talk. Standard library only."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any

CHUNK_BYTES = 65536


class Link:
    """One end. Messages are small dicts; a closed other end reads as None and makes `send` raise `OSError`."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._torn = b""

    @classmethod
    def from_fd(cls, fd: int) -> Link:
        """The end that this process inherited as file descriptor `fd`."""
        end = socket.socket(fileno=fd)
        end.set_inheritable(False)
        return cls(end)

    def fileno(self) -> int:
        return self._end.fileno()

    def send(self, message: dict[str, Any]) -> None:
        self._end.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]] | None:
        """Wait for bytes; the messages that they complete, or None when the other end is closed."""
        try:
            chunk = self._end.recv(CHUNK_BYTES)
        except OSError:  # broken, or closed by another thread
            return None
        if not chunk:
            return None
        *lines, self._torn = (self._torn + chunk).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """End the conversation, also for a thread that is in `receive`."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()

    def let_go(self) -> None:
        """Close a forked copy of this end; the conversation goes on."""
        self._end.close()
