"""What the engine needs from the world. Adapters implement these; nothing here does anything itself.

Every port has a contract suite in `laya_uptime.testing` that each of its adapters inherits.
"""

import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from laya_uptime.domain.alert import Alert, Statistics
from laya_uptime.domain.change import Attempt, Change, Memory
from laya_uptime.domain.dns import NameServer
from laya_uptime.domain.group import Rule
from laya_uptime.domain.heartbeat import Rhythm
from laya_uptime.domain.incident import Followed, Incident
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.result import DnsFacts, Failure, Phases, Result, Seen, TlsFacts
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.status import Health
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


class Trail(Protocol):
    """Where a connection notes what it sees as it sees it, so that a deadline loses nothing of it.

    Whoever sets the deadline makes one per exchange; the dialer and the connection write it.
    """

    addresses: tuple[str, ...]
    address: str | None
    tls: TlsFacts | None
    dns: DnsFacts | None

    def enter(self, phase: str | None) -> None:
        """End the step under way, if any, and begin this one; None: only end it."""
        ...

    @property
    def phases(self) -> Phases:
        """Return how long each step took, the one under way until now."""
        ...


class Reach(Protocol):
    """How a check or a notifier of one region reaches the network: through the one guarded dialer, and no other way."""

    clock: Clock

    async def connect(
        self,
        host: str,
        port: int,
        *,
        purpose: Purpose,
        explicit: bool = False,
        resolver: NameServer | None = None,
        trail: Trail | None = None,
    ) -> Connection:
        """Resolve, vet and connect.

        `resolver` alone is asked for the name, without hosts file and search domains; None: as this machine looks names
        up. `explicit` says that a person wrote this very host into the configuration; notifications reach private and
        loopback addresses only then. Raise `Fault` (with reason, detail and partial evidence) when there is no connection to be
        had. The caller sets the deadline, and gives a `trail` where it wants to know how far things got by then.
        """
        ...

    async def ask(
        self,
        name: str,
        record: str,
        *,
        resolver: NameServer | None = None,
        dnssec: bool = False,
        trail: Trail | None = None,
    ) -> DnsFacts:
        """Ask a name server for this very name, again and again until it answers; None: those of this machine.

        An error code is an answer. `dnssec` asks for proof, whether or not the server checks it. Raise `Fault` where
        there is no answer to be had, ValueError where the name or the type of the record is none. The caller sets the
        deadline.
        """
        ...

    async def echo(
        self, host: str, *, version: Literal[4, 6] | None = None, trail: Trail | None = None
    ) -> socket.socket:
        """Resolve, vet, and return a connected, non-blocking ICMP socket on which nothing was sent yet.

        `version` None: whichever IP version comes first for the name and has a route. Raise `Fault` as `connect` does;
        it is INTERNAL, with the remedy, where the system does not give such a socket to this user.
        """
        ...

    def context(
        self,
        *,
        ca_file: str | None = None,
        insecure: bool = False,
        speaks_http: bool = True,
        admits_weak: bool = False,
    ) -> ssl.SSLContext:
        """Return the shared TLS context with these options.

        `speaks_http` offers http/1.1 to the server; `admits_weak` lets weak keys and signatures pass, for a check that
        judges them itself. Raise OSError where the file of authorities is of no use.
        """
        ...


@runtime_checkable
class Placed(Protocol):
    """Options that name files of the person's: in a configuration file, relative paths count from its directory."""

    def placed(self, directory: Path) -> "Check":
        """Return the check with its paths made absolute. Raise ValueError where a file that must be there is not."""
        ...


class Check(Protocol):
    """One type of check with its options, able to probe its target once."""

    @property
    def target(self) -> str:
        """Return the target as people may see it, without credentials."""
        ...

    async def probe(self, via: Reach, *, timeout: timedelta) -> Seen:  # noqa: ASYNC109  see below
        """Look once, on a fresh connection. An outage is returned, never raised.

        The total deadline is kept by the check itself, because only it knows what was seen until then. The prober
        adds a small grace and cancels a check that overstays.
        """
        ...


@runtime_checkable
class Unprobed(Check, Protocol):
    """Options of a check that looks at nothing by itself, and so is watched in its own way."""

    @property
    def usual(self) -> Monitor:
        """Return the settings that hold where the monitor itself says nothing; those under `defaults` are not for it."""
        ...

    @property
    def unused(self) -> Mapping[str, str]:
        """Return the keys of settings that mean nothing here, each with its remedy."""
        ...


