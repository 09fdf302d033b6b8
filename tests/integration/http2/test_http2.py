"""HTTP/2 by libcurl: the same evidence, limits, reasons and fences as HTTP/1.1 by our own client."""

import asyncio
import gzip
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import brotli
import msgspec
import pytest
from h2.connection import H2Connection
from h2.errors import ErrorCodes

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.ports import Check, Reach
from laya_uptime.testing.check_contract import CheckContract
from laya_uptime.testing.target import Peer, ScriptedTarget, says

PATIENCE = timedelta(seconds=10)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
Serve2 = Callable[..., AbstractAsyncContextManager[ScriptedTarget]]


class Authority(Protocol):
    """What the fixture of the folder above gives."""

    ca_file: Path
    issued: int

    def context(self, *names: str, **options: object) -> ssl.SSLContext: ...


class Asked(Protocol):
    """What came to a server of this folder."""

    headers: list[list[tuple[str, str]]]
    bodies: list[bytes]


class Stream(Protocol):
    """A request to a server of this folder."""

    peer: Peer
    h2: H2Connection
    number: int

    async def send(self) -> None: ...

    async def end(self) -> None: ...

    async def answer(
        self, headers: Iterable[tuple[str, str]] = (), body: bytes = b"", *, ends: bool = True
    ) -> None: ...


def a_dialer(address: str = "127.0.0.1") -> GuardedDialer:
    """A dialer for which every name leads to this address."""

    async def resolve(name: str) -> tuple[str, ...]:
        return (address,)

    return GuardedDialer(clock=SystemClock(), policy=EgressPolicy(), resolver=resolve)


def a_check(url: str, ca_file: Path | None = None, **options: object) -> HttpCheck:
    check = HttpCheck(url=Secret(url), ca_file=None if ca_file is None else str(ca_file), http_version="2")
    return msgspec.structs.replace(check, **options)


async def look(url: str, authority: Authority | None = None, **options: object) -> Seen:
    check = a_check(url, None if authority is None else authority.ca_file, **options)
    return await check.probe(a_dialer(), timeout=PATIENCE)


async def fine(stream: Stream) -> None:
    await stream.answer([("content-type", "text/plain")], b"hello")


async def test_an_answer_over_tls_leaves_all_its_evidence(http2: Serve2, authority: Authority, asked: Asked) -> None:
    async with http2(fine, authority.context("shop.example", with_root=True)) as target:
        seen = await look(target.url("/a/../b?x=1", host="shop.example"), authority)

    assert isinstance(seen, Answer)
    evidence = seen.evidence
    assert (evidence.http_version, evidence.status, evidence.address) == ("2", 200, "127.0.0.1")
    assert evidence.addresses == ("127.0.0.1",)
    assert evidence.headers == (("content-type", "text/plain"),)
    assert evidence.body is not None
    assert (evidence.body.text, evidence.body.content_type) == ("hello", "text/plain")
    assert evidence.tls is not None
    assert (evidence.tls.version, evidence.tls.cipher, evidence.tls.fault) == (
        "TLSv1.3",
        "TLS_AES_256_GCM_SHA384",
        None,
    )
    leaf, root = evidence.tls.chain
    assert (leaf.names, leaf.issuer) == (("shop.example",), root.subject)
    assert [step for step, _ in evidence.phases.reached()] == ["dns", "connect", "tls", "send", "wait", "read"]
    assert dict(asked.headers[0])[":path"] == "/a/../b?x=1"
    assert dict(asked.headers[0])[":authority"] == f"shop.example:{target.port}"


async def test_without_tls_http2_begins_at_once(http2: Serve2) -> None:
    async with http2(fine) as target:
        seen = await look(target.url())

    assert isinstance(seen, Answer)
    assert (seen.evidence.http_version, seen.evidence.tls) == ("2", None)
    assert [step for step, _ in seen.evidence.phases.reached()] == ["connect", "send", "wait", "read"]


