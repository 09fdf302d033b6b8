"""Size and time: what never ends, comes too slowly, or is too much, ends at the cap or at the deadline."""

from collections.abc import Awaitable, Callable

import pytest

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.domain.result import Result
from laya_uptime.testing.target import Peer, Script, ScriptedTarget, says

Look = Callable[..., Awaitable[Result]]
Told = Callable[[Result, str], str]

CLOCK = SystemClock()
SHORT = "400ms"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
MEBIBYTE = 1 << 20


def row(name: str, script: Script | bytes, expected: str, **settings: object) -> object:
    return pytest.param(says(script) if isinstance(script, bytes) else script, settings, expected, id=name)


def sends(*pieces: bytes, again: bytes = b"", every: float = 0.0) -> Script:
    """Read the request, send the pieces, then `again` without end; without it, say nothing more and stay."""

    async def script(peer: Peer) -> None:
        await peer.request()
        for piece in pieces:
            await peer.send(piece)
        while again:
            await peer.send(again)
            if every:
                await CLOCK.sleep(every)
        await peer.gone()

    return script


async def never_answers(peer: Peer) -> None:
    await peer.gone()


async def slow_redirects(peer: Peer) -> None:
    await peer.request()
    await CLOCK.sleep(0.2)
    await peer.send(b"HTTP/1.1 302 Found\r\nLocation: /%d\r\nContent-Length: 0\r\n\r\n" % len(peer.target.requests))


WAITING, READING = "down timeout: waiting for the first byte", "down timeout: reading the answer"
SIZES = [
    row("announced too large", OK + b"Content-Length: 1048577\r\n\r\n", "down too_large: announced"),
    row("announced far too large", OK + b"Content-Length: 9000000000000000000\r\n\r\n", "down too_large: announced"),
    row("one byte too many until the end", OK + b"\r\n" + bytes(MEBIBYTE + 1), "down too_large: 1 MiB"),
    row("too large in one chunk", CHUNKED + b"100001\r\n" + bytes(MEBIBYTE + 1), "down too_large: 1 MiB"),
    row("too large in tiny chunks", CHUNKED + b"1\r\nx\r\n" * 400_000, "down too_large: 2 MiB"),
    row("257 headers", OK + b"X: y\r\n" * 257 + b"\r\n", "down too_large: 256"),
    row("a million headers", OK + b"X: y\r\n" * 1_000_000, "down too_large: 256"),
    row("an endless header", OK + b"X: " + b"y" * MEBIBYTE, "down too_large: 64 KiB"),
    row("80 long headers", OK + (b"X: " + b"y" * 1000 + b"\r\n") * 80, "down too_large: 64 KiB"),
    row("an endless header name", OK + b"y" * MEBIBYTE, "down too_large: 64 KiB"),
    row("an endless reason phrase", b"HTTP/1.1 200 " + b"y" * MEBIBYTE, "down too_large: 64 KiB"),
    row("headers without end", sends(OK, again=b"X: y\r\n" * 5000), "down too_large: 256"),
    row("one line without end", sends(b"HTTP/1.1 200 ", again=b"y" * 65536), "down too_large: 64 KiB"),
    row("ten thousand trailers", CHUNKED + b"0\r\n" + b"T: x\r\n" * 10_000, "down too_large: 256"),
    row("an endless trailer", CHUNKED + b"0\r\nT: " + b"y" * 3 * MEBIBYTE, "down too_large: 2 MiB"),
    row("an endless chunk extension", CHUNKED + b"5;" + b"y" * 3 * MEBIBYTE, "down too_large: 2 MiB"),
    row("a body without end", sends(OK + b"\r\n", again=bytes(65536)), "down too_large: 1 MiB"),
    row("chunks without end", sends(CHUNKED, again=b"10000\r\n" + bytes(65536) + b"\r\n"), "down too_large: 1 MiB"),
    row("interim answers without end", sends(again=b"HTTP/1.1 100 Continue\r\n\r\n"), "down http_protocol: 8 interim"),
]
TIMES = [
    row("never answers", never_answers, WAITING, timeout=SHORT),
    row("reads and never answers", sends(), WAITING, timeout=SHORT),
    row("half a status line", sends(b"HTTP/1.1 2"), READING, timeout=SHORT),
    row("half the headers", sends(OK + b"X: y\r\n"), READING, timeout=SHORT),
    row("headers, one at a time", sends(OK, again=b"X: y\r\n", every=0.05), READING, timeout=SHORT),
    row("an interim answer only", sends(b"HTTP/1.1 100 Continue\r\n\r\n"), READING, timeout=SHORT),
    row("interim answers, slowly", sends(again=b"HTTP/1.1 100 Continue\r\n\r\n", every=0.1), READING, timeout=SHORT),
    row("a body, one byte at a time", sends(OK + b"Content-Length: 1000\r\n\r\n", again=b"x", every=0.05), READING, timeout=SHORT),
    row("stops in the body", sends(OK + b"Content-Length: 1000\r\n\r\nfirst words"), READING, timeout=SHORT),
    row("no length, and stays", sends(OK + b"\r\nfirst words"), READING, timeout=SHORT),
    row("chunks, and no last one", sends(CHUNKED, b"5\r\nhello\r\n"), READING, timeout=SHORT),
    row("no body, though one is announced", sends(OK + b"Content-Length: 5\r\n\r\n"), READING, timeout=SHORT),
    row("slow redirects share one deadline", slow_redirects, "down timeout", timeout="700ms", redirects=10),
    row("whole, and stays", sends(OK + b"Content-Length: 5\r\n\r\nhello"), "up"),
    row("whole in chunks, and stays", sends(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"), "up"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "settings", "expected"), SIZES)
async def test_r01_r03_what_is_too_much_ends_at_a_cap(
    script: Script, settings: dict[str, object], expected: str, look: Look, told: Told
) -> None:
    async with ScriptedTarget(script) as target:
        result = await look(url=target.url(), **settings)

    assert told(result, expected) == expected


@pytest.mark.parametrize(("script", "settings", "expected"), TIMES)
async def test_r01_what_comes_too_slowly_ends_at_the_deadline(
    script: Script, settings: dict[str, object], expected: str, look: Look, told: Told
) -> None:
    async with ScriptedTarget(script) as target:
        result = await look(url=target.url(), **settings)

    assert told(result, expected) == expected
