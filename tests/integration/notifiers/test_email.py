"""E-mail: the contract, every stage of an SMTP session gone wrong, encryption, login, and the message itself."""

import asyncio
import email
import email.policy
import itertools
import re
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any, Literal

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from laya_uptime.adapters.notifiers.email import EmailNotifier
from laya_uptime.adapters.notifiers.email.address import Mailbox
from laya_uptime.adapters.notifiers.email.letter import compose
from laya_uptime.domain.alert import Alert, Transition
from laya_uptime.domain.secret import Secret
from laya_uptime.errors import DeliveryError
from laya_uptime.ports import Notifier, Reach
from laya_uptime.testing.notifier_contract import HOSTILE_NAMES, Behaviour, NotifierContract, an_alert, failure

PASSWORD = "sm7pcanary"
SENT_AT = datetime(2026, 2, 17, 2, 30, 5, tzinfo=UTC)


@dataclass
class MailPeer:
    """A real mail server, aiosmtpd, and what it took. A hook's name maps to the reply it gives instead of taking it."""

    replies: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # recipient: reply
    letters: list[bytes] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)  # commands, in order
    protocols: list[str | None] = field(default_factory=list)  # agreed on by TLS (ALPN)
    behaviour: Behaviour = Behaviour.ACCEPT
    port: int = 0
    sessions: set[SMTP] = field(default_factory=set)

    def behave(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour

    def messages(self) -> list[bytes]:
        return self.letters

    def ids(self) -> list[str]:
        return [str(parsed(letter)["Message-ID"]).strip("<>").partition("@")[0] for letter in self.letters]

    async def until_idle(self) -> None:
        while any(is_open(session) for session in self.sessions):  # noqa: ASYNC110  aiosmtpd tells nobody
            await asyncio.sleep(0.005)  # noqa: TID251  real sockets close in real time

    async def handle_EHLO(self, _: SMTP, session: Any, __: Any, hostname: str, responses: list[str]) -> list[str]:  # noqa: ANN401, N802
        self.said.append(f"EHLO {hostname}")
        session.host_name = hostname
        return [self.replies["EHLO"]] if "EHLO" in self.replies else responses

    async def handle_MAIL(self, _: SMTP, __: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: ANN401, N802
        self.said.append(f"MAIL {address}")
        if "MAIL" in self.replies:
            return self.replies["MAIL"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, _: SMTP, __: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: ANN401, N802
        self.said.append(f"RCPT {address}")
        if "RCPT" in self.replies or address in self.refused:
            return self.refused.get(address) or self.replies["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _: Any, envelope: Any) -> str:  # noqa: ANN401, N802
        self.said.append("DATA")
        if (tls := server.transport.get_extra_info("ssl_object")) is not None:
            self.protocols.append(tls.selected_alpn_protocol())
        self.letters.append(bytes(envelope.content))
        self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
        match self.behaviour:
            case Behaviour.ACCEPT:
                return self.replies.get("DATA", "250 OK")
            case Behaviour.REFUSE_FOR_NOW:
                return f"451 4.7.1 Greylisted, {PASSWORD}"
            case Behaviour.REFUSE:
                return f"554 5.7.1 You may not say {PASSWORD}"
            case Behaviour.HANG:
                await asyncio.Event().wait()
            case Behaviour.RESET:
                server.transport.abort()
        return "250 OK"

    def authenticate(self, _: SMTP, __: Any, ___: Any, ____: str, login: Any) -> AuthResult:  # noqa: ANN401
        assert isinstance(login, LoginPassword)
        self.logins.append((login.login.decode(), login.password.decode()))
        return AuthResult(success=self.logins[-1] == ("monitoring", PASSWORD), handled=False)


def is_open(session: SMTP) -> bool:
    """Look below TLS too: aiosmtpd does not notice when a handshake fails."""
    below = session._original_transport
    return session.transport is not None and not (below is not None and below.is_closing())


@asynccontextmanager
async def mail_server(
    *, tls: ssl.SSLContext | None = None, implicit: bool = False, login: bool = False
) -> AsyncIterator[MailPeer]:
    """Run aiosmtpd: plain, with STARTTLS (`tls`) or encrypted from the first byte (`implicit`)."""
    peer = MailPeer()
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        with warnings.catch_warnings(action="ignore"):  # that a login in the clear is unwise: we know
            made = SMTP(
                peer,
                hostname="mail.test",
                loop=loop,
                tls_context=None if implicit else tls,
                require_starttls=tls is not None and not implicit,
                authenticator=peer.authenticate,
                auth_required=login,
                auth_require_tls=tls is not None and not implicit,
            )
        peer.sessions.add(made)
        return made

    server = await loop.create_server(session, "127.0.0.1", 0, ssl=tls if implicit else None)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for session_ in filter(is_open, peer.sessions):
            assert isinstance(session_.transport, asyncio.WriteTransport)
            session_.transport.abort()
        await peer.until_idle()


def a_notifier(port: int, **options: Any) -> EmailNotifier:  # noqa: ANN401
    defaults: dict[str, Any] = {"to": ["ops@school.example"], "server": "127.0.0.1", "tls": "none"}
    return EmailNotifier(port=port, **(defaults | options))


def parsed(letter: bytes) -> EmailMessage:
    message = email.message_from_bytes(letter, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


class TestEmail(NotifierContract):
    secrets = (PASSWORD,)

    @pytest.fixture
    async def peer(self) -> AsyncIterator[MailPeer]:
        async with mail_server(login=True) as peer:
            yield peer

    def notifier_at(self, port: int) -> Notifier:
        return a_notifier(port, user="monitoring", password=Secret(PASSWORD))


# Encryption


async def test_starttls_encrypts_before_anything_else_is_said(
    via: Reach, server_tls: ssl.SSLContext, authority_file: str
) -> None:
    async with mail_server(tls=server_tls, login=True) as peer:
        notifier = a_notifier(
            peer.port, tls="starttls", ca_file=authority_file, user="monitoring", password=Secret(PASSWORD)
        )

        await notifier.deliver(an_alert(), via)

        assert peer.logins == [("monitoring", PASSWORD)]
        assert peer.envelopes == [("monitoring@laya.local", ["ops@school.example"])]
        assert peer.said[:2] == ["EHLO [127.0.0.1]", "EHLO [127.0.0.1]"], "what is said in the clear is said again"


async def test_implicit_tls_encrypts_from_the_first_byte(
    via: Reach, server_tls: ssl.SSLContext, authority_file: str
) -> None:
    async with mail_server(tls=server_tls, implicit=True, login=True) as peer:
        notifier = a_notifier(
            peer.port, tls="implicit", ca_file=authority_file, user="monitoring", password=Secret(PASSWORD)
        )

        await notifier.deliver(an_alert(), via)

        assert len(peer.letters) == 1


async def test_starttls_that_is_not_offered_is_never_replaced_by_plain_text(via: Reach) -> None:
    async with mail_server() as peer:
        error = await failure(a_notifier(peer.port, tls="starttls"), via)

        assert error.retry
        assert error.cause == "127.0.0.1 does not offer STARTTLS"
        assert peer.letters == []
        assert not [line for line in peer.said if not line.startswith("EHLO")]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_certificate_of_a_stranger_is_refused(
    via: Reach, server_tls: ssl.SSLContext, tls: Literal["starttls", "implicit"]
) -> None:
    async with mail_server(tls=server_tls, implicit=tls == "implicit") as peer:
        error = await failure(a_notifier(peer.port, tls=tls), via)

        assert error.retry
        assert error.cause.startswith("TLS with 127.0.0.1 failed: ")
        assert "certificate" in error.cause
        assert peer.letters == []


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_certificate_for_another_name_is_refused(
    via: Reach, authority: trustme.CA, authority_file: str, tls: Literal["starttls", "implicit"]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("another.example").configure_cert(context)
    async with mail_server(tls=context, implicit=tls == "implicit") as peer:
        error = await failure(a_notifier(peer.port, tls=tls, ca_file=authority_file), via)

        assert error.retry
        assert "mismatch" in error.cause
        assert peer.letters == []


async def test_a_mail_server_is_not_offered_http(via: Reach, server_tls: ssl.SSLContext, authority_file: str) -> None:
    server_tls.set_alpn_protocols(["http/1.1"])
    async with mail_server(tls=server_tls, implicit=True) as peer:
        await a_notifier(peer.port, tls="implicit", ca_file=authority_file).deliver(an_alert(), via)

        assert peer.protocols == [None], "Exim hangs up on clients that offer a protocol which is not smtp"


async def test_implicit_tls_on_a_plain_port_is_a_failed_handshake(via: Reach) -> None:
    async with mail_server() as peer:
        error = await failure(a_notifier(peer.port, tls="implicit"), via)

        assert error.retry
        assert error.cause == "TLS with 127.0.0.1 failed: the server does not speak TLS on this port"


async def test_a_file_of_authorities_that_is_missing_is_said(via: Reach) -> None:
    error = await failure(a_notifier(1, tls="starttls", ca_file="/nowhere/authority.pem"), via)

    assert error.retry
    assert error.cause == "the certificates in `ca_file` cannot be read"


# Login


async def test_a_wrong_password_is_tried_again_since_it_is_mended_on_the_servers_side(via: Reach) -> None:
    async with mail_server(login=True) as peer:
        notifier = a_notifier(peer.port, user="monitoring", password=Secret("wr0ngcanary"))

        error = await failure(notifier, via)

        assert error.retry
        assert error.cause == "SMTP 535 from 127.0.0.1: login refused"
        assert len(peer.logins) == 1, "a second method would count as a second attempt"


async def test_a_server_that_wants_a_login_we_have_not_is_tried_again(via: Reach) -> None:
    async with mail_server(login=True) as peer:
        error = await failure(a_notifier(peer.port), via)

        assert error.retry
        assert error.cause.startswith("SMTP 530 from 127.0.0.1: ")


async def test_a_server_without_logins_is_said(via: Reach) -> None:
    async with scripted(b"220 hi", b"250 mail.test") as server:
        error = await failure(a_notifier(server.port, user="u", password=Secret(PASSWORD)), via)

        assert error.retry
        assert error.cause == "127.0.0.1 offers no login that we know"


@pytest.mark.parametrize(
    ("offer", "dialogue", "commands"),
    [
        ("LOGIN", [b"334 VXNlcm5hbWU6", b"334 UGFzc3dvcmQ6", b"235 in"], ["AUTH LOGIN", "dQ==", "c203cGNhbmFyeQ=="]),
        # The digest was computed with OpenSSL's command line.
        (
            "CRAM-MD5 PLAIN",
            [b"334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2U+", b"235 in"],
            ["AUTH CRAM-MD5", "dSBmNmI4MzVkYTk5NDhlNmE5Y2Q4MjQwNGU2NTY5OGI1ZQ=="],
        ),
        (
            "CRAM-MD5 PLAIN",
            [b"334 a", b"501 cancelled", b"235 in"],
            ["AUTH CRAM-MD5", "*", "AUTH PLAIN AHUAc203cGNhbmFyeQ=="],
        ),
        ("CRAM-MD5 PLAIN", [b"504 not really", b"235 in"], ["AUTH CRAM-MD5", "AUTH PLAIN AHUAc203cGNhbmFyeQ=="]),
    ],
)
async def test_each_way_to_log_in_is_spoken(via: Reach, offer: str, dialogue: list[bytes], commands: list[str]) -> None:
    async with scripted(b"220 hi", f"250-mail.test\r\n250 AUTH {offer}".encode(), *dialogue, b"550 enough") as server:
        error = await failure(a_notifier(server.port, user="u", password=Secret(PASSWORD)), via)

    assert error.cause == "SMTP 550 from 127.0.0.1: enough"
    assert server.lines[1:] == [*commands, "MAIL FROM:<monitoring@laya.local>"]


# Every stage of a session, gone wrong


Manner = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Scripted:
    """What a scripted server heard."""

    port: int = 0
    lines: list[str] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def scripted(*replies: bytes, then: Manner | None = None) -> AsyncIterator[Scripted]:
    """Say one reply at once and one after each line heard; then do `then`, or close."""
    heard = Scripted()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for number, reply in enumerate(replies):
                if number:
                    heard.lines.append((await reader.readline()).decode().rstrip("\r\n"))
                writer.write(reply + b"\r\n")
            if then is not None:
                await then(reader, writer)
                await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.close()
            heard.closed.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    heard.port = server.sockets[0].getsockname()[1]
    try:
        yield heard
    finally:
        server.close()


UP_TO_DATA = (b"220 hi", b"250 mail.test", b"250 sender", b"250 recipient")


@pytest.mark.parametrize(
    ("replies", "retry", "cause"),
    [
        ((b"421 busy",), True, "SMTP 421 from 127.0.0.1: busy"),
        ((b"554 not here",), False, "SMTP 554 from 127.0.0.1: not here"),
        ((b"220 hi", b"451 later"), True, "SMTP 451 from 127.0.0.1: later"),
        ((b"220 hi", b"550 who are you"), False, "SMTP 550 from 127.0.0.1: who are you"),
        ((b"220 hi", b"250 mail.test", b"452 full"), True, "SMTP 452 from 127.0.0.1: full"),
        ((b"220 hi", b"250 mail.test", b"550 no such sender"), False, "SMTP 550 from 127.0.0.1: no such sender"),
        ((b"220 hi", b"250 mail.test", b"530 log in first"), True, "SMTP 530 from 127.0.0.1: log in first"),
        ((*UP_TO_DATA[:3], b"450 greylisted"), True, "SMTP 450 from 127.0.0.1: greylisted"),
        ((*UP_TO_DATA[:3], b"550 5.1.1 User unknown"), False, "SMTP 550 from 127.0.0.1: 5.1.1 User unknown"),
        ((*UP_TO_DATA[:3], b"421 leaving"), True, "SMTP 421 from 127.0.0.1: leaving"),
        ((*UP_TO_DATA, b"451 later"), True, "SMTP 451 from 127.0.0.1: later"),
        ((*UP_TO_DATA, b"554 no"), False, "SMTP 554 from 127.0.0.1: no"),
        ((*UP_TO_DATA, b"250 what"), True, "SMTP 250 from 127.0.0.1: what"),
        ((), True, "127.0.0.1 closed the connection"),
        ((b"220 hi",), True, "127.0.0.1 closed the connection"),
        ((b"220 hi", b"250 mail.test"), True, "127.0.0.1 closed the connection"),
        (UP_TO_DATA, True, "127.0.0.1 closed the connection"),
        ((*UP_TO_DATA, b"354 go on"), True, "127.0.0.1 closed the connection"),
        ((b"SSH-2.0-OpenSSH_9.6",), True, "127.0.0.1 does not answer like a mail server"),
        ((b"HTTP/1.1 400 Bad Request\r\n",), True, "127.0.0.1 does not answer like a mail server"),
        ((b"220 " + b"x" * 40_000,), True, "127.0.0.1 does not answer like a mail server"),
        ((b"220-x\r\n" * 10_000,), True, "127.0.0.1 does not answer like a mail server"),
        ((b"554 " + "\x1b[31mred\x00 \u2028 \ud83d".encode("utf-8", "surrogatepass"),), False, None),
        ((b"554 " + b"long " * 1000,), False, None),
    ],
)  # fmt: skip
async def test_n01_every_reply_says_whether_trying_again_can_help(
    via: Reach, replies: tuple[bytes, ...], cause: str | None, *, retry: bool
) -> None:
    async with scripted(*replies) as server:
        error = await failure(a_notifier(server.port), via)

    assert error.retry is retry
    assert cause is None or error.cause == cause
    assert error.cause.isprintable()
    assert len(error.cause) < 200


async def test_a_server_that_knows_no_ehlo_is_greeted_the_old_way(via: Reach) -> None:
    replies = (b"220 hi", b"502 EHLO?", b"250 mail.test", b"250 sender", b"250 recipient", b"550 enough")
    async with scripted(*replies) as server:
        error = await failure(a_notifier(server.port), via)

    assert error.cause == "SMTP 550 from 127.0.0.1: enough"
    assert server.lines[:2] == ["EHLO [127.0.0.1]", "HELO [127.0.0.1]"]


async def silence(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Say nothing more."""


async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in itertools.cycle(b"2"):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.01)  # noqa: TID251  a slow server is slow in real time


async def continue_for_ever(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"220-still greeting\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)  # noqa: TID251  likewise


STAGES = {
    "banner": (),
    "greeting": (b"220 hi",),
    "sender": UP_TO_DATA[:2],
    "recipient": UP_TO_DATA[:3],
    "data": UP_TO_DATA,
    "message": (*UP_TO_DATA, b"354 go on"),
}


@pytest.mark.parametrize("how", [silence, trickle, continue_for_ever])
@pytest.mark.parametrize("stage", STAGES)
async def test_r04_a_server_that_never_comes_to_an_end_is_left_at_the_deadline(
    via: Reach, stage: str, how: Manner
) -> None:
    async with scripted(*STAGES[stage], then=how) as server:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(a_notifier(server.port).deliver(an_alert(), via), 0.1)

        await server.closed.wait()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_handshake_that_hangs_is_left_at_the_deadline(via: Reach, tls: Literal["starttls", "implicit"]) -> None:
    replies = (b"220 hi", b"250-mail.test\r\n250 STARTTLS", b"220 go on") if tls == "starttls" else ()
    async with scripted(*replies, then=silence) as server:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(a_notifier(server.port, tls=tls).deliver(an_alert(), via), 0.1)

        await server.closed.wait()


async def test_words_slipped_in_before_the_handshake_are_not_believed(
    via: Reach, server_tls: ssl.SSLContext, authority_file: str
) -> None:
    async def upgrade(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.start_tls(server_tls)

    async with scripted(
        b"220 hi", b"250-mail.test\r\n250 STARTTLS", b"220 go on\r\n250-evil\r\n250 AUTH PLAIN", then=upgrade
    ) as server:
        notifier = a_notifier(server.port, tls="starttls", ca_file=authority_file)

        with pytest.raises((DeliveryError, TimeoutError)):
            await asyncio.wait_for(notifier.deliver(an_alert(), via), 0.2)

        assert not [line for line in server.lines if line.startswith(("AUTH", "MAIL"))]


async def test_a_server_that_does_not_part_does_not_undo_a_delivery(via: Reach) -> None:
    taken = asyncio.Event()

    async def take_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 taken\r\n")
        taken.set()

    async with scripted(*UP_TO_DATA, b"354 go on", then=take_all) as server:
        await asyncio.wait_for(a_notifier(server.port).deliver(an_alert(), via), 5)

        assert taken.is_set()
        await server.closed.wait()


async def test_s04_a_metadata_address_is_refused_for_good(via: Reach) -> None:
    error = await failure(EmailNotifier(to=["ops@school.example"], server="169.254.169.254", tls="none"), via)

    assert not error.retry


# Recipients


async def test_all_recipients_get_one_message(via: Reach) -> None:
    async with mail_server() as peer:
        notifier = a_notifier(peer.port, to=["ops@school.example", "Head <head@school.example>"])

        await notifier.deliver(an_alert(), via)

        assert peer.envelopes == [("monitoring@laya.local", ["ops@school.example", "head@school.example"])]
        assert parsed(peer.letters[0])["To"] == "ops@school.example, Head <head@school.example>"
        assert notifier.address == "ops@school.example, head@school.example"


async def test_who_is_refused_is_named_to_those_who_are_not(via: Reach) -> None:
    async with mail_server() as peer:
        peer.refused = {"left@school.example": "550 5.1.1 User unknown", "full@school.example": "452 Mailbox full"}
        notifier = a_notifier(peer.port, to=["left@school.example", "ops@school.example", "full@school.example"])

        await notifier.deliver(an_alert(), via)

        assert peer.envelopes == [("monitoring@laya.local", ["ops@school.example"])]
        text = text_of(peer.letters[0])
        assert "Not accepted for: left@school.example (550 5.1.1 User unknown)\n" in text
        assert "Not accepted for: full@school.example (452 Mailbox full)\n" in text


@pytest.mark.parametrize(
    ("first", "second", "retry"),
    [("550 gone", "450 later", True), ("550 gone", "551 moved", False), ("450 later", "451 later", True)],
)
async def test_nobody_left_is_final_only_if_all_refusals_are(
    via: Reach, first: str, second: str, *, retry: bool
) -> None:
    async with mail_server() as peer:
        peer.refused = {"a@school.example": first, "b@school.example": second}

        error = await failure(a_notifier(peer.port, to=["a@school.example", "b@school.example"]), via)

        assert error.retry is retry
        assert peer.letters == []


# The message


def letter(alert: Alert, *, sender: str = "monitoring@laya.local", to: str = "ops@school.example") -> bytes:
    return compose(
        alert,
        sender=Mailbox.parse(sender, option="from"),
        to=[Mailbox.parse(to, option="to")],
        refused=[],
        sent_at=SENT_AT,
    )


def part(raw: bytes, kind: str) -> str:
    found = parsed(raw).get_body(preferencelist=(kind,))
    assert isinstance(found, EmailMessage)
    return str(found.get_content())


def text_of(raw: bytes) -> str:
    return part(raw, "plain").replace("\r\n", "\n")


def test_the_message_says_what_since_when_and_why() -> None:
    raw = letter(
        an_alert(components=("redis down, no answer",), assertions=("expected status == 200, actual status = 500",))
    )

    assert parsed(raw)["Subject"] == "DOWN: AI Service - Connection refused"
    assert text_of(raw) == (
        "AI Service is down since 2026-02-17 03:30:00 +01:00: Connection refused.\n"
        "\n"
        "Service:          AI Service\n"
        "Address:          http://localhost:8000/api/v1/health/liveness\n"
        "Message:          Service is down (3 consecutive failures)\n"
        "Reason:           refused - Connection refused\n"
        "Component:        redis down, no answer\n"
        "Assertion:        expected status == 200, actual status = 500\n"
        "First failure:    2026-02-17 03:30:00 +01:00\n"
        "Confirmed:        2026-02-17 03:30:00 +01:00\n"
        "Sent:             2026-02-17 03:30:05 +01:00\n"
        "Checks:           150 since this start, 3 failed, 3 failures in a row\n"
        "Uptime:           98.00 % of checks\n"
        "Response time:    45 ms on average\n"
        "Incident:         ai-service-20260217T023000000Z\n"
    )


def test_headers_tell_machines_what_it_is() -> None:
    message = parsed(letter(an_alert()))

    assert message["Message-ID"] == "<5f2c9d0e8b7a46d1a3c4e5f60718293a@laya.local>"
    assert message["Date"] == "Tue, 17 Feb 2026 02:30:05 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Laya-Dedup-Key"] == "ai-service-20260217T023000000Z/ops"
    assert message["X-Laya-Status"] == "failure"
    assert message["X-Laya-Transition"] == "down"
    assert message["X-Laya-Service"] == "AI Service"


def test_one_incident_is_one_thread() -> None:
    down, back = parsed(letter(an_alert())), parsed(letter(replace(an_alert(Transition.RECOVERED), id="another")))
    other = parsed(letter(replace(an_alert(), dedup_key="another-incident/ops")))

    assert down["References"] == down["In-Reply-To"] == back["References"] != other["References"]
    assert re.fullmatch(r"<[0-9a-f]{32}-incident@laya\.local>", down["References"])
    assert down["Message-ID"] != back["Message-ID"]


@pytest.mark.parametrize("identity", ["x" * 200, "with space", "a>\r\nBcc: x@y", "ünï", ""])
def test_an_id_that_cannot_stand_in_a_message_id_is_hashed(identity: str) -> None:
    first, again = (parsed(letter(replace(an_alert(), id=identity)))["Message-ID"] for _ in range(2))

    assert first == again
    assert re.fullmatch(r"<[0-9a-f]{32}@laya\.local>", first)


def test_a_long_domain_does_not_break_the_references() -> None:
    domain = f"{'a' * 60}.{'b' * 60}.example"

    raw = letter(an_alert(), sender=f"monitoring@{domain}")

    assert re.search(rb"\r\nReferences: <[0-9a-f]{32}-incident@a{60}\.b{60}\.example>\r\n", raw)


OUR_HEADERS = [
    "From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted", "X-Laya-Status",
    "X-Laya-Transition", "X-Laya-Service", "X-Laya-Incident", "X-Laya-Dedup-Key", "MIME-Version", "Content-Type",
]  # fmt: skip


@pytest.mark.parametrize("policy", [email.policy.default, email.policy.compat32], ids=["modern", "old"])
@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES.keys())
def test_j07_a_parser_sees_exactly_our_headers(name: str, policy: Any) -> None:  # noqa: ANN401
    alert = an_alert(service=name, detail=name, url=name, message=name, components=(name,), assertions=(name,))
    raw = letter(replace(alert, incident_id=name, dedup_key=name, id=name))

    message = email.message_from_bytes(raw, policy=policy)

    assert message.keys() == OUR_HEADERS
    assert not message.defects
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert "everyone@example.org" not in str(message["To"])
    decoded = str(email.header.make_header(email.header.decode_header(re.sub(r"\r\n", "", str(message["Subject"])))))
    assert len(decoded.splitlines()) == 1
    assert 0 < len(decoded) <= 210


async def test_j07_a_line_that_begins_with_a_dot_ends_nothing(via: Reach) -> None:
    async with mail_server() as peer:
        await a_notifier(peer.port).deliver(an_alert(detail="x" * 56 + ".\r\n.\r\nMAIL FROM:<a@b>"), via)
        await a_notifier(peer.port).deliver(an_alert(detail=". . . ." * 100), via)

        assert len(peer.letters) == 2
        assert ". . . ." * 50 in text_of(peer.letters[1]).replace("\n", "")


class _Page(HTMLParser):
    """What a reader of the HTML sees, and what it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.words += data.split()


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES.keys())
def test_j03_the_html_says_what_the_text_says_and_fetches_nothing(name: str) -> None:
    raw = letter(an_alert(service=name, detail=name, url=name, message=name, components=(name,), assertions=(name,)))

    page = _Page()
    page.feed(part(raw, "html"))

    assert page.tags <= {"html", "head", "meta", "title", "body", "div", "p", "strong", "table", "tr", "td"}
    assert page.attributes <= {"lang", "charset", "name", "content", "style", "role"}
    assert "url(" not in part(raw, "html").partition("<p ")[0]
    subject = parsed(raw)["Subject"].replace("= ?", "=?").split()
    assert page.words == [*subject, *subject, *text_of(raw).split()]


# Options


@pytest.mark.parametrize(
    "text",
    [
        "", "ops", "ops@", "@school.example", "a@b@c", "a b@school.example", "ops@school.example, b@c",
        "ops@school.example\r\nBcc: x@y", "ops@school.example\u2028x", "ops@sch ool.example", "<ops@school.example",
        "ops@school.example>", "Ops\r\n <ops@school.example>", "ops@-school.example", "ops@school..example",
        "öps@school.example", "ops@10.0.0.1", "a..b@school.example", ".a@school.example", "ops@" + "a" * 64 + ".example",
        "x" * 65 + "@school.example", "ops@school.example SIZE=1", "ops\x00@school.example",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"`to` holds .* which is not an e-mail address"):
        EmailNotifier(to=[text])
    with pytest.raises(ValueError, match=r"`from` holds .* which is not an e-mail address"):
        EmailNotifier(to=["ops@school.example"], sender=text)


@pytest.mark.parametrize(
    ("text", "address", "header"),
    [
        ("ops@school.example", "ops@school.example", "ops@school.example"),
        ("root@localhost", "root@localhost", "root@localhost"),
        ("Ops Team <ops@school.example>", "ops@school.example", "Ops Team <ops@school.example>"),
        ('"Team, Ops" <ops@school.example>', "ops@school.example", '"Team, Ops" <ops@school.example>'),
        ("Schöne Grüße 🚨 <ops@school.example>", "ops@school.example", "Schöne Grüße 🚨 <ops@school.example>"),
        ("ops@bücher.example", "ops@xn--bcher-kva.example", "ops@xn--bcher-kva.example"),
        ("ops+alerts@school.example", "ops+alerts@school.example", "ops+alerts@school.example"),
        ("ops@[192.0.2.1]", "ops@[192.0.2.1]", "ops@[192.0.2.1]"),
        (
            "=?utf-8?q?x=0aBcc:_y@z?= <ops@school.example>",
            "ops@school.example",
            '"= ?utf-8?q?x=0aBcc:_y@z?=" <ops@school.example>',
        ),
    ],
)
def test_an_address_may_have_a_name_and_a_domain_in_any_script(text: str, address: str, header: str) -> None:
    assert EmailNotifier(to=[text]).address == address
    assert parsed(letter(an_alert(), sender=text, to=text))["To"] == header
    assert parsed(letter(an_alert(), sender=text, to=text))["From"] == header


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"to": []}, "`to` must name 1 to 50 addresses"),
        ({"to": ["ops@school.example"] * 51}, "`to` must name 1 to 50 addresses"),
        ({"server": ""}, "`server`: "),
        ({"server": "mail\r\nserver"}, "`server`: "),
        ({"port": 0}, "`port` must be from 1 to 65535"),
        ({"port": 65536}, "`port` must be from 1 to 65535"),
        ({"user": "u"}, "`user` and `password` go together"),
        ({"password": Secret(PASSWORD)}, "`user` and `password` go together"),
        ({"user": "u", "password": Secret(f"{PASSWORD}\0")}, "must not hold NUL"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        EmailNotifier(**({"to": ["ops@school.example"]} | options))

    assert PASSWORD not in str(caught.value)
