"""What a WebSocket check says: against real servers of the library, and against scripted ones that break the rules."""

import asyncio
import base64
import hashlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from laya_uptime.adapters.checks.ws import WsCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.cli.draw import waterfall
from laya_uptime.domain.assertion import parse
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import Monitor, Rules
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure, Observation, Outcome, Result, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.testing.target import Peer, ScriptedTarget

CLOCK = SystemClock()
LONG = timedelta(seconds=20)
SHORT = timedelta(milliseconds=300)
Handler = Callable[[ServerConnection], Awaitable[None]]


async def probe(url: str, *, timeout: timedelta = LONG, **options: Any) -> Seen:  # noqa: ANN401, ASYNC109  the check's own
    reach = GuardedDialer(clock=CLOCK, policy=EgressPolicy())
    return await WsCheck(url=Secret(url), **options).probe(reach, timeout=timeout)


def observed(seen: Seen) -> Observation:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    return Observation(monitor_id="chat", region="local", due=at, at=at, elapsed=timedelta(milliseconds=12), seen=seen)


def port(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])


async def wait_closed(peer: ServerConnection) -> None:
    await peer.wait_closed()


async def echo(peer: ServerConnection) -> None:
    async for message in peer:
        await peer.send(message)


async def greet(peer: ServerConnection) -> None:
    await peer.send('{"type": "ready", "queue": 3}')
    await peer.wait_closed()


async def test_a_server_that_agrees_is_up() -> None:
    async with serve(wait_closed, "127.0.0.1", 0) as server:
        seen = await probe(f"ws://127.0.0.1:{port(server)}/chat?room=1")

    assert isinstance(seen, Answer)
    assert (seen.evidence.status, seen.evidence.body) == (101, None)
    assert {"connect", "send", "wait"} <= {step for step, _ in seen.evidence.phases.reached()}
    assert judge(observed(seen), Rules()).outcome is Outcome.UP


async def test_the_server_hears_who_asks_and_a_goodbye() -> None:
    heard: list[Any] = []

    async def handler(peer: ServerConnection) -> None:
        assert peer.request is not None
        heard.append((peer.request.path, dict(peer.request.headers.raw_items()), peer.subprotocol))
        await peer.wait_closed()
        heard.append(peer.close_code)
        finished.set()

    finished = asyncio.Event()
    async with serve(handler, "127.0.0.1", 0, subprotocols=[Subprotocol("graphql-ws")]) as server:
        await probe(
            f"ws://ann:hush%20hush@127.0.0.1:{port(server)}/chat?room=1",
            headers={"X-Team": Secret("night")},
            subprotocols=["graphql-ws"],
        )
        await finished.wait()

    (path, headers, subprotocol), code = heard
    assert (path, subprotocol, code) == ("/chat?room=1", "graphql-ws", 1000)
    assert headers["X-Team"] == "night"
    assert headers["User-Agent"].startswith("laya-uptime")
    assert headers["Authorization"] == f"Basic {base64.b64encode(b'ann:hush hush').decode()}"


async def test_a_message_is_sent_and_its_answer_can_be_expected() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        seen = await probe(f"ws://127.0.0.1:{port(server)}", send=Secret("are you there?"))

    assert isinstance(seen, Answer)
    assert seen.evidence.body is not None
    assert seen.evidence.body.text == "are you there?"
    assert judge(observed(seen), Rules(expect=(parse('text contains "there"'),))).outcome is Outcome.UP
    assert judge(observed(seen), Rules(expect=(parse('text matches "^are .*\\\\?$"'),))).outcome is Outcome.UP
    verdict = judge(observed(seen), Rules(expect=(parse('text contains "here I am"'),)))
    assert (verdict.outcome, verdict.reason) == (Outcome.DOWN, Reason.ASSERTION)


