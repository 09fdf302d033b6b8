"""From the bytes a server sends to the exact reason, one row each."""

import gzip
import zlib
from datetime import timedelta

import brotli
import pytest
from backports import zstd

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure
from laya_uptime.domain.secret import Secret
from laya_uptime.testing.target import Peer, ScriptedTarget, says

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
PATIENCE = timedelta(seconds=10)
MEBIBYTE = 1 << 20


def of_length(body: bytes, *headers: bytes) -> bytes:
    return b"".join((OK, *(header + b"\r\n" for header in headers), b"Content-Length: %d\r\n\r\n" % len(body), body))


def bare_deflate(data: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(data) + encoder.flush()


def squeezed(data: bytes) -> bytes:
    encoded: bytes = brotli.compress(data)  # type: ignore[no-untyped-call]
    return encoded


def row(answer: bytes, expected: object, name: str) -> object:
    return pytest.param(answer, expected, id=name)


ANSWERS = [
    row(of_length(b"hello"), "hello", "by length"),
    row(of_length(b""), "", "length zero"),
    row(OK + b"\r\nhello", "hello", "until the end"),
    row(OK + b"\r\n", "", "nothing until the end"),
    row(b"HTTP/1.0 200 OK\r\n\r\nhello", "hello", "HTTP/1.0"),
    row(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", "hello", "chunked"),
    row(CHUNKED + b"2\r\nhe\r\n3;x=1\r\nllo\r\n0\r\nT: x\r\n\r\n", "hello", "chunk extension and trailer"),
    row(OK + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello", "chunked in capitals"),
    row(b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "hello", "bare line feeds"),
    row(b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", "hello", "no reason phrase"),
    row(b"\r\n" + of_length(b"hello"), "hello", "empty line before"),
    row(of_length(b"hello") + b"and more", "hello", "more than announced"),
    row(of_length(b"hello", b"Connection: close") + b"HTTP/1.1 500 No\r\n\r\n", "hello", "another answer behind"),
    row(of_length(b"hello", b"X-Odd: \xff\xe9"), "hello", "header outside ASCII"),
    row(of_length(b"hello", b"X-Empty:"), "hello", "empty header"),
    row(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + of_length(b"hello"), "hello", "early hints"),
    row(b"HTTP/1.1 100 Continue\r\n\r\n" * 8 + of_length(b"hello"), "hello", "eight interim answers"),
    row(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "", "204 with a length"),
    row(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", "304 with a length"),
    row(b"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nhello", "hello", "an error is an answer too"),
    row(b"HTTP/1.1 999 Denied\r\nContent-Length: 5\r\n\r\nhello", "hello", "an odd status too"),
    row(of_length(gzip.compress(b"hello"), b"Content-Encoding: gzip"), "hello", "gzip"),
    row(of_length(gzip.compress(b"hello"), b"Content-Encoding: X-GZIP"), "hello", "x-gzip"),
    row(
        of_length(gzip.compress(b"he") + gzip.compress(b"llo"), b"Content-Encoding: gzip"),
        "hello",
        "gzip in two members",
    ),
    row(of_length(gzip.compress(b"hello") + b"\0\0\0", b"Content-Encoding: gzip"), "hello", "gzip with padding"),
    row(of_length(zlib.compress(b"hello"), b"Content-Encoding: deflate"), "hello", "deflate"),
    row(of_length(bare_deflate(b"hello"), b"Content-Encoding: deflate"), "hello", "bare deflate"),
    row(of_length(squeezed(b"hello"), b"Content-Encoding: br"), "hello", "br"),
    row(of_length(zstd.compress(b"hello"), b"Content-Encoding: zstd"), "hello", "zstd"),
    row(of_length(squeezed(gzip.compress(b"hello")), b"Content-Encoding: gzip, br"), "hello", "gzip in br"),
    row(of_length(b"hello", b"Content-Encoding: identity"), "hello", "identity"),
    row(of_length(b"", b"Content-Encoding: gzip"), "", "an empty body that says gzip"),
    row(of_length(b"x" * MEBIBYTE), "x" * MEBIBYTE, "one mebibyte"),
    row(of_length(gzip.compress(b"x" * MEBIBYTE), b"Content-Encoding: gzip"), "x" * MEBIBYTE, "one mebibyte in gzip"),
    row(of_length(b"hello", *[b"X-%d: y" % n for n in range(250)]), "hello", "250 headers"),
    row(of_length(b"caf\xe9", b"Content-Type: text/plain; charset=iso-8859-1"), "caf\xe9", "Latin-1"),
    row(of_length("caf\xe9".encode("utf-16"), b"Content-Type: text/plain; charset=utf-16"), "caf\xe9", "UTF-16"),
    row(of_length(b"caf\xc3\xa9"), "caf\xe9", "UTF-8 without saying so"),
    row(of_length(b"caf\xe9"), "caf\xe9", "Latin-1 without saying so"),
]


@pytest.mark.parametrize(("answer", "text"), ANSWERS)
@pytest.mark.parametrize("pieces", [1, 3])
async def test_a_proper_answer_is_read_whole(answer: bytes, text: str, pieces: int, reach: GuardedDialer) -> None:
    cut = len(answer) // pieces + 1
    parts = [answer[start : start + cut] for start in range(0, len(answer), cut)]
    async with ScriptedTarget(says(*parts)) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Answer)
    assert seen.evidence.body is not None
    assert seen.evidence.body.text == text
    assert seen.evidence.body.fault is None
    assert seen.evidence.address == "127.0.0.1"
    assert [step for step, _ in seen.evidence.phases.reached()] == ["connect", "send", "wait", "read"]


ZEROS = bytes(8 * MEBIBYTE)
FAULTS = [
    # framing
    row(b"", (Reason.RESET, "without an answer"), "nothing"),
    row(b"HTTP/1.1 2", (Reason.TRUNCATED, "within its headers"), "cut in the status line"),
    row(OK + b"Content-Le", (Reason.TRUNCATED, "within its headers"), "cut in a header"),
    row(OK + b"Content-Length: 10\r\n\r\nhello", (Reason.TRUNCATED, "5 of 10 bytes"), "cut in the body"),
    row(CHUNKED + b"5\r\nhel", (Reason.TRUNCATED, "after 3 bytes"), "cut in a chunk"),
    row(CHUNKED + b"5\r\nhello\r\n", (Reason.TRUNCATED, "after 5 bytes"), "no last chunk"),
    row(CHUNKED + b"5\r\nhello\r\n0\r\nT: x", (Reason.TRUNCATED, "after 5 bytes"), "cut in the trailers"),
    row(b"HTTP/1.1 100 Continue\r\n\r\n", (Reason.TRUNCATED, "within its headers"), "an interim answer only"),
    row(CHUNKED + b"zz\r\n", (Reason.HTTP_PROTOCOL, "chunk size"), "no chunk size"),
    row(CHUNKED + b"-1\r\n", (Reason.HTTP_PROTOCOL, "chunk size"), "negative chunk size"),
    row(CHUNKED + b"F" * 17 + b"\r\n", (Reason.HTTP_PROTOCOL, "overflow"), "overflowing chunk size"),
    row(CHUNKED + b"3\r\nhelloX\r\n", (Reason.HTTP_PROTOCOL, "bad HTTP"), "chunk longer than its size"),
    row(OK + b"Content-Length: -5\r\n\r\nhello", (Reason.HTTP_PROTOCOL, "Content-Length"), "negative length"),
    row(OK + b"Content-Length: 5x\r\n\r\nhello", (Reason.HTTP_PROTOCOL, "Content-Length"), "no length"),
    row(
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", (Reason.HTTP_PROTOCOL, "Duplicate"), "two lengths"
    ),
    row(OK + b"Content-Length: %d\r\n\r\n" % 10**30, (Reason.HTTP_PROTOCOL, "overflow"), "overflowing length"),
    row(
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        (Reason.HTTP_PROTOCOL, "can't be present"),
        "length and chunks",
    ),
    row(OK + b"Transfer-Encoding: gzip\r\n\r\nx", (Reason.HTTP_PROTOCOL, "transfer coding"), "unknown transfer coding"),
    row(
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        (Reason.HTTP_PROTOCOL, "transfer coding"),
        "stacked coding",
    ),
    row(b"SSH-2.0-OpenSSH_9.2\r\n", (Reason.HTTP_PROTOCOL, "not HTTP"), "another protocol"),
    row(b"<html>hello</html>", (Reason.HTTP_PROTOCOL, "not HTTP"), "HTTP/0.9"),
    row(b"\x15\x03\x01\x00\x02\x02\x46", (Reason.HTTP_PROTOCOL, "speaks TLS"), "a TLS alert"),
    row(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", (Reason.HTTP_PROTOCOL, "not HTTP"), "HTTP/2 frames"),
    row(b"HTTP/2.0 200 OK\r\n\r\n", (Reason.HTTP_PROTOCOL, "bad HTTP"), "HTTP/2 in text"),
    row(b"HTTP/1.1 20 OK\r\n\r\n", (Reason.HTTP_PROTOCOL, "status"), "two digits of status"),
    row(b"HTTP/1.1 2000 OK\r\n\r\n", (Reason.HTTP_PROTOCOL, "status"), "four digits of status"),
    row(b"HTTP/1.1 000 OK\r\n\r\n", (Reason.HTTP_PROTOCOL, "status"), "status zero"),
    row(b"HTTP/1.1 abc OK\r\n\r\n", (Reason.HTTP_PROTOCOL, "status"), "status in letters"),
    row(
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        (Reason.HTTP_PROTOCOL, "changed"),
        "upgrade",
    ),
    row(b"HTTP/1.1 100 Continue\r\n\r\n" * 9, (Reason.HTTP_PROTOCOL, "8 interim"), "nine interim answers"),
    row(OK + b"Bad Name: x\r\n\r\n", (Reason.HTTP_PROTOCOL, "header"), "space in a header's name"),
    row(OK + b": x\r\n\r\n", (Reason.HTTP_PROTOCOL, "header"), "header without a name"),
    row(OK + b"X: a\x00b\r\n\r\n", (Reason.HTTP_PROTOCOL, "header"), "NUL in a header"),
    row(OK + b"X: a\r\n b\r\n\r\n", (Reason.HTTP_PROTOCOL, "header"), "folded header"),
    row(OK + b"X: a\rb\r\n\r\n", (Reason.HTTP_PROTOCOL, "header"), "bare carriage return"),
    # sizes
    row(OK + b"Content-Length: 1048577\r\n\r\n", (Reason.TOO_LARGE, "announced"), "announced too large"),
    row(OK + b"\r\n" + bytes(MEBIBYTE + 1), (Reason.TOO_LARGE, "1 MiB"), "too large until the end"),
    row(CHUNKED + b"100001\r\n" + bytes(MEBIBYTE + 1), (Reason.TOO_LARGE, "1 MiB"), "too large in one chunk"),
    row(CHUNKED + b"1\r\nx\r\n" * 400_000, (Reason.TOO_LARGE, "2 MiB"), "too large in tiny chunks"),
    row(OK + b"X: y\r\n" * 257 + b"\r\n", (Reason.TOO_LARGE, "256"), "257 headers"),
    row(OK + b"X: y\r\n" * 1_000_000, (Reason.TOO_LARGE, "256"), "a million headers"),
    row(OK + b"X: " + b"y" * MEBIBYTE, (Reason.TOO_LARGE, "64 KiB"), "an endless header"),
    row(OK + (b"X: " + b"y" * 1000 + b"\r\n") * 80, (Reason.TOO_LARGE, "64 KiB"), "80 long headers"),
    row(b"HTTP/1.1 200 " + b"y" * MEBIBYTE, (Reason.TOO_LARGE, "64 KiB"), "an endless reason phrase"),
    row(CHUNKED + b"0\r\n" + b"T: x\r\n" * 10_000, (Reason.TOO_LARGE, "256"), "ten thousand trailers"),
    row(CHUNKED + b"0\r\nT: " + b"y" * 3 * MEBIBYTE, (Reason.TOO_LARGE, "2 MiB"), "an endless trailer"),
    row(CHUNKED + b"5;" + b"y" * 3 * MEBIBYTE, (Reason.TOO_LARGE, "2 MiB"), "an endless chunk extension"),
    # encodings
    row(of_length(gzip.compress(ZEROS), b"Content-Encoding: gzip"), (Reason.TOO_LARGE, "1 MiB"), "gzip bomb"),
    row(of_length(zlib.compress(ZEROS), b"Content-Encoding: deflate"), (Reason.TOO_LARGE, "1 MiB"), "deflate bomb"),
    row(of_length(squeezed(ZEROS), b"Content-Encoding: br"), (Reason.TOO_LARGE, "1 MiB"), "br bomb"),
    row(of_length(zstd.compress(ZEROS), b"Content-Encoding: zstd"), (Reason.TOO_LARGE, "1 MiB"), "zstd bomb"),
    row(
        of_length(gzip.compress(gzip.compress(ZEROS)), b"Content-Encoding: gzip, gzip"),
        (Reason.TOO_LARGE, "1 MiB"),
        "nested bomb",
    ),
    row(of_length(b"hello", b"Content-Encoding: gzip"), (Reason.BODY_INVALID, "not valid gzip"), "no gzip"),
    row(of_length(b"hello", b"Content-Encoding: deflate"), (Reason.BODY_INVALID, "not valid deflate"), "no deflate"),
    row(of_length(b"\xff" * 20, b"Content-Encoding: br"), (Reason.BODY_INVALID, "not valid br"), "no br"),
    row(of_length(b"hello", b"Content-Encoding: zstd"), (Reason.BODY_INVALID, "not valid zstd"), "no zstd"),
    row(
        of_length(gzip.compress(b"hello")[:-9], b"Content-Encoding: gzip"), (Reason.TRUNCATED, "gzip data"), "cut gzip"
    ),
    row(
        of_length(zstd.compress(b"hello")[:-5], b"Content-Encoding: zstd"), (Reason.TRUNCATED, "zstd data"), "cut zstd"
    ),
    row(of_length(squeezed(b"hello")[:-2], b"Content-Encoding: br"), (Reason.TRUNCATED, "br data"), "cut br"),
    row(of_length(b"hello", b"Content-Encoding: lzma"), (Reason.BODY_INVALID, "did not ask"), "unknown encoding"),
    row(of_length(b"hello", b"Content-Encoding: gzip, br, gzip"), (Reason.BODY_INVALID, "3 times"), "three encodings"),
    row(
        of_length(gzip.compress(b"") * 100, b"Content-Encoding: gzip"),
        (Reason.BODY_INVALID, "too many gzip members"),
        "a hundred gzip members",
    ),
]


@pytest.mark.parametrize(("answer", "expected"), FAULTS)
async def test_r02_r03_a_faulty_answer_has_its_exact_reason(
    answer: bytes, expected: tuple[Reason, str], reach: GuardedDialer
) -> None:
    async with ScriptedTarget(says(answer)) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert (seen.reason, expected[1] in seen.detail) == (expected[0], True), seen.detail
    assert seen.phase is None
    assert seen.evidence.address == "127.0.0.1"


BODIES = [
    (b'{"status": "ok"}', b"application/json", None),
    (b'{"status": "ok"}', b"", None),
    (b' \r\n\t["x"]', b"text/html", None),
    (b"null", b"application/health+json; charset=UTF-8", None),
    (b'{"a": "\\ud83d\\ude00"}', b"application/json", None),
    (b'{"status"', b"application/json", "not valid JSON at byte 9"),
    (b"", b"application/json", "empty"),
    (b"   ", b"text/json", "empty"),
    (b"<html>", b"application/problem+json", "not valid JSON at byte 0"),
    (b"{} trailing", b"application/json", "not valid JSON at byte 3"),
    (b"[" * 1_000_000, b"application/json", "levels deep"),
    (b"[" * 1_000_000, b"text/plain", "levels deep"),
    (b"[" * 500 + b"]" * 500, b"application/json", "levels deep"),
    (b'{"a":' * 100_000, b"application/json", "levels deep"),
    (b"9" * 5000, b"application/json", "too large"),
    (b"[1e999]", b"application/json", "too large"),
    (b"[NaN]", b"application/json", "not a number"),
    (b"[-Infinity]", b"application/json", "not a number"),
    (b'{"status": "ok", "status": "down"}', b"application/json", '"status" twice'),
    (b'{"a": "\xff"}', b"application/json", "byte 7 is not UTF-8"),
    (b"\xef\xbb\xbf{}", b"application/json", "byte order mark"),
    (b'{"a": "\\ud800"}', b"application/json", "surrogate"),
]


@pytest.mark.parametrize(("body", "content_type", "fault"), BODIES)
async def test_r05_a_json_body_is_a_document_or_has_a_fault(
    body: bytes, content_type: bytes, fault: str | None, reach: GuardedDialer
) -> None:
    answer = of_length(body, *([b"Content-Type: " + content_type] if content_type else []))
    async with ScriptedTarget(says(answer)) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Answer)
    assert seen.evidence.body is not None
    assert seen.evidence.body.is_document == (fault is None)
    assert fault is None or fault in (seen.evidence.body.fault or "")
    assert not seen.evidence.body.misdeclared


@pytest.mark.parametrize(
    ("body", "charset", "fault"),
    [
        (b"caf\xe9", b"utf-8", "declares utf-8 but is not at byte 3"),
        (b"caf\xc3\xa9", b"us-ascii", "declares us-ascii but is not"),
        (b"\xff\xfe\x00", b'"UTF-16LE"', "declares utf-16le but is not"),
        (b"hello", b"klingon", "not one we know"),
        (b"hello", b"idna", "not one we know"),
        (b"hello", b"unicode_escape", "not one we know"),
        (b"hello", b"zip", "not one we know"),
        (b'{"a": "\xe9"}', b"utf-8", "declares utf-8 but is not at byte 7"),
    ],
)
async def test_a_body_that_belies_its_charset_is_misdeclared(
    body: bytes, charset: bytes, fault: str, reach: GuardedDialer
) -> None:
    answer = of_length(body, b"Content-Type: application/json; charset=" + charset)
    async with ScriptedTarget(says(answer)) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Answer)
    assert seen.evidence.body is not None
    assert seen.evidence.body.misdeclared
    assert fault in (seen.evidence.body.fault or "")


@pytest.mark.parametrize("content_type", [b"text/plain", b"text/html", b""])
async def test_a_text_that_only_looks_like_json_has_no_fault(content_type: bytes, reach: GuardedDialer) -> None:
    async with ScriptedTarget(says(of_length(b"[INFO] all well", b"Content-Type: " + content_type))) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert seen.evidence.body is not None
    assert (seen.evidence.body.fault, seen.evidence.body.is_document) == (None, False)


async def test_a_head_request_expects_no_body(reach: GuardedDialer) -> None:
    async with ScriptedTarget(
        says(OK + b"Content-Length: 99999999\r\nContent-Type: application/json\r\n\r\n")
    ) as target:
        seen = await HttpCheck(url=Secret(target.url()), method="HEAD").probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Answer)
    assert seen.evidence.body is not None
    assert (seen.evidence.body.text, seen.evidence.body.fault) == ("", None)


async def test_a_reset_is_a_reset_whenever_it_comes(reach: GuardedDialer) -> None:
    async def at_once(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    async def in_the_body(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"Content-Length: 10\r\n\r\nhello")
        peer.reset()

    for script in (at_once, in_the_body):
        async with ScriptedTarget(script) as target:
            seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

        assert isinstance(seen, Failure)
        assert (seen.reason, seen.detail) == (Reason.RESET, "Connection reset by peer")


async def test_a_server_that_answers_before_it_has_read_everything_is_heard(reach: GuardedDialer) -> None:
    async def in_a_hurry(peer: Peer) -> None:
        await peer.receive()
        await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await peer.gone()

    async with ScriptedTarget(in_a_hurry) as target:
        check = HttpCheck(url=Secret(target.url()), method="POST", body=Secret("x" * 100_000))
        seen = await check.probe(reach, timeout=PATIENCE)

    assert seen.evidence.status == 413


async def test_what_was_seen_before_a_fault_is_kept(reach: GuardedDialer) -> None:
    answer = b"HTTP/1.1 503 Busy\r\nServer: x\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\npartial"
    async with ScriptedTarget(says(answer)) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert (seen.evidence.status, seen.evidence.status_text, seen.evidence.http_version) == (503, "Busy", "1.1")
    assert ("server", "x") in seen.evidence.headers
    assert seen.evidence.body is not None
    assert seen.evidence.body.text == "partial"


async def test_evidence_shows_no_secret_and_no_endless_header(reach: GuardedDialer) -> None:
    headers = (
        b"Set-Cookie: session=hunter2",
        b"X-Api-Key: hunter2",
        b"X-Long: " + b"y" * 5000,
        b"Location: https://user:hunter2@h/?token=hunter2",
    )
    async with ScriptedTarget(says(of_length(b"", *headers))) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert "hunter2" not in repr(seen)
    assert max(len(value) for _, value in seen.evidence.headers) == 1024
    assert {name for name, _ in seen.evidence.headers} == {
        "set-cookie",
        "x-api-key",
        "x-long",
        "location",
        "content-length",
    }
