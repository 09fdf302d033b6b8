"""One HTTP/1.1 exchange on a fresh connection, with every step timed and every size bounded.

Checks and notifiers share it. A redirect is an answer like any other here: a check follows it itself, a notifier never
does. The parser is llhttp, as strict as it comes except for line ends, where RFC 9112 section 2.2 lets a bare LF pass.
Nothing the peer sends can cost more than the limits below; nothing it withholds lasts longer than the caller's deadline.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import httptools

from laya_uptime.adapters.net import wire
from laya_uptime.adapters.net.content import Decoder, NotDecodable, Overflow
from laya_uptime.adapters.net.exchange import trusted
from laya_uptime.adapters.net.faults import fault, from_os_error
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.dns import NameServer
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Phases, TlsFacts
from laya_uptime.domain.secret import DOTS
from laya_uptime.domain.urls import Url, looks_secret, parse_url, redact
from laya_uptime.failpoints import fp
from laya_uptime.ports import Connection, Fault, Purpose, Reach

LARGEST_BODY = 1 << 20  # bytes after decompression
_LARGEST_RAW = 2 << 20  # bytes of body as sent, chunk headers and all
_LARGEST_HEAD = 64 << 10  # bytes of status line and headers; the same again for trailers
_MOST_HEADERS = 256
_MOST_INTERIM = 8  # answers of the kind 1xx before the real one
_LONGEST_SHOWN = 1024  # characters of a header's value that are kept as evidence

_COOKIES = frozenset(("cookie", "set-cookie"))
_ADDRESSES = frozenset(("content-location", "location", "referer"))


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
    head = wire.head(method, url, headers, size=len(body))
    trail = ExchangeTrail(via.clock) if trail is None else trail
    answer = _Answer(trail, bodiless=method == "HEAD")
    connection: Connection | None = None
    try:
        if purpose is Purpose.NOTIFICATION:
            fp("delivery.before_connect")
        context = trusted(via, trail, ca_file=ca_file) if url.scheme == "https" else None
        connection = await via.connect(
            url.host, url.port, purpose=purpose, explicit=explicit, resolver=resolver, trail=trail
        )
        if context is not None:
            await connection.start_tls(context, url.host)
        await _send(connection, head, body, trail, in_halves=purpose is Purpose.NOTIFICATION)
        await _read(connection, answer, trail)
        fp("check.response_read" if purpose is Purpose.CHECK else "delivery.response_read")
    except OSError as error:  # only failpoints and the sending half come here; all else is a Fault by now
        trail.enter(None)
        raise from_os_error(error, trail.evidence(), phase=trail.phase) from error
    finally:
        answer.close()
        if connection is not None:
            connection.close()
    return answer.response()


async def _send(connection: Connection, head: bytes, body: bytes, trail: ExchangeTrail, *, in_halves: bool) -> None:
    trail.enter("send")
    try:
        if in_halves:
            half = (len(body) + 1) // 2
            await connection.send(head + body[:half])
            fp("delivery.body_half_sent")
            await connection.send(body[half:])
            fp("delivery.bytes_sent")
        else:
            await connection.send(head + body)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        pass  # it may have answered before it closed (413, 401): reading tells
    trail.enter("wait")


async def _read(connection: Connection, answer: "_Answer", trail: ExchangeTrail) -> None:
    """Read until the answer is whole. Raise `Fault` where it does not become so."""
    try:
        while not answer.is_whole:
            data = await connection.receive()
            if trail.phase == "wait":
                trail.enter("read")
            if not data:
                answer.end()
                break
            answer.feed(data)
    except ssl.SSLEOFError:
        raise answer.cut() from None
    except ssl.SSLError as error:
        words = (error.reason or "fault").replace("_", " ").lower()
        if error.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED":
            words = "the server wants a client certificate"
        raise fault(Reason.TLS_HANDSHAKE, words, trail.evidence()) from error
    except OSError as error:
        raise from_os_error(error, trail.evidence(), phase=trail.phase) from error
    finally:
        trail.enter(None)


class _Answer:
    """The parser's callbacks, and the limits. It writes what it learns into the trail at once."""

    def __init__(self, trail: ExchangeTrail, *, bodiless: bool) -> None:
        self.is_whole = False
        self._trail = trail
        self._bodiless = bodiless  # HEAD: the headers speak of a body that does not come
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)
        self._headers: list[tuple[str, str]] = []
        self._status_text = b""
        self._in_body = False  # the headers of the answer itself are over
        self._interim = 0
        self._lines = 0  # headers of any kind: interim, real, trailing
        self._line_bytes = 0
        self._head_received = 0
        self._raw_received = 0
        self._body_received = 0
        self._declared: int | None = None  # Content-Length
        self._until_end = False  # the end of the stream ends the body
        self._decoder = Decoder("", room=LARGEST_BODY)
        self._failure: Fault | None = None

    def feed(self, data: bytes) -> None:
        """Take what came. Raise `Fault` where it is no proper answer, or too much of one."""
        if self._in_body:
            self._raw_received += len(data)
        else:
            self._head_received += len(data)
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if self._failure is not None:
                raise self._failure from None
            if not self.is_whole:  # what follows a whole answer is nobody's business
                raise self._fault(Reason.HTTP_PROTOCOL, _in_plain_words(error, data)) from None
        if self.is_whole:
            return
        if not self._in_body and self._head_received > _LARGEST_HEAD:
            raise self._fault(Reason.TOO_LARGE, "the headers are too large: more than 64 KiB")
        if self._raw_received > _LARGEST_RAW:
            raise self._fault(Reason.TOO_LARGE, "the body is too large: more than 2 MiB as sent")

    def end(self) -> None:
        """Take the end of the stream. Raise `Fault` where the answer is not whole then."""
        if self._in_body and self._until_end:
            self._finish()
        if self._failure is not None:
            raise self._failure
        if not self.is_whole:
            raise self.cut()

    def cut(self) -> Fault:
        """Return the fault of a stream that ended too soon."""
        if not self._head_received:
            return self._fault(Reason.RESET, "Connection closed without an answer")
        if not self._in_body:
            return self._fault(Reason.TRUNCATED, "the answer ended within its headers")
        of = "" if self._declared is None else f" of {self._declared}"
        return self._fault(Reason.TRUNCATED, f"the answer ended after {self._body_received}{of} bytes of body")

    def close(self) -> None:
        """Let go of the parser, which holds this object in turn; its memory shall not wait for the collector."""
        self._parser = None

    def response(self) -> Response:
        """Return the whole answer."""
        trail = self._trail
        return Response(
            status=trail.status or 0,
            status_text=trail.status_text,
            http_version=trail.http_version or "",
            headers=tuple(self._headers),
            body=bytes(trail.body),
            phases=trail.phases,
            tls=trail.tls,
            address=trail.address or "",
            addresses=trail.addresses,
        )

    # What follows is called by the parser. An exception would come back dressed up, so the fault is kept beside it.

    def on_status(self, text: bytes) -> None:
        """Take a piece of the reason phrase."""
        if not self.is_whole:
            self._status_text += text

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header or trailer."""
        if self.is_whole:
            return
        self._lines += 1
        self._line_bytes += len(name) + len(value)
        if self._lines > _MOST_HEADERS:
            self._refuse(Reason.TOO_LARGE, f"the headers are too many: more than {_MOST_HEADERS}")
        if self._line_bytes > _LARGEST_HEAD:
            self._refuse(Reason.TOO_LARGE, "the headers are too large: more than 64 KiB")
        if not self._in_body:
            self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1").strip()))

    def on_headers_complete(self) -> None:
        """Decide how the body is framed and encoded."""
        if self.is_whole:
            return
        assert self._parser is not None
        trail, status = self._trail, self._parser.get_status_code()
        version = self._parser.get_http_version()
        if not version.startswith("1."):
            self._refuse(Reason.HTTP_PROTOCOL, f"bad HTTP: version {version} in the form of version 1")
        if status < 200:
            self._skip_interim(status)
            return
        trail.status = status
        trail.status_text = "".join(char for char in self._status_text.decode("latin-1") if char.isprintable())[:200]
        trail.http_version = version
        trail.headers = tuple((name, shown_header(name, value)) for name, value in self._headers)
        trail.content_type = self._all("content-type")
        self._in_body = True
        if self._bodiless or status in {204, 304}:
            self.is_whole = True
            return
        self._read_framing()

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if self.is_whole:
            return
        self._body_received += len(data)
        try:
            self._trail.body += self._decoder.feed(data)
        except Overflow:
            self._refuse(Reason.TOO_LARGE, "the body is too large: more than 1 MiB")
        except NotDecodable as error:
            self._refuse(Reason.BODY_INVALID, str(error))

    def on_message_complete(self) -> None:
        """Note that the framing says it is all there."""
        if self._in_body and not self.is_whole:
            self._finish()

    def _skip_interim(self, status: int) -> None:
        if status < 100:
            self._refuse(Reason.HTTP_PROTOCOL, "the answer has no valid status code")
        if status == 101:
            self._refuse(Reason.HTTP_PROTOCOL, "the server changed the protocol although nobody asked")
        self._interim += 1
        if self._interim > _MOST_INTERIM:
            self._refuse(Reason.HTTP_PROTOCOL, f"more than {_MOST_INTERIM} interim answers")
        self._headers.clear()
        self._status_text = b""

    def _read_framing(self) -> None:
        codings = [coding for part in self._all("transfer-encoding").split(",") if (coding := part.strip().lower())]
        length = self._all("content-length")
        if codings:
            if codings != ["chunked"]:
                self._refuse(Reason.HTTP_PROTOCOL, "the answer has a transfer coding that we did not ask for")
        elif length:
            self._declared = int(length)  # the parser has let digits pass, and one such header
        else:
            self._until_end = True
        try:
            self._decoder = Decoder(self._all("content-encoding"), room=LARGEST_BODY)
        except NotDecodable as error:
            self._refuse(Reason.BODY_INVALID, str(error))
        limit = LARGEST_BODY if self._decoder.is_identity else _LARGEST_RAW
        if self._declared is not None and self._declared > limit:
            self._refuse(Reason.TOO_LARGE, f"the body is too large: {self._declared} bytes are announced")

    def _finish(self) -> None:
        if not self._decoder.is_complete:
            self._refuse(Reason.TRUNCATED, f"the {self._decoder.names} data of the body ends early")
        self.is_whole = True

    def _all(self, name: str) -> str:
        return ", ".join(value for key, value in self._headers if key == name)

    def _refuse(self, reason: Reason, detail: str) -> NoReturn:
        self._failure = self._fault(reason, detail)
        raise self._failure

    def _fault(self, reason: Reason, detail: str) -> Fault:
        return fault(reason, detail, self._trail.evidence())


def shown_header(name: str, value: str) -> str:
    """Return a header's value as evidence: secrets as dots, addresses redacted, length bounded."""
    if name in _COOKIES or looks_secret(name):
        return DOTS
    return (redact(value) if name in _ADDRESSES else value)[:_LONGEST_SHOWN]


def _in_plain_words(error: httptools.HttpParserError, data: bytes) -> str:
    text = str(error)
    if data[:2] in {b"\x15\x03", b"\x16\x03"}:
        return "the server speaks TLS on this port, not plain HTTP"
    if text.startswith("Expected HTTP/"):
        return "the answer is not HTTP"
    return f"bad HTTP: {text}"