async def test_the_request_is_the_one_that_was_configured(http2: Serve2, asked: Asked) -> None:
    async with http2(fine) as target:
        seen = await look(
            target.url(userinfo="ops:secret@"),
            method="POST",
            body=Secret("x" * 70_000),
            headers={
                "X-Empty": Secret(""),
                "X-Colons": Secret("a:b:"),
                "Content-Type": Secret("text/weird"),
                "Host": Secret("other.example"),
            },
        )

    assert isinstance(seen, Answer)
    sent = dict(asked.headers[0])
    assert (sent[":method"], sent[":authority"], sent["content-length"]) == ("POST", "other.example", "70000")
    assert (sent["x-empty"], sent["x-colons"], sent["content-type"]) == ("", "a:b:", "text/weird")
    assert (sent["authorization"], sent["accept-encoding"]) == ("Basic b3BzOnNlY3JldA==", "gzip, deflate, br, zstd")
    assert sent["user-agent"].startswith("laya-uptime")
    assert {"expect", "connection"}.isdisjoint(sent)
    assert asked.bodies == [b"x" * 70_000]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "POST"])
async def test_every_method_is_sent_as_it_is_called(method: str, http2: Serve2, asked: Asked) -> None:
    async def empty(stream: Stream) -> None:
        await stream.answer([("content-length", "0" if method != "HEAD" else "5")])

    async with http2(empty) as target:
        seen = await look(target.url(), method=method)

    assert isinstance(seen, Answer)
    sent = dict(asked.headers[0])
    assert sent[":method"] == method
    assert sent.get("content-length") == (None if method in {"GET", "HEAD", "DELETE", "OPTIONS"} else "0")
    assert "content-type" not in sent


@pytest.mark.parametrize(
    ("encoding", "encode"), [("gzip", gzip.compress), ("br", brotli.compress)], ids=["gzip", "brotli"]
)
async def test_a_compressed_body_is_unfolded(encoding: str, encode: Callable[[bytes], bytes], http2: Serve2) -> None:
    async def squeezed(stream: Stream) -> None:
        await stream.answer([("content-encoding", encoding)], encode(b"hello"))

    async with http2(squeezed) as target:
        seen = await look(target.url())

    assert isinstance(seen, Answer)
    assert seen.evidence.body is not None
    assert seen.evidence.body.text == "hello"


async def test_interim_answers_and_trailers_are_not_the_answer(http2: Serve2) -> None:
    async def roundabout(stream: Stream) -> None:
        stream.h2.send_headers(stream.number, [(":status", "103"), ("link", "</a>")])
        await stream.answer([("x-real", "1")], b"hello", ends=False)
        stream.h2.send_headers(stream.number, [("x-trailer", "1")], end_stream=True)
        await stream.send()

    async with http2(roundabout) as target:
        seen = await look(target.url())

    assert isinstance(seen, Answer)
    assert (seen.evidence.status, seen.evidence.headers) == (200, (("x-real", "1"),))


async def test_secrets_among_the_headers_are_not_shown(http2: Serve2) -> None:
    async def chatty(stream: Stream) -> None:
        await stream.answer([("set-cookie", "sid=hunter2"), ("location", "https://a.example/?token=hunter2")])

    async with http2(chatty) as target:
        seen = await look(target.url(), redirects=0)

    assert "hunter2" not in repr(seen)


async def reset(stream: Stream) -> None:
    stream.h2.reset_stream(stream.number, ErrorCodes.INTERNAL_ERROR)
    await stream.send()


async def reset_in_the_body(stream: Stream) -> None:
    await stream.answer([], b"hel", ends=False)
    stream.h2.reset_stream(stream.number, ErrorCodes.ENHANCE_YOUR_CALM)
    await stream.send()


async def refuse(stream: Stream) -> None:
    stream.h2.reset_stream(stream.number, ErrorCodes.REFUSED_STREAM)
    await stream.send()


async def demand_http1(stream: Stream) -> None:
    stream.h2.reset_stream(stream.number, ErrorCodes.HTTP_1_1_REQUIRED)
    await stream.send()


async def go_away(stream: Stream) -> None:
    stream.h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM, last_stream_id=0)
    await stream.send()
    await stream.end()


async def go_away_in_the_body(stream: Stream) -> None:
    await stream.answer([], b"hel", ends=False)
    stream.h2.close_connection(ErrorCodes.INTERNAL_ERROR)
    await stream.send()
    await stream.end()


async def hang_up(stream: Stream) -> None:
    await stream.end()


async def hang_up_in_the_body(stream: Stream) -> None:
    await stream.answer([("content-length", "50")], b"hello", ends=False)
    await stream.end()


async def rst(stream: Stream) -> None:
    stream.peer.reset()


async def end_early(stream: Stream) -> None:
    await stream.answer([("content-length", "50")], b"hello")


async def babble(stream: Stream) -> None:
    await stream.peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\nwhat is this supposed to mean")
    await stream.peer.gone()


