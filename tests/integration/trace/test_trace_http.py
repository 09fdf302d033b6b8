"""What a trace of an HTTP check shows of the wire, and what it must never show."""

import gzip
import socket
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.trace import LARGEST, LONGEST_LINE, Kind, TraceLine
from laya_uptime.testing.target import Peer, ScriptedTarget, says

Traced = Callable[..., Awaitable[tuple[Seen, list[TraceLine]]]]
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
DOTS = "••••••"


class Authority(Protocol):
    ca_file: Path

    def context(self, *names: str) -> ssl.SSLContext: ...


def texts(lines: Sequence[TraceLine], kind: Kind) -> list[str]:
    return [line.text for line in lines if line.kind is kind]


def all_of(lines: Sequence[TraceLine]) -> str:
    return "\n".join(line.text for line in lines)


async def test_a_request_and_its_answer_are_shown_as_they_went(traced: Traced) -> None:
    answer = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n",
        b"HTTP/1.1 200 Fine By Me\r\nX-TwO: b\r\nx-one: a\r\nContent-Length: 9\r\n\r\n",
        b"one\ntwo\n",
        b"!",
    )
    async with ScriptedTarget(says(*answer)) as target:
        seen, lines = await traced(HttpCheck(url=Secret(target.url("/a?x=1"))))

        assert isinstance(seen, Answer)
        assert "\r\n".join(texts(lines, Kind.SENT)).encode() == target.requests[0].removesuffix(b"\r\n\r\n")
        received = texts(lines, Kind.RECEIVED)
        assert received[:6] == [
            "HTTP/1.1 103 Early Hints",
            "Link: </a.css>",
            "HTTP/1.1 200 Fine By Me",
            "X-TwO: b",
            "x-one: a",
            "Content-Length: 9",
        ]
        sizes = [int(text.split()[0].removeprefix("[")) for text in received if text.endswith(" bytes of body]")]
        assert sum(sizes) == 9
        assert received[-4:] == ["[the body, 9 bytes:]", "one", "two", "!"]
        assert texts(lines, Kind.CONNECT)[0] == f"connecting to 127.0.0.1, port {target.port}"
        assert texts(lines, Kind.CONNECT)[1].startswith("connected to 127.0.0.1 from 127.0.0.1, port ")
        assert lines[-1].kind is Kind.CLOSE
        instants = [line.at_ms for line in lines]
        assert instants == sorted(instants)


async def test_what_is_said_in_confidence_is_dots_on_every_hop(traced: Traced) -> None:
    """Also where the server repeats it: in headers, in a body, in the address of the next hop."""
    echo = (
        b"HTTP/1.1 200 OK\r\nX-Echo: canary-password canary-header\r\nX-Session-Key: canary-session\r\n"
        b"WWW-Authenticate: Bearer canary-bearer\r\nConnection: close\r\n\r\n"
        b'canary-password canary-body canary-query canary-header {"access_token": "canary-member", "said": '
        b'"canary-cookie canary-session"} https://user:canary-userinfo@other/?api_key=canary-key '
        + b64encode(b"canary-user:canary-password")
    )

    async def script(peer: Peer) -> None:
        asked = await peer.request()
        if b"/start" in asked:
            await peer.send(
                b"HTTP/1.1 307 Go\r\nSet-Cookie: sid=canary-cookie; Path=/\r\nLocation: /next?token=canary-location"
                b"&plain=shown\r\nContent-Length: 0\r\n\r\n"
            )
        else:
            await peer.send(echo)

    async with ScriptedTarget(script) as target:
        check = HttpCheck(
            url=Secret(target.url("/start?secret=canary-query&plain=shown", userinfo="canary-user:canary-password@")),
            method="POST",
            headers={"X-Plain": Secret("canary-header"), "Cookie": Secret("a=canary-jar"), "X-B": Secret("c")},
            body=Secret("canary-body"),
        )
        seen, lines = await traced(check)

        assert isinstance(seen, Answer)
        assert len(target.requests) == 2
        assert all(b"canary-header" in request and b"canary-body" in request for request in target.requests)
        assert "canary" not in all_of(lines)
        assert b64encode(b"canary-user:canary-password").decode() not in all_of(lines)
        sent = texts(lines, Kind.SENT)
        assert f"POST /start?secret={DOTS}&plain=shown HTTP/1.1" in sent
        assert f"POST /next?token={DOTS}&plain=shown HTTP/1.1" in sent
        names = ("Authorization", "X-Plain", "Cookie", "X-B")
        assert {f"{name}: {DOTS}" for name in names} <= set(sent)
        assert sent.count(f"[11 bytes of body] {DOTS}") == 2
        assert f"Set-Cookie: {DOTS}" in texts(lines, Kind.RECEIVED)
        assert f"Location: /next?token={DOTS}&plain=shown" in texts(lines, Kind.RECEIVED)


