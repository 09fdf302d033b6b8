"""One HTTP/1.1 answer, from bytes to facts: every byte accounted for, memory bounded, no socket in sight.

The parser is llhttp, as strict as it comes except for line ends, where RFC 9112 section 2.2 lets a bare LF pass. Nothing
the peer sends can cost more than the limits below. What is learnt goes into the trail at once, so that whatever ends an
answer early loses nothing of it.
"""

from enum import Enum
from functools import lru_cache
from typing import NoReturn

import httptools

from laya_uptime.adapters.net.content import Decoder, NotDecodable, Overflow
from laya_uptime.adapters.net.faults import fault
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.secret import DOTS
from laya_uptime.domain.urls import looks_secret, redact
from laya_uptime.ports import Fault

LARGEST_BODY = 1 << 20  # bytes after decompression
_LARGEST_RAW = 2 << 20  # bytes of body as sent, chunk headers and all
_LARGEST_HEAD = 64 << 10  # bytes of status line and headers; the same again for trailers
_MOST_HEADERS = 256
_MOST_INTERIM = 8  # answers of the kind 1xx before the real one
_LONGEST_SHOWN = 1024  # characters of a header's value that are kept as evidence
_OFTEN = 256  # bytes of a header's value that is remembered for the next time

_COOKIES = frozenset(("cookie", "set-cookie"))
_ADDRESSES = frozenset(("content-location", "location", "referer"))
_FRAMING = frozenset(("content-encoding", "content-length", "content-type", "transfer-encoding"))


class Answer:
    """The parser's callbacks, and the limits.

    Feed it until `is_whole`, tell it the end of the stream, and `close` it in any case.
    """

    # What most answers never change stays with the class: an answer is made for every check.
    is_whole = False
    location: str | None = None  # where a redirect points
    _status_text = b""
    _in_body = False  # the headers of the answer itself are over
    _interim = 0
    _head_received = 0
    _raw_received = 0
    _surplus = False  # something came behind the whole answer
    _body_received = 0
    _declared: int | None = None  # Content-Length
    _until_end = False  # the end of the stream ends the body
    _decoder: Decoder | None = None  # None: the body comes as it is
    _failure: Fault | None = None

    def __init__(self, trail: ExchangeTrail, *, bodiless: bool) -> None:
        self._trail = trail
        self._bodiless = bodiless  # HEAD: the headers speak of a body that does not come
        parser = httptools.HttpResponseParser(self)
        parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)
        self._parser: httptools.HttpResponseParser | None = parser
        self._raw: list[tuple[bytes, bytes]] = []  # the headers as they came
        self._trailers: list[tuple[bytes, bytes]] = []

    @property
    def has_begun(self) -> bool:
        """Say whether any byte of it has come."""
        return self._head_received > 0

    @property
    def may_be_followed(self) -> bool:
        """Say whether the connection can be used again after this answer, as far as the answer says."""
        assert self._parser is not None
        return self.is_whole and not self._until_end and not self._surplus and bool(self._parser.should_keep_alive())

    def feed(self, data: bytes | memoryview) -> None:
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
                raise self._fault(Reason.HTTP_PROTOCOL, _in_plain_words(error, bytes(data[:2]))) from None
            self._surplus = True
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

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers as they came, names in lower case: in confidence, unlike those in the trail."""
        return tuple((_sort(name)[0], value.decode("latin-1").strip()) for name, value in self._raw)

    # What follows is called by the parser. An exception would come back dressed up, so the fault is kept beside it.

    def on_status(self, text: bytes) -> None:
        """Take a piece of the reason phrase."""
        if self.is_whole:
            return
        self._status_text += text
        if len(self._status_text) > _LARGEST_HEAD:
            self._refuse(Reason.TOO_LARGE, "the headers are too large: more than 64 KiB")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header or trailer."""
        lines = self._trailers if self._in_body else self._raw
        lines.append((name, value))
        if len(lines) > _MOST_HEADERS and not self.is_whole:
            self._refuse(Reason.TOO_LARGE, f"the headers are too many: more than {_MOST_HEADERS}")

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
        self._measure(self._raw)
        trail.status = status
        trail.status_text = _printable(self._status_text)
        trail.http_version = version
        framing = self._read_headers()
        self._in_body = True
        if self._bodiless or status in {204, 304}:
            self.is_whole = True
        else:
            self._read_framing(framing)

    def _measure(self, lines: list[tuple[bytes, bytes]]) -> None:
        """Refuse headers or trailers that are too large together. Until they are whole, `feed` bounds them."""
        if sum([len(name) + len(value) for name, value in lines]) > _LARGEST_HEAD:
            self._refuse(Reason.TOO_LARGE, "the headers are too large: more than 64 KiB")

    def _read_headers(self) -> dict[str, str]:
        """Note the headers as evidence, and return those that say how the body is framed and encoded."""
        shown: list[tuple[str, str]] = []
        framing: dict[str, str] = {}
        for raw_name, raw_value in self._raw:
            pair, sort, value = (_read_header if len(raw_value) <= _OFTEN else _read_header.__wrapped__)(
                raw_name, raw_value
            )
            shown.append(pair)
            if sort is _Sort.FRAMING:
                name = pair[0]
                framing[name] = f"{framing[name]}, {value}" if name in framing else value
            elif sort is _Sort.ADDRESS and self.location is None and pair[0] == "location":
                self.location = value
        trail = self._trail
        trail.headers = tuple(shown)
        trail.content_type = framing.get("content-type", "")
        return framing

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if self.is_whole:
            return
        self._body_received += len(data)
        if self._decoder is None:
            if self._body_received > LARGEST_BODY:
                self._refuse(Reason.TOO_LARGE, "the body is too large: more than 1 MiB")
        else:
            try:
                data = self._decoder.feed(data)
            except Overflow:
                self._refuse(Reason.TOO_LARGE, "the body is too large: more than 1 MiB")
            except NotDecodable as error:
                self._refuse(Reason.BODY_INVALID, str(error))
        self._trail.add_body(data)

    def on_message_complete(self) -> None:
        """Note that the framing says it is all there."""
        if self._in_body and not self.is_whole:
            if self._trailers:
                self._measure(self._trailers)
            self._finish()

    def _skip_interim(self, status: int) -> None:
        if status < 100:
            self._refuse(Reason.HTTP_PROTOCOL, "the answer has no valid status code")
        if status == 101:
            self._refuse(Reason.HTTP_PROTOCOL, "the server changed the protocol although nobody asked")
        self._interim += 1
        if self._interim > _MOST_INTERIM:
            self._refuse(Reason.HTTP_PROTOCOL, f"more than {_MOST_INTERIM} interim answers")
        self._raw.clear()
        self._status_text = b""

    def _read_framing(self, framing: dict[str, str]) -> None:
        coding, length = framing.get("transfer-encoding"), framing.get("content-length")
        if coding is not None and (codings := [each for part in coding.split(",") if (each := part.strip().lower())]):
            if codings != ["chunked"]:
                self._refuse(Reason.HTTP_PROTOCOL, "the answer has a transfer coding that we did not ask for")
        elif length:
            self._declared = int(length)  # the parser has let digits pass, and one such header
        else:
            self._until_end = True
        if encodings := framing.get("content-encoding"):
            try:
                self._decoder = Decoder(encodings, room=LARGEST_BODY)
            except NotDecodable as error:
                self._refuse(Reason.BODY_INVALID, str(error))
        limit = LARGEST_BODY if self._decoder is None or self._decoder.is_identity else _LARGEST_RAW
        if self._declared is not None and self._declared > limit:
            self._refuse(Reason.TOO_LARGE, f"the body is too large: {self._declared} bytes are announced")

    def _finish(self) -> None:
        if self._decoder is not None and not self._decoder.is_complete:
            self._refuse(Reason.TRUNCATED, f"the {self._decoder.names} data of the body ends early")
        self.is_whole = True

    def _refuse(self, reason: Reason, detail: str) -> NoReturn:
        self._failure = self._fault(reason, detail)
        raise self._failure

    def _fault(self, reason: Reason, detail: str) -> Fault:
        return fault(reason, detail, self._trail.evidence())


