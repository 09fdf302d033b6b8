"""Servers that never finish: the deadline ends the check, and what was seen until then is kept."""

import asyncio
import tracemalloc
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.adapters.net.http1 import request
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure
from laya_uptime.domain.secret import Secret
from laya_uptime.ports import Purpose
from laya_uptime.testing.target import Peer, Script, ScriptedTarget, says

SHORT = timedelta(seconds=0.3)
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
HEAD = b"HTTP/1.1 200 OK\r\nServer: slow\r\n"
CLOCK = SystemClock()


async def accept_and_say_nothing(peer: Peer) -> None:
    await peer.gone()


async def read_and_say_nothing(peer: Peer) -> None:
    await peer.request()
    await peer.gone()


async def trickle_the_head(peer: Peer) -> None:
    await peer.request()
    for byte in FINE * 100:
        await peer.send(bytes([byte]))
        await CLOCK.sleep(0.1)


async def trickle_the_body(peer: Peer) -> None:
    await peer.request()
    await peer.send(HEAD + b"Content-Type: text/plain\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        await peer.send(b"x")
        await CLOCK.sleep(0.1)


async def stop_in_the_body(peer: Peer) -> None:
    await peer.request()
    await peer.send(HEAD + b"Content-Length: 1000\r\n\r\nfirst words")
    await peer.gone()


async def stop_without_a_length(peer: Peer) -> None:
    await peer.request()
    await peer.send(HEAD + b"\r\nfirst words")
    await peer.gone()


async def trickle_headers(peer: Peer) -> None:
    await peer.request()
    await peer.send(HEAD)
    for n in range(1000):
        await peer.send(b"X-%d: y\r\n" % n)
        await CLOCK.sleep(0.05)


async def promise_for_ever(peer: Peer) -> None:
    await peer.request()
    while True:
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await CLOCK.sleep(0.1)


async def send_headers_for_ever(peer: Peer) -> None:
    await peer.request()
    await peer.send(HEAD)
    while True:
        await peer.send(b"X: y\r\n" * 5000)


async def send_a_body_for_ever(peer: Peer) -> None:
    await peer.request()
    await peer.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        await peer.send(b"10000\r\n" + bytes(65536) + b"\r\n")


async def send_one_line_for_ever(peer: Peer) -> None:
    await peer.request()
    while True:
        await peer.send(b"HTTP/1.1 200 " + b"y" * 65536)


SLOW: list[tuple[Script, str, int | None]] = [
    (accept_and_say_nothing, "wait", None),
    (read_and_say_nothing, "wait", None),
    (trickle_the_head, "read", None),
    (trickle_the_body, "read", 200),
    (stop_in_the_body, "read", 200),
    (stop_without_a_length, "read", 200),
    (trickle_headers, "read", None),
    (promise_for_ever, "read", None),
]


@pytest.mark.parametrize(("script", "phase", "status"), SLOW)
async def test_r01_the_deadline_ends_what_never_ends(
    script: Script, phase: str, status: int | None, reach: GuardedDialer
) -> None:
    async with ScriptedTarget(script) as target:
        began = CLOCK.monotonic()
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=SHORT)
        took = CLOCK.monotonic() - began

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase, seen.evidence.status) == (Reason.TIMEOUT, phase, status)
    assert seen.detail == "no answer within 0.3 s"
    assert took < 5  # the servers would go on for minutes
    assert getattr(seen.evidence.phases, phase) > timedelta(0)
    assert seen.evidence.phases.connect is not None


async def test_what_was_seen_until_the_deadline_is_kept(reach: GuardedDialer) -> None:
    async with ScriptedTarget(stop_in_the_body) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=SHORT)

    assert seen.evidence.address == "127.0.0.1"
    assert ("server", "slow") in seen.evidence.headers
    assert seen.evidence.body is not None
    assert (seen.evidence.body.text, seen.evidence.body.fault) == ("first words", None)


async def test_redirects_until_the_deadline_are_kept(reach: GuardedDialer) -> None:
    async def script(peer: Peer) -> None:
        if b"GET / " in await peer.request():
            await peer.send(b"HTTP/1.1 302 Found\r\nLocation: /slow\r\nContent-Length: 0\r\n\r\n")
        else:
            await peer.gone()

    async with ScriptedTarget(script) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=SHORT)

    assert isinstance(seen, Failure)
    assert (seen.reason, len(seen.evidence.redirects)) == (Reason.TIMEOUT, 1)


async def test_the_deadline_is_one_for_all_hops_together(reach: GuardedDialer) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await CLOCK.sleep(0.2)
        await peer.send(b"HTTP/1.1 302 Found\r\nLocation: /%d\r\nContent-Length: 0\r\n\r\n" % len(peer.target.requests))

    async with ScriptedTarget(script) as target:
        # Ten hops in time would take two seconds, so one deadline for all of them ends the journey on the way; a
        # deadline for each would let it come to its end as a redirect loop.
        check = HttpCheck(url=Secret(target.url()), redirects=10)
        seen = await check.probe(reach, timeout=timedelta(seconds=1))

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.TIMEOUT
    assert target.connections < 10


