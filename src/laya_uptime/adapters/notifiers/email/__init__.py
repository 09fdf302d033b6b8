"""Alerts as e-mail, handed to one mail server over SMTP.

The connection is made by the guarded dialer and encrypted before anything is said on it, unless `tls: none` asks for
the contrary. A message counts as delivered when the server has answered the end of its data with 2xx. Recipients that
the server refuses beside others that it accepts are named in the message the others get, because repeating it would
wake those twice.
"""

import ssl
from typing import Literal

import msgspec

from laya_uptime.adapters.notifiers.email.address import Mailbox
from laya_uptime.adapters.notifiers.email.letter import compose
from laya_uptime.adapters.notifiers.email.session import Login, Session, fault
from laya_uptime.domain.alert import Alert
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.text import cut, one_line
from laya_uptime.domain.urls import canonical_host
from laya_uptime.errors import DeliveryError
from laya_uptime.failpoints import fp
from laya_uptime.ports import Connection, Fault, Purpose, Reach

_CAUSE = 200


class EmailNotifier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: email`, and the channel they configure."""

    to: list[str]
    sender: str = msgspec.field(default="monitoring@laya.local", name="from")
    server: str = "localhost"
    port: int = 587
    user: str | None = None
    password: Secret | None = None
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    ca_file: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where an option cannot be used."""
        if not 1 <= len(self.to) <= 50:
            raise ValueError("`to` must name 1 to 50 addresses")
        for text in self.to:
            Mailbox.parse(text, option="to")
        Mailbox.parse(self.sender, option="from")
        try:
            canonical_host(self.server)
        except ValueError as error:
            message = f"`server`: {error}"
            raise ValueError(message) from None
        if not 1 <= self.port <= 65535:
            raise ValueError("`port` must be from 1 to 65535")
        if bool(self.user) != bool(self.password):
            raise ValueError("`user` and `password` go together: set both or neither")
        if "\0" in (self.user or "") or (self.password is not None and "\0" in self.password.reveal()):
            raise ValueError("`user` and `password` must not hold NUL characters")

    @property
    def address(self) -> str:
        """Return the addresses that are told."""
        return ", ".join(Mailbox.parse(text, option="to").address for text in self.to)

    async def deliver(self, alert: Alert, via: Reach) -> None:
        """Hand the message to the mail server. Raise DeliveryError where it was not taken for anybody."""
        sender = Mailbox.parse(self.sender, option="from")
        recipients = [Mailbox.parse(text, option="to") for text in self.to]
        context = self._context(via)
        fp("delivery.before_connect")
        connection = await self._connect(via)
        session = await Session.over(connection.detach(), server=self.server, login=self._login())
        try:
            await session.open(context, implicit=self.tls == "implicit")
            refused = await session.address(sender, recipients)
            letter = compose(alert, sender=sender, to=recipients, refused=refused, sent_at=via.clock.now())
            await session.hand_over(letter)
        except OSError as error:
            raise fault(error, self.server, now=via.clock.now()) from error
        finally:
            session.close()

    async def _connect(self, via: Reach) -> Connection:
        try:
            return await via.connect(self.server, self.port, purpose=Purpose.NOTIFICATION, explicit=True)
        except Fault as error:
            cause = cut(one_line(error.failure.detail), _CAUSE)
            raise DeliveryError(cause, retry=error.failure.reason is not Reason.BLOCKED_BY_POLICY) from error

    def _context(self, via: Reach) -> ssl.SSLContext | None:
        if self.tls == "none":
            return None
        try:
            # Mail servers that look (Exim) hang up on a client that says it wants HTTP.
            return via.context(ca_file=self.ca_file, speaks_http=False)
        except OSError as error:
            raise DeliveryError("the certificates in `ca_file` cannot be read", retry=True) from error

    def _login(self) -> Login | None:
        return Login(self.user, self.password) if self.user and self.password else None
