"""The faster TLS library is used where it is installed, and no verdict ever rests on it alone."""

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from laya_uptime.adapters.checks.http import HttpCheck, PreparedHttp
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net import fast_tls, http1
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.adapters.net.fast_tls import FastSession
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.testing.target import Peer, Script, ScriptedTarget, says

pytest.importorskip("utls", reason="the extra fast-tls is not installed")

CLOCK = SystemClock()
PATIENCE = timedelta(seconds=10)
DAY = timedelta(days=1)
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Authority(Protocol):
    ca_file: Path
    folder: Path
    issued: int

    def context(
        self,
        *names: str,
        starts: timedelta = -DAY,
        ends: timedelta = 90 * DAY,
        self_signed: bool = False,
        with_root: bool = False,
        key: rsa.RSAPrivateKey | None = None,
        digest: hashes.SHA1 | None = None,
    ) -> ssl.SSLContext: ...


@pytest.fixture(autouse=True)
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that the faster library was asked to shake hands with."""
    made: list[str] = []

    class Noted(FastSession):
        def __init__(self, context: Any, server_hostname: str) -> None:  # noqa: ANN401  as there
            made.append(server_hostname)
            super().__init__(context, server_hostname)

    monkeypatch.setattr(http1, "FastSession", Noted)
    return made


def a_reach() -> GuardedDialer:
    async def resolve(name: str) -> tuple[str, ...]:
        return ("127.0.0.1",)

    return GuardedDialer(clock=CLOCK, policy=EgressPolicy(), resolver=resolve)


def prepared(url: str, authority: Authority | None, **options: Any) -> PreparedHttp:  # noqa: ANN401  any option of the check
    ca_file = None if authority is None else str(authority.ca_file)
    return HttpCheck(url=Secret(url), ca_file=ca_file, **options).prepare(a_reach())


async def begin(ready: PreparedHttp, within: timedelta = PATIENCE) -> Seen:
    over: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()
    ready.begin(within, over.set_result)
    return await over


def only_the_standard_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_tls, "library", lambda: None)


def told(seen: Seen) -> dict[str, Any]:
    """What a person reads of it, without times."""
    evidence = seen.evidence
    failure = (seen.reason, seen.detail, seen.phase) if isinstance(seen, Failure) else None
    return {
        "failure": failure,
        "status": evidence.status,
        "headers": evidence.headers,
        "body": evidence.body,
        "tls": evidence.tls,
        "steps": [step for step, _ in evidence.phases.reached()],
        "addresses": (evidence.address, evidence.addresses, evidence.attempts),
    }


@pytest.mark.parametrize(
    ("version", "ciphers"),
    [
        (ssl.TLSVersion.TLSv1_3, "DEFAULT"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-GCM-SHA384"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ],
)
async def test_it_is_used_and_its_evidence_is_that_of_the_standard_library(
    version: ssl.TLSVersion,
    ciphers: str,
    authority: Authority,
    sessions: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = authority.context("127.0.0.1", "shop.example", "::1", with_root=True)
    context.maximum_version = version
    context.set_ciphers(ciphers)
    async with ScriptedTarget(says(FINE), tls=context) as target:
        fast = await begin(prepared(target.url(), authority))
        assert (sessions, target.connections) == (["127.0.0.1"], 1)
        only_the_standard_library(monkeypatch)
        slow = await begin(prepared(target.url(), authority))

    assert (sessions, target.connections) == (["127.0.0.1"], 2)
    assert isinstance(fast, Answer)
    assert fast.evidence.tls is not None
    assert slow.evidence.tls is not None
    # Both sides may prefer another cipher of TLS 1.3; the name is of the same form.
    if version is ssl.TLSVersion.TLSv1_3:
        assert fast.evidence.tls.cipher in {
            "TLS_AES_128_GCM_SHA256",
            "TLS_AES_256_GCM_SHA384",
            "TLS_CHACHA20_POLY1305_SHA256",
        }
        assert fast.evidence.tls.chain == slow.evidence.tls.chain
        assert fast.evidence.tls.version == slow.evidence.tls.version
    else:
        assert fast.evidence.tls.cipher == ciphers
        assert told(fast) == told(slow)


async def test_it_sends_the_name_and_offers_http_1(authority: Authority, sessions: list[str]) -> None:
    asked: list[str | None] = []
    context = authority.context("xn--bcher-kva.example")
    context.sni_callback = lambda _, name, __: asked.append(name)
    context.set_alpn_protocols(["http/1.1"])
    chosen: list[str | None] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        assert peer._tls is not None
        chosen.append(peer._tls.selected_alpn_protocol())
        await peer.send(FINE)

    async with ScriptedTarget(script, tls=context) as target:
        seen = await begin(prepared(target.url(host="B\u00dcCHER.example."), authority))

    assert isinstance(seen, Answer), seen
    assert (asked, chosen, len(sessions)) == (["xn--bcher-kva.example"], ["http/1.1"], 1)


def of_cipher(cipher: str, old: Authority) -> ssl.SSLContext:
    context = old.context("127.0.0.1", key=rsa.generate_private_key(65537, 2048))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{cipher}:@SECLEVEL=0")
    return context


def of_old_version(authority: Authority) -> ssl.SSLContext:
    context = authority.context("127.0.0.1")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


SERVERS: dict[str, Callable[[Authority, Authority, Authority], ssl.SSLContext]] = {
    "expired": lambda ours, _, __: ours.context("127.0.0.1", starts=-9 * DAY, ends=-3 * DAY),
    "not yet valid": lambda ours, _, __: ours.context("127.0.0.1", starts=2 * DAY),
    "self-signed": lambda ours, _, __: ours.context("127.0.0.1", self_signed=True),
    "wrong name": lambda ours, _, __: ours.context("a.example"),
    "wrong address": lambda ours, _, __: ours.context("127.0.0.2"),
    "no name": lambda ours, _, __: ours.context(),
    "unknown authority": lambda _, stranger, __: stranger.context("127.0.0.1"),
    "unknown root in the chain": lambda _, stranger, __: stranger.context("127.0.0.1", with_root=True),
    "a short key": lambda ours, _, __: ours.context("127.0.0.1", key=rsa.generate_private_key(65537, 1024)),
    "SHA-1": lambda _, __, old: old.context("127.0.0.1", digest=hashes.SHA1()),
    "TLS 1.1": lambda ours, _, __: of_old_version(ours),
    "AES128-SHA": lambda _, __, old: of_cipher("AES128-SHA", old),
    "AES128-GCM-SHA256": lambda _, __, old: of_cipher("AES128-GCM-SHA256", old),
    "ECDHE-RSA-AES128-SHA": lambda _, __, old: of_cipher("ECDHE-RSA-AES128-SHA", old),
    "ECDHE-RSA-AES256-SHA384": lambda _, __, old: of_cipher("ECDHE-RSA-AES256-SHA384", old),
    "DHE-RSA-AES128-GCM-SHA256": lambda _, __, old: of_cipher("DHE-RSA-AES128-GCM-SHA256", old),
    "DES-CBC3-SHA": lambda _, __, old: of_cipher("ALL:!AES:!CHACHA20:!CAMELLIA", old),
}


@pytest.mark.parametrize("name", SERVERS)
async def test_the_verdict_on_a_server_is_that_of_the_standard_library(
    name: str,
    authority: Authority,
    stranger: Authority,
    old_authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    sessions: list[str],
) -> None:
    context = SERVERS[name](authority, stranger, old_authority)
    trusted = old_authority if name == "SHA-1" or "-SHA" in name or "GCM" in name else authority
    async with ScriptedTarget(says(FINE), tls=context) as target:
        fast = await begin(prepared(target.url(), trusted))
        assert len(sessions) == 1
        only_the_standard_library(monkeypatch)
        slow = await begin(prepared(target.url(), trusted))

    assert len(sessions) == 1
    assert told(fast) == told(slow)


async def cut_short(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhi")


async def ends_without_a_word(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhi")


async def ends_properly(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhi")
    await peer.say_goodbye()


async def says_nothing(peer: Peer) -> None:
    await peer.request()
    await peer.say_goodbye()


async def resets(peer: Peer) -> None:
    await peer.request()
    peer.reset()


async def is_no_http(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"220 mail.example ESMTP\r\n")


async def is_too_large(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\nhi")


async def never_ends(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await peer.send(b"x" * 65536)


async def is_large_and_cut(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\n" + b"x" * 1_000_000)


async def is_large(peer: Peer) -> None:
    await peer.request()
    await peer.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000
    )
    await peer.say_goodbye()


ANSWERS: list[Script] = [
    cut_short,
    ends_without_a_word,
    ends_properly,
    says_nothing,
    resets,
    is_no_http,
    is_too_large,
    never_ends,
    is_large_and_cut,
    is_large,
]


@pytest.mark.parametrize("script", ANSWERS)
async def test_the_verdict_on_an_answer_is_that_of_the_standard_library(
    script: Script, authority: Authority, monkeypatch: pytest.MonkeyPatch, sessions: list[str]
) -> None:
    context = authority.context("127.0.0.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    async with ScriptedTarget(script, tls=context) as target:
        fast = await begin(prepared(target.url(), authority))
        only_the_standard_library(monkeypatch)
        slow = await begin(prepared(target.url(), authority))

    assert len(sessions) == 1
    assert isinstance(fast, Answer) == (target.connections == 2)
    first, second = told(fast), told(slow)
    if script is never_ends:  # how much has come by then is the machine's affair
        del first["body"], second["body"]
    assert first == second


def raw(answer: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send(answer)

    return script


async def tears(peer: Peer) -> None:
    await peer.receive()
    peer.reset()


async def floods(peer: Peer) -> None:
    """Handshake messages without end."""
    await peer.receive()
    while True:
        await peer.send(b"\x16\x03\x03\x40\x00" + b"\x0b\xff\xff\xff" + bytes(0x4000 - 4))


HOSTILE = [
    pytest.param(raw(b""), id="closes"),
    pytest.param(raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"), id="plain"),
    pytest.param(raw(b"\x15\x03\x03\x00\x02\x02\x28"), id="alert"),
    pytest.param(raw(b"\x15\x03\x03\x00\x02\x02\x70"), id="unknown name"),
    pytest.param(raw(b"\x16\x03\x03\x00\x04\x0e\x00\x00\x00"), id="out of order"),
    pytest.param(raw(b"\x16\x03\x03\xff\xff"), id="too long"),
    pytest.param(raw(b"\x00" * 5000), id="noughts"),
    pytest.param(tears, id="reset"),
    pytest.param(floods, id="flood"),
]


@pytest.mark.parametrize("script", HOSTILE)
async def test_the_verdict_on_a_hostile_handshake_is_that_of_the_standard_library(
    script: Script, authority: Authority, monkeypatch: pytest.MonkeyPatch, sessions: list[str]
) -> None:
    async with ScriptedTarget(script) as target:
        url = f"https://127.0.0.1:{target.port}/"
        fast = await begin(prepared(url, authority))
        assert (len(sessions), target.connections) == (1, 2)
        only_the_standard_library(monkeypatch)
        slow = await begin(prepared(url, authority))

    assert isinstance(fast, Failure)
    assert told(fast) == told(slow)


class Picky:
    """A server that treats the first connection as told, and all later ones well."""

    def __init__(self, context: ssl.SSLContext, first: Script) -> None:
        self.context = context
        self.first = first

    async def __call__(self, peer: Peer) -> None:
        if peer.target.connections == 1:
            await self.first(peer)
        else:
            await peer.start_tls(self.context)
            await says(FINE)(peer)


@pytest.mark.parametrize("script", HOSTILE)
async def test_a_server_that_only_dislikes_this_library_is_up_and_is_spared_it_from_then_on(
    script: Script, authority: Authority, sessions: list[str]
) -> None:
    async with ScriptedTarget(Picky(authority.context("127.0.0.1"), script)) as target:
        ready = prepared(f"https://127.0.0.1:{target.port}/", authority)
        first = await begin(ready)
        second = await begin(ready)

    assert isinstance(first, Answer), first
    assert isinstance(second, Answer), second
    assert (len(sessions), target.connections) == (1, 3)
    assert [step for step, _ in first.evidence.phases.reached()] == ["connect", "tls", "send", "wait", "read"]


async def silent(peer: Peer) -> None:
    await peer.gone()


async def test_a_handshake_that_hangs_gets_half_of_the_time(authority: Authority, sessions: list[str]) -> None:
    async with ScriptedTarget(Picky(authority.context("127.0.0.1"), silent)) as target:
        ready = prepared(f"https://127.0.0.1:{target.port}/", authority)
        seen = await begin(ready, timedelta(seconds=1))
        again = await begin(ready)

    assert isinstance(seen, Answer), seen
    assert isinstance(again, Answer)
    assert (len(sessions), target.connections) == (1, 3)


async def test_a_redirect_from_http_has_the_same_safety(authority: Authority, sessions: list[str]) -> None:
    async with ScriptedTarget(Picky(authority.context("127.0.0.1"), silent)) as secure:
        there = f"https://127.0.0.1:{secure.port}/"
        moved = f"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\nLocation: {there}\r\n\r\n".encode()
        async with ScriptedTarget(says(moved)) as plain:
            seen = await begin(prepared(plain.url(), authority), timedelta(seconds=1))

    assert isinstance(seen, Answer), seen
    assert len(sessions) == 1


async def test_a_server_that_is_silent_is_a_timeout_with_its_phase(authority: Authority) -> None:
    async with ScriptedTarget(silent) as target:
        url = f"https://127.0.0.1:{target.port}/"
        seen = await begin(prepared(url, authority), timedelta(seconds=0.4))

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase, seen.detail) == (Reason.TIMEOUT, "tls", "no answer within 0.4 s")
    assert target.connections == 2


async def test_a_server_that_is_slow_to_answer_has_all_of_the_time_and_is_asked_once(
    authority: Authority, sessions: list[str]
) -> None:
    async def slow(peer: Peer) -> None:
        await peer.request()
        await CLOCK.sleep(0.7)
        await peer.send(FINE)

    async with ScriptedTarget(slow, tls=authority.context("127.0.0.1")) as target:
        seen = await begin(prepared(target.url(), authority), timedelta(seconds=1.2))

    assert isinstance(seen, Answer), seen
    assert (len(sessions), target.connections, len(target.requests)) == (1, 1, 1)


async def test_after_a_deadline_the_next_look_is_by_the_standard_library(
    authority: Authority, sessions: list[str]
) -> None:
    async def first_slow(peer: Peer) -> None:
        await peer.request()
        if peer.target.connections == 1:
            await peer.gone()
        await peer.send(FINE)

    async with ScriptedTarget(first_slow, tls=authority.context("127.0.0.1")) as target:
        ready = prepared(target.url(), authority)
        first = await begin(ready, timedelta(seconds=0.3))
        second = await begin(ready)

    assert isinstance(first, Failure)
    assert (first.reason, first.phase) == (Reason.TIMEOUT, "wait")
    assert isinstance(second, Answer)
    assert len(sessions) == 1


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that leaves every connection hanging: its queue is full and nobody takes from it."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
        fillers.append(filler)
    yield port
    for sock in (*fillers, listener):
        sock.close()


async def test_a_connection_that_hangs_is_tried_once_and_leaves_nothing(
    silent_port: int, authority: Authority, connected: list[str], open_sockets: Callable[[], int]
) -> None:
    before = open_sockets()
    ready = prepared(f"https://127.0.0.1:{silent_port}/", authority)
    seen = await begin(ready, timedelta(seconds=0.4))

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "connect")
    assert connected == ["127.0.0.1"]
    assert open_sockets() <= before + 1  # the poll's own is no socket where there is epoll


async def test_a_connection_that_is_late_goes_straight_to_the_standard_library(
    authority: Authority, sessions: list[str]
) -> None:
    async def resolve(name: str) -> tuple[str, ...]:
        await CLOCK.sleep(0.7)
        return ("127.0.0.1",)

    reach = GuardedDialer(clock=CLOCK, policy=EgressPolicy(), resolver=resolve)
    async with ScriptedTarget(says(FINE), tls=authority.context("late.test")) as target:
        check = HttpCheck(url=Secret(target.url(host="late.test")), ca_file=str(authority.ca_file))
        seen = await check.probe(reach, timeout=timedelta(seconds=1.2))

    assert isinstance(seen, Answer), seen
    assert (sessions, target.connections) == ([], 1)


async def test_insecure_and_client_certificates_are_left_to_the_standard_library(
    authority: Authority, sessions: list[str]
) -> None:
    context = authority.context("127.0.0.1")
    ours = authority.folder / f"server-{authority.issued}.pem"
    async with ScriptedTarget(says(FINE), tls=context) as target:
        insecure = await begin(prepared(target.url(), None, insecure=True))
        known = await begin(prepared(target.url(), authority, client_certificate=str(ours)))

    assert (type(insecure), type(known), sessions) == (Answer, Answer, [])


async def test_a_proxy_is_not_asked_twice_for_what_it_refuses(authority: Authority, sessions: list[str]) -> None:
    refuses = says(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n")
    async with ScriptedTarget(refuses) as proxy:
        seen = await begin(prepared("https://shop.test/", authority, proxy=Secret(f"http://127.0.0.1:{proxy.port}")))

    assert isinstance(seen, Failure)
    assert (seen.reason, proxy.connections, sessions) == (Reason.INTERNAL, 1, [])


async def test_a_kept_connection_works_with_it(authority: Authority, sessions: list[str]) -> None:
    async def always(peer: Peer) -> None:
        while await peer.request():
            await peer.send(FINE)

    async with ScriptedTarget(always, tls=authority.context("127.0.0.1")) as target:
        ready = prepared(target.url(), authority, keep_alive=True)
        seen = [await begin(ready) for _ in range(3)]
        ready.close()
        await target.all_gone()

    assert [type(each) for each in seen] == [Answer] * 3
    assert (len(sessions), target.connections) == (1, 1)


@pytest.fixture
def fresh_library() -> Iterator[None]:
    fast_tls.library.cache_clear()
    yield
    fast_tls.library.cache_clear()


@pytest.mark.usefixtures("fresh_library")
async def test_without_the_package_nothing_changes(
    authority: Authority, sessions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "utls", None)  # as if it were not installed
    async with ScriptedTarget(says(FINE), tls=authority.context("127.0.0.1")) as target:
        seen = await begin(prepared(target.url(), authority))

    assert fast_tls.library() is None
    assert isinstance(seen, Answer)
    assert (sessions, target.connections) == ([], 1)


def test_it_trusts_nobody_whom_the_standard_library_would_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SSL_CERT_DIR replaces the system's authorities; their bundle must not come back by the other door."""
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))

    assert fast_tls.make_context(None) is None
