"""A connection that is kept, where the monitor asks for it, and every way in which it cannot be."""

import asyncio
import gc
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from laya_uptime.adapters.checks.http import HttpCheck, PreparedHttp
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.testing.target import Peer, Script, ScriptedTarget

PATIENCE = timedelta(seconds=10)
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Authority(Protocol):
    ca_file: Path

    def context(self, *names: str) -> ssl.SSLContext: ...


def always(*answers: bytes, then: Callable[[Peer], Any] | None = None) -> Script:
    """Give these answers on each connection, one per request, the last for ever; `then`: what comes after the first."""

    async def script(peer: Peer) -> None:
        place = 0
        while await peer.request():
            await peer.send(answers[min(place, len(answers) - 1)])
            place += 1
            if then is not None and await then(peer):
                return

    return script


async def begin(ready: PreparedHttp, within: timedelta = PATIENCE) -> Seen:
    over: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()
    ready.begin(within, over.set_result)
    return await over


@pytest.fixture
def prepare(reach: GuardedDialer, authority: Authority, request: pytest.FixtureRequest) -> Callable[..., PreparedHttp]:
    def prepare(target: ScriptedTarget, **options: Any) -> PreparedHttp:  # noqa: ANN401  any option of the check
        check = HttpCheck(url=Secret(target.url()), ca_file=str(authority.ca_file), keep_alive=True, **options)
        ready = check.prepare(reach)
        request.addfinalizer(ready.close)
        return ready

    return prepare


