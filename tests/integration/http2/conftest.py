"""Servers that speak HTTP/2 and HTTP/3 on loopback, as well or as badly as a test wants."""

import asyncio
import importlib.util
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError

from laya_uptime.testing.target import Peer, ScriptedTarget

Headers = list[tuple[str, str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without pycurl nothing here can run; each test then says so, and is counted among the skipped."""
    if importlib.util.find_spec("pycurl") is None:
        not_run = pytest.mark.skip(reason="NOT RUN: pycurl is not installed, so HTTP/2 and HTTP/3 were not tested")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(not_run)


@dataclass
class Asked:
    """What came to a server."""

    headers: list[Headers] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


class Stream:
    """One request of HTTP/2, and how to answer it."""

    def __init__(self, peer: Peer, connection: H2Connection, number: int) -> None:
        self.peer = peer
        self.h2 = connection
        self.number = number

    async def send(self) -> None:
        """Send what was said so far."""
        await self.peer.send(self.h2.data_to_send())

    async def end(self) -> None:
        """Say goodbye properly, and wait until the other side hangs up too."""
        await self.peer.say_goodbye()
        sock = self.peer._socket
        sock.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while await asyncio.get_running_loop().sock_recv(sock, 65536):
                pass  # closing with something unread would send an RST

    async def answer(self, headers: Iterable[tuple[str, str]] = (), body: bytes = b"", *, ends: bool = True) -> None:
        """Send status 200, unless the headers say another, and the body as far as the window lets it."""
        headers = list(headers)
        if not any(name == ":status" for name, _ in headers):
            headers.insert(0, (":status", "200"))
        self.h2.send_headers(self.number, headers, end_stream=ends and not body)
        while body:
            size = min(self.h2.local_flow_control_window(self.number), self.h2.max_outbound_frame_size)
            if not size:
                await self.send()
                self.h2.receive_data(await self.peer.receive())
                continue
            piece, body = body[:size], body[size:]
            self.h2.send_data(self.number, piece, end_stream=ends and not body)
        await self.send()


Script = Callable[[Stream], Awaitable[None]]


def speaks_http2(script: Script, asked: Asked) -> Callable[[Peer], Awaitable[None]]:
    """Return what a `ScriptedTarget` does to follow the script with every request."""

    async def serve(peer: Peer) -> None:
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        await peer.send(connection.data_to_send())
        body = b""
        while data := await peer.receive():
            try:
                events = connection.receive_data(data)
            except ProtocolError:  # after a GOAWAY the library takes nothing any more
                await peer.gone()
                return
            for event in events:
                if isinstance(event, RequestReceived):
                    asked.headers.append([(str(name), str(value)) for name, value in event.headers])
                elif isinstance(event, DataReceived):
                    body += event.data or b""
                    connection.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 1)
                elif isinstance(event, StreamEnded):
                    asked.bodies.append(body)
                    await script(Stream(peer, connection, event.stream_id or 1))
            await peer.send(connection.data_to_send())

    return serve


@pytest.fixture
def asked() -> Asked:
    return Asked()


Serve2 = Callable[..., AbstractAsyncContextManager[ScriptedTarget]]


@pytest.fixture
def http2(asked: Asked) -> Serve2:
    """Return how to serve HTTP/2: with TLS and ALPN where a context is given, else in the clear."""

    @asynccontextmanager
    async def serve(
        script: Script, tls: ssl.SSLContext | None = None, alpn: tuple[str, ...] = ("h2", "http/1.1")
    ) -> AsyncIterator[ScriptedTarget]:
        if tls is not None and alpn:
            tls.set_alpn_protocols(list(alpn))
        async with ScriptedTarget(speaks_http2(script, asked), tls=tls) as target:
            yield target

    return serve
