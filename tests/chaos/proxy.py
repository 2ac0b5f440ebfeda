"""A TCP proxy on loopback that does to a connection what networks do."""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
from typing import Literal

Mode = Literal["pass", "refuse", "reset", "silence", "mute", "deaf", "slow", "corrupt"]
"""`refuse`: nobody listens, and connections end. `reset`: they are reset. `silence`: half open, nothing arrives.
`mute`: nothing arrives of what the client says, `deaf`: of what it is told. `slow`: everything arrives late.
`corrupt`: half of what arrives is damaged, and the connection ends."""

SLOW_S = 0.3
LINGER_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards a port of its own to `target`, a port or the path of a socket, in one thread."""

    def __init__(self, target: tuple[str, int] | str) -> None:
        self._target = target
        self._mode: Mode = "pass"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._near: set[socket.socket] = set()
        """The clients' ends."""
        self._wake_read, self._wake_write = socket.socketpair()
        self._dice = random.Random(0)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def be(self, mode: Mode) -> None:
        """From now on. Connections that are there feel it, too."""
        self._mode = mode
        self._wake_write.send(b"!")

    def close(self) -> None:
        self._closing.set()
        self._wake_write.send(b"!")
        self._thread.join(5)

    def _run(self) -> None:
        while not self._closing.is_set():
            ready, _, _ = select.select([self._listener, self._wake_read, *self._speakers()], [], [], 1.0)
            for each in ready:
                if each is self._wake_read:
                    self._wake_read.recv(64)
                    if self._mode in ("refuse", "reset"):
                        self._end_all()
                elif each is self._listener:
                    self._accept()
                elif each in self._pairs:
                    self._forward(each)
        self._end_all()
        for each in (self._listener, self._wake_read, self._wake_write):
            each.close()

    def _speakers(self) -> set[socket.socket]:
        """Whose words arrive."""
        match self._mode:
            case "silence":
                return set()
            case "mute":
                return self._pairs.keys() - self._near
            case "deaf":
                return self._pairs.keys() & self._near
        return set(self._pairs)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        if self._mode in ("refuse", "reset"):
            return self._end(near)
        try:
            far = _dial(self._target)
        except OSError:
            return self._end(near)
        self._pairs[near], self._pairs[far] = far, near
        self._near.add(near)
        return None

    def _forward(self, source: socket.socket) -> None:
        if self._mode == "slow":
            self._closing.wait(SLOW_S)
        try:
            data = source.recv(65536)
            if data and (self._mode != "corrupt" or self._dice.random() < 0.5):
                return self._pairs[source].sendall(data)
            self._pairs[source].sendall(_damaged(data))
        except OSError:
            pass
        self._end_pair(source)
        return None

    def _end_all(self) -> None:
        for each in list(self._pairs):
            self._end_pair(each)

    def _end_pair(self, one: socket.socket) -> None:
        other = self._pairs.pop(one, None)
        if other is not None:
            self._pairs.pop(other, None)
            self._near -= {one, other}
            self._end(other)
            self._end(one)

    def _end(self, connection: socket.socket) -> None:
        if self._mode == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        connection.close()


def _damaged(data: bytes) -> bytes:
    half = len(data) // 2
    return data[:half] + bytes(byte ^ 0xFF for byte in data[half:])


def _dial(target: tuple[str, int] | str) -> socket.socket:
    if isinstance(target, tuple):
        return socket.create_connection(target, timeout=2)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(target)
    return connection