@pytest.mark.parametrize("size", [1, 3, 7])
async def test_a_secret_that_comes_in_small_pieces_is_hidden_too(traced: Traced, size: int) -> None:
    body = b"you said canary-bearer, did you not?"
    answer = b"HTTP/1.1 200 OK\r\nX-Echo: canary-bearer\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    async with ScriptedTarget(says(*(answer[at : at + size] for at in range(0, len(answer), size)))) as target:
        _, lines = await traced(HttpCheck(url=Secret(target.url()), bearer=Secret("canary-bearer")))

        assert texts(lines, Kind.RECEIVED)[-1] == f"you said {DOTS}, did you not?"
        assert "canary" not in all_of(lines)
        assert len(lines) < 80


HOSTILE = {
    "escape sequences": b"HTTP/1.1 200 \x1b]0;owned\x07\r\nX: \x9b31m\r\n\r\n\x1b[2J\x00\x08\xff\r\xe2\x80\xae",
    "a header of a megabyte": b"HTTP/1.1 200 OK\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n",
    "headers without end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    "big headers": b"HTTP/1.1 200 OK\r\n"
    + b"".join(b"H%d: %s\r\n" % (at, b"\x80" * 900) for at in range(60))
    + b"\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\x1b[1m\r\n",
    "nothing but line breaks": b"\n" * 60_000,
    "a folded cookie": b"HTTP/1.1 200 OK\r\nSet-Cookie: a=\r\n canary-folded\r\n\r\n",
    "names within names": b"HTTP/1.1 200 OK\r\n\r\n" + b'"' * 4000 + b"[" * 4000 + b"basic " * 4000,
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
async def test_whatever_comes_stays_inert_and_bounded(traced: Traced, answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        with suppress(OSError):
            await peer.send(answer)

    async with ScriptedTarget(script) as target:
        _, lines = await traced(HttpCheck(url=Secret(target.url())))

    assert all(line.text.isprintable() for line in lines)
    assert "canary" not in all_of(lines)
    assert sum(len(line.text) for line in lines) <= LARGEST
    assert max(len(line.text) for line in lines) <= LONGEST_LINE + 100


async def test_escape_sequences_are_shown_as_bytes(traced: Traced) -> None:
    async with ScriptedTarget(says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x1b[2J\x00\xff\xc3\xa9!")) as target:
        _, lines = await traced(HttpCheck(url=Secret(target.url())))

    assert lines[-2].text == r"\x1b[2J\x00\xffé!"


async def test_more_than_there_is_room_for_is_counted(traced: Traced) -> None:
    """A peer that redirects with large heads fills the trace; the note at its end says how much is missing."""
    head = b"".join(b"H%d: %s\r\n" % (at, b"\x80" * 900) for at in range(60))
    async with ScriptedTarget(says(b"HTTP/1.1 302 On\r\nLocation: ?%d\r\n" % 1 + head + b"\r\n")) as target:

        async def script(peer: Peer) -> None:
            await peer.request()
            place = len(target.requests)
            await peer.send(b"HTTP/1.1 302 On\r\nLocation: /%d\r\nContent-Length: 0\r\n%s\r\n" % (place, head))

        target._script = script
        _, lines = await traced(HttpCheck(url=Secret(target.url())))

    assert lines[-1].kind is Kind.NOTE
    assert lines[-1].text.endswith("more lines are left out: the trace is full")


async def test_a_body_is_shown_decompressed_and_only_its_beginning(traced: Traced) -> None:
    packed = gzip.compress(b"abc\n" * 5000)
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(packed), packed)
    async with ScriptedTarget(says(answer)) as target:
        _, lines = await traced(HttpCheck(url=Secret(target.url())))

    received = texts(lines, Kind.RECEIVED)
    assert f"[{len(packed)} bytes of body]" in received
    assert received.count("abc") == 256
    assert received[-1] == "… 20000 bytes in all"


async def test_a_handshake_is_shown_with_what_it_came_to(traced: Traced, authority: Authority) -> None:
    context = authority.context("127.0.0.1")
    context.set_alpn_protocols(["http/1.1"])
    async with ScriptedTarget(says(FINE), tls=context) as target:
        seen, lines = await traced(HttpCheck(url=Secret(target.url()), ca_file=str(authority.ca_file)))

    assert isinstance(seen, Answer)
    told = texts(lines, Kind.TLS)
    assert told[0].startswith("> ")
    assert told[0].endswith(" bytes: ClientHello")
    assert any(text.startswith("< ") and text.endswith(" bytes: ServerHello") for text in told)
    assert "TLSv1.3, TLS_AES_256_GCM_SHA384, ALPN http/1.1" in told
    assert any(text.startswith("certificate: CN=127.0.0.1, until ") for text in told)
    assert texts(lines, Kind.SENT)[0] == "GET / HTTP/1.1"
    assert texts(lines, Kind.RECEIVED)[0] == "HTTP/1.1 200 OK"


async def test_a_failed_handshake_shows_how_far_it_got(traced: Traced, stranger: Authority) -> None:
    async with ScriptedTarget(says(FINE), tls=stranger.context("127.0.0.1")) as target:
        seen, lines = await traced(HttpCheck(url=Secret(target.url())))

    assert isinstance(seen, Failure)
    told = texts(lines, Kind.TLS)
    assert any(text.endswith(": ServerHello") for text in told)
    assert any(text.startswith("certificate: CN=127.0.0.1") for text in told)
    assert lines[-2].text == seen.detail
    assert texts(lines, Kind.SENT) == []


async def test_a_server_that_speaks_no_tls_is_quoted(traced: Traced) -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with ScriptedTarget(script) as target:
        _, lines = await traced(HttpCheck(url=Secret(target.url().replace("http:", "https:"))))

    assert "< 28 bytes that begin no TLS record" in texts(lines, Kind.TLS)


async def test_every_address_that_was_tried_is_shown_with_its_outcome(traced: Traced) -> None:
    async def resolver(_: str) -> tuple[str, ...]:
        return ("127.0.0.2", "127.0.0.1")

    async with ScriptedTarget(says(FINE)) as target:
        check = HttpCheck(url=Secret(target.url(host="shop.test")))
        seen, lines = await traced(check, resolver=resolver)

    assert isinstance(seen, Answer)
    told = texts(lines, Kind.CONNECT)
    assert told[1].startswith("127.0.0.2: Connection refused after ")
    assert told[2].startswith("127.0.0.1: connected after ")
    assert texts(lines, Kind.LOOKUP) == ["shop.test is 127.0.0.2, 127.0.0.1"]


async def test_a_deadline_shows_during_what_it_passed(traced: Traced) -> None:
    async def script(peer: Peer) -> None:
        await peer.gone()

    async with ScriptedTarget(script) as target:
        seen, lines = await traced(HttpCheck(url=Secret(target.url())), timeout=timedelta(seconds=0.3))

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.TIMEOUT
    assert [line.text for line in lines[-2:]] == ["given up during wait", "closed"]


async def test_a_connection_that_cannot_be_had_is_told_once(traced: Traced) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    _, lines = await traced(HttpCheck(url=Secret(f"http://127.0.0.1:{port}/")))

    assert all_of(lines).count("Connection refused") == 1


async def test_the_words_with_a_proxy_are_shown_without_its_credentials(traced: Traced) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 502 Nope\r\nSet-Cookie: canary-jar\r\nX: canary-password\r\n\r\n")

    async with ScriptedTarget(script) as proxy:
        check = HttpCheck(
            url=Secret("https://127.0.0.1:9/"),
            proxy=Secret(f"http://canary-user:canary-password@127.0.0.1:{proxy.port}"),
        )
        _, lines = await traced(check)

        assert texts(lines, Kind.PROXY) == [
            "> CONNECT 127.0.0.1:9 HTTP/1.1",
            "> Host: 127.0.0.1:9",
            f"> Proxy-Authorization: {DOTS}",
            "< HTTP/1.1 502 Nope",
            f"< Set-Cookie: {DOTS}",
            f"< X: {DOTS}",
        ]
        assert b"canary" in b64decoded(proxy.requests[0])
    assert "canary" not in all_of(lines)


def b64decoded(request: bytes) -> bytes:
    from base64 import b64decode

    return b64decode(request.partition(b"Basic ")[2].partition(b"\r\n")[0])


async def test_the_login_at_a_socks_proxy_is_dots(traced: Traced) -> None:
    said: list[bytes] = []

    async def script(peer: Peer) -> None:
        for answer in (b"\x05\x02", b"\x01\x01"):
            said.append(await peer.receive())
            await peer.send(answer)
        await peer.gone()

    async with ScriptedTarget(script) as proxy:
        check = HttpCheck(url=Secret("https://127.0.0.1:9/"), proxy=Secret(f"socks5://me:pw@127.0.0.1:{proxy.port}"))
        _, lines = await traced(check)

    assert said[1] == b"\x01\x02me\x02pw"
    assert texts(lines, Kind.PROXY) == [
        r"> \x05\x02\x00\x02",
        "< [2 bytes]",
        r"< \x05\x02",
        f"> user name and password: {DOTS}",
        "< [2 bytes]",
        r"< \x01\x01",
    ]
