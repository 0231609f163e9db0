"""A slow network before PostgreSQL: a round trip of 20 ms, 100 Mbit/s each way.

The proxy delays what passes by half the round trip in each direction without waiting for an answer to it, so whoever
keeps the line filled is bound by its width, and whoever waits for answers by its length. Run as a module it is that
proxy, in a process of its own: `python3 -m bench.network PORT` prints its own port, and at its end the bytes that it
carried there and back.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

ROUND_TRIP = 0.020  # s
BANDWIDTH = 100e6 / 8  # bytes/s
PIECE = 1 << 14  # bytes
# What may be on the way: that which fills the line, and a router's buffer.
IN_FLIGHT = int(BANDWIDTH * ROUND_TRIP) + (1 << 18)


class Line:
    """One direction of the line, shared by all connections."""

    def __init__(self):
        self.free, self.carried = 0.0, 0

    def leaves(self, length: int) -> float:
        """When the last of `length` bytes has passed, if they queue up now."""
        now = asyncio.get_running_loop().time()
        self.free = max(self.free, now) + length / BANDWIDTH
        self.carried += length
        return self.free


async def carry(line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction of one connection."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue = asyncio.Queue(IN_FLIGHT // PIECE)

    async def receive() -> None:
        while piece := await reader.read(PIECE):
            await pieces.put((line.leaves(len(piece)) + ROUND_TRIP / 2, piece))
        await pieces.put((loop.time() + ROUND_TRIP / 2, b""))

    receiving = asyncio.create_task(receive())
    try:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(due - loop.time())
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    finally:
        receiving.cancel()


async def connect(port: int, there: Line, back: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        await asyncio.sleep(ROUND_TRIP)  # TCP's own greeting
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(carry(there, reader, to_writer), carry(back, to_reader, writer))
        finally:
            to_writer.close()
    writer.close()


async def proxy(port: int) -> None:
    there, back = Line(), Line()
    server = await asyncio.start_server(lambda *ends: connect(port, there, back, *ends), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, ended.set)
    await ended.wait()
    print(json.dumps([there.carried, back.carried]), flush=True)
    os._exit(0)  # whatever connections are left


class SlowLine:
    """The proxy before the server at `port`; `carried` once it is closed: bytes to the server and back."""

    def __init__(self, port: int):
        self.process = subprocess.Popen(
            [sys.executable, "-B", "-m", __name__, str(port)], stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[1], start_new_session=True,
        )
        self.port = int(self.process.stdout.readline())
        self.carried = (0, 0)

    def __enter__(self) -> "SlowLine":
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        told, _ = self.process.communicate(timeout=10)
        self.carried = tuple(json.loads(told.splitlines()[-1]))


if __name__ == "__main__":
    asyncio.run(proxy(int(sys.argv[1])))
