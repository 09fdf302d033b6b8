"""Through HTTP and SOCKS5 proxies: what they are told, whose trouble is whose, and who never learns of whose secrets."""

import asyncio
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.testing.target import Peer, Script, ScriptedTarget, says

CLOCK = SystemClock()
PATIENCE = timedelta(seconds=10)
SHORT = timedelta(seconds=0.3)
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
USER, PASSWORD = "probe", "s3cret: p@ss"
LOGIN = "probe:s3cret%3A%20p%40ss@"
BASIC = b"Basic " + b64encode(f"{USER}:{PASSWORD}".encode())
NAMES = {"shop.test": "127.0.0.1", "other.test": "127.0.0.1"}

Kind = Literal["http", "socks5"]


class Authority(Protocol):
    ca_file: Path

    def context(self, *names: str) -> ssl.SSLContext: ...


@dataclass
class Asked:
    """What the proxy was told in one connection."""

    where: str = ""
    header: bytes = b""
    kind_of_address: int = 0


async def join(peer: Peer, where: str, first: bytes = b"") -> None:
    """Be the wire between the peer and the place."""
    host, _, port = where.rpartition(":")
    host = host.strip("[]")
    reader, writer = await asyncio.open_connection(NAMES.get(host, host), int(port))

    async def back() -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await peer.send(data)
            peer._socket.shutdown(socket.SHUT_WR)

    returning = asyncio.create_task(back())
    try:
        writer.write(first)
        with suppress(OSError):
            while data := await peer.receive():
                writer.write(data)
                await writer.drain()
        writer.write_eof()
        await returning
    finally:
        returning.cancel()
        writer.close()


