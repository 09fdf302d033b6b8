"""HTTP/3 by libcurl, over QUIC on loopback: evidence, reasons and fences."""

import gzip
import importlib.util
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, Protocol

import msgspec
import pytest
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.h3.connection import H3_ALPN, ErrorCode, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, QuicEvent

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net import curl, libcurl
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.adapters.net.http1 import Request
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.urls import parse_url
from laya_uptime.ports import Fault, Purpose

PATIENCE = timedelta(seconds=10)
DAY = timedelta(days=1)


class Authority(Protocol):
    ca_file: Path
    folder: Path
    issued: int

    def context(self, *names: str, **options: object) -> object: ...


def has_http3() -> bool:
    if importlib.util.find_spec("pycurl") is None:
        return False
    pycurl = libcurl.library()
    return bool(pycurl.version_info()[4] & pycurl.VERSION_HTTP3)


needs_http3 = pytest.mark.skipif(not has_http3(), reason="NOT RUN: this pycurl has no HTTP/3, so it was not tested")


@dataclass
class Stream:
    """One request of HTTP/3, and how to answer it."""

    quic: Any
    h3: H3Connection
    number: int
    headers: dict[str, str]
    body: bytes = b""

    def answer(self, headers: tuple[tuple[str, str], ...] = (), body: bytes = b"", *, ends: bool = True) -> None:
        pairs = [(b":status", b"200")] if ":status" not in dict(headers) else []
        pairs += [(name.encode(), value.encode()) for name, value in headers]
        self.h3.send_headers(self.number, pairs, end_stream=ends and not body)
        if body:
            self.h3.send_data(self.number, body, end_stream=ends)


@dataclass
class Target3:
    """A listening server."""

    port: int = 0
    streams: list[Stream] = field(default_factory=list)
    connections: int = 0

    def url(self, path: str = "/", *, host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.port}{path}"


@asynccontextmanager
async def http3(
    script: Callable[[Stream], None], authority: Authority, *names: str, protocol: str = H3_ALPN[0], **options: object
) -> AsyncIterator[Target3]:
    """Serve HTTP/3; the script answers each request once all of it is there."""
    target = Target3()

    class Server(QuicConnectionProtocol):
        h3: H3Connection | None = None

        def quic_event_received(self, event: QuicEvent) -> None:
            if isinstance(event, ProtocolNegotiated):
                target.connections += 1
                self.h3 = H3Connection(self._quic)
            if self.h3 is None:
                return
            for each in self.h3.handle_event(event):
                if isinstance(each, HeadersReceived):
                    headers = {name.decode(): value.decode() for name, value in each.headers}
                    target.streams.append(Stream(self._quic, self.h3, each.stream_id, headers))
                elif isinstance(each, DataReceived):
                    target.streams[-1].body += each.data
                if isinstance(each, HeadersReceived | DataReceived) and each.stream_ended:
                    script(target.streams[-1])
                    self.transmit()

    authority.context(*(names or ("127.0.0.1",)), **options)
    configuration = QuicConfiguration(is_client=False, alpn_protocols=[protocol])
    pem = authority.folder / f"server-{authority.issued}.pem"
    configuration.load_cert_chain(pem, pem)
    server: Any = await serve("127.0.0.1", 0, configuration=configuration, create_protocol=Server)
    target.port = server._transport.get_extra_info("sockname")[1]
    try:
        yield target
    finally:
        server.close()


def a_dialer(*addresses: str) -> GuardedDialer:
    async def resolve(name: str) -> tuple[str, ...]:
        return addresses or ("127.0.0.1",)

    return GuardedDialer(clock=SystemClock(), policy=EgressPolicy(), resolver=resolve)


async def look(
    url: str,
    authority: Authority | None,
    *,
    via: GuardedDialer | None = None,
    patience: timedelta = PATIENCE,
    **options: object,
) -> Seen:
    ca_file = None if authority is None else str(authority.ca_file)
    check = HttpCheck(url=Secret(url), ca_file=ca_file, http_version="3")
    return await msgspec.structs.replace(check, **options).probe(via or a_dialer(), timeout=patience)


def fine(stream: Stream) -> None:
    stream.answer((("content-type", "text/plain"),), b"hello")


@needs_http3
async def test_an_answer_leaves_all_its_evidence(authority: Authority) -> None:
    async with http3(fine, authority, "shop.example", with_root=True) as target:
        seen = await look(target.url("/a/../b?x=1", host="shop.example"), authority)

    assert isinstance(seen, Answer)
    evidence = seen.evidence
    assert (evidence.http_version, evidence.status, evidence.address) == ("3", 200, "127.0.0.1")
    assert evidence.headers == (("content-type", "text/plain"),)
    assert evidence.body is not None
    assert evidence.body.text == "hello"
    assert evidence.tls is not None
    assert (evidence.tls.version, evidence.tls.fault) == ("TLSv1.3", None)
    assert [certificate.subject for certificate in evidence.tls.chain] == ["CN=shop.example", "CN=Trusted Authority"]
    assert [step for step, _ in evidence.phases.reached()] == ["dns", "connect", "send", "wait", "read"]
    assert target.streams[0].headers[":path"] == "/a/../b?x=1"
    assert target.streams[0].headers[":authority"] == f"shop.example:{target.port}"


