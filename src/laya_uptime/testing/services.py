"""The three LAYA services on loopback, each answering as a test wants, good or hostile, from one moment to the next.

    with Services() as services:
        services.put("gibbon-cms", says("degraded"))
        services.put("parent-portal", REFUSES)
        ...                                     # start the monitor with services.environment()

`truth` has the same three with a record of how they really were; these here can misbehave in more ways.
"""

import asyncio
import contextlib
import gzip
import json
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self

from laya_uptime.testing.truth import SERVICES

Script = Callable[["Caller"], Awaitable[None]]
_HEAD = 64 * 1024
_DRIP = 0.05  # seconds between two bytes of one who never gets done


class Caller:
    """One accepted connection, and what it asked for."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.request = b""
        self._reader = reader
        self._writer = writer

    async def listen(self) -> None:
        """Read the head of the request, or the first piece of what is no request."""
        while b"\r\n\r\n" not in self.request and len(self.request) < _HEAD:
            piece = await self._reader.read(_HEAD)
            self.request += piece
            if not piece or not self.request[:1].isalpha():
                return

    async def say(self, data: bytes) -> None:
        """Send all of it."""
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        """Hang up with an RST."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()


async def REFUSES(_caller: Caller) -> None:  # noqa: N802  a name for a state, beside functions that make scripts
    """Nobody listens; the port stays ours. Never called."""


async def is_silent(_caller: Caller) -> None:
    """Take the connection and the request, and never say anything."""
    await asyncio.Event().wait()


async def trickles(caller: Caller) -> None:
    """Answer one byte at a time, never getting to the end of the head."""
    await caller.say(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        await caller.say(b"a")
        await asyncio.sleep(_DRIP)  # noqa: TID251  the target is part of the world, where time is real


async def is_endless(caller: Caller) -> None:
    """Answer with a body that has no end."""
    await caller.say(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        await caller.say(b" " * 65536)


async def resets(caller: Caller) -> None:
    """Hang up hard instead of answering."""
    caller.reset()


def raw(data: bytes) -> Script:
    """Answer with exactly these bytes, then hang up."""

    async def script(caller: Caller) -> None:
        await caller.say(data)

    return script


def answers(
    status: int, body: bytes | str | Mapping[str, object] = b"", *, kind: str = "application/json", head: str = ""
) -> Script:
    """Answer with this code and body; a mapping goes as JSON. `head` is further header lines, each ending in CRLF."""
    text = json.dumps(body) if isinstance(body, Mapping) else body
    data = text.encode() if isinstance(text, str) else text
    lines = f"HTTP/1.1 {status} As Told\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n{head}\r\n"
    return raw(lines.encode() + data)


def says(word: object, *, status: int = 200, **more: object) -> Script:
    """Answer with a health document of this status word."""
    return answers(status, {"status": word, **more})


def bomb() -> Script:
    """Answer with a small body that unpacks to 32 MiB."""
    packed = gzip.compress(b" " * (32 << 20))
    return answers(200, packed, head="Content-Encoding: gzip\r\n")


HEALTHY = says("healthy")


class Services:
    """The three, in a thread of their own; healthy at first."""

    def __init__(self) -> None:
        self.looks: dict[str, list[float]] = {service.id: [] for service in SERVICES}  # monotonic instants of requests
        self.requests: dict[str, list[bytes]] = {service.id: [] for service in SERVICES}
        self._scripts: dict[str, Script] = {}
        self._places: dict[str, socket.socket] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="services", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        for service in SERVICES:
            self._places[service.id] = _bound(0)
            self.put(service.id, HEALTHY)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for place in self._places.values():
            place.close()

    def url(self, service: str, path: str = "") -> str:
        """Return the address of one of them."""
        return f"http://127.0.0.1:{self._places[service].getsockname()[1]}{path}"

    def environment(self) -> dict[str, str]:
        """Return the variables that tell the drop-in where they are."""
        return {service.variable: self.url(service.id) for service in SERVICES}

    def put(self, service: str, script: Script) -> None:
        """Let this service answer so from now on. It is so when this returns."""
        asyncio.run_coroutine_threadsafe(self._put(service, script), self._loop).result(timeout=10)

    def put_all(self, script: Script) -> None:
        """Let all three answer so."""
        for service in SERVICES:
            self.put(service.id, script)

    def wait_for_looks(self, service: str, count: int, *, seconds: float = 30.0) -> None:
        """Wait until that many more requests have come. Raise TimeoutError where they do not."""
        wanted, give_up = len(self.looks[service]) + count, time.monotonic() + seconds
        while len(self.looks[service]) < wanted:
            if time.monotonic() > give_up:
                message = f"{wanted - len(self.looks[service])} of {count} requests to {service} did not come"
                raise TimeoutError(message)
            time.sleep(0.01)

    # Everything below runs in the thread of the servers.

    async def _put(self, service: str, script: Script) -> None:
        self._scripts[service] = script
        server = self._servers.pop(service, None)
        if script is REFUSES:
            if server is not None:
                server.close()
            return
        self._servers[service] = server or await asyncio.start_server(
            lambda reader, writer: self._serve(service, reader, writer),
            sock=_bound(self._places[service].getsockname()[1]),
        )

    async def _serve(self, service: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        caller = Caller(reader, writer)
        try:
            with contextlib.suppress(OSError):
                await caller.listen()
                self.looks[service].append(time.monotonic())
                self.requests[service].append(caller.request)
                await self._scripts[service](caller)
        except asyncio.CancelledError:
            pass  # the end of the servers; streams would complain of a handler that was cancelled
        finally:
            writer.close()
            self._calls.discard(task)

    async def _end(self) -> None:
        for server in self._servers.values():
            server.close()
        calls = set(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


def _bound(port: int) -> socket.socket:
    """Return a socket on this port. Two of ours may share it, so that it is never anybody else's while one refuses."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound
