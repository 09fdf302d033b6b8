"""What a dialogue meets, against real sockets: the exact reason, what was expected and what was said instead."""

import asyncio
import re
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest

from laya_uptime.adapters.checks.tcp import DialogueStep, TcpCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.assertion import parse
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import Rules
from laya_uptime.domain.payload import of_pieces, written
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure, Outcome, Seen
from laya_uptime.domain.secret import DOTS
from laya_uptime.ports import Reach
from laya_uptime.testing.observations import an_observation
from laya_uptime.testing.target import Peer, Script, ScriptedTarget

PATIENCE = timedelta(seconds=20)
SHORT = timedelta(seconds=0.3)
CLOCK = SystemClock()


class Authority(Protocol):
    ca_file: Path

    def context(self, *names: str) -> ssl.SSLContext: ...


def send(text: str) -> DialogueStep:
    return DialogueStep(send=written(text))


def expect(pattern: str) -> DialogueStep:
    return DialogueStep(expect=pattern)


STARTTLS = DialogueStep(starttls=True)


def says(*pieces: bytes, stays: bool = False) -> Script:
    """A peer that says these pieces one by one and hangs up, or stays."""

    async def script(peer: Peer) -> None:
        for piece in pieces:
            await peer.send(piece)
            await CLOCK.sleep(0.01)
        if stays:
            await peer.gone()

    return script


async def look(script: Script, via: Reach, *steps: DialogueStep, within: timedelta = PATIENCE) -> Seen:
    async with ScriptedTarget(script) as target:
        return await TcpCheck(url=f"tcp://127.0.0.1:{target.port}", dialogue=steps).probe(via, timeout=within)


async def test_without_a_dialogue_a_connection_is_enough_and_nothing_is_read(via: Reach) -> None:
    seen = await look(says(b"220 hello\r\n", stays=True), via)

    assert isinstance(seen, Answer)
    assert seen.evidence.said == ""
    assert [step for step, _ in seen.evidence.phases.reached()] == ["connect"]


async def test_what_the_peer_said_is_kept_and_expectations_can_speak_of_it(via: Reach) -> None:
    seen = await look(says(b"220 mail.example ESMTP\r\n", stays=True), via, expect("^220 "))

    assert seen.evidence.said == "220 mail.example ESMTP\r\n"
    good, bad = (
        judge(an_observation(seen), Rules(expect=(parse(f'text contains "{word}"'),))) for word in ("ESMTP", "POP")
    )
    assert (good.outcome, bad.outcome, bad.reason) == (Outcome.UP, Outcome.DOWN, Reason.ASSERTION)
    assert 'text = "220 mail.example ESMTP' in bad.detail


async def test_expectations_are_met_in_order_also_within_one_answer(via: Reach) -> None:
    async def peer_script(peer: Peer) -> None:
        await peer.send(b"220-one\r\n220-two\r\n220 three\r\n")
        assert await peer.receive() == b"NEXT\r\n"
        await peer.send(b"250 done\r\n")
        await peer.gone()

    seen = await look(peer_script, via, expect("one"), expect("^220 three"), send(r"NEXT\r\n"), expect("^250 "))

    assert isinstance(seen, Answer)
    assert [step for step, _ in seen.evidence.phases.reached()] == ["connect", "send", "wait", "read"]


async def test_an_expectation_may_come_in_pieces(via: Reach) -> None:
    seen = await look(says(*(bytes([byte]) for byte in b"220 hello\r\n"), stays=True), via, expect("^220 hello\r?$"))

    assert isinstance(seen, Answer)


