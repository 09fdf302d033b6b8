"""Open a TCP connection, and hold a conversation on it where one is configured.

Without a dialogue a connection that opens is all that is asked. With one, every step must be done in time: what is
expected must be said, and what the peer said instead is what the failure tells.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

import msgspec

from laya_uptime.adapters.net.dialogue import Conversation, Expect, Send, StartTls, Step
from laya_uptime.adapters.net.exchange import trusted
from laya_uptime.domain.pattern import PatternError, locator
from laya_uptime.domain.payload import Payload, check_bytes_are_clear
from laya_uptime.domain.result import Answer, Seen
from laya_uptime.domain.urls import canonical_host, endpoint, parse_endpoint
from laya_uptime.ports import Connection, Fault, Purpose, Reach


class DialogueStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of a dialogue: exactly one of send, expect and starttls."""

    send: Payload | None = None
    expect: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)] | None = None
    starttls: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError with a plain sentence where it is no one step, or its pattern cannot be used."""
        if (self.send is not None) + (self.expect is not None) + self.starttls != 1:
            raise ValueError("a step is exactly one of send, expect and starttls: true")
        if self.expect is not None:
            try:
                check_bytes_are_clear(self.expect)
                locator(self.expect)
            except PatternError as error:
                remedy = "; a character that means something in patterns needs a backslash before it, as in \\+OK"
                raise ValueError(f"`expect` is no pattern: {error.what}{remedy}") from error

    def steps(self) -> Iterator[Step]:
        """Yield the step as the conversation knows it."""
        if self.send is not None:
            yield Send(self.send)
        elif self.expect is not None:
            yield Expect(self.expect)
        else:
            yield StartTls()


class TcpCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: tcp`, and the probe they configure."""

    url: str | None = None  # tcp://host:port, or the two below
    host: str | None = None
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    tls: bool = False  # from the first byte on
    ca_file: str | None = None  # trusted instead of the system's authorities
    server_name: str | None = None  # whom the certificate must be for; None: the host
    dialogue: Annotated[tuple[DialogueStep, ...], msgspec.Meta(max_length=50)] = ()

    def __post_init__(self) -> None:
        """Raise ValueError with a plain sentence where these options describe no one check."""
        if self.url is not None and (self.host is not None or self.port is not None):
            raise ValueError("`host` and port stand in the url already")
        if self.url is None and (self.host is None or self.port is None):
            raise ValueError("write url: tcp://host:port, or both host and port")
        _ = self.target
        if self.server_name is not None:
            try:
                canonical_host(self.server_name)
            except ValueError as error:
                raise ValueError(f"`server_name`: {error}") from None
        turns = sum(step.starttls for step in self.dialogue) + self.tls
        if turns > 1:
            raise ValueError("`dialogue` turns to TLS more than once, or what is TLS from the first byte on")

    @property
    def target(self) -> str:
        """Return tcp://host:port."""
        return endpoint("tcp", *self._place)

    async def probe(self, via: Reach, *, timeout: timedelta) -> Seen:  # noqa: ASYNC109  it keeps what was seen until then
        """Look once, on a fresh connection. An outage is returned, never raised; so is a passed deadline."""
        conversation = Conversation(via.clock)
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                await self._converse(conversation, via)
        except Fault as fault:
            return replace(fault.failure, evidence=conversation.evidence())
        except TimeoutError:  # every other one has become a Fault by now
            return conversation.overdue(timeout)
        return Answer(conversation.evidence())

    @property
    def _place(self) -> tuple[str, int]:
        if self.url is not None:
            return parse_endpoint(self.url, scheme="tcp")
        assert self.host is not None
        assert self.port is not None
        try:
            return canonical_host(self.host), self.port
        except ValueError as error:
            raise ValueError(f"`host`: {error}") from None

    async def _converse(self, conversation: Conversation, via: Reach) -> None:
        host, port = self._place
        steps = [step for each in self.dialogue for step in each.steps()]
        if self.tls:
            steps.insert(0, StartTls())
        context = (
            trusted(via, conversation.trail, ca_file=self.ca_file, speaks_http=False)
            if any(isinstance(step, StartTls) for step in steps)
            else None
        )
        connection: Connection | None = None

        async def start_tls() -> None:
            assert connection is not None
            assert context is not None
            await connection.start_tls(context, canonical_host(self.server_name or host))

        try:
            connection = await via.connect(host, port, purpose=Purpose.CHECK, explicit=True, trail=conversation.trail)
            await conversation.hold(connection, steps, start_tls=start_tls)
        finally:
            if connection is not None:
                connection.close()