async def bomb(stream: Stream) -> None:
    await stream.answer([("content-encoding", "gzip")], gzip.compress(b"\0" * (2 << 20)))


async def announce_much(stream: Stream) -> None:
    await stream.answer([("content-length", str(2 << 20))], b"hello", ends=False)


async def send_much(stream: Stream) -> None:
    await stream.answer([], b"x" * (3 << 20))


async def send_many_headers(stream: Stream) -> None:
    await stream.answer([(f"x-{number}", "1") for number in range(300)])


async def send_long_headers(stream: Stream) -> None:
    stream.h2.max_outbound_frame_size = 1 << 14
    await stream.answer([(f"x-{number}", "y" * 4000) for number in range(20)])


async def encode_badly(stream: Stream) -> None:
    await stream.answer([("content-encoding", "gzip")], b"this is not gzip")


async def encode_half(stream: Stream) -> None:
    await stream.answer([("content-encoding", "gzip")], gzip.compress(os.urandom(100))[:60])


FAULTS = [
    (reset, Reason.HTTP_PROTOCOL, "the server reset the stream (HTTP/2 INTERNAL_ERROR)"),
    (reset_in_the_body, Reason.HTTP_PROTOCOL, "the server reset the stream (HTTP/2 ENHANCE_YOUR_CALM)"),
    (refuse, Reason.HTTP_PROTOCOL, "the server refused the request (HTTP/2 REFUSED_STREAM)"),
    (demand_http1, Reason.HTTP_PROTOCOL, "the server reset the stream (HTTP/2 HTTP_1_1_REQUIRED)"),
    (go_away, Reason.HTTP_PROTOCOL, "the server closed the connection (HTTP/2 GOAWAY ENHANCE_YOUR_CALM)"),
    (go_away_in_the_body, Reason.HTTP_PROTOCOL, "the server closed the connection (HTTP/2 GOAWAY INTERNAL_ERROR)"),
    (hang_up, Reason.RESET, "Connection closed without an answer"),
    (hang_up_in_the_body, Reason.TRUNCATED, "the answer ended after 5 of 50 bytes of body"),
    (rst, Reason.RESET, "Connection reset by peer"),
    (end_early, Reason.HTTP_PROTOCOL, "bad HTTP/2: Violation in HTTP messaging rule"),
    (babble, Reason.HTTP_PROTOCOL, "bad HTTP/2: FRAME_SIZE_ERROR"),
    (bomb, Reason.TOO_LARGE, "the body is too large: more than 1 MiB"),
    (announce_much, Reason.TOO_LARGE, "the body is too large: 2097152 bytes are announced"),
    (send_much, Reason.TOO_LARGE, "the body is too large: more than 1 MiB"),
    (send_many_headers, Reason.TOO_LARGE, "the headers are too many: more than 256"),
    (send_long_headers, Reason.TOO_LARGE, "the headers are too large: more than 64 KiB"),
    (encode_badly, Reason.BODY_INVALID, "the body is not valid gzip"),
    (encode_half, Reason.TRUNCATED, "the gzip data of the body ends early"),
]


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "clear"])
@pytest.mark.parametrize(
    ("script", "reason", "detail"), FAULTS, ids=[script.__name__.replace("_", " ") for script, _, _ in FAULTS]
)
async def test_a_faulty_answer_has_its_exact_reason(
    script: Callable[[Stream], Awaitable[None]],
    reason: Reason,
    detail: str,
    tls: bool,
    http2: Serve2,
    authority: Authority,
    open_sockets: Callable[[], int],
) -> None:
    before = open_sockets()
    async with http2(script, authority.context("127.0.0.1") if tls else None) as target:
        seen = await look(target.url(), authority)
        connections = target.connections

    assert isinstance(seen, Failure)
    assert seen.reason is reason
    assert detail in seen.detail
    assert connections == 1
    assert open_sockets() <= before + 1  # libcurl may still be saying goodbye


@pytest.mark.parametrize("alpn", [("http/1.1",), ()], ids=["chose HTTP/1.1", "no ALPN"])
async def test_a_server_without_http2_is_told_apart_from_one_that_is_down(
    alpn: tuple[str, ...], authority: Authority
) -> None:
    context = authority.context("127.0.0.1")
    if alpn:
        context.set_alpn_protocols(list(alpn))
    async with ScriptedTarget(says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), tls=context) as target:
        seen = await look(target.url(), authority)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.HTTP_PROTOCOL, "the server spoke HTTP/1.1, not HTTP/2")
    assert (seen.evidence.http_version, seen.evidence.status) == ("1.1", 200)