@pytest.mark.parametrize(
    ("script", "reason", "detail"),
    [
        pytest.param(
            says(b"554 go away\r\n"),
            Reason.ASSERTION,
            'expected "^220 ", actual "554 go away", and the connection was closed',
            id="something else",
        ),
        pytest.param(
            says(b"554 go away\r\n", stays=True),
            Reason.ASSERTION,
            'expected "^220 ", actual "554 go away", and no more within 0.3 s',
            id="something else, and the line stays open",
        ),
        pytest.param(says(), Reason.TRUNCATED, 'connection closed, expected "^220 "', id="nothing, and closed"),
        pytest.param(
            says(b"22"), Reason.TRUNCATED, 'connection closed after "22", expected "^220 "', id="a part, and closed"
        ),
        pytest.param(
            says(stays=True),
            Reason.TIMEOUT,
            'expected "^220 ", no answer within 0.3 s',
            id="nothing",
        ),
        pytest.param(
            says(b"\x00\xff\x1b[31mred\xe2\x80\xae\r\n"),
            Reason.ASSERTION,
            r'expected "^220 ", actual "\x00\xff\x1b[31mred\xe2\x80\xae", and the connection was closed',
            id="bytes that a terminal would obey are shown as bytes",
        ),
        pytest.param(
            says(b"x" * 500 + b"\r\n"),
            Reason.ASSERTION,
            f'expected "^220 ", actual "{"x" * 119}…", and the connection was closed',
            id="a long line is cut",
        ),
    ],
)
async def test_a_failure_shows_what_was_expected_and_what_was_said(
    script: Script, reason: Reason, detail: str, via: Reach
) -> None:
    seen = await look(script, via, expect("^220 "), within=SHORT)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (reason, detail)
    assert seen.phase == ("wait" if reason is Reason.TIMEOUT else None)


async def test_the_rest_of_a_line_that_was_understood_is_no_answer_to_what_was_sent_next(via: Reach) -> None:
    seen = await look(
        says(b"220 mail.example\r\n", stays=True), via, expect("220"), send("HELP\r\n"), expect("^214"), within=SHORT
    )

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "wait")
    assert seen.evidence.said == "220 mail.example\r\n"


async def test_why_it_hung_up_is_heard_although_it_heard_nothing(via: Reach) -> None:
    async def full(peer: Peer) -> None:
        await peer.send(b"-ERR max number of clients reached\r\n")

    seen = await look(full, via, send(r"PING\r\n"), expect(r"^\+PONG"))

    assert isinstance(seen, Failure)
    assert (seen.reason, "max number of clients" in seen.evidence.said) in {
        (Reason.ASSERTION, True),
        (Reason.RESET, False),  # what we sent met a closed socket first
        (Reason.RESET, True),
    }


async def test_a_last_word_that_cannot_be_sent_is_a_reset(via: Reach) -> None:
    async def hangs_up(peer: Peer) -> None:
        await peer.send(b"220 hi\r\n")
        peer.reset()

    seen = await look(hangs_up, via, expect("^220 "), *[send("x" * 65536)] * 40)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.RESET, "Connection reset by peer")


async def test_a_peer_that_never_reads_is_named(via: Reach) -> None:
    async def deaf(peer: Peer) -> None:
        await asyncio.Event().wait()

    seen = await look(deaf, via, *[send("x" * 65536)] * 1000, within=SHORT)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "send")


async def test_more_than_64_kib_is_too_large_and_what_was_kept_is_bounded(via: Reach) -> None:
    seen = await look(says(b"\xff" * 70_000, stays=True), via, expect("^220 "))

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.TOO_LARGE, 'more than 64 KiB of other things, expected "^220 "')
    assert len(seen.evidence.said) == 65536


async def test_one_who_sends_byte_by_byte_is_read_in_gulps(via: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await CLOCK.sleep(seconds)

    async def drip(peer: Peer) -> None:
        while True:
            await peer.send(b"x")
            await CLOCK.sleep(0)

    monkeypatch.setattr(via.clock, "sleep", note)
    seen = await look(drip, via, expect("^220 "), within=timedelta(seconds=1))

    assert isinstance(seen, Failure)
    assert 0 < len([pause for pause in pauses if pause]) <= 1 / 0.005
    assert len(seen.evidence.said) > 32 + 2 * len(pauses)


async def test_a_secret_that_a_peer_repeats_is_dots(via: Reach) -> None:
    async def parrot(peer: Peer) -> None:
        heard = await peer.receive()
        await peer.send(b"-ERR unknown command: " + heard)

    auth = of_pieces([("AUTH ", False), ("hunter2-and-more", True), (r"\r\n", False)])
    seen = await look(parrot, via, DialogueStep(send=auth), expect(r"^\+OK"))

    assert isinstance(seen, Failure)
    assert seen.detail.startswith(f'expected "^\\+OK", actual "-ERR unknown command: AUTH {DOTS}"')
    assert seen.evidence.said == f"-ERR unknown command: AUTH {DOTS}\r\n"


async def test_implicit_tls_is_spoken_from_the_first_byte(via: Reach, authority: Authority) -> None:
    async def imaps(peer: Peer) -> None:
        await peer.send(b"* OK ready\r\n")
        await peer.gone()

    async with ScriptedTarget(imaps, tls=authority.context("mail.example")) as target:
        check = TcpCheck(
            url=f"tcp://127.0.0.1:{target.port}",
            tls=True,
            ca_file=str(authority.ca_file),
            server_name="mail.example",
            dialogue=(expect(r"^\* OK"),),
        )
        seen = await check.probe(via, timeout=PATIENCE)

    assert isinstance(seen, Answer), seen
    assert seen.evidence.tls is not None
    assert seen.evidence.tls.chain[0].names == ("mail.example",)


async def test_a_certificate_for_another_name_has_its_exact_reason(via: Reach, authority: Authority) -> None:
    async with ScriptedTarget(says(stays=True), tls=authority.context("other.example")) as target:
        check = TcpCheck(url=f"tcp://127.0.0.1:{target.port}", tls=True, ca_file=str(authority.ca_file))
        seen = await check.probe(via, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.TLS_HOSTNAME
    assert seen.evidence.tls is not None
    assert len(seen.evidence.tls.chain) == 1


async def test_no_application_protocol_is_offered(via: Reach, authority: Authority) -> None:
    context = authority.context("127.0.0.1")
    context.set_alpn_protocols(["imap"])  # with any offer but this one, many servers refuse
    offered: list[object] = []

    async def note(peer: Peer) -> None:
        assert peer._tls is not None
        offered.append(peer._tls.selected_alpn_protocol())
        await peer.send(b"* OK\r\n")
        await peer.gone()

    async with ScriptedTarget(note, tls=context) as target:
        check = TcpCheck(
            url=f"tcp://127.0.0.1:{target.port}",
            tls=True,
            ca_file=str(authority.ca_file),
            dialogue=(expect(r"^\* OK"),),
        )
        assert isinstance(await check.probe(via, timeout=PATIENCE), Answer)

    ours = via.context(ca_file=str(authority.ca_file), speaks_http=False)
    assert offered == [None]
    assert ours is via.context(ca_file=str(authority.ca_file), speaks_http=False)
    assert ours is not via.context(ca_file=str(authority.ca_file))


async def test_authorities_that_cannot_be_read_are_our_trouble(via: Reach, tmp_path: Path) -> None:
    check = TcpCheck(url="tcp://127.0.0.1:1", tls=True, ca_file=str(tmp_path / "none.pem"))

    seen = await check.probe(via, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.INTERNAL, "the file of certificate authorities cannot be read")


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        pytest.param((b"220 go ", b"ahead\r\n"), True, id="a line that comes in two pieces"),
        pytest.param((b"220 go ahead\r\n",), True, id="a whole line"),
        pytest.param((b"220 go ahead\r\n250 injected\r\n",), False, id="more in plain text"),
    ],
)
async def test_starttls_begins_right_after_the_line_that_allows_it(
    answer: tuple[bytes, ...], good: bool, via: Reach, authority: Authority
) -> None:
    async def mail(peer: Peer) -> None:
        await peer.send(b"220 hi\r\n")
        assert await peer.receive() == b"STARTTLS\r\n"
        await says(*answer)(peer)
        await peer.start_tls(authority.context("127.0.0.1"))
        await peer.send(b"250 inside\r\n")
        await peer.gone()

    steps = (expect("^220"), send(r"STARTTLS\r\n"), expect("^220 "), STARTTLS, expect("^250 inside"))
    async with ScriptedTarget(mail) as target:
        check = TcpCheck(url=f"tcp://127.0.0.1:{target.port}", ca_file=str(authority.ca_file), dialogue=steps)
        seen = await check.probe(via, timeout=PATIENCE)

    assert isinstance(seen, Answer) is good, seen
    if isinstance(seen, Failure):
        assert seen.reason is Reason.TLS_HANDSHAKE
        assert seen.detail == 'the peer went on in plain text before the TLS handshake: "250 injected"'