async def test_a_greeting_can_be_waited_for_and_read_as_json() -> None:
    async with serve(greet, "127.0.0.1", 0) as server:
        seen = await probe(f"ws://127.0.0.1:{port(server)}", receive=True)

    rules = Rules(expect=(parse('body.type == "ready"'), parse("body.queue < 10")))
    assert judge(observed(seen), rules).outcome is Outcome.UP


async def test_a_message_in_fragments_is_one_message() -> None:
    async def handler(peer: ServerConnection) -> None:
        await peer.send(iter(["one ", "two ", "three"]))
        await peer.wait_closed()

    async with serve(handler, "127.0.0.1", 0) as server:
        seen = await probe(f"ws://127.0.0.1:{port(server)}", receive=True)

    assert seen.evidence.body is not None
    assert seen.evidence.body.text == "one two three"


async def test_a_refused_upgrade_is_told_with_its_code_at_once() -> None:
    def refuse(peer: ServerConnection, request: Request) -> Response:
        return peer.respond(HTTPStatus.FORBIDDEN, "go away")

    async with serve(echo, "127.0.0.1", 0, process_request=refuse) as server:
        seen = await probe(f"ws://127.0.0.1:{port(server)}")

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.HTTP_STATUS, "HTTP 403 instead of an upgrade")
    assert seen.evidence.status == 403
    assert judge(observed(seen), Rules()).outcome is Outcome.DOWN


async def test_a_refusal_whose_body_never_ends_is_told_at_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 503 Busy\r\nSet-Cookie: session=hush\r\nContent-Length: 99999\r\n\r\n...")
        await peer.gone()

    async with ScriptedTarget(script) as target:
        seen = await probe(f"ws://127.0.0.1:{target.port}")

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.evidence.status, seen.evidence.status_text) == (Reason.HTTP_STATUS, 503, "Busy")
    assert "hush" not in str(seen.evidence.headers)