async def test_a_server_that_speaks_http1_in_the_clear_does_not_speak_http2() -> None:
    async with ScriptedTarget(says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nhi")) as target:
        seen = await look(target.url())

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.HTTP_PROTOCOL, "the server does not speak HTTP/2 on this port")


HERE = ("127.0.0.1",)
DISTRUST = [
    pytest.param({"ends": -3 * DAY, "starts": -9 * DAY}, HERE, Reason.TLS_EXPIRED, "expired 3 days ago", id="expired"),
    pytest.param(
        {"starts": 2 * DAY + HOUR}, HERE, Reason.TLS_NOT_YET_VALID, "not valid for another 2 days", id="early"
    ),
    pytest.param({"self_signed": True}, HERE, Reason.TLS_SELF_SIGNED, "certificate is self-signed", id="self-signed"),
    pytest.param({}, ("a.example",), Reason.TLS_HOSTNAME, "certificate is for a.example, not 127.0.0.1", id="name"),
]


@pytest.mark.parametrize(("options", "names", "reason", "detail"), DISTRUST)
async def test_a_bad_certificate_is_shown_with_what_is_wrong_with_it(
    options: dict[str, object],
    names: tuple[str, ...],
    reason: Reason,
    detail: str,
    http2: Serve2,
    authority: Authority,
    asked: Asked,
) -> None:
    async with http2(fine, authority.context(*names, **options)) as target:
        seen = await look(target.url(), authority)

    assert isinstance(seen, Failure)
    assert seen.reason is reason
    assert detail in seen.detail
    assert seen.evidence.tls is not None
    assert seen.evidence.tls.fault == seen.detail
    assert seen.evidence.tls.chain[0].names == names
    assert asked.headers == []


async def test_an_unknown_authority_is_not_trusted(http2: Serve2, authority: Authority, stranger: Authority) -> None:
    async with http2(fine, stranger.context("127.0.0.1")) as target:
        seen = await look(target.url(), authority)
        by_the_system = await look(target.url())

    assert isinstance(seen, Failure)
    assert isinstance(by_the_system, Failure)
    assert (seen.reason, by_the_system.reason) == (Reason.TLS_UNTRUSTED, Reason.TLS_UNTRUSTED)
    assert seen.detail.endswith("or its certificate was not sent: CN=Unknown Authority")


async def test_a_changed_file_of_authorities_is_read_again(
    http2: Serve2, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    dialer, file = a_dialer(), tmp_path / "ca.pem"
    file.write_bytes(stranger.ca_file.read_bytes())
    os.utime(file, (1, 1))
    async with http2(fine, authority.context("127.0.0.1")) as target:
        check = a_check(target.url(), file)
        before = await check.probe(dialer, timeout=PATIENCE)
        file.write_bytes(authority.ca_file.read_bytes())
        after = await check.probe(dialer, timeout=PATIENCE)

    assert isinstance(before, Failure)
    assert isinstance(after, Answer)


async def test_a_file_without_authorities_is_our_own_trouble(http2: Serve2, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    seen = await a_check("https://127.0.0.1:9/", tmp_path / "empty.pem").probe(a_dialer(), timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (
        Reason.INTERNAL,
        "the file of certificate authorities holds no certificate",
    )


async def no_tls(peer: Peer) -> None:
    await peer.receive()
    await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def no_word(peer: Peer) -> None:
    await peer.receive()


async def too_old(peer: Peer) -> None:
    await peer.receive()
    await peer.send(b"\x15\x03\x01\x00\x02\x02\x46")  # the fatal alert protocol_version


async def at_once(peer: Peer) -> None:
    await peer.receive()
    peer.reset()


@pytest.mark.parametrize(
    ("script", "reason", "detail"),
    [
        (no_tls, Reason.TLS_HANDSHAKE, "the server does not speak TLS on this port"),
        (no_word, Reason.TLS_HANDSHAKE, "connection closed during the TLS handshake"),
        (too_old, Reason.TLS_HANDSHAKE, "no common TLS version (1.2 or newer is needed)"),
        (at_once, Reason.RESET, "Connection reset by peer"),
    ],
)
async def test_a_handshake_that_fails_says_why(
    script: Callable[[Peer], Awaitable[None]], reason: Reason, detail: str, authority: Authority
) -> None:
    async with ScriptedTarget(script) as target:
        seen = await look(target.url().replace("http:", "https:"), authority)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (reason, detail)


async def silent(stream: Stream) -> None:
    await stream.peer.gone()


async def half(stream: Stream) -> None:
    await stream.answer([("content-length", "50")], b"hello", ends=False)
    await stream.peer.gone()


@pytest.mark.parametrize(
    ("script", "phase", "text"), [(silent, "wait", None), (half, "read", "hello")], ids=["no answer", "half an answer"]
)
async def test_a_deadline_keeps_what_was_seen_until_then(
    script: Callable[[Stream], Awaitable[None]], phase: str, text: str | None, http2: Serve2, authority: Authority
) -> None:
    async with http2(script, authority.context("127.0.0.1")) as target:
        seen = await a_check(target.url(), authority.ca_file).probe(a_dialer(), timeout=timedelta(milliseconds=300))
        await target.all_gone()

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase, seen.detail) == (Reason.TIMEOUT, phase, "no answer within 0.3 s")
    assert (None if seen.evidence.body is None else seen.evidence.body.text) == text


async def test_a_deadline_in_the_handshake_names_it(authority: Authority) -> None:
    async def mute(peer: Peer) -> None:
        await peer.gone()

    async with ScriptedTarget(mute) as target:
        check = a_check(target.url().replace("http:", "https:"), authority.ca_file)
        seen = await check.probe(a_dialer(), timeout=timedelta(milliseconds=300))
        await target.all_gone()

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "tls")


async def test_a_refused_connection_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    seen = await look(f"https://127.0.0.1:{port}/")

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.REFUSED, "Connection refused")


