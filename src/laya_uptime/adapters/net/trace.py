"""The record of one look, written by whoever sees the wire and only when somebody asked for it.

It is kept in memory until it is shown: nothing of it is logged or stored. Every line is made safe as it comes
(`domain.trace`), and all of them together are bounded.
"""

import re
from collections.abc import Collection
from dataclasses import replace

from laya_uptime.adapters.net.answer import shown_header
from laya_uptime.domain import trace
from laya_uptime.domain.certificates import key_words
from laya_uptime.domain.result import TlsFacts
from laya_uptime.domain.secret import DOTS
from laya_uptime.domain.trace import Confidential, Kind, TraceLine
from laya_uptime.domain.urls import redact
from laya_uptime.ports import Clock

MOST_HEADERS = 64  # lines of one head that are shown
_MOST_PIECES = 16  # of one answer, whose size and time are shown
_LEAST_LEARNT, _MOST_LEARNT = 8, 256  # bytes of a word that a peer made a secret of
_MOST_WORDS = 256
_MOST_RUN = 8192  # bytes of what is said in one go that are kept, to be shown

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_INTERIM = re.compile(rb"HTTP/[0-9.]+ 1[0-9][0-9]\b")
_REQUEST_LINE = re.compile(rb"([!-~]+) ([!-~]+) (HTTP/[0-9.]+)")


class Trace:
    """What was seen on the wire, in order."""

    def __init__(self, clock: Clock, confidential: Confidential) -> None:
        """Begin to count the time."""
        self.confidential = confidential
        self.clock = clock
        self._began = clock.monotonic()
        self._lines: list[TraceLine] = []
        self._room = trace.LARGEST
        self._left_out = 0

    @property
    def lines(self) -> list[TraceLine]:
        """Return what there is, and at the end how much there was no room for."""
        return trace.bounded(self._lines, left_out=self._left_out)

    def note(self, kind: Kind, text: str | bytes) -> None:
        """Write one line."""
        data = text.encode("utf-8", "replace") if isinstance(text, str) else text
        self._write(kind, trace.shortened(trace.line(data, self.confidential), size=len(data)))

    def conclude(self, text: str) -> None:
        """Write how something ended, unless the last line has said so."""
        before = len(self._lines)
        self.note(Kind.NOTE, text)
        if len(self._lines) > before > 0 and self._lines[-1].text == self._lines[-2].text:
            del self._lines[-1]

    def piece(self, kind: Kind, data: bytes, *, size: int, mark: str = "") -> None:
        """Write the beginning of a body, or of what was said in one go, which has `size` bytes in all."""
        for text in trace.piece(data, self.confidential, size=size):
            self._write(kind, mark + text)

    def head(
        self, kind: Kind, head: bytes, *, mark: str = "", secret: Collection[str] = (), is_cut: bool = False
    ) -> None:
        """Write the head of a request or an answer line by line.

        `secret`: headers, in lower case, whose values are nobody's business; `is_cut`: its last line is not whole.
        """
        lines = [line.removesuffix(b"\r") for line in head.split(b"\n")]
        while lines and not lines[-1]:
            lines.pop()
        is_hidden = False
        for place, raw in enumerate(lines[:MOST_HEADERS]):
            text = trace.line(raw, self.confidential, whole=not is_cut or place + 1 < len(lines))
            if place == 0:
                text = self._first_line(raw, text)
            elif text[:1] in {" ", "\t"} and is_hidden:  # a line goes on in the next (RFC 9112 section 5.2)
                text = f" {DOTS}"
            else:
                name, colon, value = text.partition(":")
                if colon:
                    key = name.strip().lower()
                    shown = DOTS if key in secret else shown_header(key, value.strip())
                    is_hidden = shown == DOTS
                    if is_hidden:
                        self._learn(key, raw.partition(b":")[2])
                    text = f"{name}:{value}" if shown == value.strip() else f"{name}: {shown}"
            self._write(kind, mark + trace.shortened(text, size=len(raw)))
        if len(lines) > MOST_HEADERS:
            self._write(kind, f"{mark}and {len(lines) - MOST_HEADERS} more lines")

    def _learn(self, name: str, value: bytes) -> None:
        """Hide from now on what stands in a confidential header: a body may repeat it."""
        told = [value.partition(b";")[0].partition(b"=")[2]] if "cookie" in name else value.split()
        words = {word for each in told if _LEAST_LEARNT <= len(word := each.strip(b' "')) <= _MOST_LEARNT}
        if words and len(self.confidential.words) + len(words) <= _MOST_WORDS:
            self.confidential = replace(self.confidential, words=self.confidential.words | words)

    def _first_line(self, raw: bytes, text: str) -> str:
        """Return a request line with its target as people may see it, and any other first line as it is."""
        match = _REQUEST_LINE.fullmatch(raw)
        if match is None or match[1].startswith(b"HTTP/"):
            return text
        target = match[2].decode("ascii")
        prefix = "" if "://" in target or match[1] == b"CONNECT" else "http://x"
        shown = redact(prefix + target).removeprefix(prefix)
        return trace.line(f"{match[1].decode()} {shown} {match[3].decode()}".encode(), self.confidential)

    def tls(self, facts: TlsFacts | None, *, alpn: str | None = None) -> None:
        """Write what a handshake has shown, whole or not. `alpn`: empty where no protocol was agreed upon; None: unknown."""
        if facts is None:
            return
        protocol = "" if alpn is None else f"ALPN {alpn}" if alpn else "no ALPN"
        if facts.version or facts.cipher:
            self.note(Kind.TLS, ", ".join(filter(None, (facts.version, facts.cipher, protocol))))
        self.chain(facts)

    def chain(self, facts: TlsFacts) -> None:
        """Write what certificates were presented."""
        for place, certificate in enumerate(facts.chain):
            key = ", ".join(filter(None, (key_words(certificate), certificate.digest)))
            self.note(
                Kind.TLS,
                f"{'certificate' if place == 0 else 'issued by'}: {certificate.subject}, until "
                f"{certificate.not_after:%Y-%m-%d}{f', {key}' if key else ''}",
            )

    def _write(self, kind: Kind, text: str) -> None:
        self._room -= trace.cost(text)
        if self._room < 0:
            self._left_out += 1
            return
        self._lines.append(TraceLine(round((self.clock.monotonic() - self._began) * 1000, 1), kind, text))