@needs_http3
async def test_a_body_is_sent(authority: Authority) -> None:
    async with http3(fine, authority) as target:
        seen = await look(target.url(), authority, method="PUT", body=Secret("x" * 100_000))

    assert isinstance(seen, Answer)
    assert target.streams[0].headers[":method"] == "PUT"
    assert target.streams[0].body == b"x" * 100_000


def reset(stream: Stream) -> None:
    stream.quic.reset_stream(stream.number, ErrorCode.H3_INTERNAL_ERROR)


def refuse(stream: Stream) -> None:
    stream.quic.reset_stream(stream.number, ErrorCode.H3_REQUEST_REJECTED)


def close(stream: Stream) -> None:
    stream.quic.close(ErrorCode.H3_INTERNAL_ERROR)


def end_early(stream: Stream) -> None:
    stream.answer((("content-length", "50"),), b"hello")


def bomb(stream: Stream) -> None:
    stream.answer((("content-encoding", "gzip"),), gzip.compress(b"\0" * (2 << 20)))


def send_much(stream: Stream) -> None:
    stream.answer((), b"x" * (3 << 20))


FAULTS = [
    (reset, Reason.HTTP_PROTOCOL, "the server reset the stream (HTTP/3 INTERNAL_ERROR)"),
    (refuse, Reason.HTTP_PROTOCOL, "the server refused the request (HTTP/3 H3_REQUEST_REJECTED)"),
    (close, Reason.RESET, "the server closed the QUIC connection"),
    (end_early, Reason.HTTP_PROTOCOL, "bad HTTP/3: the server broke a rule of the protocol"),
    (bomb, Reason.TOO_LARGE, "the body is too large: more than 1 MiB"),
    (send_much, Reason.TOO_LARGE, "the body is too large: more than 1 MiB"),
]


@needs_http3
@pytest.mark.parametrize(
    ("script", "reason", "detail"), FAULTS, ids=[script.__name__.replace("_", " ") for script, _, _ in FAULTS]
)
async def test_a_faulty_answer_has_its_exact_reason(
    script: Callable[[Stream], None], reason: Reason, detail: str, authority: Authority
) -> None:
    async with http3(script, authority) as target:
        seen = await look(target.url(), authority)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (reason, detail)
    assert target.connections == 1


@needs_http3
@pytest.mark.parametrize(
    ("options", "names", "reason", "detail"),
    [
        ({"ends": -3 * DAY, "starts": -9 * DAY}, (), Reason.TLS_EXPIRED, "certificate expired 3 days ago"),
        ({"self_signed": True}, (), Reason.TLS_SELF_SIGNED, "certificate is self-signed"),
        ({}, ("a.example",), Reason.TLS_HOSTNAME, "certificate is for a.example, not 127.0.0.1"),
    ],
    ids=["expired", "self-signed", "name"],
)
async def test_a_bad_certificate_is_shown_with_what_is_wrong_with_it(
    options: dict[str, Any], names: tuple[str, ...], reason: Reason, detail: str, authority: Authority
) -> None:
    async with http3(fine, authority, *names, **options) as target:
        seen = await look(target.url(), authority)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (reason, detail)
    assert seen.evidence.tls is not None
    assert (seen.evidence.tls.fault, len(seen.evidence.tls.chain)) == (detail, 1)
    assert target.streams == []


@needs_http3
async def test_a_server_that_speaks_something_else_over_quic_refuses_the_handshake(authority: Authority) -> None:
    async with http3(fine, authority, protocol="doq") as target:
        seen = await look(target.url(), authority)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.TLS_HANDSHAKE, "the server refused the QUIC handshake")


@needs_http3
async def test_a_port_where_nobody_listens_is_refused(authority: Authority) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]

    seen = await look(f"https://127.0.0.1:{port}/", authority)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.REFUSED, "Connection refused")


@needs_http3
async def test_a_server_that_never_answers_runs_into_the_deadline(
    authority: Authority, open_sockets: Callable[[], int]
) -> None:
    before = open_sockets()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{sock.getsockname()[1]}/"
        seen = await look(url, authority, patience=timedelta(milliseconds=300))

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "connect")
    assert open_sockets() <= before


