"""What a trace shows of HTTP/2, which libcurl speaks for us."""

import ssl
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.confidential import confidential_of
from laya_uptime.adapters.net.trace import Trace
from laya_uptime.adapters.net.tracing import TracingDialer
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.result import Answer, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.trace import Kind, TraceLine
from laya_uptime.testing.target import ScriptedTarget

Serve2 = Callable[..., AbstractAsyncContextManager[ScriptedTarget]]
PATIENCE = timedelta(seconds=10)
DOTS = "••••••"


class Authority(Protocol):
    ca_file: Path

    def context(self, *names: str) -> ssl.SSLContext: ...


class Stream(Protocol):
    """A request to a server of this folder."""

    answer: Callable[[Iterable[tuple[str, str]], bytes], Awaitable[None]]


async def look(check: HttpCheck) -> tuple[Seen, list[TraceLine]]:
    clock = SystemClock()
    trace = Trace(clock, confidential_of(check))
    via = TracingDialer(clock=clock, policy=EgressPolicy(), trace=trace)
    return await check.probe(via, timeout=PATIENCE), trace.lines


def texts(lines: list[TraceLine], kind: Kind) -> list[str]:
    return [line.text for line in lines if line.kind is kind]


async def test_the_exchange_is_shown_without_what_is_said_in_confidence(http2: Serve2, authority: Authority) -> None:
    async def script(stream: Stream) -> None:
        await stream.answer([("content-type", "text/plain"), ("set-cookie", "a=canary-cookie")], b"canary-password\n!")

    async with http2(script, authority.context("127.0.0.1")) as target:
        check = HttpCheck(
            url=Secret(target.url("/a?token=canary-query", userinfo="canary-user:canary-password@")),
            headers={"X-A": Secret("canary-header")},
            ca_file=str(authority.ca_file),
            http_version="2",
        )
        seen, lines = await look(check)

    assert isinstance(seen, Answer), seen
    assert "canary" not in "\n".join(line.text for line in lines)
    sent = texts(lines, Kind.SENT)
    assert sent[0] == f"GET /a?token={DOTS} HTTP/2"
    assert {f"X-A: {DOTS}", f"Authorization: {DOTS}"} <= set(sent)
    assert texts(lines, Kind.RECEIVED) == [
        "HTTP/2 200 ",
        "content-type: text/plain",
        f"set-cookie: {DOTS}",
        "[17 bytes of body]",
        "[the body, 17 bytes:]",
        DOTS,
        "!",
    ]
    told = texts(lines, Kind.TLS)
    assert any(text.startswith("SSL connection using TLSv1.3 / ") for text in told)
    assert any(text.startswith("ALPN: ") and "h2" in text for text in told)
    assert any(text.startswith("certificate: CN=127.0.0.1, until ") for text in told)


async def test_a_server_that_nobody_trusts_shows_how_far_it_got(http2: Serve2, stranger: Authority) -> None:
    async def script(stream: Stream) -> None:
        await stream.answer([], b"")

    async with http2(script, stranger.context("127.0.0.1")) as target:
        _, lines = await look(HttpCheck(url=Secret(target.url()), http_version="2"))

    assert texts(lines, Kind.SENT) == []
    assert any(text.startswith("certificate: CN=127.0.0.1, until ") for text in texts(lines, Kind.TLS))
    assert lines[-1].kind is Kind.CLOSE
