"""Do a TLS handshake and look at what was presented: chain, host name, expiry, keys, signatures and version.

Whatever fails, the presented chain is kept. A weak key or signature is no outage but a warning: the handshake admits
it, and the verdict says it.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import msgspec

from laya_uptime.adapters.net.dialogue import Conversation, Expect, Send, StartTls, Step
from laya_uptime.adapters.net.exchange import trusted
from laya_uptime.adapters.net.faults import fault
from laya_uptime.domain.payload import written
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Seen
from laya_uptime.domain.urls import canonical_host, endpoint, parse_endpoint
from laya_uptime.ports import Connection, Fault, Purpose, Reach

_PORTS = {"smtp": 25, "imap": 143, "pop3": 110, "ftp": 21, "postgres": 5432}
_HTTPS = 443

# How each protocol turns to TLS. Replies are read to the end of their last line, because TLS begins right after it.
_REFUSED = r"^[45]\d\d[ \r].*\n"

# How each protocol turns to TLS. Answers are read to the end of their last line, because TLS begins right after it.
_TURNS: dict[str, tuple[Step, ...]] = {
    "smtp": (  # RFC 3207; of an answer of several lines the last has no hyphen after its code, RFC 5321 section 4.2
        Expect(r"^220[ \r].*\n", unless=_REFUSED, meaning="a greeting with 220"),
        Send(written(r"EHLO laya-uptime.invalid\r\n")),
        Expect(r"^250[ \r].*\n", unless=_REFUSED, meaning="250 to EHLO"),
        Send(written(r"STARTTLS\r\n")),
        Expect(r"^220[ \r].*\n", unless=_REFUSED, meaning="220 to STARTTLS"),
    ),
    "imap": (  # RFC 3501 section 6.2.1
        Expect(r"^\* OK.*\n", unless=r"^\* (?:BYE|NO|BAD).*\n", meaning="a greeting with OK"),
        Send(written(r"a STARTTLS\r\n")),
        Expect(r"^a OK.*\n", unless=r"^a (?:NO|BAD).*\n", meaning="OK to STARTTLS"),
    ),
    "pop3": (  # RFC 2595 section 4
        Expect(r"^\+OK.*\n", unless=r"^-ERR.*\n", meaning="a greeting with +OK"),
        Send(written(r"STLS\r\n")),
        Expect(r"^\+OK.*\n", unless=r"^-ERR.*\n", meaning="+OK to STLS"),
    ),
    "ftp": (  # RFC 4217 section 4
        Expect(r"^220[ \r].*\n", unless=_REFUSED, meaning="a greeting with 220"),
        Send(written(r"AUTH TLS\r\n")),
        Expect(r"^234[ \r].*\n", unless=_REFUSED, meaning="234 to AUTH TLS"),
    ),
    "postgres": (  # PostgreSQL's protocol 3.0, message flow, SSL session encryption: one byte answers
        Send(written(r"\x00\x00\x00\x08\x04\xd2\x16\x2f")),
        Expect(r"\AS", unless=r"\A[^S]", meaning="S to the request for TLS"),
    ),
}


class TlsCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: tls`, and the probe they configure."""

    url: str  # tls://host[:port]
    ca_file: str | None = None  # trusted instead of the system's authorities
    server_name: str | None = None  # whom the certificate must be for; None: the host
    starttls: Literal["smtp", "imap", "pop3", "ftp", "postgres"] | None = None
    min_version: Literal["1.2", "1.3"] = "1.2"

    def __post_init__(self) -> None:
        """Raise ValueError with a plain sentence where the address or the name is none."""
        _ = self.target
        if self.server_name is not None:
            try:
                canonical_host(self.server_name)
            except ValueError as error:
                raise ValueError(f"`server_name`: {error}") from None

    @property
    def target(self) -> str:
        """Return tls://host:port."""
        return endpoint("tls", *self._place)

    async def probe(self, via: Reach, *, timeout: timedelta) -> Seen:  # noqa: ASYNC109  it keeps what was seen until then
        """Look once, on a fresh connection. An outage is returned, never raised; so is a passed deadline."""
        conversation = Conversation(via.clock)
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                await self._shake_hands(conversation, via)
        except Fault as fault_:
            return replace(fault_.failure, evidence=conversation.evidence())
        except TimeoutError:  # every other one has become a Fault by now
            return conversation.overdue(timeout)
        return Answer(conversation.evidence())

    @property
    def _place(self) -> tuple[str, int]:
        usual = _HTTPS if self.starttls is None else _PORTS[self.starttls]
        return parse_endpoint(self.url, scheme="tls", default_port=usual)

    async def _shake_hands(self, conversation: Conversation, via: Reach) -> None:
        host, port = self._place
        trail = conversation.trail
        context = trusted(via, trail, ca_file=self.ca_file, speaks_http=False, admits_weak=True)
        connection: Connection | None = None

        async def start_tls() -> None:
            assert connection is not None
            await connection.start_tls(context, canonical_host(self.server_name or host))

        try:
            connection = await via.connect(host, port, purpose=Purpose.CHECK, explicit=True, trail=trail)
            before = () if self.starttls is None else _TURNS[self.starttls]
            await conversation.hold(connection, [*before, StartTls()], start_tls=start_tls)
        finally:
            if connection is not None:
                connection.close()
        spoken = trail.tls.version if trail.tls is not None else None
        if self.min_version == "1.3" and spoken != "TLSv1.3":
            detail = f"the server speaks {spoken or 'an unknown version'} at best, TLSv1.3 is the least"
            raise fault(Reason.TLS_HANDSHAKE, detail, conversation.evidence())
