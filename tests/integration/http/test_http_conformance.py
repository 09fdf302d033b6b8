"""What a check keeps of an answer: its document or its fault, and what was seen before a fault.

The verdicts themselves stand in `tests/conformance`, one row each.
"""

from datetime import timedelta

import pytest

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
