r"""A server on loopback that says exactly the bytes a test wants, over TCP or TLS, and ends as the test wants.

    async with ScriptedTarget(says(b"HTTP/1.1 200 OK\r\n\r\nhi")) as target:
        ...  # target.url(), target.requests

TLS runs over memory buffers here too, because only so can a stream be cut without its closing words.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self


class Peer:
    """One accepted connection, seen from the server."""

    def __init__(self, sock: socket.socket, target: "ScriptedTarget") -> None:
        """Own the socket from here on."""
        self.target = target
        self._socket = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Do the server's side of a handshake."""
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError:
                await self._complain()
                raise
            else:
                await self._flush()
                return

    async def receive(self) -> bytes:
        """Return what has come; b"" at the end of the stream."""
        if self._tls is None:
            return await asyncio.get_running_loop().sock_recv(self._socket, 65536)
        while True:
            try:
                return self._tls.read(65536)
            except ssl.SSLWantReadError:
                await self._fill()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    async def request(self) -> bytes:
        """Return one request, head and body, and note it in the target's ledger."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = await self.receive()
            if not piece:
                return data
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        size = int(lengths[0].partition(b":")[2]) if lengths else 0
        while len(body) < size and (piece := await self.receive()):
            body += piece
        self.target.requests.append(head + b"\r\n\r\n" + body)
        return self.target.requests[-1]

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        if self._tls is None:
            await asyncio.get_running_loop().sock_sendall(self._socket, data)
            return
        self._tls.write(data)
        await self._flush()

    async def gone(self) -> None:
        """Wait until the other side hangs up."""
        with suppress(OSError):
            while await self.receive():
                pass

    async def say_goodbye(self) -> None:
        """End a TLS stream properly (close_notify); nothing without TLS."""
        if self._tls is not None:
            with suppress(ssl.SSLError):
                self._tls.unwrap()
            await self._flush()

    def reset(self) -> None:
        """Hang up with an RST instead of a FIN."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Hang up, in TLS without saying so."""
        self._socket.close()

    async def _complain(self) -> None:
        """Send the alert that says why not, and let the other side read it before it is hung up on."""
        await self._flush()
        while await asyncio.get_running_loop().sock_recv(self._socket, 65536):
            pass

    async def _fill(self) -> None:
        data = await asyncio.get_running_loop().sock_recv(self._socket, 65536)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await asyncio.get_running_loop().sock_sendall(self._socket, self._outgoing.read())


Script = Callable[[Peer], Awaitable[None]]


def says(*pieces: bytes) -> Script:
    """Return a script that reads the request, sends these pieces one by one, and ends the stream properly."""

    async def script(peer: Peer) -> None:
        await peer.request()
        for piece in pieces:
            await peer.send(piece)
        await peer.say_goodbye()

    return script


class ScriptedTarget:
    """A listening socket whose every connection follows the script. `requests` and `connections` are its ledger."""

    def __init__(
        self, script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """Listen nowhere yet."""
        self.requests: list[bytes] = []
        self.connections = 0
        self.host = host
        self.port = port
        self._script = script
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[socket.socket] = set()

    def url(self, path: str = "/", *, host: str | None = None, userinfo: str = "") -> str:
        """Return the address of a path on this target."""
        host = host or self.host
        host = f"[{host}]" if ":" in host else host
        return f"{'http' if self._tls is None else 'https'}://{userinfo}{host}:{self.port}{path}"

    async def __aenter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((self.host, self.port))
        self._listener.listen(512)
        self.port = self._listener.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._listener, self._accept)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sock in self._open:
            sock.close()  # of a conversation that ended before it began

    async def all_gone(self) -> None:
        """Wait until every connection so far has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # it has gone again, or no descriptor is left for it
        sock.setblocking(False)
        self.connections += 1
        self._open.add(sock)
        task = asyncio.create_task(self._serve(sock))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer(sock, self)
        try:
            with suppress(OSError):  # the other side may hang up at any time
                if self._tls is not None:
                    await peer.start_tls(self._tls)
                await self._script(peer)
        finally:
            peer.close()
            self._open.discard(sock)
