"""From what libcurl says to the words people read: the same reasons, and where it can be the same words, as our own client.

libcurl gives a number, a sentence, and more sentences on the way, in which the codes of HTTP/2 and HTTP/3 are found. Only
what is expected there is kept of them, since some repeat the request with all its headers.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from laya_uptime.adapters.net import tls
from laya_uptime.adapters.net.faults import words
from laya_uptime.adapters.net.libcurl import Version
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Certificate

# CURLE_* of curl/curl.h, as far as they can come here.
_CONNECT, _HTTP2, _PARTIAL, _TLS, _NOTHING, _SEND, _RECEIVE, _QUIC = 7, 16, 18, 35, 52, 55, 56, 96
_ON_THE_WAY = {_CONNECT, _HTTP2, _PARTIAL, _TLS, _NOTHING, _SEND, _RECEIVE, _QUIC}
_STRANGE, _DISTRUSTED, _STREAM, _HTTP3 = 8, 60, 92, 95
_OTHERS = {
    27: (Reason.INTERNAL, "out of memory"),
    77: (Reason.INTERNAL, "the file of certificate authorities holds no certificate"),
    100: (Reason.TOO_LARGE, "the headers are too large"),
}

_TLS_CHOICE = re.compile(r"SSL connection using (TLSv[0-9.]+) / (\S+)")
_GOAWAY = re.compile(r"received GOAWAY, error=(\d+)")
_BROKEN = re.compile(r"nghttp2 shuts down connection with error \d+: ([A-Z0-9_]+)")
_RESET = re.compile(r"HTTP/[23] stream \d+ reset by server \(error 0x[0-9a-f]+ ([A-Za-z0-9_]+)\)")
_REFUSED = re.compile(r"HTTP/[23] stream \d+ refused by server")
_ERRNO = re.compile(r"\w+\(\) returned -1 \(errno (\d+)\)")
_OPENSSL = re.compile(r"error:[0-9A-Fa-f]+:[^:]*:[^:]*:([A-Za-z0-9 /_-]+)")
_VERDICT = re.compile(r"verify result: (.+) \(\d+\)")
_FRAME = re.compile(r"received invalid frame: .*, error -?\d+: (.+)")

# RFC 9113 section 7.
_HTTP2_CODES = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
]
_NAMES_WRONG, _UNSPECIFIED = 62, {0, 1}  # X509_V_ERR_*; libcurl compares names itself and leaves the result as it was


@dataclass(slots=True)
class Remarks:
    """What libcurl remarked on the way, as far as it tells something."""

    tls_version: str | None = None
    cipher: str | None = None
    farewell: str | None = None  # the code of a GOAWAY that was not a friendly one
    reset: str | None = None  # the code with which the server gave the request up
    broken: str | None = None  # the code with which our side gave the connection up
    is_refused: bool = False  # the server did not begin with the request, and would take it again
    errno: int | None = None

    def note(self, line: str) -> None:
        """Take one remark."""
        if (choice := _TLS_CHOICE.match(line)) is not None:
            self.tls_version, self.cipher = choice.groups()
        elif (farewell := _GOAWAY.match(line)) is not None:
            self.farewell = _named(int(farewell[1])) if farewell[1] != "0" else None
        elif (reset := _RESET.match(line)) is not None:
            self.reset = reset[1]
        elif (broken := _BROKEN.match(line)) is not None:
            self.broken = broken[1]
        elif _REFUSED.match(line):
            self.is_refused = True
        elif (number := _ERRNO.match(line)) is not None:
            self.errno = int(number[1])


@dataclass(frozen=True, slots=True)
class Why:
    """Why a transfer failed. `is_cut`: the stream ended before the answer was whole, and the answer knows the words."""

    reason: Reason
    detail: str
    is_cut: bool = False
    is_distrust: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a transfer ended without success. `verdict` is OpenSSL's X509_V_ERR_* on the chain."""

    code: int
    text: str
    errno: int
    verdict: int
    version: Version
    remarks: Remarks


