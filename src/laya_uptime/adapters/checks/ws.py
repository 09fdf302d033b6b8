"""Open a WebSocket (RFC 6455) over our own connection, and hear its first message where one is wanted.

The protocol is the `websockets` library's, without its network: it turns bytes into frames and back. Redirects are not
followed, and no extension is offered. What the server refuses, breaks off or floods has its exact reason, and what was
seen until then is kept.
"""

import asyncio
import logging
import re
import ssl
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import msgspec
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHeader, InvalidUpgrade, NegotiationError, PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from laya_uptime.adapters.net import wire
from laya_uptime.adapters.net.answer import LARGEST_BODY, shown_header
from laya_uptime.adapters.net.document import read_body
from laya_uptime.adapters.net.exchange import trusted
from laya_uptime.adapters.net.faults import fault, words
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Evidence, Failure, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.text import one_line
from laya_uptime.domain.urls import Url, parse_url, redact
from laya_uptime.ports import Connection, Fault, Purpose, Reach

_SCHEME = re.compile(r"(ws|wss)://", re.IGNORECASE)
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9][0-9])(?: ([^\r\n]*))?\r\n")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2

_LARGEST_HEAD = 64 << 10  # bytes
_PIECE = 4096  # bytes read at once: they can be two thousand frames, each of which costs time
_MOST_FRAMES = 10_000  # until the first message is whole

# The library would write what strangers send into the log.
_SILENT = logging.Logger("silent", level=logging.CRITICAL + 1)  # noqa: LOG001  no handler shall ever find it

_DOING = {
    "dns": "looking up the name",
    "connect": "connecting",
    "tls": "in the TLS handshake",
    "send": "asking for the upgrade",
    "wait": "waiting for the upgrade",
    "read": "waiting for a message",
}


class WsCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: ws`, and the probe they configure."""

    url: Secret  # ws:// or wss://, may carry user:password@ for Basic authentication
    headers: dict[str, Secret] = {}
    subprotocols: list[str] = []
    send: Secret | None = None  # a text message, sent once the connection is open
    receive: bool | None = None  # whether a message must come; None: where one is sent
    ca_file: str | None = None  # trusted instead of the system's authorities

    def __post_init__(self) -> None:
        """Raise ValueError with a plain sentence, and without any secret, where no handshake can be made of this."""
        self._parsed()
        for name, value in self.headers.items():
            wire.check_header(name, value.reveal())
            if name.lower().startswith("sec-websocket-"):
                raise ValueError(f"the header {name} cannot be set")
        if not all(_TOKEN.fullmatch(name) for name in self.subprotocols):
            raise ValueError("one of the subprotocols contains a character that a subprotocol cannot have")

    @property
    def target(self) -> str:
        """Return the URL without credentials and secret query values."""
        return redact(self.url.reveal())

    async def probe(self, via: Reach, *, timeout: timedelta) -> Seen:  # noqa: ASYNC109  it keeps what was seen until then
        """Look once, on a fresh connection. An outage is returned, never raised; so is a passed deadline."""
        talk = _Talk(self, self._parsed(), via)
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await talk.go()
        except TimeoutError:  # every other one has become a Fault by now
            return talk.overdue(timeout)

    def _parsed(self) -> Url:
        """Return the URL as that of the HTTP request which asks for the upgrade."""
        text = self.url.reveal()
        match = _SCHEME.match(text)
        if match is None:
            raise ValueError("the URL must begin with ws:// or wss://")
        scheme = "http" if match[1].lower() == "ws" else "https"
        return parse_url(f"{scheme}://{text[match.end() :]}")


class _Talk:
    """One probe: a handshake, perhaps a message each way, and a goodbye."""

    def __init__(self, check: WsCheck, url: Url, via: Reach) -> None:
        self._check = check
        self._url = url
        self._via = via
        self._trail = ExchangeTrail(via.clock)
        self._pieces: list[bytes] = []  # of the first message
        self._is_text = False
        self._frames = 0
        self._is_whole = False
        path, _, query = url.target.partition("?")
        uri = WebSocketURI(url.scheme == "https", url.host.partition("%")[0], url.port, path, query)
        self._protocol = ClientProtocol(
            uri,
            subprotocols=[Subprotocol(name) for name in check.subprotocols] or None,
            max_size=LARGEST_BODY,
            logger=_SILENT,
        )

    async def go(self) -> Seen:
        try:
            context = (
                trusted(self._via, self._trail, ca_file=self._check.ca_file) if self._url.scheme == "https" else None
            )
            connection = await self._via.connect(
                self._url.host, self._url.port, purpose=Purpose.CHECK, explicit=True, trail=self._trail
            )
            try:
                if context is not None:
                    await connection.start_tls(context, self._url.host)
                await self._shake_hands(connection)
                await self._converse(connection)
                await self._part(connection)
            finally:
                connection.close()
        except Fault as error:
            self._trail.enter(None)
            return replace(error.failure, evidence=self._evidence())
        except OSError as error:
            self._trail.enter(None)
            reason, detail = words(error)
            phase = self._trail.phase if reason is Reason.TIMEOUT else None
            return Failure(reason, detail, self._evidence(), phase)
        return Answer(self._evidence())

    def overdue(self, timeout: timedelta) -> Failure:
        """Return the failure of a talk that its deadline ended."""
        self._trail.enter(None)
        phase = self._trail.phase
        doing = f" ({_DOING[phase]})" if phase in _DOING else ""
        limit = f"{timeout.total_seconds():g} s"
        return Failure(Reason.TIMEOUT, f"no answer within {limit}{doing}", self._evidence(), phase=phase)

    async def _shake_hands(self, connection: Connection) -> None:
        """Ask for the upgrade. Raise `Fault` unless the server agrees as RFC 6455 section 4.2.2 says."""
        self._trail.enter("send")
        self._protocol.send_request(self._request())
        await self._flush(connection)
        self._trail.enter("wait")
        received = b""
        while b"\r\n\r\n" not in received:
            data = await _receive(connection)
            received += data
            if not b"HTTP/1."[: len(received)] == received[:7]:
                raise self._fault(Reason.HTTP_PROTOCOL, "the answer is not HTTP")
            if not data:
                cut = "Connection closed without an answer" if not received else "the answer ended within its headers"
                raise self._fault(Reason.TRUNCATED if received else Reason.RESET, cut)
            if len(received) > _LARGEST_HEAD:
                raise self._fault(Reason.TOO_LARGE, "the headers are too large: more than 64 KiB")
        self._note(received.partition(b"\r\n\r\n")[0] + b"\r\n")
        if self._trail.status != 101:
            raise self._fault(Reason.HTTP_STATUS, f"HTTP {self._trail.status} instead of an upgrade")
        self._protocol.receive_data(received)
        if self._protocol.handshake_exc is not None:
            raise self._fault(Reason.HTTP_PROTOCOL, _in_plain_words(self._protocol.handshake_exc))
        self._trail.enter(None)

    def _request(self) -> Request:
        request = self._protocol.connect()
        headers = {"User-Agent": wire.user_agent()}
        if (authorization := wire.authorization(self._url)) is not None:
            headers["Authorization"] = authorization
        mine = {name.lower() for name in self._check.headers}
        headers = {name: value for name, value in headers.items() if name.lower() not in mine}
        for name, secret in self._check.headers.items():
            headers[name] = secret.reveal().strip()
        if "host" in mine:
            del request.headers["Host"]
        for name, value in headers.items():
            request.headers[name] = value
        return request

    def _note(self, head: bytes) -> None:
        """Keep the head of the answer as evidence."""
        match = _STATUS_LINE.match(head)
        if match is None:
            raise self._fault(Reason.HTTP_PROTOCOL, "the answer is not HTTP")
        trail = self._trail
        trail.status = int(match[1])
        trail.status_text = one_line((match[2] or b"").decode("latin-1"))[:200]
        trail.http_version = "1.1"
        lines = [line.partition(":") for line in head[match.end() :].decode("latin-1").split("\r\n") if line]
        pairs = [(name.strip().lower(), value.strip()) for name, colon, value in lines[:256] if colon]
        trail.headers = tuple((name, shown_header(name, value)) for name, value in pairs)

    async def _converse(self, connection: Connection) -> None:
        """Say and hear what is wanted. Raise `Fault` where no whole message comes."""
        said = self._check.send
        if said is not None:
            self._trail.enter("send")
            self._hear()
            if self._protocol.state is State.OPEN:
                self._protocol.send_text(said.reveal().encode("utf-8"))
                await self._flush(connection)
        if not (said is not None if self._check.receive is None else self._check.receive):
            self._trail.enter(None)
            return
        self._trail.enter("read")
        self._hear()
        while not self._is_whole:
            await self._flush(connection)  # a ping that came with the handshake wants its answer too
            data = await _receive(connection)
            if not data:
                raise self._fault(Reason.RESET, "Connection closed before a message came")
            self._protocol.receive_data(data)
            self._hear()
            await self._via.clock.sleep(0)
        self._trail.enter(None)
        if self._is_text:
            try:
                b"".join(self._pieces).decode("utf-8")
            except UnicodeDecodeError:
                raise self._fault(Reason.BODY_INVALID, "the message says that it is text, but is not UTF-8") from None

    def _hear(self) -> None:
        """Take the frames that have come. Raise `Fault` where they are no proper ones, too many, or the last ones."""
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and not self._is_whole:
                self._take(event)
        if self._is_whole or (error := self._protocol.parser_exc) is None:
            return
        if isinstance(error, PayloadTooBig):
            raise self._fault(Reason.TOO_LARGE, "the message is too large: more than 1 MiB")
        raise self._fault(Reason.HTTP_PROTOCOL, f"bad WebSocket: {one_line(str(error))[:200]}")

    def _take(self, frame: Frame) -> None:
        self._frames += 1
        if self._frames > _MOST_FRAMES:
            raise self._fault(Reason.TOO_LARGE, f"more than {_MOST_FRAMES} frames without a whole message")
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY | Opcode.CONT:
                self._is_text |= frame.opcode is Opcode.TEXT
                self._pieces.append(bytes(frame.data))
                self._is_whole = frame.fin
            case Opcode.CLOSE:
                close = self._protocol.close_rcvd
                why = f" with code {close.code}" if close is not None else ""
                why += f" ({one_line(close.reason)})" if close is not None and close.reason else ""
                raise self._fault(Reason.RESET, f"the server closed the WebSocket{why} before a message came")
            case Opcode.PING | Opcode.PONG:
                pass

    async def _part(self, connection: Connection) -> None:
        """Say goodbye; the answer to it is not waited for."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
        with suppress(OSError):
            await self._flush(connection)

    async def _flush(self, connection: Connection) -> None:
        if data := b"".join(self._protocol.data_to_send()):
            await connection.send(data)

    def _evidence(self) -> Evidence:
        body = read_body(b"".join(self._pieces), "", whole=self._is_whole) if self._pieces else None
        return replace(self._trail.evidence(), body=body)

    def _fault(self, reason: Reason, detail: str) -> Fault:
        self._trail.enter(None)
        return fault(reason, detail, self._trail.evidence())


async def _receive(connection: Connection) -> bytes:
    """Return a little of what has come; b"" at the end of the stream, however it ended."""
    try:
        return await connection.receive(_PIECE)
    except ssl.SSLEOFError:
        return b""


def _in_plain_words(error: Exception) -> str:
    match error:
        case InvalidUpgrade():
            return "the answer does not upgrade to a WebSocket"
        case InvalidHeader():
            return f"the answer's header {one_line(error.name)[:100]} is missing or wrong"
        case NegotiationError():
            return "the server chose an extension or a subprotocol that was not offered"
        case _:
            return "the answer is no proper handshake"
