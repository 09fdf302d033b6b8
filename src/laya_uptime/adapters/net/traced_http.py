"""HTTP exchanges that leave a trace: what went over the wire, decrypted, as it went.

They are the exchanges that every check has, with somebody who takes notes at the seams between their steps. No other
check pays for it.
"""

import re
from collections.abc import Callable, Iterator

from laya_uptime.adapters.net.curl import CurlExchange
from laya_uptime.adapters.net.http1 import DONE, OPENING, SHAKING, Exchange, Kept, Request
from laya_uptime.adapters.net.libcurl import Version
from laya_uptime.adapters.net.trace import Answers, Speech, Trace, tls_records
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.secret import DOTS
from laya_uptime.domain.trace import Kind
from laya_uptime.ports import Fault, Reach

_LOGIN = b"\x01"  # RFC 1929: what a SOCKS client says its name and password with
_LOOKED_AT = 8192  # bytes of a body

# CURLINFO_TEXT, _HEADER_OUT, and _HEADER_IN and _DATA_IN, of curl/curl.h.
_REMARK, _ASKED, _ANSWERED = 0, 2, {1, 3}
_TELLING = re.compile(rb"SSL connection using |ALPN: ")


class HttpNotes:
    """What one exchange leaves in a trace, whoever speaks HTTP for it."""

    def __init__(self, trace: Trace, request: Request, trail: ExchangeTrail) -> None:
        """Write nothing yet."""
        self.trace = trace
        self._request = request
        self._trail = trail
        self._answers = Answers(trace)

    def begin(self) -> None:
        """Write where this goes."""
        self._answers = Answers(self.trace)
        self.trace.note(Kind.NOTE, f"{self._request.method} {self._request.url.redacted}")

    def asked(self, head: bytes) -> None:
        """Write the request. Headers and body that were configured are secrets, all of them."""
        request = self._request
        configured = {name.lower() for name in request.headers} & self.trace.confidential.names
        self.trace.head(Kind.SENT, head, secret=configured)
        if request.body:
            self.trace.note(Kind.SENT, f"[{len(request.body)} bytes of body] {DOTS}")

    def heard(self, data: bytes) -> None:
        """Write what came of the answer."""
        self._answers.count(self._answers.hear(data))

    def finish(self, trouble: Fault | None) -> None:
        """Write the beginning of the body, decompressed, and how it ended."""
        self._answers.finish()
        if self._trail.body:
            self.trace.note(Kind.RECEIVED, f"[the body, {len(self._trail.body)} bytes:]")
            self.trace.piece(Kind.RECEIVED, bytes(self._trail.body[:_LOOKED_AT]), size=len(self._trail.body))
        if trouble is not None:
            self.trace.conclude(trouble.failure.detail)


class TracedExchange(Exchange):
    """An exchange of HTTP/1.1. It always has the TLS library whose word counts."""

    def __init__(
        self,
        via: Reach,
        request: Request,
        trail: ExchangeTrail,
        done: Callable[[Fault | None], None],
        *,
        trace: Trace,
        kept: Kept | None = None,
        keeps: bool = False,
        fast: bool = False,
    ) -> None:
        """Begin nothing yet."""
        del fast
        super().__init__(via, request, trail, done, kept=kept, keeps=keeps)
        self._trace = trace
        self._notes = HttpNotes(trace, request, trail)
        through_http = request.proxy is not None and request.proxy.scheme == "http"
        self._proxy = (Answers if through_http else Speech)(trace, Kind.PROXY, mark="< ")

    def start(self) -> None:
        """Go."""
        self._notes.begin()
        super().start()

    def cancel(self) -> None:
        """Drop everything."""
        if self._state != DONE:
            during = f" during {self.trail.phase}" if self.trail.phase else ""
            self._trace.note(Kind.NOTE, f"given up{during}")
        super().cancel()

    def _give(self, data: bytes) -> None:
        if data and self._state == OPENING:
            self._tell_proxy(data)
        elif data and self._state == SHAKING:
            self._proxy.finish()
            self._trace.note(Kind.TLS, f"> {tls_records(data)}")
        super()._give(data)

    def _tell_proxy(self, data: bytes) -> None:
        self._proxy.finish()
        if isinstance(self._proxy, Answers):
            self._trace.head(Kind.PROXY, data, mark="> ")
        elif data.startswith(_LOGIN):
            self._trace.note(Kind.PROXY, f"> user name and password: {DOTS}")
        else:
            self._trace.note(Kind.PROXY, b"> " + data)

    def _incoming(self) -> Iterator[memoryview]:
        for data in super()._incoming():
            if self._state == OPENING:
                self._proxy.hear(bytes(data))
            elif self._state == SHAKING:
                self._trace.note(Kind.TLS, f"< {tls_records(bytes(data))}" if data else "< the server hung up")
            yield data

    def _say(self, data: bytes) -> None:
        self._proxy.finish()
        if self._session is not None:
            self._trace.tls(self._session.facts, alpn=self._session.alpn)
        self._notes.asked(self._request.head)
        super()._say(data)

    def _hear(self, data: bytes | memoryview) -> None:
        if data:
            self._notes.heard(bytes(data))
        else:
            self._trace.note(Kind.RECEIVED, "[end of the stream]")
        super()._hear(data)

    def _end(self, trouble: Fault | None) -> None:
        if self._state != DONE:
            self._proxy.finish()
            if self._state == SHAKING and trouble is not None:
                self._trace.tls(self.trail.tls)
            self._notes.finish(trouble)
        super()._end(trouble)

    def _close(self) -> None:
        if self._sock is not None:
            self._trace.note(Kind.CLOSE, "closed")
        super()._close()


class TracedCurlExchange(CurlExchange):
    """An exchange of HTTP/2 or HTTP/3, as far as libcurl lets others look."""

    def __init__(
        self,
        via: Reach,
        request: Request,
        trail: ExchangeTrail,
        done: Callable[[Fault | None], None],
        *,
        trace: Trace,
        http_version: Version,
        kept: Kept | None = None,
        keeps: bool = False,
        fast: bool = False,
    ) -> None:
        """Begin nothing yet."""
        super().__init__(
            via,
            request,
            trail,
            self._over,
            http_version=http_version,
            kept=kept,
            keeps=keeps,
            fast=fast,
            witness=self._hear,
        )
        self._trace = trace
        self._notes = HttpNotes(trace, request, trail)
        self._tell = done
        self._is_over = False

    def start(self) -> None:
        """Go."""
        self._notes.begin()
        super().start()

    def cancel(self) -> None:
        """Drop everything."""
        if not self._is_over:
            self._trace.note(Kind.NOTE, f"given up during {self.trail.phase}" if self.trail.phase else "given up")
            self._is_over = True
        super().cancel()

    def _over(self, trouble: Fault | None) -> None:
        self._is_over = True
        if self.trail.tls is not None:
            self._trace.chain(self.trail.tls)
        self._notes.finish(trouble)
        self._trace.note(Kind.CLOSE, "closed")
        self._tell(trouble)

    def _hear(self, kind: int, data: bytes) -> None:
        if kind == _ASKED:
            self._notes.asked(data)
        elif kind == _REMARK and _TELLING.match(data):
            self._trace.note(Kind.TLS, data.strip())
        elif kind in _ANSWERED:
            self._notes.heard(data)