def why(ending: Ending, chain: tuple[Certificate, ...], *, host: str, now: datetime) -> Why:
    """Say what was wrong, judged at `now`."""
    if ending.code == _DISTRUSTED:
        return _distrusted(ending, chain, host=host, now=now)
    if (spoken := _spoken(ending)) is not None:
        return Why(Reason.HTTP_PROTOCOL, spoken)
    if ending.code in _ON_THE_WAY:
        return _transport(ending)
    if ending.code in {_STREAM, _HTTP3, _STRANGE}:
        return Why(Reason.HTTP_PROTOCOL, f"bad HTTP/{ending.version}: {_bounded(ending.text)}")
    reason, detail = _OTHERS.get(ending.code, (Reason.INTERNAL, f"unexpected error of libcurl ({ending.code})"))
    return Why(reason, detail)


def _spoken(ending: Ending) -> str | None:
    """Return what the server said in the words of HTTP/2 or HTTP/3 itself; None: nothing."""
    text, remarks, name = ending.text, ending.remarks, f"HTTP/{ending.version}"
    if remarks.is_refused:
        refusal = "REFUSED_STREAM" if ending.version == "2" else "H3_REQUEST_REJECTED"
        return f"the server refused the request ({name} {refusal})"
    if remarks.farewell is not None:
        return f"the server closed the connection ({name} GOAWAY {remarks.farewell})"
    if remarks.reset is not None:
        return f"the server reset the stream ({name} {remarks.reset})"
    if (frame := _FRAME.search(text)) is not None:
        return f"bad {name}: {_bounded(frame[1])}"
    if "expected SETTINGS" in text:
        return f"the server does not speak {name} on this port"
    return None if remarks.broken is None else broken(remarks.broken).detail


def broken(name: str) -> Why:
    """Say that the server sent what is no HTTP/2. `name`: the error code for it."""
    return Why(Reason.HTTP_PROTOCOL, f"bad HTTP/2: {name}")


def _transport(ending: Ending) -> Why:
    text = ending.text
    if "ERR_CLOSING" in text:
        return Why(Reason.HTTP_PROTOCOL, f"bad HTTP/{ending.version}: the server broke a rule of the protocol")
    if "ERR_DRAINING" in text:
        return Why(Reason.RESET, "the server closed the QUIC connection", is_cut=True)
    spoken = _OPENSSL.search(text)
    if spoken is not None and "unexpected eof" not in text:
        return Why(Reason.TLS_HANDSHAKE, tls.words(spoken[1].strip().replace(" ", "_")))
    number = ending.remarks.errno or ending.errno
    if number:
        return Why(*words(OSError(number, "")))
    if "Connection reset" in text:
        return Why(Reason.RESET, "Connection reset by peer")
    if ending.code == _TLS:
        return Why(Reason.TLS_HANDSHAKE, "connection closed during the TLS handshake")
    if ending.code in {_CONNECT, _QUIC}:
        return Why(Reason.TLS_HANDSHAKE, "the server refused the QUIC handshake")
    return Why(Reason.TRUNCATED, "the answer is not whole", is_cut=True)


def _distrusted(ending: Ending, chain: tuple[Certificate, ...], *, host: str, now: datetime) -> Why:
    verdict = _NAMES_WRONG if ending.verdict in _UNSPECIFIED and chain else ending.verdict
    said = _VERDICT.search(ending.text)
    known = tls.distrust(verdict, said[1] if said else f"OpenSSL's code {verdict}", chain, host=host, now=now)
    return Why(known.reason, known.detail, is_distrust=True)


def _named(code: int) -> str:
    return _HTTP2_CODES[code] if code < len(_HTTP2_CODES) else f"{code:#x}"


def _bounded(text: str) -> str:
    return "".join(char for char in text if char.isprintable())[:200] or "no reason was given"