@needs_http3
async def test_only_vetted_addresses_are_sent_to(authority: Authority, connected: list[str]) -> None:
    async with http3(fine, authority, "shop.example") as target:
        via = a_dialer("169.254.169.254", "127.0.0.2", "127.0.0.1")
        seen = await look(target.url(host="shop.example"), authority, via=via)

    assert isinstance(seen, Answer)
    assert seen.evidence.addresses == ("127.0.0.2", "127.0.0.1", "169.254.169.254")
    assert seen.evidence.address == "127.0.0.1"
    assert "169.254.169.254" not in connected


@needs_http3
@pytest.mark.parametrize(
    ("place", "asked"),
    [
        pytest.param(("169.254.169.254", 443), False, id="another address"),
        pytest.param(("127.0.0.1", 80), False, id="another port"),
        pytest.param(("::1", 443, 0, 0), False, id="another family"),
        pytest.param(("127.0.0.1", 443), True, id="a second time"),
    ],
)
async def test_libcurl_gets_no_socket_to_anywhere_else(place: tuple[Any, ...], asked: bool) -> None:
    trail = ExchangeTrail(SystemClock())
    request = Request(method="GET", url=parse_url("https://shop.example/"), headers={}, purpose=Purpose.CHECK)
    answer = curl._Answer(trail, "3", bodiless=False)
    transfer = curl._Transfer("3", request, answer, trail, addresses=("127.0.0.1",), port=443, sock=None)
    transfer._asked = asked
    family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET

    given = transfer._on_open(0, SimpleNamespace(family=family, addr=place))
    transfer.close()

    assert given == libcurl.library().SOCKET_BAD


@needs_http3
async def test_a_metadata_address_is_closed() -> None:
    seen = await look("https://shop.example/", None, via=a_dialer("169.254.169.254"))

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.BLOCKED_BY_POLICY


@needs_http3
async def test_a_redirect_does_not_leave_https_and_is_vetted(authority: Authority) -> None:
    def away(stream: Stream) -> None:
        place = {"/1": "https://169.254.169.254/", "/2": "http://127.0.0.1/"}[stream.headers[":path"]]
        stream.answer(((":status", "302"), ("location", place)))

    async with http3(away, authority) as target:
        seen = [await look(target.url(path), authority) for path in ("/1", "/2")]

    assert [each.reason for each in seen if isinstance(each, Failure)] == [Reason.REDIRECT_BLOCKED] * 2


async def test_vetting_says_where_there_is_no_way() -> None:
    dialer = GuardedDialer(clock=SystemClock(), policy=EgressPolicy(), is_online=lambda: False)

    assert await dialer.vet("127.0.0.1", purpose=Purpose.CHECK) == ("127.0.0.1",)
    with pytest.raises(Fault) as blocked:
        await dialer.vet("169.254.169.254", purpose=Purpose.CHECK)
    with pytest.raises(Fault) as inside:
        await dialer.vet("127.0.0.1", purpose=Purpose.NOTIFICATION)

    assert blocked.value.failure.reason is inside.value.failure.reason is Reason.BLOCKED_BY_POLICY


@needs_http3
def test_http3_is_never_without_tls() -> None:
    with pytest.raises(ValueError, match="HTTP/3 is always encrypted: the URL must begin with https://"):
        HttpCheck(url=Secret("http://shop.example/"), http_version="3")


@pytest.fixture
def without_pycurl(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    libcurl.library.cache_clear()
    monkeypatch.setitem(sys.modules, "pycurl", None)
    yield
    libcurl.library.cache_clear()


@pytest.mark.usefixtures("without_pycurl")
@pytest.mark.parametrize("version", ["2", "3"])
def test_without_the_extra_the_remedy_is_named_before_anything_runs(version: Literal["2", "3"]) -> None:
    with pytest.raises(ValueError, match=rf"HTTP/{version} needs pycurl.*pip install 'laya-uptime\[http3\]'"):
        HttpCheck(url=Secret("https://shop.example/"), http_version=version)


@pytest.mark.usefixtures("without_pycurl")
def test_without_the_extra_http1_is_as_good_as_ever() -> None:
    assert HttpCheck(url=Secret("https://shop.example/")).http_version == "1.1"


def test_a_libcurl_without_http3_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    poor = SimpleNamespace(
        AsyncCurlMulti=None,
        PREREQFUNCTION=1,
        VERSION_HTTP2=1 << 16,
        VERSION_HTTP3=1 << 25,
        version_info=lambda: (11, "8.5.0", 0, "Linux", 1 << 16),
    )
    monkeypatch.setattr(libcurl, "library", lambda: poor)

    HttpCheck(url=Secret("https://shop.example/"), http_version="2")
    with pytest.raises(ValueError, match=r"this pycurl has no HTTP/3 \(its libcurl is 8.5.0\)"):
        HttpCheck(url=Secret("https://shop.example/"), http_version="3")
