"""The socket that the service listens on."""

import asyncio
import socket
from pathlib import Path

from sweepyard.controller.serve import listen


def test_answers_do_not_wait_for_an_acknowledgement(tmp_path: Path) -> None:
    """What is sent in two parts, as an answer is, would take 40 ms on a kept connection without TCP_NODELAY."""

    async def sends_at_once() -> int:
        told = asyncio.get_running_loop().create_future()
        with listen("127.0.0.1", 0, tmp_path) as listener:
            server = await asyncio.start_server(lambda _, writer: told.set_result(writer), sock=listener)
            async with server:
                with socket.create_connection(listener.getsockname()):
                    writer = await told
                    connection: socket.socket = writer.get_extra_info("socket")
                    writer.close()
                    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    assert asyncio.run(sends_at_once())