def http_proxy(asked: list[Asked], *, login: bool = False) -> Script:
    async def script(peer: Peer) -> None:
        head = await peer.request()
        if not head:
            return
        line, *lines = head.rstrip(b"\r\n").split(b"\r\n")
        method, where, version = line.split(b" ")
        ours = [each for each in lines if each.lower().startswith(b"proxy-")]
        asked.append(Asked(where.decode(), ours[0].partition(b": ")[2] if ours else b""))
        if login and asked[-1].header != BASIC:
            await peer.send(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")
        elif method == b"CONNECT":
            await peer.send(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")
            await join(peer, where.decode())
        else:
            assert where.startswith(b"http://")
            place, slash, path = where.removeprefix(b"http://").partition(b"/")
            onward = [b" ".join((method, slash + path, version)), *(each for each in lines if each not in ours)]
            await join(peer, place.decode(), b"\r\n".join((*onward, b"", b"")))

    return script


def socks_proxy(asked: list[Asked], *, login: bool = False) -> Script:
    async def script(peer: Peer) -> None:
        said = b""

        async def take(size: int) -> bytes:
            nonlocal said
            while len(said) < size:
                piece = await peer.receive()
                if not piece:
                    raise ConnectionResetError
                said += piece
            taken, said = said[:size], said[size:]
            return taken

        version, count = await take(2)
        methods = await take(count)
        assert version == 5
        wanted = 2 if login else 0
        if wanted not in methods:
            await peer.send(b"\x05\xff")
            return
        await peer.send(bytes((5, wanted)))
        seen = Asked()
        asked.append(seen)
        if login:
            assert await take(1) == b"\x01"
            user = await take((await take(1))[0])
            password = await take((await take(1))[0])
            seen.header = user + b" " + password
            is_good = (user.decode(), password.decode()) == (USER, PASSWORD)
            await peer.send(b"\x01\x00" if is_good else b"\x01\x05")
            if not is_good:
                return
        assert await take(3) == b"\x05\x01\x00"
        (seen.kind_of_address,) = await take(1)
        if seen.kind_of_address == 3:
            host = (await take((await take(1))[0])).decode("ascii")
        else:
            family, size = {1: (socket.AF_INET, 4), 4: (socket.AF_INET6, 16)}[seen.kind_of_address]
            host = socket.inet_ntop(family, await take(size))
        seen.where = f"{host}:{int.from_bytes(await take(2), 'big')}"
        await peer.send(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x12\x34")
        await join(peer, seen.where, said)

    return script


PROXIES: dict[Kind, Callable[..., Script]] = {"http": http_proxy, "socks5": socks_proxy}


def via_proxy(kind: Kind, port: int, login: str = "") -> Secret:
    return Secret(f"{kind}://{login}127.0.0.1:{port}")


async def no_names(name: str) -> tuple[str, ...]:
    raise AssertionError(f"{name} was looked up here")


async def look(url: str, proxy: Secret, *, within: timedelta = PATIENCE, **options: Any) -> Seen:  # noqa: ANN401  any option of the check
    dialer = GuardedDialer(clock=SystemClock(), policy=EgressPolicy(), resolver=no_names)
    return await HttpCheck(url=Secret(url), proxy=proxy, **options).probe(dialer, timeout=within)


async def through(script: Script, kind: Kind, *, scheme: str = "https", within: timedelta = PATIENCE) -> Failure:
    """What becomes of a look through a proxy that behaves like this."""
    async with ScriptedTarget(script) as proxy:
        seen = await look(f"{scheme}://shop.test/", via_proxy(kind, proxy.port, LOGIN), within=within)
    assert isinstance(seen, Failure)
    assert PASSWORD not in repr(seen)
    return seen


@pytest.mark.parametrize("login", ["", LOGIN], ids=["free", "login"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", PROXIES)
async def test_a_check_goes_through_and_its_secrets_stay_where_they_belong(
    kind: Kind, scheme: str, login: str, authority: Authority
) -> None:
    asked: list[Asked] = []
    context = authority.context("shop.test") if scheme == "https" else None
    async with (
        ScriptedTarget(says(FINE), tls=context) as origin,
        ScriptedTarget(PROXIES[kind](asked, login=bool(login))) as proxy,
    ):
        seen = await look(
            origin.url("/health", host="shop.test"),
            via_proxy(kind, proxy.port, login),
            ca_file=str(authority.ca_file),
            bearer=Secret("t0ken"),
        )

    assert isinstance(seen, Answer), seen
    assert (seen.evidence.status, seen.evidence.address) == (200, "127.0.0.1")
    assert (proxy.connections, origin.connections) == (1, 1)
    (request,) = origin.requests
    assert request.startswith(b"GET /health HTTP/1.1\r\nHost: shop.test:%d\r\n" % origin.port)
    assert b"\r\nAuthorization: Bearer t0ken\r\n" in request
    assert b"proxy" not in request.lower()
    (told,) = asked
    asked_for = f"http://shop.test:{origin.port}/health" if (kind, scheme) == ("http", "http") else None
    assert told.where == (asked_for or f"shop.test:{origin.port}")
    assert told.header == ((BASIC if kind == "http" else f"{USER} {PASSWORD}".encode()) if login else b"")
    assert PASSWORD not in repr(seen)
    assert BASIC.decode() not in repr(seen)
    steps = [step for step, _ in seen.evidence.phases.reached()]
    assert steps == ["connect", *(["tls"] if context else []), "send", "wait", "read"]
    if context:
        assert seen.evidence.tls is not None
        assert seen.evidence.tls.chain[0].names == ("shop.test",)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", PROXIES)
@pytest.mark.parametrize("login", ["", "probe:wrong@"], ids=["none", "wrong"])
async def test_a_proxy_that_wants_other_credentials_is_our_trouble(kind: Kind, scheme: str, login: str) -> None:
    async with ScriptedTarget(PROXIES[kind]([], login=True)) as proxy:
        seen = await look(f"{scheme}://shop.test/", via_proxy(kind, proxy.port, login))

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.INTERNAL
    assert "credentials" in seen.detail
    assert "wrong" not in repr(seen)
    assert proxy.connections == 1


async def test_a_proxy_that_cannot_reach_the_server_says_something_of_the_server() -> None:
    bad = says(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nno")
    tunnel = await through(bad, "http")
    async with ScriptedTarget(bad) as proxy:
        plain = await look("http://shop.test/", via_proxy("http", proxy.port))

    assert (tunnel.reason, tunnel.detail) == (Reason.UNREACHABLE, "the proxy cannot reach the server (502)")
    assert (type(plain), plain.evidence.status) == (Answer, 502)


def socks_says(*answers: bytes) -> Script:
    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.receive()
            await peer.send(answer)
        await peer.gone()

    return script


@pytest.mark.parametrize(
    ("code", "reason", "cause"),
    [
        (1, Reason.UNREACHABLE, "general failure"),
        (2, Reason.BLOCKED_BY_POLICY, "its rules do not allow the connection"),
        (3, Reason.UNREACHABLE, "network is unreachable"),
        (4, Reason.UNREACHABLE, "host is unreachable"),
        (5, Reason.REFUSED, "connection refused"),
        (6, Reason.TIMEOUT, "TTL expired"),
        (7, Reason.INTERNAL, "it does not know the command"),
        (8, Reason.INTERNAL, "it does not know the kind of address"),
        (99, Reason.UNREACHABLE, "error 99"),
    ],
)
async def test_each_error_of_socks_has_its_reason(code: int, reason: Reason, cause: str) -> None:
    seen = await through(socks_says(b"\x05\x00", bytes((5, code))), "socks5")

    assert (seen.reason, seen.detail) == (reason, f"the proxy cannot reach the server: {cause}")


NONSENSE = [
    pytest.param("http", says(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"), "the proxy's answer is not HTTP", id="http-garbage"),
    pytest.param("http", says(b"x" * 20_000), "the proxy's answer is too large", id="http-too-large"),
    pytest.param(
        "http", says(b"HTTP/1.1 200 OK\r\n\r\nand more"), "the proxy says more than it was asked", id="http-more"
    ),
    pytest.param("socks5", socks_says(b"HTTP/1.1 400 Bad\r\n\r\n"), "the proxy does not speak SOCKS5", id="socks-http"),
    pytest.param("socks5", socks_says(b"\x04\x00"), "the proxy does not speak SOCKS5", id="socks-4"),
    pytest.param("socks5", socks_says(b"\x05\x00", b"HTTP/"), "the proxy's answer is not SOCKS5", id="socks-garbage"),
    pytest.param(
        "socks5",
        socks_says(b"\x05\x00", b"\x05\x00\x00\x09\x00\x00\x00"),
        "the proxy's answer is not SOCKS5",
        id="socks-no-address",
    ),
    pytest.param(
        "socks5",
        socks_says(b"\x05\x00", b"\x05\x00\x00\x01" + bytes(6) + b"!"),
        "the proxy says more than it was asked",
        id="socks-more",
    ),
    pytest.param("socks5", socks_says(b"\x05\x07"), "the proxy wants credentials, or others than these", id="method"),
]


@pytest.mark.parametrize(("kind", "script", "detail"), NONSENSE)
async def test_a_proxy_that_talks_nonsense_is_our_trouble(kind: Kind, script: Script, detail: str) -> None:
    seen = await through(script, kind)

    assert (seen.reason, seen.detail) == (Reason.INTERNAL, detail)


@pytest.mark.parametrize(
    ("kind", "heard", "reason"),
    [("http", 1, Reason.RESET), ("socks5", 1, Reason.INTERNAL), ("socks5", 2, Reason.RESET)],
)
async def test_a_proxy_that_hangs_up_tells_of_the_server_once_it_knows_of_it(
    kind: Kind, heard: int, reason: Reason
) -> None:
    async def script(peer: Peer) -> None:
        for _ in range(heard - 1):
            await peer.receive()
            await peer.send(b"\x05\x00")
        await peer.receive()

    seen = await through(script, kind)

    assert (seen.reason, seen.detail) == (reason, "the proxy closed the connection")


@pytest.mark.parametrize(
    ("kind", "scheme", "phase"),
    [
        ("http", "https", "connect"),
        ("socks5", "https", "connect"),
        ("socks5", "http", "connect"),
        ("http", "http", "wait"),
    ],
)
async def test_a_silent_proxy_is_a_timeout_with_its_phase(kind: Kind, scheme: str, phase: str) -> None:
    async def silent(peer: Peer) -> None:
        await peer.gone()

    seen = await through(silent, kind, scheme=scheme, within=SHORT)

    assert (seen.reason, seen.phase, seen.detail) == (Reason.TIMEOUT, phase, "no answer within 0.3 s")
    assert seen.evidence.address == "127.0.0.1"


async def test_a_server_that_is_silent_behind_a_proxy_is_a_timeout_of_its_own() -> None:
    async def silent(peer: Peer) -> None:
        await peer.gone()

    async with ScriptedTarget(silent) as origin, ScriptedTarget(http_proxy([])) as proxy:
        url = f"https://shop.test:{origin.port}/"
        seen = await look(url, via_proxy("http", proxy.port), within=SHORT)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "tls")


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


@pytest.mark.parametrize("kind", PROXIES)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_dead_proxy_is_our_trouble(kind: Kind, scheme: str, silent_port: int) -> None:
    async with ScriptedTarget(says()) as gone:
        nobody = via_proxy(kind, gone.port)
    refused = await look(f"{scheme}://shop.test/", nobody)
    hangs = await look(f"{scheme}://shop.test/", via_proxy(kind, silent_port), within=SHORT)

    for seen, cause in ((refused, "Connection refused"), (hangs, "no answer within 0.3 s")):
        assert isinstance(seen, Failure)
        assert (seen.reason, seen.detail) == (Reason.INTERNAL, f"the proxy cannot be reached: {cause}")


async def test_without_a_network_a_proxy_is_no_other_trouble_than_that() -> None:
    async def nowhere(name: str) -> tuple[str, ...]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    dialer = GuardedDialer(clock=SystemClock(), policy=EgressPolicy(), resolver=nowhere, is_online=lambda: False)
    check = HttpCheck(url=Secret("http://shop.test/"), proxy=Secret("http://proxy.test:3128"))
    seen = await check.probe(dialer, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.PROBE_OFFLINE


@pytest.mark.parametrize("kind", PROXIES)
@pytest.mark.parametrize("url", ["http://169.254.169.254/", "https://[fd00:ec2::254]/", "http://0xa9fea9fe/"])
async def test_a_forbidden_address_is_not_asked_of_a_proxy_either(kind: Kind, url: str) -> None:
    async with ScriptedTarget(PROXIES[kind]([])) as proxy:
        direct = await look(url, via_proxy(kind, proxy.port))
        renamed = await look("https://shop.test/", via_proxy(kind, proxy.port), connect_to="169.254.169.254:443")

    for seen in (direct, renamed):
        assert isinstance(seen, Failure)
        assert seen.reason is Reason.BLOCKED_BY_POLICY
    assert proxy.connections == 0


async def test_a_proxy_at_a_forbidden_address_is_not_connected() -> None:
    seen = await look("http://shop.test/", Secret("http://169.254.169.254:3128"))

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.INTERNAL
    assert "169.254.169.254 is a link-local address" in seen.detail


@pytest.mark.parametrize("kind", PROXIES)
async def test_redirects_go_through_the_proxy_too_and_strangers_learn_nothing(kind: Kind) -> None:
    asked: list[Asked] = []
    async with (
        ScriptedTarget(says(FINE)) as other,
        ScriptedTarget(
            says(
                b"HTTP/1.1 302 Moved\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n"
                % other.url(host="other.test").encode()
            )
        ) as origin,
        ScriptedTarget(PROXIES[kind](asked, login=True)) as proxy,
    ):
        url = origin.url(host="shop.test")
        seen = await look(url, via_proxy(kind, proxy.port, LOGIN), bearer=Secret("t0ken"))

    assert isinstance(seen, Answer), seen
    assert proxy.connections == len(asked) == 2
    assert b"t0ken" in origin.requests[0]
    assert b"t0ken" not in other.requests[0]
    assert b"proxy" not in (origin.requests[0] + other.requests[0]).lower()


@pytest.mark.parametrize("kind", PROXIES)
async def test_a_redirect_to_a_forbidden_address_is_blocked_through_a_proxy_too(kind: Kind) -> None:
    moved = b"HTTP/1.1 302 Moved\r\nContent-Length: 0\r\nLocation: http://169.254.169.254/latest\r\n\r\n"
    async with ScriptedTarget(says(moved)) as origin, ScriptedTarget(PROXIES[kind]([])) as proxy:
        seen = await look(origin.url(host="shop.test"), via_proxy(kind, proxy.port))

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.REDIRECT_BLOCKED
    assert proxy.connections == 1


async def test_what_the_environment_says_of_proxies_is_not_read(
    monkeypatch: pytest.MonkeyPatch, reach: GuardedDialer
) -> None:
    async with ScriptedTarget(says(FINE)) as origin, ScriptedTarget(http_proxy([])) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
            monkeypatch.setenv(name.upper(), proxy.url())
        seen = await HttpCheck(url=Secret(origin.url())).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Answer)
    assert (origin.connections, proxy.connections) == (1, 0)


has_ipv6 = pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")


@pytest.mark.parametrize(
    ("host", "kind_of_address"),
    [("shop.test", 3), ("127.0.0.1", 1), pytest.param("::1", 4, marks=has_ipv6)],
)
async def test_names_and_addresses_are_told_in_their_own_forms(
    host: str, kind_of_address: int, authority: Authority
) -> None:
    asked: list[Asked] = []
    context = authority.context(host)
    listens_at = host if ":" in host else "127.0.0.1"
    async with (
        ScriptedTarget(says(FINE), tls=context, host=listens_at) as origin,
        ScriptedTarget(http_proxy(asked)) as proxy,
        ScriptedTarget(socks_proxy(asked)) as socks,
    ):
        first = await look(origin.url(host=host), via_proxy("http", proxy.port), ca_file=str(authority.ca_file))
        second = await look(origin.url(host=host), via_proxy("socks5", socks.port), ca_file=str(authority.ca_file))

    assert (type(first), type(second)) == (Answer, Answer)
    written = f"[{host}]" if ":" in host else host
    assert asked[0].where == f"{written}:{origin.port}"
    assert (asked[1].where, asked[1].kind_of_address) == (f"{host}:{origin.port}", kind_of_address)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", PROXIES)
async def test_connect_to_is_where_the_proxy_is_asked_to_go(kind: Kind, scheme: str, authority: Authority) -> None:
    asked: list[Asked] = []
    context = authority.context("shop.test") if scheme == "https" else None
    async with ScriptedTarget(says(FINE), tls=context) as origin, ScriptedTarget(PROXIES[kind](asked)) as proxy:
        seen = await look(
            f"{scheme}://shop.test/",
            via_proxy(kind, proxy.port),
            connect_to=f"other.test:{origin.port}",
            ca_file=str(authority.ca_file),
        )

    assert isinstance(seen, Answer), seen
    assert asked[0].where == f"other.test:{origin.port}"
    assert b"\r\nHost: shop.test\r\n" in origin.requests[0]


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        ("http", [b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n"]),
        ("socks5", [b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x03\x09localhost\x12\x34"]),
    ],
)
async def test_answers_may_come_byte_by_byte(kind: Kind, answers: list[bytes]) -> None:
    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.receive()
            for byte in answer:
                await peer.send(bytes((byte,)))
                await CLOCK.sleep(0.001)
        await peer.request()
        await peer.send(FINE)

    async with ScriptedTarget(script) as proxy:
        url = "http://shop.test/"
        place: dict[str, Any] = {"connect_to": "shop.test:80"} if kind == "http" else {}
        seen = await look(url, via_proxy(kind, proxy.port, LOGIN), **place)

    assert isinstance(seen, Answer), seen


@pytest.mark.parametrize("kind", PROXIES)
async def test_a_proxy_that_lets_us_through_and_hangs_up_is_noticed_at_once(kind: Kind, authority: Authority) -> None:
    """The end may come in one piece with the words before it, and is not told twice."""
    yes = {"http": [b"HTTP/1.1 200 OK\r\n\r\n"], "socks5": [b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x01" + bytes(6)]}

    async def script(peer: Peer) -> None:
        for answer in yes[kind][:-1]:
            await peer.receive()
            await peer.send(answer)
        await peer.receive()
        sock = peer._socket
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        await peer.send(yes[kind][-1])
        sock.shutdown(socket.SHUT_WR)
        await peer.gone()

    seen = await through(script, kind, within=timedelta(seconds=30))

    assert seen.reason is Reason.TLS_HANDSHAKE
    assert seen.detail == "connection closed during the TLS handshake"