async def test_tls_is_verified_and_kept_as_evidence(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        url = f"wss://127.0.0.1:{port(server)}"
        trusted = await probe(url, ca_file=str(tmp_path / "ca.pem"), send=Secret("hello"))
        distrusted = await probe(url)
        nowhere = await probe(url, ca_file=str(tmp_path / "none.pem"))

    assert isinstance(trusted, Answer)
    assert trusted.evidence.tls is not None
    assert trusted.evidence.phases.tls is not None
    assert isinstance(distrusted, Failure)
    assert distrusted.reason in {Reason.TLS_UNTRUSTED, Reason.TLS_SELF_SIGNED}
    assert distrusted.evidence.tls is not None
    assert isinstance(nowhere, Failure)
    assert nowhere.reason is Reason.INTERNAL


async def test_a_closed_port_is_refused(unused: int) -> None:
    seen = await probe(f"ws://127.0.0.1:{unused}")

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.REFUSED


@pytest.fixture
def unused() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def test_a_goodbye_instead_of_a_message_is_told_with_its_code() -> None:
    async def handler(peer: ServerConnection) -> None:
        await peer.close(1008, "token expired")

    async with serve(handler, "127.0.0.1", 0) as server:
        seen = await probe(f"ws://127.0.0.1:{port(server)}", receive=True)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.RESET
    assert seen.detail == "the server closed the WebSocket with code 1008 (token expired) before a message came"


async def test_pings_before_the_message_are_answered_and_passed_over() -> None:
    async def handler(peer: ServerConnection) -> None:
        await (await peer.ping())
        await peer.send("after the pong")
        await peer.wait_closed()

    async with serve(handler, "127.0.0.1", 0) as server:
        seen = await probe(f"ws://127.0.0.1:{port(server)}", receive=True)

    assert seen.evidence.body is not None
    assert seen.evidence.body.text == "after the pong"


# --- servers that break the rules


def upgrade(request: bytes, *more: bytes, accept: str | None = None) -> bytes:
    """The head that agrees, with the proper answer to the key unless another is given."""
    if accept is None:
        key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
        digest = hashlib.sha1(key.partition(b":")[2].strip() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        accept = base64.b64encode(digest).decode()
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return head + b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n" + b"".join(more) + b"\r\n"


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + struct.pack("!H", size)
    return bytes([opcode | (0x80 if fin else 0)]) + length + payload


def scripted(make: Callable[[bytes], bytes], *, close: bool = False) -> Callable[[Peer], Awaitable[None]]:
    async def script(peer: Peer) -> None:
        request = await peer.request()
        await peer.send(make(request))
        if not close:
            await peer.gone()

    return script


BROKEN = [
    pytest.param(lambda _: b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Reason.HTTP_PROTOCOL, "the answer is not HTTP", id="ssh"),
    pytest.param(
        lambda r: upgrade(r, accept="bm90IHRoZSBrZXk="),
        Reason.HTTP_PROTOCOL,
        "the answer's header Sec-WebSocket-Accept is missing or wrong",
        id="another key",
    ),
    pytest.param(
        lambda _: b"HTTP/1.1 101 Fine\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        Reason.HTTP_PROTOCOL,
        "the answer does not upgrade to a WebSocket",
        id="another protocol",
    ),
    pytest.param(
        lambda r: upgrade(r, b"Sec-WebSocket-Extensions: permessage-deflate\r\n"),
        Reason.HTTP_PROTOCOL,
        "the server chose an extension or a subprotocol that was not offered",
        id="an extension that nobody offered",
    ),
    pytest.param(
        lambda _: b"HTTP/1.1 101 Fine\r\n" + b"X: y\r\n" * 20000,
        Reason.TOO_LARGE,
        "the headers are too large: more than 64 KiB",
        id="endless headers",
    ),
    pytest.param(
        lambda r: upgrade(r, b"X: y\r\n" * 1000),
        Reason.HTTP_PROTOCOL,
        "the answer is no proper handshake",
        id="more headers than the library takes",
    ),
    pytest.param(
        lambda r: upgrade(r) + b"\x81\x7f" + struct.pack("!Q", 1 << 40),
        Reason.TOO_LARGE,
        "the message is too large: more than 1 MiB",
        id="a frame of a terabyte",
    ),
    pytest.param(
        lambda r: upgrade(r) + b"\x81\x85abcdfghij",
        Reason.HTTP_PROTOCOL,
        "bad WebSocket: incorrect masking",
        id="a masked frame",
    ),
    pytest.param(
        lambda r: upgrade(r) + b"\x83\x00", Reason.HTTP_PROTOCOL, "bad WebSocket: invalid opcode", id="a bad opcode"
    ),
    pytest.param(
        lambda r: upgrade(r) + frame(1, b"\xff\xfe"),
        Reason.BODY_INVALID,
        "the message says that it is text, but is not UTF-8",
        id="text that is none",
    ),
    pytest.param(
        lambda r: upgrade(r) + frame(1, b"", fin=False) + frame(0, b"", fin=False) * 20000,
        Reason.TOO_LARGE,
        "more than 10000 frames without a whole message",
        id="endless fragments",
    ),
    pytest.param(
        lambda r: upgrade(r) + frame(9, b"") * 20000,
        Reason.TOO_LARGE,
        "more than 10000 frames without a whole message",
        id="endless pings",
    ),
    pytest.param(
        lambda r: upgrade(r) + frame(2, bytes(60000), fin=False) + frame(0, bytes(60000), fin=False) * 20,
        Reason.TOO_LARGE,
        "the message is too large: more than 1 MiB",
        id="a message of many large fragments",
    ),
]


@pytest.mark.parametrize(("make", "reason", "detail"), BROKEN)
async def test_a_server_that_breaks_the_rules_is_told_which(
    make: Callable[[bytes], bytes], reason: Reason, detail: str
) -> None:
    async with ScriptedTarget(scripted(make)) as target:
        seen = await probe(f"ws://127.0.0.1:{target.port}", receive=True)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail.removesuffix(": 03")) == (reason, detail)


CUT = [
    pytest.param(lambda _: b"", Reason.RESET, "Connection closed without an answer", id="nothing"),
    pytest.param(lambda r: upgrade(r)[:40], Reason.TRUNCATED, "the answer ended within its headers", id="half a head"),
    pytest.param(upgrade, Reason.RESET, "Connection closed before a message came", id="no message"),
    pytest.param(
        lambda r: upgrade(r) + b"\x81\x05he", Reason.RESET, "Connection closed before a message came", id="half a frame"
    ),
]


@pytest.mark.parametrize(("make", "reason", "detail"), CUT)
async def test_a_connection_that_breaks_off_is_told_where(
    make: Callable[[bytes], bytes], reason: Reason, detail: str
) -> None:
    async with ScriptedTarget(scripted(make, close=True)) as target:
        seen = await probe(f"ws://127.0.0.1:{target.port}", receive=True)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (reason, detail)


HANGING = [
    pytest.param(lambda _: b"", "wait", "waiting for the upgrade", id="no answer"),
    pytest.param(lambda r: upgrade(r)[:40], "wait", "waiting for the upgrade", id="half a head"),
    pytest.param(upgrade, "read", "waiting for a message", id="no message"),
    pytest.param(
        lambda r: upgrade(r) + frame(1, b"half", fin=False), "read", "waiting for a message", id="half of one"
    ),
]


@pytest.mark.parametrize(("make", "phase", "doing"), HANGING)
async def test_the_deadline_ends_what_hangs_and_keeps_what_was_seen(
    make: Callable[[bytes], bytes], phase: str, doing: str
) -> None:
    async with ScriptedTarget(scripted(make)) as target:
        seen = await probe(f"ws://127.0.0.1:{target.port}", timeout=SHORT, receive=True)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, phase)
    assert seen.detail == f"no answer within 0.3 s ({doing})"
    assert seen.evidence.address == "127.0.0.1"
    assert seen.evidence.status == (101 if phase == "read" else None)