class _Sort(Enum):
    """What a header's name says of its value."""

    PLAIN = 0
    CONFIDENTIAL = 1
    ADDRESS = 2
    FRAMING = 3


@lru_cache(maxsize=512)
def _sort(name: bytes) -> tuple[str, _Sort]:
    """Return a header's name in lower case, and what it says of the value."""
    lower = name.decode("latin-1").lower()
    if lower in _FRAMING:
        return lower, _Sort.FRAMING
    if lower in _COOKIES or looks_secret(lower):
        return lower, _Sort.CONFIDENTIAL
    return lower, _Sort.ADDRESS if lower in _ADDRESSES else _Sort.PLAIN


# Servers send the same headers with every answer, so what was read once is remembered, as long as it is short.
@lru_cache(maxsize=2048)
def _read_header(raw_name: bytes, raw_value: bytes) -> tuple[tuple[str, str], _Sort, str]:
    """Return a header as evidence, what its name says of the value, and the value as it is."""
    name, sort = _sort(raw_name)
    value = raw_value.decode("latin-1").strip()
    return (name, _shown(sort, value)), sort, value


def _shown(sort: _Sort, value: str) -> str:
    if sort is _Sort.CONFIDENTIAL:
        return DOTS
    return (redact(value) if sort is _Sort.ADDRESS else value)[:_LONGEST_SHOWN]


def shown_header(name: str, value: str) -> str:
    """Return a header's value as evidence: secrets as dots, addresses redacted, length bounded."""
    return _shown(_sort(name.encode("utf-8", "replace"))[1], value)


@lru_cache(maxsize=256)
def _printable(status_text: bytes) -> str:
    return "".join(char for char in status_text.decode("latin-1") if char.isprintable())[:200]


def _in_plain_words(error: httptools.HttpParserError, beginning: bytes) -> str:
    text = str(error)
    if beginning in {b"\x15\x03", b"\x16\x03"}:
        return "the server speaks TLS on this port, not plain HTTP"
    if text.startswith("Expected HTTP/"):
        return "the answer is not HTTP"
    return f"bad HTTP: {text}"
