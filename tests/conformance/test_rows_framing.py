"""Framing: status lines, headers, lengths, chunks and endings, from the bytes a server sends to the verdict."""

from collections.abc import Awaitable, Callable

import pytest

from laya_uptime.domain.result import Failure, Result
from laya_uptime.testing.target import Peer, Script, ScriptedTarget, says

Look = Callable[..., Awaitable[Result]]
Told = Callable[[Result, str], str]

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = b"Content-Length: 5\r\n\r\nhello"


def row(name: str, answer: bytes, expected: str) -> object:
    return pytest.param(answer, expected, id=name)


# Each of these has a body of "hello" or none, and is read whole in one piece and in three.
GOOD = [
    row("by length", OK + HELLO, "hello"),
    row("length zero", OK + b"Content-Length: 0\r\n\r\n", ""),
    row("until the end", OK + b"\r\nhello", "hello"),
    row("nothing until the end", OK + b"\r\n", ""),
    row("HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nhello", "hello"),
    row("chunked", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", "hello"),
    row("chunk extension and trailer", CHUNKED + b"2\r\nhe\r\n3;x=1\r\nllo\r\n0\r\nT: x\r\n\r\n", "hello"),
    row("quoted chunk extension", CHUNKED + b'5;x="y;z"\r\nhello\r\n0\r\n\r\n', "hello"),
    row("chunk size with zeros", CHUNKED + b"0005\r\nhello\r\n000\r\n\r\n", "hello"),
    row("chunked in capitals", OK + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello"),
    row("bare line feeds", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "hello"),
    row("no reason phrase", b"HTTP/1.1 200\r\n" + HELLO, "hello"),
    row("reason phrase outside ASCII", b"HTTP/1.1 200 D\xe9j\xe0 vu\r\n" + HELLO, "hello"),
    row("empty line before", b"\r\n" + OK + HELLO, "hello"),
    row("more than announced", OK + HELLO + b"and more", "hello"),
    row("another answer behind", OK + b"Connection: close\r\n" + HELLO + b"HTTP/1.1 500 No\r\n\r\n", "hello"),
    row("header outside ASCII", OK + b"X-Odd: \xff\xe9\r\n" + HELLO, "hello"),
    row("empty header", OK + b"X-Empty:\r\n" + HELLO, "hello"),
    row("length with zeros", OK + b"Content-Length: 0005\r\n\r\nhello", "hello"),
    row("early hints", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK + HELLO, "hello"),
    row("eight interim answers", b"HTTP/1.1 100 Continue\r\n\r\n" * 8 + OK + HELLO, "hello"),
    row("250 headers", OK + b"X-Many: y\r\n" * 250 + HELLO, "hello"),
    row("204 with a length", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", ""),
]


@pytest.mark.parametrize(("answer", "expected"), GOOD)
async def test_a_sound_answer_is_up_with_its_whole_body(answer: bytes, expected: str, look: Look) -> None:
    for pieces in (1, 3):
        cut = len(answer) // pieces + 1
        async with ScriptedTarget(says(*(answer[at : at + cut] for at in range(0, len(answer), cut)))) as target:
            result = await look(url=target.url())

        evidence = result.observation.evidence
        assert result.verdict.reason is None, result.verdict
        assert evidence.body is not None
        assert (evidence.body.text, evidence.body.fault) == (expected, None)
        assert evidence.address == "127.0.0.1"
        assert [step for step, _ in evidence.phases.reached()] == ["connect", "send", "wait", "read"]


FAULTS = [
    # Cut
    row("nothing", b"", "down reset: without an answer"),
    row("cut in the status line", b"HTTP/1.1 2", "down truncated: within its headers"),
    row("cut in a header", OK + b"Content-Le", "down truncated: within its headers"),
    row("cut before the empty line", OK + b"Content-Length: 0\r\n", "down truncated: within its headers"),
    row("cut in the body", OK + b"Content-Length: 10\r\n\r\nhello", "down truncated: 5 of 10 bytes"),
    row("no body at all", OK + b"Content-Length: 10\r\n\r\n", "down truncated: 0 of 10 bytes"),
    row("cut in a chunk", CHUNKED + b"5\r\nhel", "down truncated: after 3 bytes"),
    row("cut in a chunk size", CHUNKED + b"5\r\nhello\r\n1", "down truncated: after 5 bytes"),
    row("no last chunk", CHUNKED + b"5\r\nhello\r\n", "down truncated: after 5 bytes"),
    row("last chunk without its empty line", CHUNKED + b"5\r\nhello\r\n0\r\n", "down truncated: after 5 bytes"),
    row("cut in the trailers", CHUNKED + b"5\r\nhello\r\n0\r\nT: x", "down truncated: after 5 bytes"),
    row("an interim answer only", b"HTTP/1.1 100 Continue\r\n\r\n", "down truncated: within its headers"),
    row("a cut error is cut", b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nhello", "down truncated: 5 of 9 bytes"),
    # Chunks
    row("no chunk size", CHUNKED + b"zz\r\n", "down http_protocol: chunk size"),
    row("negative chunk size", CHUNKED + b"-1\r\n", "down http_protocol: chunk size"),
    row("chunk size with 0x", CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", "down http_protocol: chunk size"),
    row("overflowing chunk size", CHUNKED + b"F" * 17 + b"\r\n", "down http_protocol: overflow"),
    row("chunk longer than its size", CHUNKED + b"3\r\nhelloX\r\n", "down http_protocol: bad HTTP"),
    row("chunk without its end", CHUNKED + b"5\r\nhello0\r\n\r\n", "down http_protocol: bad HTTP"),
    row("chunks ended by line feeds", CHUNKED + b"5\nhello\n0\n\n", "down http_protocol: bad HTTP"),
    row("a trailer without a colon", CHUNKED + b"5\r\nhello\r\n0\r\noops\r\n\r\n", "down http_protocol: bad HTTP"),
    row("a length among the trailers", CHUNKED + b"0\r\nContent-Length: 3\r\n\r\n", "down http_protocol: bad HTTP"),
    # Lengths and codings
    row("negative length", OK + b"Content-Length: -5\r\n\r\nhello", "down http_protocol: Content-Length"),
    row("signed length", OK + b"Content-Length: +5\r\n\r\nhello", "down http_protocol: Content-Length"),
    row("no length", OK + b"Content-Length: 5x\r\n\r\nhello", "down http_protocol: Content-Length"),
    row("hexadecimal length", OK + b"Content-Length: 0x5\r\n\r\nhello", "down http_protocol: Content-Length"),
    row("empty length", OK + b"Content-Length:\r\n\r\nhello", "down http_protocol: Content-Length"),
    row("a list of lengths", OK + b"Content-Length: 5, 6\r\n\r\nhello!", "down http_protocol: Content-Length"),
    row("two lengths", OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "down http_protocol: Duplicate"),
    row("overflowing length", OK + b"Content-Length: %d\r\n\r\n" % 10**30, "down http_protocol: overflow"),
    row(
        "length and chunks",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "down http_protocol: can't be present",
    ),
    row(
        "chunks and length",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "down http_protocol: can't be present",
    ),
    row("unknown transfer coding", OK + b"Transfer-Encoding: gzip\r\n\r\nx", "down http_protocol: transfer coding"),
    row(
        "stacked transfer coding",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "down http_protocol: transfer coding",
    ),
    row(
        "chunked twice",
        OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "down http_protocol: transfer coding",
    ),
    # The status line
    row("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n", "down http_protocol: not HTTP"),
    row("a mail server", b"220 mail.test ESMTP\r\n", "down http_protocol: not HTTP"),
    row("HTTP/0.9", b"<html>hello</html>", "down http_protocol: not HTTP"),
    row("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x46", "down http_protocol: speaks TLS"),
    row("HTTP/2 frames", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", "down http_protocol: not HTTP"),
    row("HTTP/2 in text", b"HTTP/2.0 200 OK\r\n\r\n", "down http_protocol: bad HTTP"),
    row("lower-case HTTP", b"http/1.1 200 OK\r\n" + HELLO, "down http_protocol: not HTTP"),
    row("a byte order mark before", b"\xef\xbb\xbf" + OK + HELLO, "down http_protocol: not HTTP"),
    row("two digits of status", b"HTTP/1.1 20 OK\r\n\r\n", "down http_protocol: status"),
    row("four digits of status", b"HTTP/1.1 2000 OK\r\n\r\n", "down http_protocol: status"),
    row("status zero", b"HTTP/1.1 000 OK\r\n\r\n", "down http_protocol: status"),
    row("status in letters", b"HTTP/1.1 abc OK\r\n\r\n", "down http_protocol: status"),
    row(
        "upgrade", b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "down http_protocol: changed"
    ),
    row("nine interim answers", b"HTTP/1.1 100 Continue\r\n\r\n" * 9, "down http_protocol: 8 interim"),
    row("304 with a length", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "down http_status: HTTP 304"),
    row("an error is read too", b"HTTP/1.1 500 No\r\n" + HELLO, "down http_status: HTTP 500"),
    # Headers
    row("space in a header's name", OK + b"Bad Name: x\r\n\r\n", "down http_protocol: header"),
    row("space before the colon", OK + b"Name : x\r\n\r\n", "down http_protocol: header"),
    row("header without a name", OK + b": x\r\n\r\n", "down http_protocol: header"),
    row("header without a colon", OK + b"oops\r\n\r\n", "down http_protocol: header"),
    row("NUL in a header", OK + b"X: a\x00b\r\n\r\n", "down http_protocol: header"),
    row("bare carriage return", OK + b"X: a\rb\r\n\r\n", "down http_protocol: header"),
    row("folded header", OK + b"X: a\r\n b\r\n\r\n", "down http_protocol: header"),
]


@pytest.mark.parametrize(("answer", "expected"), FAULTS)
async def test_a_faulty_frame_is_down_with_its_exact_reason(
    answer: bytes, expected: str, look: Look, told: Told
) -> None:
    async with ScriptedTarget(says(answer)) as target:
        result = await look(url=target.url())

    seen = result.observation.seen
    assert told(result, expected) == expected
    assert seen.evidence.address == "127.0.0.1"
    assert not (isinstance(seen, Failure) and seen.phase)


async def reset_at_once(peer: Peer) -> None:
    await peer.request()
    peer.reset()


async def reset_in_the_body(peer: Peer) -> None:
    await peer.request()
    await peer.send(OK + b"Content-Length: 10\r\n\r\nhello")
    peer.reset()


async def reset_before_the_request(peer: Peer) -> None:
    peer.reset()


async def hang_up_before_the_request(peer: Peer) -> None:
    peer.close()


ENDS = [
    pytest.param(reset_at_once, "down reset: reset by peer", id="reset instead of an answer"),
    pytest.param(reset_in_the_body, "down reset: reset by peer", id="reset in the body"),
    pytest.param(reset_before_the_request, "down reset: reset by peer", id="reset before the request"),
    pytest.param(hang_up_before_the_request, "down reset", id="hung up before the request"),
]


@pytest.mark.parametrize(("script", "expected"), ENDS)
async def test_a_connection_that_is_cut_is_a_reset(script: Script, expected: str, look: Look, told: Told) -> None:
    async with ScriptedTarget(script) as target:
        result = await look(url=target.url())

    assert told(result, expected) == expected


@pytest.mark.parametrize("expected", [pytest.param("down refused: Connection refused", id="nobody listens")])
async def test_a_port_where_nobody_listens_refuses(expected: str, closed_port: int, look: Look, told: Told) -> None:
    result = await look(url=f"http://127.0.0.1:{closed_port}/")

    assert told(result, expected) == expected
