"""An HTTP receiver on loopback that answers exactly what a test wrote, byte for byte."""

import asyncio
import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass, field
from typing import Self

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came. Header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def reply(status: int, *headers: str, body: bytes = b"") -> bytes:
    """Return a whole answer; each header is a line such as "Retry-After: 2"."""
    lines = [f"HTTP/1.1 {status} As Told", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass
class HttpPeer:
    """Use it as an async context manager. Every connection carries one request.

    `answer` is what every request is answered with; None: nothing, ever. `endless` is repeated after it until the
    other side has enough; `reset` closes with a TCP reset in place of an answer; `tls` makes it an https server.
    """

    answer: bytes | None = OK
    endless: bytes = b""
    reset: bool = False
    tls: ssl.SSLContext | None = None
    requests: list[Received] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _open: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        self._idle.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.until_idle()

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def url(self, target: str = "/") -> str:
        """Return the address of one of its pages."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}{target}"

    async def until_idle(self) -> None:
        """Wait until the other side has closed all its connections."""
        await self._idle.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self._idle.clear()
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                self.requests.append(await _read(reader))
                await self._answer(writer)
                await reader.read()  # until the other side closes
        finally:
            writer.close()
            self._open -= 1
            if not self._open:
                self._idle.set()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        if self.reset:
            linger = struct.pack("ii", 1, 0)  # on, for zero seconds: what is unsent is thrown away
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            return
        if self.answer is not None:
            writer.write(self.answer)
            await writer.drain()
        while self.endless:
            writer.write(self.endless)
            await writer.drain()
            await asyncio.sleep(0.001)  # noqa: TID251  others need their turn


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target, headers, body)
