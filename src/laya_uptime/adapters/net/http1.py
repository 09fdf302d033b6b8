"""One HTTP/1.1 exchange as a state machine on the poll: no task, no future, no transport.

          dial          proxy?         https?
    DIALLING ──> OPENING ──> SHAKING ──> SENDING ──> READING ──> DONE
        └───────────┴───────────┴───────────┴──────────┴── fault ──┘

Each state has one function in `_STEPS`; the poll calls the present one when the socket is ready, and a function that gets
its state done goes straight on to the next, so that a fast server costs two turns: connected, answered. The socket is
edge-triggered: reading goes on until less came than there was room for.

Checks and notifiers share it. A redirect is an answer like any other here: a check follows it itself, a notifier never
does. What limits the peer is in `Answer`; what it withholds lasts no longer than the caller's deadline.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

from laya_uptime.adapters.net import wire
from laya_uptime.adapters.net.answer import Answer
from laya_uptime.adapters.net.exchange import trusted
from laya_uptime.adapters.net.fast_tls import FastSession
from laya_uptime.adapters.net.faults import fault, from_os_error
from laya_uptime.adapters.net.proxy import UNAUTHORIZED, Proxy, Tunnel, unauthorized
from laya_uptime.adapters.net.session import Session, TlsSession, in_words
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.dns import NameServer
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Phases, TlsFacts
from laya_uptime.domain.urls import Url, parse_url
from laya_uptime.failpoints import fp
from laya_uptime.ports import CLOSED, FAILED, HUNG_UP, READABLE, ClientCertificate, Dialling, Fault, Purpose, Reach

_CHUNK = 65536
_MOST_READS = 8  # of one turn: a peer that sends without end must not keep the loop from others
_ENDED = CLOSED | FAILED | HUNG_UP

# What may go to any origin. Every other header may be somebody's way to carry a token.
_PUBLIC_HEADERS = frozenset(
    ("accept", "accept-encoding", "accept-language", "cache-control", "content-type", "user-agent")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A whole answer. Header names are in lower case; the body is decompressed."""

    status: int
    status_text: str = ""
    http_version: str = "1.1"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    phases: Phases = field(default_factory=Phases)
    tls: TlsFacts | None = None
    address: str = ""
    addresses: tuple[str, ...] = ()

    def header(self, name: str) -> str | None:
        """Return the value of the first header of this name, in any case; None: there is none."""
        name = name.lower()
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked, and how to get there. Written once, used for every look.

    `explicit`, `resolver` and `version` are as in `Reach.dial`. `place` is connected instead of the URL's own host and
    port, and `server_name` is what the certificate must be for instead of its host.
    """

    method: str
    url: Url
    headers: Mapping[str, str] = field(repr=False)
    head: bytes = field(default=b"", repr=False)  # the request line and headers with the empty line
    body: bytes = field(default=b"", repr=False)
    keep_alive: bool = False
    purpose: Purpose
    explicit: bool = False
    ca_file: str | None = None
    insecure: bool = False
    client: ClientCertificate | None = None
    resolver: NameServer | None = None
    version: Literal[4, 6] | None = None
    place: tuple[str, int] | None = None
    server_name: str | None = None
    proxy: Proxy | None = None

    def __post_init__(self) -> None:
        """Write the head. Raise ValueError where a part of it cannot be sent."""
        headers, proxy = self.headers, self.proxy
        absolute = self.is_asked_of_proxy
        if absolute and proxy is not None and proxy.authorization is not None:
            headers = {**headers, "Proxy-Authorization": proxy.authorization}
        head = wire.head(
            self.method, self.url, headers, size=len(self.body), keep_alive=self.keep_alive, absolute=absolute
        )
        object.__setattr__(self, "head", head)

    @property
    def is_encrypted(self) -> bool:
        """Say whether TLS is spoken with the server."""
        return self.url.scheme == "https"

    @property
    def is_asked_of_proxy(self) -> bool:
        """Say whether it is the proxy that answers, and not the server through it."""
        return self.proxy is not None and self.place is None and self.proxy.asks_itself(self.url)

    def to(self, url: Url) -> "Request":
        """Return the same request to another place of the same origin."""
        return replace(self, url=url)

    def to_stranger(self, url: Url) -> "Request":
        """Return the request to another origin, which is told nothing that was said to this one in confidence."""
        headers = {name: value for name, value in self.headers.items() if name.lower() in _PUBLIC_HEADERS}
        return replace(self, url=url, headers=headers, client=None, place=None, server_name=None, keep_alive=False)


DIALLING, OPENING, SHAKING, SENDING, READING, DONE = range(6)


@dataclass(slots=True)
class Kept:
    """A connection that was kept open after an answer, for the next request to the same place."""

    sock: socket.socket
    session: Session | None
    address: str
    addresses: tuple[str, ...]

    def is_alive(self, view: memoryview) -> bool:
        """Say whether the server has left it open and said nothing that nobody asked for. `view`: room for what it said."""
        session = self.session
        try:
            for _ in range(_MOST_READS):
                size = self.sock.recv_into(view)
                if not size or session is None:
                    return False
                session.feed(view[:size])  # session tickets may come at any time, and are no words
                if session.read(_CHUNK) is not None:
                    return False
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Close it. Never blocks and never raises."""
        _hang_up(self.sock, self.session)


