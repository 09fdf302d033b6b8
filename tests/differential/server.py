"""A server on loopback, in a thread of its own, that answers the request for `/17` with the bytes of answer 17.

It reads the request to its end first, sends, ends its side of the stream, and lets the other side hang up: so what was
sent also arrives. `/loop` and `/further` lead on without end;
every other path is where redirects end, and its body is the target of the request as it came.
"""

import asyncio
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from answers import Answer, at_port

_LINGERS = 5.0  # seconds for the other side to hang up


class Server:
    """Listens while the context lasts."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers = answers
        self._further = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def url(self, number: int) -> str:
        return f"http://127.0.0.1:{self.port}/{number}"

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._answers = [at_port(answer, self.port) for answer in self._answers]
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            request = await reader.readuntil(b"\r\n\r\n")
            writer.write(self._says(request.split(b" ")[1]))
            writer.write_eof()
            async with asyncio.timeout(_LINGERS):
                await writer.drain()
                await reader.read()
        writer.close()

    def _says(self, target: bytes) -> bytes:
        if (number := re.fullmatch(rb"/(\d+)", target)) is not None:
            return self._answers[int(number[1])].wire
        if target.startswith(b"/loop"):
            return _moved(b"/loop")
        if target.startswith(b"/further"):
            self._further += 1
            return _moved(b"/further/%d" % self._further)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        return head % len(target) + target


def _moved(location: bytes) -> bytes:
    return b"HTTP/1.1 302 Found\r\nLocation: %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % location
