"""What the engine needs from the world. Adapters implement these; nothing here does anything itself.

Every port has a contract suite in `laya_uptime.testing` that each of its adapters inherits.
"""

import socket
import ssl
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from laya_uptime.domain.alert import Alert
from laya_uptime.domain.result import Failure, Phases, Seen, TlsFacts
from laya_uptime.errors import LayaUptimeError


class Clock(Protocol):
    """Time, injected everywhere. `monotonic` never jumps; `now` is UTC and may."""

    def now(self) -> datetime:
        """Return the current instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds on a clock that only moves forward; its zero means nothing."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait this long on the monotonic clock. Zero or less only gives others a turn."""
        ...


class Fault(LayaUptimeError):
    """A connection or a handshake that failed, as the value a check returns: reason, detail and partial evidence."""

    def __init__(self, failure: Failure) -> None:
        """Carry the failure; its detail is the exception's text."""
        self.failure = failure
        super().__init__(failure.detail)


class Purpose(StrEnum):
    """Why a connection is opened: the egress policy differs (TRUST: two profiles)."""

    CHECK = "check"
    NOTIFICATION = "notification"


class Connection(Protocol):
    """One open stream to one vetted address. Every await on it may be cancelled by the caller's deadline."""

    @property
    def address(self) -> str:
        """Return the IP address at the other end, without the port."""
        ...

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return all addresses that the name resolved to, in the order in which they were tried."""
        ...

    @property
    def phases(self) -> Phases:
        """Return dns, connect and tls so far."""
        ...

    @property
    def tls(self) -> TlsFacts | None:
        """Return what the handshake showed; None before or without TLS."""
        ...

    async def start_tls(self, context: ssl.SSLContext, server_hostname: str) -> None:
        """Do the TLS handshake. Raise `Fault` with the facts when it fails."""
        ...

    async def send(self, data: bytes) -> None:
        """Send all of it. Raise OSError when the peer is gone."""
        ...

    async def receive(self, limit: int = 65536) -> bytes:
        """Return what has come, at most `limit` bytes; b"" at end of stream. Raise OSError on a reset."""
        ...

    def detach(self) -> socket.socket:
        """Hand the bare connected socket over (before TLS) and forget it."""
        ...

    def close(self) -> None:
        """Close at once. Never blocks and never raises."""
        ...


class Reach(Protocol):
    """How a check or a notifier of one region reaches the network: through the one guarded dialer, and no other way."""

    clock: Clock

    async def connect(self, host: str, port: int, *, purpose: Purpose, explicit: bool = False) -> Connection:
        """Resolve, vet and connect.

        `explicit` says that a person wrote this very host into the configuration; notifications reach private and
        loopback addresses only then. Raise `Fault` (with reason, detail and partial evidence) when there is no connection to be
        had. The caller sets the deadline.
        """
        ...

    def context(self, *, ca_file: str | None = None, insecure: bool = False) -> ssl.SSLContext:
        """Return the shared TLS context with these options."""
        ...


class Check(Protocol):
    """One type of check with its options, able to probe its target once."""

    @property
    def target(self) -> str:
        """Return the target as people may see it, without credentials."""
        ...

    async def probe(self, via: Reach) -> Seen:
        """Look once, on a fresh connection. An outage is returned, never raised. The prober sets the deadline."""
        ...


class Notifier(Protocol):
    """One kind of channel with its options, able to deliver one alert."""

    @property
    def address(self) -> str:
        """Return who is told, as people may see it: an e-mail address or a host, never a token."""
        ...

    async def deliver(self, alert: Alert, via: Reach) -> None:
        """Deliver it. Raise DeliveryError when the channel did not take it. The dispatcher sets the deadline."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A configured notifier: the id is its mapping key, the title the word in log lines ("Email", "Webhook")."""

    id: str
    kind: str
    title: str
    notifier: Notifier