def _hang_up(sock: socket.socket, session: Session | None) -> None:
    if session is not None and (last := session.farewell()):
        with suppress(OSError):
            sock.send(last)
    sock.close()


class Exchange:
    """One request and its answer.

    `done` is called exactly once, with None when `answer` is whole, else with the fault; what was seen until then is in
    `trail`. After `cancel` it is not called any more. Neither raises.
    """

    # What most exchanges never change stays with the class: one is made for every check.
    fell_back = False  # the faster TLS library failed
    _state = DIALLING
    _dialling: Dialling | None = None
    _context: ssl.SSLContext | None = None
    _fast_context: object = None
    _sock: socket.socket | None = None
    _descriptor = -1
    _session: Session | None = None
    _tunnel: Tunnel | None = None
    _rest: memoryview | None = None  # what could not be sent yet
    _events = 0
    _goes_on = False  # reading has to go on in the next turn

    def __init__(
        self,
        via: Reach,
        request: Request,
        trail: ExchangeTrail,
        done: Callable[[Fault | None], None],
        *,
        kept: Kept | None = None,
        keeps: bool = False,
        fast: bool = False,
    ) -> None:
        """Begin nothing yet.

        `kept` is used instead of a fresh connection; `keeps`: hand the connection on (`keep`); `fast`: try the faster
        TLS library first, where there is one.
        """
        self.trail = trail
        self.answer = Answer(trail, bodiless=request.method == "HEAD")
        self._via = via
        self._poll = via.poll
        self._request = request
        self._done: Callable[[Fault | None], None] | None = done
        self._kept = kept
        self._keeps = keeps
        self._fast = fast and request.is_encrypted and not request.insecure and request.client is None

    def start(self) -> None:
        """Go. `done` may be called before this returns."""
        try:
            self._dial()
        except Fault as trouble:
            self._end(trouble)
        except OSError as error:  # failpoints
            self._end(from_os_error(error, self.trail.evidence()))

    def cancel(self) -> None:
        """Drop everything."""
        self._done = None
        self._end(None)

    def keep(self) -> Kept | None:
        """Hand over the connection of a whole answer where it can be used again. Only within `done`, with `keeps`."""
        sock = self._sock
        if sock is None:
            return None
        self._sock = None
        self._poll.forget(self._descriptor)
        return Kept(sock, self._session, self.trail.address or "", self.trail.addresses)

    def _dial(self) -> None:
        request = self._request
        if request.purpose is Purpose.NOTIFICATION:
            fp("delivery.before_connect")
        if self._fast:
            self._fast_context = self._via.fast_context(ca_file=request.ca_file)
            self._fast = self._fast_context is not None
        if request.is_encrypted and not self._fast:
            self._context = self._trusted()
        if self._kept is not None:
            if self._kept.is_alive(self._poll.view):
                self._reuse(self._kept)
                return
            self._kept.close()
            self._kept = None
        if request.proxy is not None:
            refusal = self._via.refusal((request.place or (request.url.host,))[0])
            if refusal is not None:
                raise fault(Reason.BLOCKED_BY_POLICY, refusal, self.trail.evidence())
            host, port, resolver = request.proxy.host, request.proxy.port, None
        else:
            host, port = request.place or (request.url.host, request.url.port)
            resolver = request.resolver
        dialling = self._via.dial(
            host,
            port,
            self._dialled,
            purpose=request.purpose,
            explicit=request.explicit,
            resolver=resolver,
            version=request.version,
            trail=self.trail,
        )
        if self._state == DIALLING:
            self._dialling = dialling

    def _trusted(self) -> ssl.SSLContext:
        """Return the context of the library whose word counts. Raise `Fault` where a file that it needs is of no use."""
        request = self._request
        return trusted(self._via, self.trail, ca_file=request.ca_file, insecure=request.insecure, client=request.client)

    def _reuse(self, kept: Kept) -> None:
        self.trail.addresses, self.trail.address = kept.addresses, kept.address
        self._sock, self._session = kept.sock, kept.session
        self._descriptor = kept.sock.fileno()
        self._poll.watch(self._descriptor, self._ready)
        if kept.session is not None:
            self.trail.tls = kept.session.facts
        self._step(Exchange._send)

    def _dialled(self, outcome: socket.socket | Fault) -> None:
        self._dialling = None
        if isinstance(outcome, Fault):
            if self._request.proxy is not None and outcome.failure.reason is not Reason.PROBE_OFFLINE:
                # A dead proxy is our trouble, not the target's.
                detail = f"the proxy cannot be reached: {outcome.failure.detail}"
                outcome = fault(Reason.INTERNAL, detail, outcome.failure.evidence)
            self._end(outcome)
            return
        self._sock = outcome
        self._descriptor = outcome.fileno()
        self._poll.watch(self._descriptor, self._ready)
        if self._request.proxy is not None:
            self._step(Exchange._open)
        elif self._request.is_encrypted:
            self._step(Exchange._shake)
        else:
            self._step(Exchange._send)

    def _ready(self, events: int) -> None:
        """Take the poll's call."""
        step = _STEPS.get(self._state)
        if step is not None:  # otherwise it is over, or has started over since this was called for
            self._events = events
            self._step(step)

    def _step(self, step: "Callable[[Exchange], None]") -> None:
        """Do one step, and end with a fault whatever it raises."""
        try:
            step(self)
        except Fault as trouble:
            self._end(trouble)
        except ssl.SSLError as error:
            self._end(self._torn(error))
        except OSError as error:
            self._end(from_os_error(error, self.trail.evidence(), phase=self.trail.phase))
        except Exception as error:  # noqa: BLE001  our own mistake is nobody's outage; its text may hold what nobody shall see
            self._end(
                fault(Reason.INTERNAL, f"the check itself failed ({type(error).__name__})", self.trail.evidence())
            )

    # OPENING: through a proxy.

    def _open(self) -> None:
        request = self._request
        if request.is_asked_of_proxy:
            self._send()
            return
        assert request.proxy is not None
        tunnel = self._tunnel = request.proxy.tunnel(*(request.place or (request.url.host, request.url.port)))
        self._state = OPENING
        self.trail.enter("connect")
        self._give(tunnel.opening())

    def _opening(self) -> None:
        tunnel = self._tunnel
        assert tunnel is not None
        if self._rest is not None and not self._flush():
            return
        for data in self._incoming():
            if not data:
                raise tunnel.closed(self.trail.evidence())
            self._give(tunnel.feed(bytes(data), self.trail.evidence))
            if tunnel.is_open:
                self._tunnel = None
                self.trail.enter(None)
                if self._request.is_encrypted:
                    self._shake()
                else:
                    self._send()
                if self._events & _ENDED:
                    self._ready(self._events)  # the end is not told twice
                return

    # SHAKING: the TLS handshake.

    def _shake(self) -> None:
        self._state = SHAKING
        self.trail.enter("tls")
        assert self._sock is not None
        # Otherwise the second of two small pieces waits for the first to be acknowledged.
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host = self._request.server_name or self._request.url.host
        session: Session
        if self._fast:
            session = FastSession(self._fast_context, host)
        else:
            session = TlsSession(self._context or self._trusted(), host)
        self._session = session
        self._handshake(session)

    def _shaking(self) -> None:
        session = self._session
        assert session is not None
        if self._rest is not None and not self._flush():
            return
        for data in self._incoming():
            session.feed(data)
            if self._handshake(session):
                if self._events & _ENDED or len(data) == _CHUNK:
                    self._ready(self._events)  # there may be more, which is not told twice
                return
            if not data:
                return  # the session has said what it makes of that

    def _handshake(self, session: Session) -> bool:
        try:
            is_done = session.handshake()
        except ssl.SSLError as error:
            with suppress(OSError):
                self._give(session.drain())
            why = session.failed(error, self._via.clock.now())
            self.trail.tls = session.facts
            self.trail.enter(None)
            raise fault(why.reason, why.detail, self.trail.evidence()) from error
        if not is_done:
            self._give(session.drain())
            return False
        self.trail.tls = session.facts
        self.trail.enter(None)
        self._send()
        return True

    # SENDING: the request.

    def _send(self) -> None:
        self._state = SENDING
        trail, request = self.trail, self._request
        trail.enter("send")
        try:
            if request.purpose is Purpose.NOTIFICATION:
                self._say_in_halves(request)
            else:
                self._say(request.head + request.body if request.body else request.head)
        except (BrokenPipeError, ConnectionResetError):
            self._rest = None  # it may have answered before it closed (413, 401): reading tells
        if self._rest is None:
            self._sent()

    def _say_in_halves(self, request: Request) -> None:
        assert self._sock is not None
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        half = (len(request.body) + 1) // 2
        self._say(request.head + request.body[:half])
        fp("delivery.body_half_sent")
        self._say(request.body[half:])
        if self._rest is None:
            fp("delivery.bytes_sent")

    def _say(self, data: bytes) -> None:
        if self._session is not None:
            self._session.write(data)
            data = self._session.drain()
        self._give(data)

    def _sending(self) -> None:
        """Go on sending; what the server says meanwhile counts, since it may refuse the rest."""
        try:
            is_sent = self._flush()
        except (BrokenPipeError, ConnectionResetError):
            self._rest, is_sent = None, True
        if is_sent:
            if self._request.purpose is Purpose.NOTIFICATION:
                fp("delivery.bytes_sent")
            self._sent()
        if self._events & (READABLE | _ENDED):
            self._read()

    def _sent(self) -> None:
        self._state = READING
        self.trail.enter("wait")
        if self._session is not None:
            self._take(self._session)  # what came behind the handshake in one piece

    # READING: the answer.

    def _read(self) -> None:
        session = self._session
        for data in self._incoming():
            if session is None:
                self._hear(data)
            else:
                session.feed(data)
                self._take(session)
            if self._state == DONE or not data:
                return

    def _take(self, session: Session) -> None:
        """Read what TLS has decrypted."""
        while self._state != DONE:
            data = session.read(_CHUNK)
            if data is None:
                return
            self._hear(data)
            if not data:
                return

    def _hear(self, data: bytes | memoryview) -> None:
        answer = self.answer
        if data:
            if self.trail.phase == "wait":
                self.trail.enter("read")
            answer.feed(data)
        else:
            answer.end()
        if answer.is_whole:
            self.trail.enter(None)
            if self.trail.status == UNAUTHORIZED and self._request.is_asked_of_proxy:
                raise unauthorized(self.trail.evidence())
            fp("check.response_read" if self._request.purpose is Purpose.CHECK else "delivery.response_read")
            self._end(None)

    def _torn(self, error: ssl.SSLError) -> Fault:
        """Return the fault of a TLS stream that broke after its handshake."""
        self.trail.enter(None)
        if isinstance(error, ssl.SSLEOFError):
            return self.answer.cut()
        return fault(*in_words(error), self.trail.evidence())

    # The socket.

    def _incoming(self) -> Iterator[memoryview]:
        """Yield what has come, nothing at the end of the stream. Raise OSError on a reset.

        Each piece lies in the poll's own buffer and is gone with the next one.
        """
        assert self._sock is not None
        sock, view = self._sock, self._poll.view
        for _ in range(_MOST_READS):
            try:
                size = sock.recv_into(view)
            except BlockingIOError:
                return
            yield view[:size]
            if self._state == DONE or not size or (size < len(view) and not self._events & _ENDED):
                return
        if not self._goes_on:  # the edge is spent, so the next turn must be asked for; once, or the turns add up
            self._goes_on = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._goes_on = False
        self._ready(self._events | READABLE)

    def _give(self, data: bytes) -> None:
        """Send it, now or, what the socket does not take, when it is ready again."""
        if not data:
            return
        assert self._sock is not None
        if self._rest is not None:
            self._rest = memoryview(bytes(self._rest) + data)
            return
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._rest = memoryview(data)[sent:]
            self._poll.wait_to_write(self._descriptor, self._ready)

    def _flush(self) -> bool:
        """Send more of the rest; say whether all of it is sent."""
        assert self._sock is not None
        while self._rest is not None:
            try:
                sent = self._sock.send(self._rest)
            except BlockingIOError:
                self._poll.wait_to_write(self._descriptor, self._ready)
                return False
            self._rest = self._rest[sent:] if sent < len(self._rest) else None
        return True

    def _end(self, trouble: Fault | None) -> None:
        """Let go of everything and tell."""
        if self._state == DONE:
            return
        if trouble is not None and self._done is not None:
            if self._kept is not None and not self.answer.has_begun:
                self._start_over()  # the server had closed it meanwhile, which is its right
                return
            if self._fast and self._state >= SHAKING:
                self._be_sure()
                return
        self._state = DONE
        self.trail.enter(None)
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        if trouble is not None or not self._keeps or self._rest is not None or not self.answer.may_be_followed:
            self._close()
        self.answer.close()
        done, self._done = self._done, None
        if done is not None:
            done(trouble)
        self._close()  # unless somebody kept it

    def fall_back(self) -> None:
        """Leave the rest of the time to the TLS library whose word counts, unless the faster one is through its handshake.

        What is slow after that is the server.
        """
        if self._state == SHAKING and self._fast:
            self._be_sure()
        elif self._state < SHAKING:
            self._fast = False

    def _be_sure(self) -> None:
        """Begin again with the TLS library whose word counts."""
        self._fast = False
        self.fell_back = True
        self._start_over()

    @property
    def is_fast(self) -> bool:
        """Say whether the faster TLS library is in use, or about to be."""
        return self._fast and self._state != DONE

    @property
    def awaits_proxy(self) -> bool:
        """Say whether the proxy has yet to take our connection."""
        return self._request.proxy is not None and self._state == DIALLING

    def _start_over(self) -> None:
        """Forget what was seen, and begin again on a fresh connection."""
        self._close()
        self._kept = None
        self._rest = None
        self._events = 0
        self._state = DIALLING
        self.trail.clear()
        self.answer.close()
        self.answer = Answer(self.trail, bodiless=self._request.method == "HEAD")
        self.start()

    def _close(self) -> None:
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._poll.closing(self._descriptor)
        session, self._session = self._session, None
        # Whoever has hung up already wants no goodbye.
        _hang_up(sock, None if self._events & CLOSED else session)