def tls_of(scheme: str, authority: Authority) -> ssl.SSLContext | None:
    return authority.context("127.0.0.1") if scheme == "https" else None


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
OLD = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize("answer", [FINE, CHUNKED, EMPTY, OLD], ids=["length", "chunked", "204", "1.0"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_second_check_makes_no_connection(
    scheme: str, answer: bytes, prepare: Callable[..., PreparedHttp], authority: Authority
) -> None:
    async with ScriptedTarget(always(answer), tls=tls_of(scheme, authority)) as target:
        ready = prepare(target)
        first, second, third = [await begin(ready) for _ in range(3)]

        assert target.connections == 1
        ready.close()
        await target.all_gone()

    assert len(target.requests) == 3
    assert b"\r\nConnection: keep-alive\r\n" in target.requests[0]
    assert isinstance(first, Answer)
    assert first.evidence.phases.connect is not None
    for later in (second, third):
        assert isinstance(later, Answer)
        steps = [step for step, _ in later.evidence.phases.reached()]
        assert steps[:2] == ["send", "wait"]
        assert later.evidence.address == "127.0.0.1"
        assert later.evidence.tls == first.evidence.tls


LAST = [
    pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", id="close"),
    pytest.param(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", id="204 and close"),
    pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", id="1.0"),
    pytest.param(FINE + b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nan", id="an answer nobody asked for"),
    pytest.param(FINE + b"\x00\x01", id="more than announced"),
]


@pytest.mark.parametrize("answer", LAST)
async def test_an_answer_that_is_the_last_is_respected(answer: bytes, prepare: Callable[..., PreparedHttp]) -> None:
    async with ScriptedTarget(always(answer)) as target:
        ready = prepare(target)
        first = await begin(ready)
        await target.all_gone()  # closed by us
        second = await begin(ready)

    assert (type(first), type(second)) == (Answer, Answer)
    assert target.connections == 2


async def closes(peer: Peer) -> bool:
    await peer.say_goodbye()
    return True


async def cuts(peer: Peer) -> bool:
    return True


async def resets(peer: Peer) -> bool:
    peer.reset()
    return True


async def says_it_was_too_slow(peer: Peer) -> bool:
    await peer.send(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    await peer.say_goodbye()
    return True


@pytest.mark.parametrize("then", [closes, cuts, resets, says_it_was_too_slow])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_server_that_has_closed_meanwhile_gets_a_fresh_connection_and_one_request(
    method: str, scheme: str, then: Callable[[Peer], Any], prepare: Callable[..., PreparedHttp], authority: Authority
) -> None:
    async with ScriptedTarget(always(FINE, then=then), tls=tls_of(scheme, authority)) as target:
        ready = prepare(target, method=method)
        first = await begin(ready)
        await target.all_gone()
        second = await begin(ready)

    assert isinstance(first, Answer)
    assert isinstance(second, Answer), second
    assert second.evidence.phases.connect is not None
    assert (target.connections, len(target.requests)) == (2, 2)


async def test_a_server_that_closes_in_the_very_moment_of_the_request_gets_a_fresh_connection(
    prepare: Callable[..., PreparedHttp],
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(FINE)
        if peer.target.connections == 1:
            await peer.request()  # and no answer

    async with ScriptedTarget(script) as target:
        ready = prepare(target)
        seen = [await begin(ready) for _ in range(2)]

    assert [type(each) for each in seen] == [Answer, Answer]
    assert target.connections == 2


async def test_a_server_that_then_is_down_is_down(prepare: Callable[..., PreparedHttp]) -> None:
    async with ScriptedTarget(always(FINE, then=closes)) as target:
        ready = prepare(target)
        await begin(ready)
        await target.all_gone()
    seen = await begin(ready)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.REFUSED, "Connection refused")


async def test_an_answer_that_breaks_off_on_a_kept_connection_counts(prepare: Callable[..., PreparedHttp]) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(FINE)
        await peer.request()
        await peer.send(FINE[:-1])

    async with ScriptedTarget(script) as target:
        ready = prepare(target)
        await begin(ready)
        seen = await begin(ready)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.TRUNCATED


async def test_a_connection_on_which_the_request_was_not_read_to_its_end_is_not_kept(
    prepare: Callable[..., PreparedHttp],
) -> None:
    """What is left of the first body would be taken for the second request."""

    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await peer.gone()

    async with ScriptedTarget(script) as target:
        ready = prepare(target, method="POST", body=Secret("x" * (16 << 20)))
        first = await begin(ready)
        second = await begin(ready)

    assert (first.evidence.status, second.evidence.status) == (413, 413)
    assert target.connections == 2


async def test_looks_at_the_same_time_have_connections_of_their_own_and_one_is_kept(
    prepare: Callable[..., PreparedHttp],
) -> None:
    async with ScriptedTarget(always(FINE)) as target:
        ready = prepare(target)
        seen = await asyncio.gather(*(begin(ready) for _ in range(3)))
        again = await begin(ready)

        assert [type(each) for each in (*seen, again)] == [Answer] * 4
        assert target.connections == 3
        ready.close()
        await target.all_gone()


async def test_a_single_look_keeps_nothing(reach: GuardedDialer) -> None:
    async with ScriptedTarget(always(FINE)) as target:
        seen = await HttpCheck(url=Secret(target.url()), keep_alive=True).probe(reach, timeout=PATIENCE)
        await target.all_gone()
        gc.collect()

    assert isinstance(seen, Answer)


async def test_a_redirect_leaves_the_first_connection_for_the_next_look(prepare: Callable[..., PreparedHttp]) -> None:
    async def script(peer: Peer) -> None:
        while head := await peer.request():
            moved = b"HTTP/1.1 302 Moved\r\nContent-Length: 0\r\nLocation: /there\r\n\r\n"
            await peer.send(moved if head.startswith(b"GET / ") else FINE)

    async with ScriptedTarget(script) as target:
        ready = prepare(target)
        seen = [await begin(ready) for _ in range(2)]

    assert [type(each) for each in seen] == [Answer, Answer]
    assert target.connections == 3  # one that is kept, and each time one for where it leads


async def test_a_deadline_closes_a_kept_connection(prepare: Callable[..., PreparedHttp]) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(FINE)
        await peer.gone()

    async with ScriptedTarget(script) as target:
        ready = prepare(target)
        await begin(ready)
        seen = await begin(ready, timedelta(seconds=0.2))
        await target.all_gone()

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "wait")