@runtime_checkable
class Listening(Check, Protocol):
    """Options of a heartbeat: somebody else reports, and the engine keeps the time."""

    @property
    def rhythm(self) -> Rhythm:
        """Return when a report is due."""
        ...

    @property
    def token(self) -> Secret | None:
        """Return what lets a report in over HTTP; None: none comes that way."""
        ...


@runtime_checkable
class RollingUp(Check, Protocol):
    """Options of a roll-up: the engine makes its verdict from what is believed of its members."""

    @property
    def members(self) -> Sequence[str]:
        """Return the members: as they are written, and once `resolved` their ids."""
        ...

    @property
    def rule(self) -> Rule:
        """Return how many of them must pass."""
        ...

    def resolved(self, ids: Mapping[str, str]) -> "Check":
        """Return the check with the id of each member. Raise KeyError for one that is not there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A monitor and the check that looks at it. `position` is where it was configured, e.g. "monitors.yaml:12:3"."""

    monitor: Monitor
    check: Check
    position: str = ""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """An alert under lease: its deliverer is the only one until the lease ends."""

    alert: Alert
    attempts: int  # made so far, without this one
    expires_at: datetime


Write = Change | Attempt


class Store(Protocol):
    """The ledger. One process owns it; each commit is one transaction, durable when it returns.

    Every method raises StoreError when the database does not take or give something; nothing is half done then.
    """

    async def open(self, monitors: Sequence[Monitor], channels: Sequence[str], *, at: datetime) -> Memory:
        """Make the store ready and return what it remembers, also of monitors that are not among these any more.

        Leases that a dead process left behind are cleared. Raise StoreCorrupt or StoreTooNew where the file cannot be
        used, DataDirectoryError where it cannot be written.
        """
        ...

    async def commit(self, writes: Sequence[Write], *, seq: int, at: datetime) -> None:
        """Write all of it, and that this process was alive at `at`, or nothing.

        `seq` numbers the commits of this store without a gap; one that has been written before is left alone, so a
        commit whose outcome is in doubt can be repeated.
        """
        ...

    async def claim(
        self, capacity: Mapping[str, int], *, owner: str, at: datetime, lease: timedelta
    ) -> Sequence[Claimed]:
        """Lease due alerts to `owner`, at most `capacity` many per channel, oldest first.

        Alerts of one incident for one channel are given out one at a time and in order.
        """
        ...

    async def next_due(self, channels: Sequence[str]) -> datetime | None:
        """Return when the next alert for these channels can be claimed; None: nothing waits."""
        ...

    async def prune(self, *, before: datetime) -> int:
        """Delete raw results and finished deliveries older than that, a bounded piece at a time; return how many."""
        ...

    async def set_aside(self, *, at: datetime) -> str:
        """Move a database that cannot be used out of the way, whole, and return where it is now. `open` starts afresh."""
        ...

    async def close(self) -> None:
        """Finish what was begun and close the file."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round of one monitor, judged: what was seen, and what it changed."""

    monitor: Monitor
    result: Result
    health: Health
    followed: Followed
    statistics: Statistics


class Listener(Protocol):
    """Who is told what the engine does, as it happens: the console, later the page. It must not block or raise."""

    def resumed(self, monitor: Monitor, incident: Incident) -> None:
        """Tell that an incident from before this start is still open."""
        ...

    def round_done(self, round_: Round) -> None:
        """Tell that a check was judged and its consequences decided."""
        ...

    def slot_over(self, monitor_id: str, due: datetime) -> None:
        """Tell that a slot is over: checked, passed over or cancelled."""
        ...

    def delivered(self, channel: Channel, alert: Alert) -> None:
        """Tell that a channel took an alert."""
        ...

    def delivery_failed(self, channel: Channel, alert: Alert, cause: str, *, wait: timedelta | None) -> None:
        """Tell that a channel did not take an alert; it is tried again after `wait`, None: given up."""
        ...

    def trouble(self, text: str) -> None:
        """Tell in one sentence that something of our own does not work."""
        ...

    def relief(self, text: str) -> None:
        """Tell in one sentence that it works again."""
        ...


class Watchdog(Protocol):
    """The service manager that wants to hear that we are alive."""

    def ready(self) -> None:
        """Say that start-up is done."""
        ...

    def alive(self) -> None:
        """Say that work gets done. Called only after a committed heartbeat row, or in declared trouble."""
        ...

    def stopping(self) -> None:
        """Say that shutdown has begun."""
        ...
