"""A Redis of the test's own, that it may kill, flush, and rob of its last seconds."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import redis

from sweepyard.bus.embedded import EmbeddedRedis


class RedisServer:
    """A real Valkey with an append-only file."""

    def __init__(self, directory: Path) -> None:
        self._dir = directory
        self._server = EmbeddedRedis(directory)
        self._server.start()
        self.url = self._server.url

    @property
    def port(self) -> int:
        return int(json.loads((self._dir / "server.json").read_text())["port"])

    def kill(self) -> None:
        """As SIGKILL does."""
        pid = json.loads((self._dir / "server.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
        process = self._server._process
        assert process is not None
        process.wait()

    def start(self) -> None:
        assert self._server.revive()

    def restart(self) -> None:
        self.kill()
        self.start()

    def cut_tail(self, size_bytes: int = 2000) -> None:
        """Restart it without the last bytes of its file, as after a loss of power."""
        self.kill()
        files = sorted((self._dir / "appendonlydir").glob("*.incr.aof"))
        size = files[-1].stat().st_size
        os.truncate(files[-1], max(0, size - size_bytes))
        self.start()

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def stop(self) -> None:
        self._server.stop()
