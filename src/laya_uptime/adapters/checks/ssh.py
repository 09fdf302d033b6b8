"""Ask an SSH server who it is (RFC 4253 section 4.2), and leave before any keys are exchanged.

Each side begins with one line, `SSH-2.0-OpenSSH_9.2p1`; a server may say other lines before it. That line is what `text`
holds. Ours is sent back, so that the server's log says who was there.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta

import msgspec

from laya_uptime.adapters.net.dialogue import Conversation, Expect, Send
from laya_uptime.domain.payload import written
from laya_uptime.domain.result import Answer, Seen
from laya_uptime.domain.urls import endpoint, parse_endpoint
from laya_uptime.ports import Connection, Fault, Purpose, Reach

_PORT = 22
_STEPS = (
    # 1.99 is a server that speaks version 2 and the one before it, RFC 4253 section 5.1.
    Expect(r"^SSH-(2\.0|1\.99)-.*\n", unless=r"^SSH-.*\n", meaning="a greeting of SSH 2.0"),
    Send(written(r"SSH-2.0-laya_uptime\r\n")),
)


class SshCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: ssh`, and the probe they configure."""

    url: str  # ssh://host[:port]

    def __post_init__(self) -> None:
        """Raise ValueError with a plain sentence where the address is none."""
        _ = self.target

    @property
    def target(self) -> str:
        """Return ssh://host:port."""
        return endpoint("ssh", *self._place)

    async def probe(self, via: Reach, *, timeout: timedelta) -> Seen:  # noqa: ASYNC109  it keeps what was seen until then
        """Look once, on a fresh connection. An outage is returned, never raised; so is a passed deadline."""
        conversation = Conversation(via.clock)
        connection: Connection | None = None
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                host, port = self._place
                connection = await via.connect(
                    host, port, purpose=Purpose.CHECK, explicit=True, trail=conversation.trail
                )
                await conversation.hold(connection, _STEPS)
        except Fault as fault:
            return replace(fault.failure, evidence=conversation.evidence())
        except TimeoutError:  # every other one has become a Fault by now
            return conversation.overdue(timeout)
        finally:
            if connection is not None:
                connection.close()
        return Answer(conversation.evidence())

    @property
    def _place(self) -> tuple[str, int]:
        return parse_endpoint(self.url, scheme="ssh", default_port=_PORT)
