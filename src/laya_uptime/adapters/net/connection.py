"""One open stream to one vetted address, with or without TLS.

TLS runs over memory buffers, because only so is the presented chain at hand when verification fails. Every wait is on the
socket itself, so a deadline that cancels it leaves nothing behind but a socket to close.
"""

import socket
import ssl
from asyncio import get_running_loop
from contextlib import suppress

from laya_uptime.adapters.net import tls as tls_
from laya_uptime.adapters.net.faults import fault, from_os_error
from laya_uptime.domain.result import Evidence, Phases, TlsFacts
from laya_uptime.ports import Clock, Trail

_CHUNK = 65536
_LARGEST_HANDSHAKE = 1 << 20  # bytes; OpenSSL bounds a message, this bounds how many there are
_TURN_EVERY = 8  # receives: a peer that sends without end must not keep the loop from its deadlines


class TcpConnection:
    """A connected non-blocking socket, what was seen on the way to it, and TLS once it was started."""

    def __init__(self, sock: socket.socket, *, trail: Trail, clock: Clock) -> None:
        """Own the socket from here on."""
        self._socket: socket.socket | None = sock
        self._trail = trail
        self._clock = clock
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._established = False
        self._received = 0

    @property
    def address(self) -> str:
        """Return the IP address at the other end, without the port."""
        return self._trail.address or ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return all addresses that the name resolved to, in the order in which they were tried."""
        return self._trail.addresses

    @property
    def phases(self) -> Phases:
        """Return the steps so far."""
        return self._trail.phases

    @property
    def tls(self) -> TlsFacts | None:
        """Return what the handshake showed; None before or without TLS."""
        return self._trail.tls

    async def start_tls(self, context: ssl.SSLContext, server_hostname: str) -> None:
        """Do the TLS handshake. Raise `Fault` with the facts when it fails."""
        self._trail.enter("tls")
        host = server_hostname.removesuffix(".").partition("%")[0]
        tls = self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        try:
            await self._handshake(tls)
        except ssl.SSLError as error:
            self._alert()
            chain = tls_.facts(tls).chain
            why = tls_.trouble(error, chain, host=host, now=self._clock.now())
            distrusted = isinstance(error, ssl.SSLCertVerificationError)
            self._trail.tls = tls_.facts(tls, fault=why.detail if distrusted else None)
            self._trail.enter(None)
            raise fault(why.reason, why.detail, self._evidence()) from error
        except OSError as error:
            self._trail.enter(None)
            raise from_os_error(error, self._evidence(), phase="tls") from error
        self._established = True
        self._trail.tls = tls_.facts(tls)
        self._trail.enter(None)

    async def send(self, data: bytes) -> None:
        """Send all of it. Raise OSError when the peer is gone."""
        if self._tls is None:
            await get_running_loop().sock_sendall(self._open(), data)
            return
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._tls.write(rest[:_CHUNK]) :]
            except ssl.SSLWantReadError:
                await self._fill()
            await self._flush()

    async def receive(self, limit: int = _CHUNK) -> bytes:
        """Return what has come, at most `limit` bytes; b"" at end of stream.

        Raise OSError on a reset. A TLS stream that ends without saying so raises ssl.SSLEOFError, which is one too:
        anybody on the way can cut it.
        """
        if self._tls is None:
            return await self._take(limit)
        while True:
            try:
                return self._tls.read(limit)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLZeroReturnError:
                return b""

    def detach(self) -> socket.socket:
        """Hand the bare connected socket over (before TLS) and forget it."""
        if self._tls is not None:
            raise RuntimeError("a TLS stream cannot be handed over as a socket")
        sock, self._socket = self._open(), None
        return sock

    def close(self) -> None:
        """Close at once. Never blocks and never raises."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        if self._tls is not None and self._established:
            with suppress(OSError):
                self._tls.unwrap()  # writes close_notify; the answer to it is not waited for
            self._alert(sock)
        sock.close()

    def _open(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionAbortedError("the connection is closed")
        return self._socket

    def _evidence(self) -> Evidence:
        trail = self._trail
        return Evidence(
            addresses=trail.addresses, address=trail.address, phases=trail.phases, tls=trail.tls, dns=trail.dns
        )

    async def _handshake(self, tls: ssl.SSLObject) -> None:
        limit = self._received + _LARGEST_HANDSHAKE
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
                if self._received > limit:
                    flood = ssl.SSLError("handshake flood")
                    flood.reason = "EXCESSIVE_MESSAGE_SIZE"
                    raise flood from None
            else:
                await self._flush()
                return

    async def _fill(self) -> None:
        data = await self._take(_CHUNK)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _take(self, limit: int) -> bytes:
        data = await get_running_loop().sock_recv(self._open(), limit)
        before, self._received = self._received, self._received + len(data)
        if before // (_TURN_EVERY * _CHUNK) != self._received // (_TURN_EVERY * _CHUNK):
            await self._clock.sleep(0)
        return data

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await get_running_loop().sock_sendall(self._open(), self._outgoing.read())

    def _alert(self, sock: socket.socket | None = None) -> None:
        """Send what TLS still wants to say, if it can be said without waiting."""
        sock = sock or self._socket
        if sock is not None and self._outgoing.pending:
            with suppress(OSError):
                sock.send(self._outgoing.read())