async def test_a_check_is_drawn_with_its_phases() -> None:
    async with serve(greet, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{port(server)}/"
        seen = await probe(url, receive=True)
    rules = Rules(expect=(parse('body.type == "ready"'),))
    observation = observed(seen)

    drawn = waterfall(
        Monitor(id="chat", name="Chat", target=url), Result(observation=observation, verdict=judge(observation, rules))
    )

    assert drawn.split()[:4] == ["✓", "Chat", "up", "(101)"]
    for word in ("connect ", "wait ", "read ", 'body.type == "ready"'):
        assert word in drawn


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": Secret("http://a.example")}, "the URL must begin with ws:// or wss://"),
        ({"url": Secret("ws://")}, "the host name has an empty part"),
        ({"url": Secret("ws://a.example:99999")}, "the URL's port is not a number from 1 to 65535"),
        ({"headers": {"Upgrade": Secret("hush")}}, "the header Upgrade cannot be set"),
        ({"headers": {"Sec-WebSocket-Key": Secret("hush")}}, "the header Sec-WebSocket-Key cannot be set"),
        ({"headers": {"X": Secret("hush\r\nY: z")}}, "the value of the header X contains a line break"),
        ({"subprotocols": ["a b"]}, "one of the subprotocols contains a character"),
    ],
)
def test_what_cannot_be_asked_is_refused_without_its_secrets(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        WsCheck(**{"url": Secret("ws://a.example")} | options)

    assert said in str(caught.value)
    assert "hush" not in str(caught.value)


def test_the_target_hides_credentials() -> None:
    assert WsCheck(url=Secret("wss://ann:hush@a.example/x?token=hush")).target.startswith("wss://a.example/x?token=")
    assert "hush" not in WsCheck(url=Secret("wss://ann:hush@a.example/x?token=hush")).target
