"""TLS between two heaps of bytes: no socket, no waiting, all evidence.

`TlsSession` is what a connection speaks TLS with, whoever moves the bytes: the state machine of the HTTP core and the
awaiting connection share it. It runs over memory buffers, because only so is the presented chain at hand when
verification fails.
"""

import ssl
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from laya_uptime.adapters.net import tls
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import TlsFacts

LARGEST_HANDSHAKE = 1 << 20  # bytes; OpenSSL bounds a message, this bounds how many there are
CHUNK = 65536


class Session(Protocol):
    """A TLS client session. Bytes go in by `feed`, what is to be sent comes out by `drain`."""

    facts: TlsFacts | None
    is_established: bool

    @property
    def alpn(self) -> str:
        """Return the protocol that was agreed upon (RFC 7301); empty: none."""
        ...

    def handshake(self) -> bool:
        """Go on as far as the bytes reach; say whether it is done. Raise ssl.SSLError where it has failed."""
        ...

    def failed(self, error: ssl.SSLError, now: datetime) -> tls.Trouble:
        """Note the facts of a handshake that failed, and return why it did."""
        ...

    def feed(self, data: bytes | memoryview) -> None:
        """Take what came from the peer; nothing means the end of its stream."""
        ...

    def drain(self) -> bytes:
        """Return what is to be sent, b"" where nothing is."""
        ...

    def write(self, data: bytes) -> None:
        """Encrypt all of it, for `drain`."""
        ...

    def read(self, limit: int) -> bytes | None:
        """Return what could be decrypted, b"" at the end that the peer declared, None where more bytes are needed.

        Raise ssl.SSLEOFError where the stream ended without saying so, ssl.SSLError for other faults.
        """
        ...

    def farewell(self) -> bytes:
        """Return what is still to be said before the connection is closed."""
        ...


class TlsSession:
    """A session by the standard library."""

    def __init__(self, context: ssl.SSLContext, server_hostname: str) -> None:
        self.facts: TlsFacts | None = None
        self.is_established = False
        self._host = server_hostname.removesuffix(".").partition("%")[0]
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._received = 0
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=self._host)

    @property
    def alpn(self) -> str:
        """See `Session.alpn`."""
        return self._tls.selected_alpn_protocol() or ""

    def handshake(self) -> bool:
        """See `Session.handshake`."""
        if self._received > LARGEST_HANDSHAKE:
            flood = ssl.SSLError("handshake flood")
            flood.reason = "EXCESSIVE_MESSAGE_SIZE"
            raise flood
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.facts = tls.facts(self._tls)
        self.is_established = True
        return True

    def failed(self, error: ssl.SSLError, now: datetime) -> tls.Trouble:
        """See `Session.failed`."""
        seen = tls.facts(self._tls)
        why = tls.trouble(error, seen.chain, host=self._host, now=now)
        distrusted = isinstance(error, ssl.SSLCertVerificationError)
        self.facts = tls.facts(self._tls, fault=why.detail) if distrusted else seen
        return why

    def feed(self, data: bytes | memoryview) -> None:
        """See `Session.feed`."""
        if data:
            self._received += len(data)
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def drain(self) -> bytes:
        """See `Session.drain`."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def write(self, data: bytes) -> None:
        """See `Session.write`. The outgoing buffer has no bound, so it never has to wait."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest[:CHUNK]) :]

    def read(self, limit: int) -> bytes | None:
        """See `Session.read`."""
        try:
            return self._tls.read(limit)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return b""

    def farewell(self) -> bytes:
        """See `Session.farewell`."""
        if self.is_established:
            with suppress(OSError):
                self._tls.unwrap()  # writes close_notify; the answer to it is not waited for
        return self.drain()


def in_words(error: ssl.SSLError) -> tuple[Reason, str]:
    """Return what a fault after the handshake says."""
    if error.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED":
        return Reason.TLS_HANDSHAKE, "the server wants a client certificate"
    return Reason.TLS_HANDSHAKE, (error.reason or "fault").replace("_", " ").lower()
