"""What a trace shows of checks without HTTP: dialogues, handshakes, WebSockets and questions to name servers."""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

from websockets.asyncio.server import ServerConnection, serve

from laya_uptime.adapters.checks.dns import DnsCheck
from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.checks.tcp import DialogueStep, TcpCheck
from laya_uptime.adapters.checks.tls import TlsCheck
from laya_uptime.adapters.checks.ws import WsCheck
from laya_uptime.domain.payload import of_pieces, written
from laya_uptime.domain.result import Answer, Failure, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.trace import Kind, TraceLine
from laya_uptime.testing.nameserver import ScriptedNameServer, Zone, knows
from laya_uptime.testing.target import Peer, ScriptedTarget

Traced = Callable[..., Awaitable[tuple[Seen, list[TraceLine]]]]
DOTS = "••••••"
ZONE: Zone = {"shop.test": {"A": ["127.0.0.1"]}, "www.shop.test": {"CNAME": ["shop.test"]}}


class Authority(Protocol):
    ca_file: Path

    def context(self, *names: str) -> ssl.SSLContext: ...


def texts(lines: Sequence[TraceLine], kind: Kind) -> list[str]:
    return [line.text for line in lines if line.kind is kind]


def said(lines: Sequence[TraceLine]) -> list[str]:
    marks = {Kind.SENT: ">", Kind.RECEIVED: "<"}
    return [f"{marks[line.kind]} {line.text}" for line in lines if line.kind in marks and line.text[0] != "["]


async def test_a_dialogue_is_shown_turn_by_turn_without_its_password(traced: Traced) -> None:
    """Also where the server repeats the password byte by byte."""

    async def script(peer: Peer) -> None:
        await peer.send(b"220 hello\x1b[1m\r\n")
        await peer.receive()
        for byte in b"235 canary-password is right\r\n":
            await peer.send(bytes([byte]))
        await peer.gone()

    login = of_pieces([("LOGIN ops ", False), ("canary-password", True), (r"\r\n", False)])
    dialogue = (DialogueStep(expect="220"), DialogueStep(send=login), DialogueStep(expect=r"235.*\n"))
    async with ScriptedTarget(script) as target:
        seen, lines = await traced(TcpCheck(host="127.0.0.1", port=target.port, dialogue=dialogue))

    assert isinstance(seen, Answer), seen
    assert said(lines) == [r"< 220 hello\x1b[1m", f"> LOGIN ops {DOTS}", f"< 235 {DOTS} is right"]
    assert lines[-1].kind is Kind.CLOSE


async def test_a_dialogue_that_turns_to_tls_is_shown_inside_too(traced: Traced, authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send(b"go\n")
        await peer.start_tls(authority.context("127.0.0.1"))
        await peer.send(b"inside\n")
        await peer.gone()

    dialogue = (
        DialogueStep(send=written(r"STARTTLS\n")),
        DialogueStep(expect="go\n"),
        DialogueStep(starttls=True),
        DialogueStep(expect="inside"),
    )
    async with ScriptedTarget(script) as target:
        check = TcpCheck(host="127.0.0.1", port=target.port, dialogue=dialogue, ca_file=str(authority.ca_file))
        seen, lines = await traced(check)

    assert isinstance(seen, Answer), seen
    assert said(lines) == ["> STARTTLS", "< go", "< inside"]
    told = texts(lines, Kind.TLS)
    assert told[0] == "handshake with 127.0.0.1"
    assert told[1].endswith(": ClientHello")
    assert "TLSv1.3, TLS_AES_256_GCM_SHA384, no ALPN" in told


async def test_a_failed_handshake_shows_how_far_it_got_and_what_was_presented(
    traced: Traced, stranger: Authority
) -> None:
    async def script(peer: Peer) -> None:
        await peer.gone()

    async with ScriptedTarget(script, tls=stranger.context("127.0.0.1")) as target:
        seen, lines = await traced(TlsCheck(url=f"tls://127.0.0.1:{target.port}"))

    assert isinstance(seen, Failure)
    told = texts(lines, Kind.TLS)
    assert any(text.startswith("< ") and text.endswith(": ServerHello") for text in told)
    assert any(text.startswith("certificate: CN=127.0.0.1, until ") for text in told)
    assert told[-1] == seen.detail


async def test_a_websocket_is_shown_but_not_what_it_is_told(traced: Traced) -> None:
    async def repeat(peer: ServerConnection) -> None:
        async for message in peer:
            await peer.send(f"you said {message!r}")

    async with serve(repeat, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        check = WsCheck(
            url=Secret(f"ws://canary-user:canary-password@127.0.0.1:{port}/chat?token=canary-query"),
            headers={"X-A": Secret("canary-header"), "X-B": Secret("c")},
            send=Secret("canary-message"),
        )
        seen, lines = await traced(check)

    assert isinstance(seen, Answer), seen
    assert "canary" not in "\n".join(line.text for line in lines)
    sent = texts(lines, Kind.SENT)
    assert sent[0] == f"GET /chat?token={DOTS} HTTP/1.1"
    assert {f"X-A: {DOTS}", f"X-B: {DOTS}", f"Authorization: {DOTS}"} <= set(sent)
    assert any(text.endswith(": text frame]") for text in sent)
    received = texts(lines, Kind.RECEIVED)
    assert received[0] == "HTTP/1.1 101 Switching Protocols"
    assert any(f"you said '{DOTS}'" in text for text in received)


async def test_a_question_is_shown_with_every_section_of_its_answer(traced: Traced) -> None:
    async with ScriptedNameServer(knows(ZONE, authenticated=True)) as server:
        check = DnsCheck(query="www.shop.test", resolver=f"127.0.0.1:{server.port}")
        seen, lines = await traced(check)

        told = texts(lines, Kind.LOOKUP)
        assert isinstance(seen, Answer)
        assert told[:3] == [
            f"> www.shop.test A asked of 127.0.0.1:{server.port} over UDP",
            f"< www.shop.test A: NOERROR, from 127.0.0.1:{server.port} over UDP",
            "<   flags: QR RD RA AD",
        ]
        assert any(text.startswith("<   answer: www.shop.test. ") and "CNAME shop.test." in text for text in told)


async def test_the_lookup_of_a_web_server_is_shown_question_by_question(traced: Traced) -> None:
    async with ScriptedNameServer(knows(ZONE)) as server:
        check = HttpCheck(url=Secret("http://gone.test/"), resolver=f"127.0.0.1:{server.port}")
        seen, lines = await traced(check)

        told = texts(lines, Kind.LOOKUP)
        assert isinstance(seen, Failure)
        for record in ("A", "AAAA"):
            assert f"> gone.test {record} asked of 127.0.0.1:{server.port} over UDP" in told
            assert f"< gone.test {record}: NXDOMAIN, from 127.0.0.1:{server.port} over UDP" in told
        assert lines[-1].text == seen.detail


async def test_a_name_server_that_talks_rubbish_is_inert_and_bounded(traced: Traced) -> None:
    zone: Zone = {"shop.test": {"TXT": ['"\\027[2Jred"'] + [f'"{number} {"x" * 200}"' for number in range(200)]}}
    async with ScriptedNameServer(knows(zone)) as server:
        check = DnsCheck(query="shop.test", record="TXT", resolver=f"127.0.0.1:{server.port}")
        _, lines = await traced(check)

    assert all(line.text.isprintable() for line in lines)
    assert len(lines) < 60