async def test_a_metadata_address_is_closed() -> None:
    seen = await a_check("https://shop.example/").probe(a_dialer("169.254.169.254"), timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.BLOCKED_BY_POLICY


async def test_a_redirect_is_followed_by_our_rules(http2: Serve2, authority: Authority, asked: Asked) -> None:
    async def elsewhere(stream: Stream) -> None:
        if dict(asked.headers[-1])[":path"] == "/":
            await stream.answer([(":status", "302"), ("location", "/there")])
        else:
            await fine(stream)

    async with http2(elsewhere, authority.context("127.0.0.1")) as target:
        seen = await look(target.url(), authority)
        connections = target.connections

    assert isinstance(seen, Answer)
    assert [hop.status for hop in seen.evidence.redirects] == [302]
    assert connections == 2


@pytest.mark.parametrize("place", ["https://169.254.169.254/latest", "http://127.0.0.1/", "file:///etc/passwd"])
async def test_a_redirect_leads_nowhere_it_must_not(
    place: str, http2: Serve2, authority: Authority, connected: list[str]
) -> None:
    async def away(stream: Stream) -> None:
        await stream.answer([(":status", "302"), ("location", place)])

    async with http2(away, authority.context("127.0.0.1")) as target:
        seen = await look(target.url(), authority)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.REDIRECT_BLOCKED
    assert set(connected) == {"127.0.0.1"}


async def test_the_environment_sends_nobody_through_a_proxy(http2: Serve2, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedTarget(says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        async with http2(fine) as target:
            seen = await look(target.url())
            seen_by_name = await look(target.url(host="shop.example"))

        assert isinstance(seen, Answer)
        assert isinstance(seen_by_name, Answer)
        assert proxy.connections == 0


async def test_passwords_lying_about_are_not_used(
    http2: Serve2, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login root password hunter2\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    async with http2(fine) as target:
        await look(target.url())

    assert "authorization" not in dict(asked.headers[0])


async def test_every_look_has_a_connection_of_its_own_and_no_memory(http2: Serve2, asked: Asked) -> None:
    async def sticky(stream: Stream) -> None:
        await stream.answer([("set-cookie", "a=1"), ("alt-svc", 'h3=":443"')])

    dialer = a_dialer()
    async with http2(sticky) as target:
        check = a_check(target.url(host="shop.example"))
        seen = [await check.probe(dialer, timeout=PATIENCE) for _ in range(3)]
        connections = target.connections

    assert all(isinstance(each, Answer) for each in seen)
    assert connections == 3
    assert all("cookie" not in dict(headers) for headers in asked.headers)


async def test_looks_at_the_same_name_at_two_addresses_do_not_mix(http2: Serve2) -> None:
    async with http2(fine) as target:
        check = a_check(target.url(host="shop.example"))
        dialers = [a_dialer(), a_dialer("127.0.0.1"), a_dialer("127.0.0.2")]
        seen = await asyncio.gather(*(check.probe(dialer, timeout=PATIENCE) for dialer in dialers * 10))

    assert [isinstance(each, Answer) for each in seen] == [True, True, False] * 10


async def test_many_looks_at_once_leave_no_socket_behind(
    http2: Serve2, authority: Authority, open_sockets: Callable[[], int]
) -> None:
    before = open_sockets()
    dialer = a_dialer()
    async with http2(fine, authority.context("shop.example")) as target:
        check = a_check(target.url(host="shop.example"), authority.ca_file)
        seen = await asyncio.gather(*(check.probe(dialer, timeout=PATIENCE) for _ in range(40)))
        await target.all_gone()

    assert all(isinstance(each, Answer) for each in seen)
    assert open_sockets() <= before


async def test_a_cancelled_look_leaves_no_socket_behind(http2: Serve2, open_sockets: Callable[[], int]) -> None:
    before = open_sockets()
    reached = asyncio.Event()

    async def hold(stream: Stream) -> None:
        reached.set()
        await stream.peer.gone()

    async with http2(hold) as target:
        looking = asyncio.create_task(look(target.url()))
        await reached.wait()
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
        await target.all_gone()

    assert open_sockets() <= before


def test_libcurl_writes_no_keys_to_a_file(tmp_path: Path) -> None:
    script = (
        "import os; from laya_uptime.adapters.net.libcurl import library; p = library(); c = p.Curl();"
        "print(os.environ['SSLKEYLOGFILE'])"
    )
    keys = tmp_path / "keys"

    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"SSLKEYLOGFILE": str(keys)}, capture_output=True, check=True
    )

    assert done.stdout.decode().strip() == str(keys)
    assert not keys.exists()


async def test_another_name_and_another_place_are_as_with_http1(
    http2: Serve2, authority: Authority, asked: Asked
) -> None:
    async with http2(fine, authority.context("inside.example")) as target:
        seen = await look(
            "https://shop.example/",
            authority,
            server_name="inside.example",
            connect_to=f"127.0.0.1:{target.port}",
        )

    assert isinstance(seen, Answer)
    assert dict(asked.headers[0])[":authority"] == "shop.example"


async def test_one_ip_version_alone_is_as_with_http1() -> None:
    seen = await a_check("https://shop.example/", ip=6).probe(a_dialer(), timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.DNS, "shop.example has no IPv6 address")


async def test_a_certificate_that_is_not_to_be_verified_is_still_shown(http2: Serve2, authority: Authority) -> None:
    async with http2(fine, authority.context("a.example", self_signed=True)) as target:
        seen = await look(target.url(), insecure=True)

    assert isinstance(seen, Answer)
    assert seen.evidence.tls is not None
    assert seen.evidence.tls.chain[0].names == ("a.example",)


async def test_a_client_certificate_is_shown_to_a_server_that_asks(http2: Serve2, authority: Authority) -> None:
    context = authority.context("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    authority.context("client.example")
    ours = authority.ca_file.with_name(f"server-{authority.issued}.pem")
    async with http2(fine, context) as target:
        with_it = await look(target.url(), authority, client_certificate=str(ours))
        without_it = await look(target.url(), authority)

    assert isinstance(with_it, Answer)
    assert isinstance(without_it, Failure)


@pytest.mark.parametrize("option", [{"proxy": Secret("http://127.0.0.1:3128")}, {"keep_alive": True}], ids=str)
def test_what_only_http1_can_do_is_refused(option: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(option))}` is for HTTP/1.1 alone"):
        a_check("https://shop.example/", None, **option)


class TestHttp2Contract(CheckContract):
    @pytest.fixture
    def via(self) -> Reach:
        return GuardedDialer(clock=SystemClock(), policy=EgressPolicy())

    def check(self, host: str, port: int, *, secret: str = "") -> Check:
        userinfo = f"user:{secret}@" if secret else ""
        return HttpCheck(url=Secret(f"http://{userinfo}{host}:{port}/health?token={secret}"), http_version="2")


def test_http2_does_not_send_a_head_request_with_a_body() -> None:
    with pytest.raises(ValueError, match="a HEAD request with a body is not sent by HTTP/2"):
        a_check("https://shop.example/", method="HEAD", body=Secret("x"))