async def test_r04_a_tls_handshake_that_never_ends_ends_at_the_deadline(reach: GuardedDialer) -> None:
    async with ScriptedTarget(accept_and_say_nothing) as target:
        seen = await HttpCheck(url=Secret(target.url().replace("http:", "https:"))).probe(reach, timeout=SHORT)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "tls")
    assert seen.detail == "no answer within 0.3 s"


async def test_a_name_server_that_never_answers_is_named() -> None:
    async def resolve(name: str) -> tuple[str, ...]:
        await asyncio.Event().wait()
        return ()

    reach = GuardedDialer(clock=CLOCK, policy=EgressPolicy(), resolver=resolve)
    seen = await HttpCheck(url=Secret("http://slow.test/")).probe(reach, timeout=SHORT)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "dns")
    assert seen.detail == "no answer within 0.3 s"
    assert seen.evidence.phases.dns is not None


async def test_a_server_that_never_reads_is_named(reach: GuardedDialer) -> None:
    async def deaf(peer: Peer) -> None:
        await asyncio.Event().wait()

    async with ScriptedTarget(deaf) as target:
        check = HttpCheck(url=Secret(target.url()), method="POST", body=Secret("x" * 20_000_000))
        seen = await check.probe(reach, timeout=SHORT)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "send")


ENDLESS: list[tuple[Script, Reason]] = [
    (send_headers_for_ever, Reason.TOO_LARGE),
    (send_a_body_for_ever, Reason.TOO_LARGE),
    (send_one_line_for_ever, Reason.TOO_LARGE),
]
ATTACKS = [*(script for script, _, _ in SLOW), *(script for script, _ in ENDLESS)]


@pytest.mark.parametrize(("script", "reason"), ENDLESS)
async def test_r01_what_is_sent_without_end_is_cut_off(script: Script, reason: Reason, reach: GuardedDialer) -> None:
    async with ScriptedTarget(script) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=timedelta(seconds=30))

    assert isinstance(seen, Failure)
    assert seen.reason is reason


async def test_r01_a_hundred_attackers_at_once_hold_up_nobody_else(
    reach: GuardedDialer, open_sockets: Callable[[], int]
) -> None:
    before = open_sockets()
    async with AsyncExitStack() as stack:
        healthy = await stack.enter_async_context(ScriptedTarget(says(FINE)))
        silent = await stack.enter_async_context(ScriptedTarget(read_and_say_nothing))
        attackers = [await stack.enter_async_context(ScriptedTarget(script)) for script in ATTACKS]
        checks = [HttpCheck(url=Secret(attackers[n % len(attackers)].url())) for n in range(100)]
        patient = asyncio.create_task(HttpCheck(url=Secret(silent.url())).probe(reach, timeout=timedelta(seconds=30)))
        under_attack = [asyncio.create_task(check.probe(reach, timeout=timedelta(seconds=2))) for check in checks]
        await CLOCK.sleep(0)

        neighbours = [
            await HttpCheck(url=Secret(healthy.url())).probe(reach, timeout=timedelta(seconds=2)) for _ in range(5)
        ]

        assert all(isinstance(seen, Answer) for seen in neighbours)
        assert not patient.done()
        assert not all(task.done() for task in under_attack)
        ends = await asyncio.gather(*under_attack)
        patient.cancel()
        await asyncio.gather(patient, return_exceptions=True)
    assert all(isinstance(end, Failure) for end in ends)
    assert {end.reason for end in ends if isinstance(end, Failure)} <= {
        Reason.TIMEOUT,
        Reason.TOO_LARGE,
        Reason.HTTP_PROTOCOL,
    }
    assert open_sockets() == before


async def test_r01_endless_bodies_cost_little_memory(reach: GuardedDialer) -> None:
    async with ScriptedTarget(send_a_body_for_ever) as target:
        check = HttpCheck(url=Secret(target.url()))
        await check.probe(reach, timeout=timedelta(seconds=30))
        tracemalloc.start()
        await asyncio.gather(*(check.probe(reach, timeout=timedelta(seconds=30)) for _ in range(20)))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 20 * 5 * 2**20


@pytest.mark.parametrize("script", [accept_and_say_nothing, stop_in_the_body, trickle_the_body])
async def test_a_cancelled_exchange_leaves_no_socket(
    script: Script, reach: GuardedDialer, open_sockets: Callable[[], int]
) -> None:
    async with ScriptedTarget(script) as target:
        before = open_sockets()
        work = asyncio.create_task(request(reach, "GET", target.url(), headers={}, purpose=Purpose.CHECK))
        while not target.connections:
            await CLOCK.sleep(0.01)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

        assert work.cancelled()
        while open_sockets() > before:  # the server's side closes when it notices
            await CLOCK.sleep(0.01)
