"""One SMTP session: greeting, encryption, login, envelope, message (RFC 5321, 3207, 4954).

aiosmtplib reads and writes the lines, and bounds how long a reply may be; the order of things is ours, because it has
to be exact about three points: where the password may be said, when a message counts as taken, and that every way out
closes the socket at once. Nothing here sets a deadline; whoever calls cancels.
"""

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from aiosmtplib import SMTPException, SMTPResponse, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.auth import auth_crammd5_verify, auth_login_encode, auth_plain_encode
from aiosmtplib.esmtp import parse_esmtp_extensions
from aiosmtplib.protocol import SMTPProtocol

from laya_uptime.adapters.net.faults import words
from laya_uptime.adapters.net.tls import trouble
from laya_uptime.adapters.notifiers.email.address import Mailbox
from laya_uptime.domain.secret import DOTS, Secret
from laya_uptime.domain.text import cut, one_line
from laya_uptime.domain.urls import canonical_host
from laya_uptime.errors import DeliveryError
from laya_uptime.failpoints import fp

_REPLY = 160  # of a server's own words in a cause
_ENCRYPTED = ("plain", "login", "cram-md5")
_IN_THE_CLEAR = ("cram-md5", "plain", "login")  # where `tls: none` was asked for, at least try not to say the password
_LOGIN_WANTED = frozenset({530, 534, 535, 538})
_NO_SUCH_COMMAND = frozenset({500, 502, 504})


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to the mail server."""

    user: str
    password: Secret


class Session:
    """A conversation with one server over one connected socket. Close it whatever happens."""

    def __init__(self, transport: asyncio.Transport, protocol: SMTPProtocol, server: str, login: Login | None) -> None:
        """Use `over` instead."""
        self._transport = transport
        self._protocol = protocol
        self._server = server
        self._login = login
        self._encrypted = False
        self._extensions: dict[str, str] = {}
        self._methods: list[str] = []

    @classmethod
    async def over(cls, connected: socket.socket, *, server: str, login: Login | None) -> Self:
        """Take over a connected socket. It is closed if that fails."""
        loop = asyncio.get_running_loop()
        try:
            transport, protocol = await loop.create_connection(lambda: SMTPProtocol(loop), sock=connected)
        except BaseException:
            connected.close()
            raise
        return cls(transport, protocol, server, login)

    def close(self) -> None:
        """Drop the connection at once. A server that does not read cannot keep it open."""
        self._transport.abort()

    async def open(self, context: ssl.SSLContext | None, *, implicit: bool) -> None:
        """Greet, encrypt where `context` is given, and log in where there is a login."""
        if context is not None and implicit:
            await self._encrypt(context)
        self._expect(await self._answer(self._protocol.read_response()), 220)
        await self._greet()
        if context is not None and not implicit:
            if "starttls" not in self._extensions:
                raise DeliveryError(f"{self._server} does not offer STARTTLS", retry=True)
            self._expect(await self._command(b"STARTTLS"), 220)
            await self._encrypt(context)
            await self._greet()  # RFC 3207 section 4.2: what was said in the clear does not count
        if self._login is not None:
            await self._log_in(self._login)

    async def address(self, sender: Mailbox, recipients: Sequence[Mailbox]) -> list[str]:
        """Say the envelope and return whom the server refused, with its reason. Raise where nobody is left."""
        self._expect(await self._command(b"MAIL", b"FROM:" + sender.path), 250)
        refusals: list[tuple[Mailbox, SMTPResponse]] = []
        for recipient in recipients:
            reply = await self._command(b"RCPT", b"TO:" + recipient.path)
            if reply.code == 421:  # the server is leaving
                raise self._refusal(reply)
            if reply.code not in {250, 251}:
                refusals.append((recipient, reply))
        if len(refusals) == len(recipients):
            raise self._refusal(min((reply for _, reply in refusals), key=lambda reply: reply.code))
        return [f"{recipient.address} ({reply.code} {self._words(reply)})" for recipient, reply in refusals]

    async def hand_over(self, message: bytes) -> None:
        """Send the message. Returning means that the server has taken it."""
        self._expect(await self._command(b"DATA"), 354)
        # RFC 5321 section 4.5.2: a line that begins with a dot gets another one.
        payload = message.replace(b"\r\n.", b"\r\n..").removesuffix(b"\r\n") + b"\r\n.\r\n"
        half = len(payload) // 2
        self._protocol.write(payload[:half])
        fp("delivery.body_half_sent")
        self._protocol.write(payload[half:])
        fp("delivery.bytes_sent")
        reply = await self._answer(self._protocol.read_response())
        fp("delivery.response_read")
        self._expect(reply, 250)
        # The answer to QUIT is not awaited: a server that is slow to part must not turn a delivered message into a
        # failed one, which would be sent again.
        with contextlib.suppress(SMTPServerDisconnected):
            self._protocol.write(b"QUIT\r\n")

    async def _greet(self) -> None:
        name = self._our_name()
        reply = await self._command(b"EHLO", name)
        if reply.code in _NO_SUCH_COMMAND:
            self._extensions, self._methods = {}, []
            self._expect(await self._command(b"HELO", name), 250)
            return
        self._expect(reply, 250)
        self._extensions, self._methods = parse_esmtp_extensions(reply.message)

    def _our_name(self) -> bytes:
        """Return our address as a literal (RFC 5321 section 4.1.3), since looking up a host name could block."""
        host = str(self._transport.get_extra_info("sockname")[0]).partition("%")[0]
        return f"[IPv6:{host}]".encode() if ":" in host else f"[{host}]".encode()

    async def _encrypt(self, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        name = canonical_host(self._server).removesuffix(".").partition("%")[0]
        encrypted = await loop.start_tls(self._transport, self._protocol, context, server_hostname=name)
        if encrypted is None:
            raise DeliveryError(f"{self._server} closed the connection", retry=True)
        self._transport = self._protocol.transport = encrypted
        self._encrypted = True

    async def _log_in(self, login: Login) -> None:
        methods = [method for method in (_ENCRYPTED if self._encrypted else _IN_THE_CLEAR) if method in self._methods]
        if not methods:
            raise DeliveryError(f"{self._server} offers no login that we know", retry=True)
        for method in methods:
            reply = await self._try_login(method, login.user, login.password.reveal())
            if reply.code == 235:
                return
            if reply.code not in _NO_SUCH_COMMAND:  # some servers offer what they cannot do
                break
        # Always worth another try: wrong credentials are mostly put right on the server's side.
        raise DeliveryError(f"SMTP {reply.code} from {self._server}: login refused", retry=True)

    async def _try_login(self, method: str, user: str, password: str) -> SMTPResponse:
        if method == "plain":
            return await self._command(b"AUTH", b"PLAIN", auth_plain_encode(user, password))
        reply = await self._command(b"AUTH", method.upper().encode())
        if method == "login":
            for step in auth_login_encode(user, password):
                if reply.code != 334:
                    break
                reply = await self._command(step)
        elif reply.code == 334:
            try:
                digest = auth_crammd5_verify(user, password, reply.message)
            except (ValueError, SMTPException):  # no MD5 on a hardened machine, or a challenge that is none
                await self._command(b"*")  # RFC 4954 section 4: give this method up
                return SMTPResponse(504, "")
            reply = await self._command(digest)
        return reply

    async def _command(self, *words: bytes) -> SMTPResponse:
        return await self._answer(self._protocol.execute_command(*words))

    async def _answer(self, reply: Awaitable[SMTPResponse]) -> SMTPResponse:
        try:
            return await reply
        except SMTPServerDisconnected as error:
            raise DeliveryError(f"{self._server} closed the connection", retry=True) from error
        except SMTPResponseException as error:  # too long, or no reply code: its text is the server's
            raise DeliveryError(f"{self._server} does not answer like a mail server", retry=True) from error

    def _expect(self, reply: SMTPResponse, code: int) -> None:
        if reply.code != code:
            raise self._refusal(reply)

    def _refusal(self, reply: SMTPResponse) -> DeliveryError:
        """Return the error for a reply: 5xx is final, unless it is about who we are; all else may pass."""
        final = 500 <= reply.code < 600 and reply.code not in _LOGIN_WANTED
        words = self._words(reply)
        return DeliveryError(f"SMTP {reply.code} from {self._server}{': ' if words else ''}{words}", retry=not final)

    def _words(self, reply: SMTPResponse) -> str:
        """Return the server's own words on one line, without what we told it in confidence."""
        words = one_line(reply.message)
        if self._login is not None:
            password = self._login.password.reveal()
            told = (auth_plain_encode(self._login.user, password), base64.b64encode(password.encode()))
            for secret in (password, *(text.decode("ascii") for text in told)):
                words = words.replace(secret, DOTS)
        return cut(words, _REPLY)


def fault(error: OSError, server: str, *, now: datetime) -> DeliveryError:
    """Return the delivery error for a connection that broke: always worth another try."""
    match error:
        case ssl.SSLCertVerificationError():
            why = error.verify_message.rstrip(".") or "the certificate cannot be verified"
            return DeliveryError(cut(one_line(f"TLS with {server} failed: {why}"), _REPLY), retry=True)
        case ssl.SSLError():
            why = trouble(error, (), host=server, now=now).detail
            return DeliveryError(cut(one_line(f"TLS with {server} failed: {why}"), _REPLY), retry=True)
        case OSError() if error.errno is not None:
            return DeliveryError(words(error)[1], retry=True)
        case _:
            return DeliveryError(f"{server} closed the connection", retry=True)