_STEPS: dict[int, Callable[[Exchange], None]] = {
    OPENING: Exchange._opening,  # noqa: SLF001  the table of this very machine
    SHAKING: Exchange._shaking,  # noqa: SLF001
    SENDING: Exchange._sending,  # noqa: SLF001
    READING: Exchange._read,  # noqa: SLF001
}


async def request(
    via: Reach,
    method: str,
    url: str | Url,
    *,
    headers: Mapping[str, str],
    body: bytes = b"",
    purpose: Purpose,
    explicit: bool = False,
    ca_file: str | None = None,
    resolver: NameServer | None = None,
    trail: ExchangeTrail | None = None,
) -> Response:
    """Do one exchange and return the whole answer, whatever its status.

    `explicit` and `resolver` are as in `Reach.connect`. Credentials in the URL become Basic authentication
    unless `headers` has an Authorization. The caller sets the deadline; a `trail` it gives keeps what was seen until then.
    Raise ValueError where the request cannot be written safely, before anything is sent, and `Fault` where there is
    no whole answer to be had.
    """
    url = parse_url(url) if isinstance(url, str) else url
    asked = Request(
        method=method,
        url=url,
        headers=headers,
        body=body,
        purpose=purpose,
        explicit=explicit,
        ca_file=ca_file,
        resolver=resolver,
    )
    trail = ExchangeTrail(via.clock) if trail is None else trail
    over: asyncio.Future[Fault | None] = asyncio.get_running_loop().create_future()

    def tell(trouble: Fault | None) -> None:
        if not over.done():  # cancelled in this very turn
            over.set_result(trouble)

    exchange = Exchange(via, asked, trail, tell)
    exchange.start()
    try:
        trouble = await over
    except asyncio.CancelledError:
        exchange.cancel()
        raise
    if trouble is not None:
        raise trouble
    return Response(
        status=trail.status or 0,
        status_text=trail.status_text,
        http_version=trail.http_version or "",
        headers=exchange.answer.headers,
        body=bytes(trail.body),
        phases=trail.phases,
        tls=trail.tls,
        address=trail.address or "",
        addresses=trail.addresses,
    )