async def test_a_peer_that_is_gone_before_starttls_is_a_reset(via: Reach) -> None:
    async def hangs_up(peer: Peer) -> None:
        peer.reset()

    seen = await look(hangs_up, via, *[send("x" * 65536)] * 40, STARTTLS)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.RESET


async def test_the_deadline_in_a_handshake_names_it(via: Reach) -> None:
    seen = await look(says(b"220 go\r\n", stays=True), via, expect("^220 .*\n"), STARTTLS, within=SHORT)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "tls")
    assert seen.evidence.said == "220 go\r\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "write url: tcp://host:port, or both host and port"),
        ({"host": "a.example"}, "write url: tcp://host:port, or both host and port"),
        ({"url": "tcp://a.example:1", "port": 2}, "`host` and port stand in the url already"),
        ({"url": "tcp://a.example"}, "the URL has no port; it must be of the form tcp://host:port"),
        ({"url": "tcp://a.example:0"}, "the URL's port is not a number from 1 to 65535"),
        ({"url": "tcp://a.example:1/x"}, "the URL has a path or a query; it must be of the form tcp://host:port"),
        ({"url": "tcp://a.example:1?x=y"}, "the URL has a path or a query; it must be of the form tcp://host:port"),
        ({"url": "tcp://a.example:1#x"}, "the URL must be of the form tcp://host:port"),
        ({"url": "tcp://me:hunter2@a.example:1"}, "the URL has a user in it; it must be of the form tcp://host:port"),
        ({"url": "udp://a.example:1"}, "the URL must be of the form tcp://host:port"),
        ({"url": "tcp://a b:1"}, "the URL contains white space, a control character or a backslash"),
        ({"host": "a..b", "port": 1}, "`host`: the host name has an empty part"),
        ({"host": "a", "port": 1, "server_name": "a b"}, "`server_name`: the host is not a name"),
        (
            {"host": "a", "port": 1, "tls": True, "dialogue": (STARTTLS,)},
            "`dialogue` turns to TLS more than once, or what is TLS from the first byte on",
        ),
    ],
)
def test_options_that_describe_no_check_are_refused_without_showing_them(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}") as refused:
        TcpCheck(**options)  # type: ignore[arg-type]

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "a step is exactly one of send, expect and starttls: true"),
        ({"expect": "x", "starttls": True}, "a step is exactly one of send, expect and starttls: true"),
        ({"expect": "+OK"}, "`expect` is no pattern: no argument for repetition operator +; a character that means"),
        ({"expect": "(?=x)"}, "`expect` is no pattern: look-around (?= is not supported"),
        ({"expect": "\x00\xd2"}, r"bytes such as \xd2 must stand in single quotes"),
    ],
)
def test_a_step_that_cannot_be_done_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        DialogueStep(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({"url": "TCP://B\u00dcCHER.example:25/"}, "tcp://xn--bcher-kva.example:25"),
        ({"url": "tcp://[::1]:25"}, "tcp://[::1]:25"),
        ({"host": "::1", "port": 25}, "tcp://[::1]:25"),
        ({"host": "127.1", "port": 25}, "tcp://127.0.0.1:25"),
    ],
)
def test_the_target_is_written_in_one_way(options: dict[str, object], target: str) -> None:
    assert TcpCheck(**options).target == target  # type: ignore[arg-type]


async def test_a_name_is_resolved_vetted_and_asked_for() -> None:
    async def resolve(name: str) -> tuple[str, ...]:
        assert name == "db.example"
        return ("169.254.169.254",)

    reach = GuardedDialer(clock=CLOCK, policy=EgressPolicy(), resolver=resolve)
    seen = await TcpCheck(url="tcp://db.example:5432").probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.BLOCKED_BY_POLICY
    assert seen.evidence.addresses == ("169.254.169.254",)
