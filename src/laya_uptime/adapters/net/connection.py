"""One open stream to one vetted address, with or without TLS.

Every wait is on the socket itself, so a deadline that cancels it leaves nothing behind but a socket to close.
"""

import socket
import ssl
from asyncio import get_running_loop
from contextlib import suppress

from laya_uptime.adapters.net.faults import fault, from_os_error
from laya_uptime.adapters.net.session import CHUNK, Session, TlsSession
from laya_uptime.domain.result import Evidence, Phases, TlsFacts
from laya_uptime.ports import Clock, Trail

_TURN_EVERY = 8  # receives: a peer that sends without end must not keep the loop from its deadlines


class TcpConnection:
    """A connected non-blocking socket, what was seen on the way to it, and TLS once it was started."""

    def __init__(self, sock: socket.socket, *, trail: Trail, clock: Clock) -> None:
        """Own the socket from here on."""
        self._socket: socket.socket | None = sock
        self._trail = trail
        self._clock = clock
        self._session: Session | None = None
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
        session = self._session = TlsSession(context, server_hostname)
        try:
            while not session.handshake():
                await self._flush(session)
                await self._fill(session)
            await self._flush(session)
        except ssl.SSLError as error:
            self._alert(session)
            why = session.failed(error, self._clock.now())
            self._trail.tls = session.facts
            self._trail.enter(None)
            raise fault(why.reason, why.detail, self._evidence()) from error
        except OSError as error:
            self._trail.enter(None)
            raise from_os_error(error, self._evidence(), phase="tls") from error
        self._trail.tls = session.facts
        self._trail.enter(None)

    async def send(self, data: bytes) -> None:
        """Send all of it. Raise OSError when the peer is gone."""
        session = self._session
        if session is None:
            await get_running_loop().sock_sendall(self._open(), data)
            return
        for start in range(0, len(data), CHUNK):
            session.write(data[start : start + CHUNK])
            await self._flush(session)

    async def receive(self, limit: int = CHUNK) -> bytes:
        """Return what has come, at most `limit` bytes; b"" at end of stream.

        Raise OSError on a reset. A TLS stream that ends without saying so raises ssl.SSLEOFError, which is one too:
        anybody on the way can cut it.
        """
        session = self._session
        if session is None:
            return await self._take(limit)
        while True:
            data = session.read(limit)
            if data is not None:
                return data
            await self._flush(session)
            await self._fill(session)

    def detach(self) -> socket.socket:
        """Hand the bare connected socket over (before TLS) and forget it."""
        if self._session is not None:
            raise RuntimeError("a TLS stream cannot be handed over as a socket")
        sock, self._socket = self._open(), None
        return sock

    def close(self) -> None:
        """Close at once. Never blocks and never raises."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        if self._session is not None:
            self._say(self._session.farewell(), sock)
        sock.close()

    def _open(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionAbortedError("the connection is closed")
        return self._socket

    def _evidence(self) -> Evidence:
        trail = self._trail
        return Evidence(
            addresses=trail.addresses,
            address=trail.address,
            attempts=trail.attempts,
            phases=trail.phases,
            tls=trail.tls,
            dns=trail.dns,
        )

    async def _fill(self, session: Session) -> None:
        session.feed(await self._take(CHUNK))

    async def _take(self, limit: int) -> bytes:
        data = await get_running_loop().sock_recv(self._open(), limit)
        before, self._received = self._received, self._received + len(data)
        if before // (_TURN_EVERY * CHUNK) != self._received // (_TURN_EVERY * CHUNK):
            await self._clock.sleep(0)
        return data

    async def _flush(self, session: Session) -> None:
        if data := session.drain():
            await get_running_loop().sock_sendall(self._open(), data)

    def _alert(self, session: Session) -> None:
        """Send what TLS still wants to say, if it can be said without waiting."""
        if self._socket is not None:
            self._say(session.drain(), self._socket)

    def _say(self, data: bytes, sock: socket.socket) -> None:
        if data:
            with suppress(OSError):
                sock.send(data)