class Answers:
    """An answer as it comes in pieces: its head or heads line by line, then sizes."""

    def __init__(self, record: Trace, kind: Kind = Kind.RECEIVED, *, mark: str = "") -> None:
        """Begin with nothing heard. `mark` stands before each line."""
        self._in_body = False
        self._trace = record
        self._kind = kind
        self._mark = mark
        self._head = b""
        self._looked = 0
        self._pieces = 0
        self._received = 0
        self._unshown = 0

    def hear(self, data: bytes) -> bytes:
        """Take what came, and return what of it lies behind the head."""
        if self._in_body:
            return data
        self._head += data
        while (end := _END_OF_HEAD.search(self._head, max(self._looked - 3, 0))) is not None:
            head, rest = self._head[: end.start()], self._head[end.end() :]
            self._trace.head(self._kind, head, mark=self._mark)
            self._head, self._looked = rest, 0
            if not _INTERIM.match(head):
                self._in_body, self._head = True, b""
                return rest
        self._looked = len(self._head)
        return b""

    def count(self, data: bytes) -> None:
        """Note the size of a piece of body, framing and all."""
        if not data:
            return
        self._pieces += 1
        self._received += len(data)
        if self._pieces <= _MOST_PIECES:
            self._trace.note(self._kind, f"[{len(data)} bytes of body]")
        else:
            self._unshown += len(data)

    def finish(self) -> None:
        """Write what is not written yet: a head that did not end, pieces too many to tell each."""
        if self._head:
            self._trace.head(self._kind, self._head, mark=self._mark, is_cut=True)
            self._trace.note(self._kind, f"{self._mark}[the head does not end: {len(self._head)} bytes of it came]")
            self._head = b""
        if self._unshown:
            pieces = self._pieces - _MOST_PIECES
            self._trace.note(self._kind, f"[{self._unshown} bytes of body in {pieces} more pieces]")
            self._unshown = 0


class Speech:
    """What one side says until the other one speaks: the size of each piece as it comes, then the text.

    A word that comes byte by byte is still one word when it is shown, and so can be hidden.
    """

    def __init__(self, record: Trace, kind: Kind = Kind.RECEIVED, *, mark: str = "") -> None:
        """Begin with nothing said. `mark` stands before each line."""
        self._trace = record
        self._kind = kind
        self._mark = mark
        self._said = bytearray()
        self._size = 0
        self._pieces = 0

    def hear(self, data: bytes) -> None:
        """Take a piece."""
        self._pieces += 1
        self._size += len(data)
        self._said += data[: max(_MOST_RUN - len(self._said), 0)]
        if self._pieces <= _MOST_PIECES:
            self._trace.note(self._kind, f"{self._mark}[{len(data)} bytes]")

    def finish(self) -> None:
        """Write what was said."""
        if self._pieces > _MOST_PIECES:
            self._trace.note(self._kind, f"{self._mark}[{self._size} bytes in {self._pieces} pieces]")
        if self._said:
            self._trace.piece(self._kind, bytes(self._said), size=self._size, mark=self._mark)
        self._said.clear()
        self._size = self._pieces = 0


# RFC 8446 section 5.1 and section 4; older ones of RFC 5246 beside them.
_RECORDS = {20: "change cipher spec", 21: "alert", 22: "handshake", 23: "encrypted"}
_MESSAGES = {
    1: "ClientHello",
    2: "ServerHello",
    4: "NewSessionTicket",
    11: "Certificate",
    12: "ServerKeyExchange",
    13: "CertificateRequest",
    14: "ServerHelloDone",
    16: "ClientKeyExchange",
}
_ALERTS = {  # RFC 8446 section 6
    0: "close notify",
    10: "unexpected message",
    40: "handshake failure",
    42: "bad certificate",
    45: "certificate expired",
    46: "certificate unknown",
    48: "unknown CA",
    70: "protocol version",
    71: "insufficient security",
    80: "internal error",
    112: "unrecognized name",
    116: "certificate required",
    120: "no application protocol",
}


def tls_records(data: bytes) -> str:
    """Return what a piece of a handshake begins with, as far as it is not encrypted."""
    size = f"{len(data)} bytes"
    if len(data) < 3 or data[0] not in _RECORDS or data[1] != 3:
        return f"{size} that begin no TLS record"
    kind = _RECORDS[data[0]]
    if data[0] == 22 and len(data) > 5:
        return f"{size}: {_MESSAGES.get(data[5], kind)}"
    if data[0] == 21 and len(data) == 7:
        return f"{size}: alert, {_ALERTS.get(data[6], f'number {data[6]}')}"
    return f"{size}: {kind}"
