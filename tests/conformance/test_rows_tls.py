"""TLS: handshakes and certificates, good and bad, and streams that are cut."""

import ssl
import warnings
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.domain.result import Result
from laya_uptime.testing.target import Peer, Script, ScriptedTarget, says

Look = Callable[..., Awaitable[Result]]
Told = Callable[[Result, str], str]

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
SHORT = "400ms"


class Authorities(Protocol):
    """What the fixture of this folder gives."""

    trusted: trustme.CA
    unknown: trustme.CA
    below: trustme.CA
    ca_file: Path

    def server(
        self,
        *names: str,
        by: trustme.CA | None = None,
        starts: timedelta = -DAY,
        ends: timedelta = 90 * DAY,
        leave_out: int = 0,
        add: trustme.CA | None = None,
    ) -> ssl.SSLContext: ...

    def made(self, *names: str, **how: object) -> ssl.SSLContext: ...


Make = Callable[[Authorities], ssl.SSLContext]
HERE = "127.0.0.1"


def at_most(version: ssl.TLSVersion, make: Make) -> Make:
    def made(ca: Authorities) -> ssl.SSLContext:
        context = make(ca)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old versions are what the row is about
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = version
        return context

    return made


def wants_a_client(version: ssl.TLSVersion) -> Make:
    def made(ca: Authorities) -> ssl.SSLContext:
        context = ca.server(HERE)
        context.load_verify_locations(ca.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
        context.maximum_version = version
        return context

    return made


def good(ca: Authorities) -> ssl.SSLContext:
    return ca.server(HERE)


def short_key(ca: Authorities) -> ssl.SSLContext:
    return ca.made(HERE, key=rsa.generate_private_key(65537, 1024))


def row(name: str, make: Make, expected: str, *, host: str = HERE, **settings: object) -> object:
    return pytest.param(make, host, settings, expected, id=name)


CERTIFICATES = [
    row("good", good, "up"),
    row("TLS 1.2", at_most(ssl.TLSVersion.TLSv1_2, good), "up"),
    row("by a name", lambda ca: ca.server("shop.test"), "up", host="shop.test"),
    row("by a name in capitals", lambda ca: ca.server("shop.test"), "up", host="SHOP.test."),
    row("by a wildcard", lambda ca: ca.server("*.shop.test"), "up", host="www.shop.test"),
    row("one of many names", lambda ca: ca.server("a.test", "b.test", HERE), "up"),
    row("by an authority below", lambda ca: ca.server(HERE, by=ca.below), "up"),
    row("expired", lambda ca: ca.server(HERE, starts=-9 * DAY, ends=-3 * DAY), "down tls_expired: expired 3 days ago"),
    row("just expired", lambda ca: ca.server(HERE, ends=-HOUR), "down tls_expired: expired 1 hour ago"),
    row("not yet valid", lambda ca: ca.server(HERE, starts=2 * DAY + HOUR), "down tls_not_yet_valid: another 2 days"),
    row("for another name", lambda ca: ca.server("other.test"), "down tls_hostname: for other.test, not shop.test", host="shop.test"),
    row("for another address", lambda ca: ca.server("127.0.0.2"), "down tls_hostname: for 127.0.0.2, not 127.0.0.1"),
    row("for a name, asked by address", lambda ca: ca.server("shop.test"), "down tls_hostname: for shop.test"),
    row("a wildcard for one level only", lambda ca: ca.server("*.test"), "down tls_hostname", host="a.b.test"),
    row("a wildcard without its own level", lambda ca: ca.server("*.shop.test"), "down tls_hostname", host="shop.test"),
    row("for no name", lambda ca: ca.made(), "down tls_hostname: no host name"),
    row("for nine names", lambda ca: ca.server(*(f"{n}.test" for n in range(9))), "down tls_hostname: and 6 more"),
    row("self-signed", lambda ca: ca.made(HERE, self_signed=True), "down tls_self_signed: self-signed"),
    row("by an unknown authority", lambda ca: ca.server(HERE, by=ca.unknown), "down tls_untrusted: not trusted"),
    row(
        "by an unknown authority, which is sent along",
        lambda ca: ca.server(HERE, by=ca.unknown, add=ca.unknown),
        "down tls_self_signed: unknown authority",
    ),
    row(
        "without the certificate between",
        lambda ca: ca.server(HERE, by=ca.below, leave_out=1),
        "down tls_untrusted: was not sent",
    ),
    row("by a server's certificate", lambda ca: ca.made(HERE, by_a_server=True), "down tls_untrusted: not trusted"),
    row(
        "for clients only",
        lambda ca: ca.made(HERE, usage=ExtendedKeyUsageOID.CLIENT_AUTH),
        "down tls_untrusted: purpose",
    ),
    row("a key of 1024 bits", short_key, "down cert_weak: too weak"),
    row("expires in three days", lambda ca: ca.server(HERE, ends=3 * DAY), "degraded cert_expiring: expires in 2 days"),
    row("expires in three days, one is enough", lambda ca: ca.server(HERE, ends=3 * DAY), "up", cert_warning="1d"),
    row("expires soon, and that is expected", lambda ca: ca.server(HERE, ends=3 * DAY), "down assertion: tls.expires_in", expect=["tls.expires_in > 7d"]),
    row("TLS 1.1 only", at_most(ssl.TLSVersion.TLSv1_1, good), "down tls_handshake: no common TLS version"),
    row("a client certificate is wanted", wants_a_client(ssl.TLSVersion.TLSv1_3), "down tls_handshake: client certificate"),
    row("a client certificate is wanted, TLS 1.2", wants_a_client(ssl.TLSVersion.TLSv1_2), "down tls_handshake"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "host", "settings", "expected"), CERTIFICATES)
async def test_a_certificate_is_good_or_has_its_exact_reason(
    make: Make,
    host: str,
    settings: dict[str, object],
    expected: str,
    authorities: Authorities,
    names: str,
    look: Look,
    told: Told,
) -> None:
    async with ScriptedTarget(says(FINE), tls=make(authorities)) as target:
        result = await look(url=target.url(host=host), ca_file=str(authorities.ca_file), resolver=names, **settings)

    assert told(result, expected) == expected


CHECKS = [
    row("good", good, "up"),
    row("a key of 1024 bits", short_key, "degraded cert_weak: 1024"),
    row("expired", lambda ca: ca.server(HERE, starts=-9 * DAY, ends=-3 * DAY), "down tls_expired: expired 3 days ago"),
    row("TLS 1.2 where 1.3 is the least", at_most(ssl.TLSVersion.TLSv1_2, good), "down tls_handshake: TLSv1.3", min_version="1.3"),
    row("for another name", lambda ca: ca.server("other.test"), "up", server_name="other.test"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "host", "settings", "expected"), CHECKS)
async def test_the_check_of_tls_alone_says_the_same(
    make: Make, host: str, settings: dict[str, object], expected: str, authorities: Authorities, look: Look, told: Told
) -> None:
    async def stay(peer: Peer) -> None:
        await peer.gone()

    async with ScriptedTarget(stay, tls=make(authorities)) as target:
        result = await look(url=f"tls://{host}:{target.port}", ca_file=str(authorities.ca_file), **settings)

    assert told(result, expected) == expected


def sends(*pieces: bytes, then: str = "close") -> Script:
    """Wait for the ClientHello, send this, and close, reset or stay."""

    async def script(peer: Peer) -> None:
        await peer.receive()
        for piece in pieces:
            await peer.send(piece)
        if then == "reset":
            peer.reset()
        elif then == "stay":
            await peer.gone()

    return script


async def drip(peer: Peer) -> None:
    await peer.receive()
    for byte in b"\x16\x03\x03\x40\x00" + bytes(16384):
        await peer.send(bytes([byte]))
        await SystemClock().sleep(0.05)


# TLS 1.2, ECDHE-RSA-AES128-GCM-SHA256, with secure renegotiation; then a certificate message of 1 MiB.
HELLO = b"\x02\x00\x00\x2d\x03\x03" + bytes(32) + b"\x00\xc0\x2f\x00\x00\x05\xff\x01\x00\x01\x00"
HELLO = b"\x16\x03\x03" + len(HELLO).to_bytes(2, "big") + HELLO
CHAIN = b"\x16\x03\x03\x40\x00\x0b\x10\x00\x00" + bytes(16380) + (b"\x16\x03\x03\x40\x00" + bytes(16384)) * 64

HANDSHAKES = [
    pytest.param(sends(b"HTTP/1.1 400 Bad Request\r\n\r\n"), {}, "down tls_handshake: does not speak TLS", id="plain HTTP"),
    pytest.param(sends(b"SSH-2.0-OpenSSH_9.2\r\n"), {}, "down tls_handshake: does not speak TLS", id="SSH"),
    pytest.param(sends(), {}, "down tls_handshake: closed during", id="no ServerHello"),
    pytest.param(sends(HELLO[:20]), {}, "down tls_handshake: closed during", id="half a ServerHello"),
    pytest.param(sends(HELLO), {}, "down tls_handshake: closed during", id="nothing after the ServerHello"),
    pytest.param(sends(b"\x15\x03\x03\x00\x02\x02\x28"), {}, "down tls_handshake: refused the handshake", id="an alert"),
    pytest.param(sends(b"\x15\x03\x03\x00\x02\x02\x70"), {}, "down tls_handshake: host name", id="an unknown name"),
    pytest.param(sends(b"\x15\x03\x03\x00\x02\x02\x46"), {}, "down tls_handshake: no common TLS version", id="an old version"),
    pytest.param(sends(then="reset"), {}, "down reset: reset by peer", id="reset"),
    pytest.param(sends(then="stay"), {"timeout": SHORT}, "down timeout: in the TLS handshake", id="silence"),
    pytest.param(sends(HELLO, then="stay"), {"timeout": SHORT}, "down timeout: in the TLS handshake", id="silence after the ServerHello"),
    pytest.param(drip, {"timeout": SHORT}, "down timeout: in the TLS handshake", id="a byte at a time"),
    pytest.param(sends(HELLO, CHAIN, then="stay"), {}, "down tls_handshake: too large", id="a chain of 1 MiB"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "settings", "expected"), HANDSHAKES)
async def test_r04_a_handshake_that_comes_to_nothing_has_its_exact_reason(
    script: Script, settings: dict[str, object], expected: str, authorities: Authorities, look: Look, told: Told
) -> None:
    async with ScriptedTarget(script) as target:
        result = await look(url=f"https://{HERE}:{target.port}/", ca_file=str(authorities.ca_file), **settings)

    assert told(result, expected) == expected


CUT = [
    pytest.param(b"HTTP/1.1 200 OK\r\n\r\nhi", "down truncated: after 2 bytes", id="until the end"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", "down truncated: 2 of 9", id="by length"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", "down truncated: after 2", id="in chunks"
    ),
    pytest.param(b"HTTP/1.1 200 O", "down truncated: within its headers", id="in the headers"),
    pytest.param(b"", "down reset: without an answer", id="after the handshake"),
    pytest.param(FINE, "up", id="after a whole answer"),
]


@pytest.mark.parametrize(("answer", "expected"), CUT)
async def test_a_tls_stream_without_its_closing_words_was_cut(
    answer: bytes, expected: str, authorities: Authorities, look: Look, told: Told
) -> None:
    async def cut(peer: Peer) -> None:
        await peer.request()
        if answer:
            await peer.send(answer)

    async with ScriptedTarget(cut, tls=authorities.server(HERE)) as target:
        result = await look(url=target.url(), ca_file=str(authorities.ca_file))

    assert told(result, expected) == expected


@pytest.mark.parametrize("expected", [pytest.param("up", id="until the end, with its closing words")])
async def test_a_tls_stream_with_its_closing_words_is_whole(
    expected: str, authorities: Authorities, look: Look, told: Told
) -> None:
    async with ScriptedTarget(says(b"HTTP/1.1 200 OK\r\n\r\nhi"), tls=authorities.server(HERE)) as target:
        result = await look(url=target.url(), ca_file=str(authorities.ca_file))

    assert told(result, expected) == expected


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        pytest.param(None, "down tls_untrusted: not trusted", id="the machine's own authorities"),
        pytest.param("no certificate", "unknown internal", id="a file of authorities that is none"),
    ],
)
async def test_who_is_trusted_is_as_the_file_says(
    ours: str | None, expected: str, authorities: Authorities, tmp_path: Path, look: Look, told: Told
) -> None:
    settings = {}
    if ours is not None:
        settings["ca_file"] = str(tmp_path / "ca.pem")
        (tmp_path / "ca.pem").write_text(ours)
    async with ScriptedTarget(says(FINE), tls=authorities.server(HERE)) as target:
        result = await look(url=target.url(), **settings)

    assert told(result, expected) == expected


@pytest.mark.parametrize(
    "expected", [pytest.param("down http_protocol: speaks TLS", id="TLS where plain HTTP is expected")]
)
async def test_tls_on_a_plain_port_is_named(expected: str, look: Look, told: Told) -> None:
    async with ScriptedTarget(says(b"\x15\x03\x01\x00\x02\x02\x46")) as target:
        result = await look(url=target.url())

    assert told(result, expected) == expected
