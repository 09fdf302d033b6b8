"""Any bytes as an HTTP answer, whole or in pieces: a whole answer, or one of a few reasons why there is none.

An input is one byte and an answer. The byte's high bit stands for a HEAD request, the other seven say how large the
pieces are. `FE FE n` and eight bytes become these eight bytes 16 n times, so that a small input reaches the limits.
"""

import re
from collections.abc import Iterable

from laya_uptime.adapters.net.answer import LARGEST_BODY, Answer
from laya_uptime.adapters.net.document import read_body
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.reason import Reason
from laya_uptime.ports import Fault
from laya_uptime.testing.clock import FakeClock

LONGEST = 2048

_CHUNK = 65536  # bytes that a connection hands over at most
_MOST_PIECES = 48
_LARGEST = 256 << 10
_REASONS = {Reason.HTTP_PROTOCOL, Reason.TOO_LARGE, Reason.TRUNCATED, Reason.RESET, Reason.BODY_INVALID}
_REPEATED = re.compile(rb"\xfe\xfe(.)(.{8})", re.DOTALL)
_CLOCK = FakeClock()


def run(data: bytes) -> None:
    """Hold what is made of an answer in one piece against what is made of it in many."""
    if len(data) < 2:
        return
    sent = _REPEATED.sub(lambda found: found[2] * (16 * found[1][0]), data[1:])[:_LARGEST]
    size = max(1 + (data[0] & 0x7F), len(sent) // _MOST_PIECES)
    is_head = data[0] >= 0x80

    at_once, fault = _parse(_cut(sent, _CHUNK), is_head=is_head)
    _check(at_once, fault)
    if size < len(sent):
        in_pieces, other = _parse(_cut(sent, size), is_head=is_head)
        _check(in_pieces, other)
        if fault is None and other is None:
            assert at_once.evidence() == in_pieces.evidence()
            assert at_once.body == in_pieces.body
        else:
            _compare(fault, other, size=len(sent), encoding=dict(at_once.headers).get("content-encoding", ""))


def _parse(pieces: Iterable[memoryview], *, is_head: bool) -> tuple[ExchangeTrail, Fault | None]:
    """Feed the parser as a connection does. Return what it learnt, and why there is no whole answer where there is none."""
    trail = ExchangeTrail(_CLOCK)
    answer = Answer(trail, bodiless=is_head)
    try:
        for piece in pieces:
            answer.feed(piece)
            if answer.is_whole:
                break
        else:
            answer.end()
    except Fault as fault:
        return trail, fault
    finally:
        answer.close()
    return trail, None


def _cut(data: bytes, size: int) -> Iterable[memoryview]:
    view = memoryview(data)
    return (view[at : at + size] for at in range(0, len(data), size))


def _check(trail: ExchangeTrail, fault: Fault | None) -> None:
    """Hold what came out to its limits."""
    if fault is None:
        assert trail.status is not None
        assert trail.http_version is not None
        assert trail.http_version.startswith("1.")
    else:
        _check_fault(fault)
    assert len(trail.body) <= LARGEST_BODY
    assert len(trail.headers) <= 256
    assert all(len(value) <= 1024 for _, value in trail.headers)
    assert sum(len(name) + len(value) for name, value in trail.headers) <= 64 << 10
    assert len(trail.status_text) <= 200
    assert trail.status_text.isprintable()
    if trail.status is not None:
        assert 200 <= trail.status <= 999
        body = read_body(bytes(trail.body), trail.content_type, whole=fault is None)
        assert body.size == len(trail.body)
        assert len(body.text) <= body.size
        assert len(body.content_type) <= 100
        assert body.fault is None or len(body.fault) <= 200


def _check_fault(fault: Fault) -> None:
    failure = fault.failure
    assert failure.reason in _REASONS, failure
    assert failure.detail.isprintable(), failure.detail
    assert len(failure.detail) <= 300, failure.detail
    # A mistake of ours inside a callback would come out as bad HTTP, which it is not.
    cause: BaseException | None = fault.__context__
    while cause is not None:
        if not isinstance(cause, Fault) and not type(cause).__module__.startswith(("httptools", "laya_uptime")):
            raise cause
        cause = cause.__context__


def _compare(fault: Fault | None, other: Fault | None, *, size: int, encoding: str) -> None:
    """How the bytes were cut must not matter, but for what is too large: limits are looked at once for each piece."""
    reasons = {trouble.failure.reason for trouble in (fault, other) if trouble is not None}
    if Reason.TOO_LARGE in reasons:
        assert size > 64 << 10 or (fault is not None and other is not None), (fault, other)
    elif reasons <= {Reason.BODY_INVALID, Reason.TRUNCATED} and "zstd" in encoding.lower():
        pass  # libzstd looks more closely at a frame that comes whole: at its size, where its last block is empty
    else:
        assert len(reasons) == 1, (fault, other)
        assert fault is not None, other
        assert other is not None, fault
