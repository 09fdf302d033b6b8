"""A dialer that writes down what goes over the wire, for one look of one check that somebody watches.

It is the guarded dialer with the same policy and the same verdicts. Whoever connects through it is overheard: lookups,
every address, TLS, and what is said in each direction, decrypted. Checks know nothing of it, but for HTTP, which moves
its bytes itself and asks for an exchange that takes notes.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from laya_uptime.adapters.net.connection import TcpConnection
from laya_uptime.adapters.net.curl import CurlExchange
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.adapters.net.faults import words
from laya_uptime.adapters.net.http1 import Exchange
from laya_uptime.adapters.net.names.message import Malformed, Question, Reply
from laya_uptime.adapters.net.names.sections import asked, sections
from laya_uptime.adapters.net.names.system import SystemNames
from laya_uptime.adapters.net.resolver import Resolver
from laya_uptime.adapters.net.session import CHUNK, Session
from laya_uptime.adapters.net.trace import Answers, Speech, Trace, tls_records
from laya_uptime.adapters.net.traced_http import TracedCurlExchange, TracedExchange
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.dns import NameServer
from laya_uptime.domain.egress import Address, EgressPolicy
from laya_uptime.domain.result import DnsFacts
from laya_uptime.domain.trace import Kind
from laya_uptime.ports import Clock, Dialling, Fault, Purpose, Reach, Trail

_UPGRADE = b"\r\nupgrade: websocket\r\n"
_FRAMES = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}  # RFC 6455 section 5.2
_ECHO = struct.Struct("!BBHHH")  # RFC 792, RFC 4443
_REPLIES = {0, 129}
_MS = 1000

HttpExchange = Callable[..., Exchange | CurlExchange]


class TracingDialer(GuardedDialer):
    """The guarded dialer of one look, with everything noted in `trace`."""

    def __init__(self, *, clock: Clock, policy: EgressPolicy, trace: Trace, resolver: Resolver | None = None) -> None:
        """Look names up as this machine does, or by the `resolver`."""
        super().__init__(
            clock=clock, policy=policy, names=SystemNames(clock=clock, heard=self._hear), resolver=resolver
        )
        self.trace = trace

    def dial(
        self,
        host: str,
        port: int,
        done: Callable[[socket.socket | Fault], None],
        *,
        purpose: Purpose,
        explicit: bool = False,
        resolver: NameServer | None = None,
        version: Literal[4, 6] | None = None,
        trail: Trail,
    ) -> Dialling:
        """See `Reach.dial`."""
        self.trace.note(Kind.CONNECT, f"connecting to {host}, port {port}")
        dialling = _Overheard(self.trace, trail, done)
        dialling.inner = super().dial(
            host,
            port,
            dialling.tell,
            purpose=purpose,
            explicit=explicit,
            resolver=resolver,
            version=version,
            trail=trail,
        )
        return dialling

    async def connect(
        self,
        host: str,
        port: int,
        *,
        purpose: Purpose,
        explicit: bool = False,
        resolver: NameServer | None = None,
        version: Literal[4, 6] | None = None,
        trail: Trail | None = None,
    ) -> TcpConnection:
        """See `Reach.connect`."""
        trail = ExchangeTrail(self.clock) if trail is None else trail
        plain = await super().connect(
            host, port, purpose=purpose, explicit=explicit, resolver=resolver, version=version, trail=trail
        )
        return _TracedConnection(plain.detach(), trail=trail, clock=self.clock, trace=self.trace)

    async def ask(
        self,
        name: str,
        record: str,
        *,
        resolver: NameServer | None = None,
        dnssec: bool = False,
        trail: Trail | None = None,
    ) -> DnsFacts:
        """See `Reach.ask`."""
        try:
            return await super().ask(name, record, resolver=resolver, dnssec=dnssec, trail=trail)
        except Fault as trouble:
            self.trace.conclude(trouble.failure.detail)
            raise

    async def echo(
        self, host: str, *, version: Literal[4, 6] | None = None, trail: Trail | None = None
    ) -> socket.socket:
        """See `Reach.echo`."""
        plain = await super().echo(host, version=version, trail=trail)
        sock = _EchoSocket(fileno=plain.detach())
        sock.setblocking(False)
        sock.trace = self.trace
        return sock

    async def _addresses(self, host: str, server: NameServer | None, trail: Trail) -> list[Address]:
        found = await super()._addresses(host, server, trail)
        if [host] != [str(address) for address in found]:
            self.trace.note(Kind.LOOKUP, f"{host} is {', '.join(map(str, found))}")
        return found

    def _hear(
        self,
        server: NameServer,
        question: Question,
        tcp: bool,  # noqa: FBT001  `Heard` has no names
        outcome: Reply | Malformed | OSError | None,
    ) -> None:
        over, name = "TCP" if tcp else "UDP", asked(question)
        match outcome:
            case None:
                self.trace.note(Kind.LOOKUP, f"> {name} asked of {server} over {over}")
            case Reply():
                cut = ", truncated" if outcome.is_truncated else ""
                self.trace.note(Kind.LOOKUP, f"< {name}: {outcome.rcode}{cut}, from {server} over {over}")
                for text in sections(outcome.wire):
                    self.trace.note(Kind.LOOKUP, f"<   {text}")
            case OSError():
                self.trace.note(Kind.LOOKUP, f"< {name}: {words(outcome)[1]}, from {server} over {over}")
            case Malformed():
                self.trace.note(Kind.LOOKUP, f"< {name}: unusable, {outcome}, from {server} over {over}")


def exchange_for(via: Reach, version: Literal["1.1", "2", "3"]) -> HttpExchange:
    """Return what makes exchanges in this version of HTTP: such that leave a trace where `via` keeps one."""
    if isinstance(via, TracingDialer):
        if version == "1.1":
            return partial(TracedExchange, trace=via.trace)
        return partial(TracedCurlExchange, trace=via.trace, http_version=version)
    return Exchange if version == "1.1" else partial(CurlExchange, http_version=version)


class _Overheard:
    """A connection on its way, whose end is noted before anybody else hears of it."""

    def __init__(self, trace: Trace, trail: Trail, done: Callable[[socket.socket | Fault], None]) -> None:
        self.inner: Dialling | None = None
        self._trace = trace
        self._trail = trail
        self._done = done
        self._is_over = False

    def tell(self, outcome: socket.socket | Fault) -> None:
        """Note how it ended, and tell whoever waits for it."""
        self._is_over = True
        self._note_attempts()
        if isinstance(outcome, Fault):
            self._trace.note(Kind.CONNECT, outcome.failure.detail)
        else:
            address, port = outcome.getsockname()[:2]
            self._trace.note(Kind.CONNECT, f"connected to {self._trail.address} from {address}, port {port}")
        self._done(outcome)

    def cancel(self) -> None:
        """Give it up."""
        if self.inner is not None:
            self.inner.cancel()
        if not self._is_over:
            self._is_over = True
            self._note_attempts()
            self._trace.note(Kind.CONNECT, f"given up, tried {', '.join(self._trail.addresses) or 'no address'}")

    def _note_attempts(self) -> None:
        for each in self._trail.attempts:
            came_of_it = each.cause or "connected"
            self._trace.note(
                Kind.CONNECT, f"{each.address}: {came_of_it} after {each.took.total_seconds() * _MS:.1f} ms"
            )


class _TracedConnection(TcpConnection):
    """A connection on which everything that is said is noted, decrypted."""

    def __init__(self, sock: socket.socket, *, trail: Trail, clock: Clock, trace: Trace) -> None:
        super().__init__(sock, trail=trail, clock=clock)
        self._trace = trace
        self._peer = Speech(trace)
        self._answer: Answers | None = None  # of a server that was asked to speak WebSocket

    async def start_tls(self, context: ssl.SSLContext, server_hostname: str) -> None:
        """Do the TLS handshake, and note it message by message as far as it is not encrypted."""
        self._peer.finish()
        self._trace.note(Kind.TLS, f"handshake with {server_hostname}")
        try:
            await super().start_tls(context, server_hostname)
        except Fault as trouble:
            self._trace.tls(trouble.failure.evidence.tls)
            self._trace.note(Kind.TLS, trouble.failure.detail)
            raise
        assert self._session is not None
        self._trace.tls(self._session.facts, alpn=self._session.alpn)

    async def send(self, data: bytes) -> None:
        """Send it, and note it first."""
        self._peer.finish()
        if self._answer is not None:  # the message was configured, so it is nobody's business
            self._trace.note(Kind.SENT, f"[{len(data)} bytes: {_FRAMES.get(data[0] & 0xF, 'unknown')} frame]")
        elif _UPGRADE in data.lower():
            self._answer = Answers(self._trace)
            self._trace.head(Kind.SENT, data, secret=self._trace.confidential.names)
        else:
            self._trace.note(Kind.SENT, f"[{len(data)} bytes]")
            self._trace.piece(Kind.SENT, data, size=len(data))
        await super().send(data)

    async def receive(self, limit: int = CHUNK) -> bytes:
        """Return what has come, noted."""
        data = await super().receive(limit)
        heard = data if self._answer is None else self._answer.hear(data)
        if heard:
            self._peer.hear(heard)
        if not data:
            self._finish()
            self._trace.note(Kind.RECEIVED, "[end of the stream]")
        return data

    def close(self) -> None:
        """Close at once, and note what was not noted yet."""
        if self._socket is not None:
            self._finish()
            self._trace.note(Kind.CLOSE, "closed")
        super().close()

    def _finish(self) -> None:
        if self._answer is not None:
            self._answer.finish()
        self._peer.finish()

    async def _take(self, limit: int) -> bytes:
        data = await super()._take(limit)
        if self._session is not None and not self._session.is_established:
            self._trace.note(Kind.TLS, f"< {tls_records(data)}" if data else "< the server hung up")
        return data

    async def _flush(self, session: Session) -> None:
        data = session.drain()
        if data:
            if self._trail.tls is None:
                self._trace.note(Kind.TLS, f"> {tls_records(data)}")
            await asyncio.get_running_loop().sock_sendall(self._open(), data)


class _EchoSocket(socket.socket):
    """A connected ICMP socket on which each echo is noted, and each answer to it."""

    trace: Trace

    def send(self, data: Any, flags: int = 0, /) -> int:  # noqa: ANN401  whatever is a buffer
        """Send an echo."""
        self.trace.note(Kind.SENT, f"echo {_sequence(data)}, {len(data)} bytes")
        return super().send(data, flags)

    def recvfrom(self, size: int, flags: int = 0, /) -> tuple[bytes, Any]:
        """Return what has come, and from whom."""
        data, sender = super().recvfrom(size, flags)
        what = "answer to" if data[:1] and data[0] in _REPLIES else "something else than an answer to"
        self.trace.note(Kind.RECEIVED, f"{what} echo {_sequence(data)} from {sender[0]}, {len(data)} bytes")
        return data, sender

    def recvmsg(
        self, size: int, ancillary: int = 0, flags: int = 0, /
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, Any]:
        """Return what the error queue holds."""
        found = super().recvmsg(size, ancillary, flags)
        self.trace.note(Kind.RECEIVED, f"an error about echo {_sequence(found[0])}")
        return found


def _sequence(packet: bytes) -> int:
    return int(_ECHO.unpack_from(packet)[4]) if len(packet) >= _ECHO.size else 0
