"""What the engine needs from the world. Adapters implement these; nothing here does anything itself.

Every port has a contract suite in `laya_uptime.testing` that each of its adapters inherits.
"""

import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol, TypeGuard, runtime_checkable

from laya_uptime.domain.alert import Alert
from laya_uptime.domain.change import Attempt, Change, Memory
from laya_uptime.domain.dns import NameServer
from laya_uptime.domain.group import Rule
from laya_uptime.domain.heartbeat import Rhythm
from laya_uptime.domain.incident import Followed, Incident
from laya_uptime.domain.load import Load
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.result import Attempted, DnsFacts, Failure, Phases, Result, Seen, TlsFacts
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


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What we show to a server that wants to know us: PEM files, the key perhaps in the certificate's own."""

    certificate: str
    key: str | None = None


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
    attempts: tuple[Attempted, ...]
    tls: TlsFacts | None
    dns: DnsFacts | None

    def enter(self, phase: str | None) -> None:
        """End the step under way, if any, and begin this one; None: only end it."""
        ...

    @property
    def phases(self) -> Phases:
        """Return how long each step took, the one under way until now."""
        ...


# What a handler is told, by epoll's numbers.
READABLE = 0x001
WRITABLE = 0x004
FAILED = 0x008
HUNG_UP = 0x010
CLOSED = 0x2000  # the peer will send no more

Handler = Callable[[int], None]
Alarm = Callable[[], None]


class Poll(Protocol):
    """Who waits for sockets and deadlines. Everything is called in the loop's thread."""

    view: memoryview  # 64 KiB that whoever reads may use until it returns
    tells_failure: bool  # False: a connection that failed is merely writable, and must be asked

    def watch(self, descriptor: int, handler: Handler) -> None:
        """Call `handler` with the events of this socket from now on. A socket that is watched gets a new handler."""
        ...

    def wait_to_write(self, descriptor: int, handler: Handler) -> None:
        """Call `handler` when a socket that was full can be written to again."""
        ...

    def forget(self, descriptor: int) -> None:
        """Call nobody any more, for a socket that lives on elsewhere."""
        ...

    def closing(self, descriptor: int) -> None:
        """Call nobody any more, for a socket that is closed next."""
        ...

    def alarm(self, seconds: float, ring: Alarm) -> int:
        """Call `ring` after so many seconds, rounded up to the next bucket. Return what `silence` needs."""
        ...

    def silence(self, alarm: int) -> None:
        """Take an alarm back; one that has rung is no mistake."""
        ...

    def close(self) -> None:
        """Let go of the loop."""
        ...


class Dialling(Protocol):
    """A connection on its way."""

    def cancel(self) -> None:
        """Give it up; nobody is called any more. No mistake where it is over."""
        ...


class Reach(Protocol):
    """How a check or a notifier of one region reaches the network: through the one guarded dialer, and no other way."""

    clock: Clock

    @property
    def poll(self) -> Poll:
        """Return who waits for sockets in the running loop."""
        ...

    def dial(
        self,
        host: str,
        port: int,
        done: Callable[[socket.socket | Fault], None],
        *,
        purpose: Purpose,
        explicit: bool = False,
        resolver: NameServer | None = None,
        version: Literal[4, 6] | None = None,
        trail: Trail,
    ) -> Dialling:
        """Resolve, vet and connect as `connect` does, and call `done` once with what came of it.

        The socket is non-blocking, connected, and watched by `poll` on behalf of nobody. `done` may be called before
        this returns. `version` None: both families, whichever answers first.
        """
        ...

    def refusal(self, host: str) -> str | None:
        """Return why somebody else must not be asked to connect to this host for us; None: he may be.

        Addresses are held against the egress policy. A name is looked up by whoever connects, so it passes here.
        """
        ...

    async def connect(
        self,
        host: str,
        port: int,
        *,
        purpose: Purpose,
        explicit: bool = False,
        resolver: NameServer | None = None,
        version: Literal[4, 6] | None = None,
        trail: Trail | None = None,
    ) -> Connection:
        """Resolve, vet and connect.

        `resolver` alone is asked for the name, without hosts file and search domains; None: as this machine looks names
        up. `explicit` says that a person wrote this very host into the configuration; notifications reach private and
        loopback addresses only then. Raise `Fault` (with reason, detail and partial evidence) when there is no connection to be
        had. The caller sets the deadline, and gives a `trail` where it wants to know how far things got by then.
        """
        ...

    async def vet(
        self,
        host: str,
        *,
        purpose: Purpose,
        explicit: bool = False,
        resolver: NameServer | None = None,
        version: Literal[4, 6] | None = None,
        trail: Trail | None = None,
    ) -> tuple[str, ...]:
        """Resolve and vet, and return the addresses that there is a route to, in the order in which to try them.

        For what cannot go through `connect`, as QUIC cannot; whoever asks sends nothing to any other address. The
        options are those of `connect`, and `Fault` is raised as there, also where nothing can be reached.
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
        client: ClientCertificate | None = None,
    ) -> ssl.SSLContext:
        """Return the shared TLS context with these options.

        `speaks_http` offers http/1.1 to the server; `admits_weak` lets weak keys and signatures pass, for a check that
        judges them itself; `insecure` verifies nothing. Raise OSError, whose text is a plain cause, where a file is of
        no use.
        """
        ...

    def fast_context(self, *, ca_file: str | None = None) -> object | None:
        """Return a context of the TLS library that is fast but has not the last word; None: there is none here."""
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


class Looking(Protocol):
    """A look under way."""

    def cancel(self) -> None:
        """Drop it at once; nobody is told any more. No mistake where it is over."""
        ...


class Prepared(Protocol):
    """A check made ready for one way out, so that a look costs no more than what it looks at."""

    def begin(self, timeout: timedelta, done: Callable[[Seen], None]) -> Looking:
        """Look once, as `Check.probe` does, and call `done` once with what was seen, perhaps before this returns.

        Nothing is raised, by this or by what goes on afterwards. The total deadline is kept here.
        """
        ...

    def close(self) -> None:
        """Let go of what is kept between two looks, such as an open connection. Never raises."""
        ...


@runtime_checkable
class Preparable(Protocol):
    """A check that offers the callback form beside `probe`: no task is made for it. The prober uses it where it is there."""

    def prepare(self, via: Reach) -> Prepared:
        """Return the check made ready. Kept as long as the monitor is watched."""
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


def is_unprobed(check: Check) -> TypeGuard[Unprobed]:
    """Say whether a check looks at nothing by itself. Cheap, so that it can be asked of every one of many monitors."""
    return hasattr(type(check), "unused") and isinstance(check, Unprobed)


@runtime_checkable
class Listening(Unprobed, Protocol):
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
class RollingUp(Unprobed, Protocol):
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

    @property
    def is_probed(self) -> bool:
        """Say whether somebody must look; else the service hears of it in another way."""
        return not is_unprobed(self.check)


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


class Overseer(Protocol):
    """Who is handed what probing saw. Called in the loop; it must not block or raise."""

    def seen(self, result: Result) -> None:
        """Take what one slot saw, judged. That ends the slot."""
        ...

    def slot_over(self, monitor_id: str, due: datetime) -> None:
        """Take note that a slot ended and nothing was seen: it was passed over or cancelled."""
        ...

    def trouble(self, text: str) -> None:
        """Take one sentence about something of our own that does not work."""
        ...

    def relief(self, text: str) -> None:
        """Take one sentence about something of our own that works again."""
        ...


class Probing(Protocol):
    """Looks at monitors whenever each is due, judges what it sees, hands that to its overseer and keeps nothing.

    It may do so in this loop or in other processes. A time in which it did not look leaves no results, so the status
    becomes unknown by itself; it never tells of a target what is true of itself.
    """

    @property
    def load(self) -> Load:
        """Return the counts. They may be a second old."""
        ...

    def is_turning(self, *, within: timedelta) -> bool:
        """Say whether slots have been looked at within this time, or that they are not has been told as trouble."""
        ...

    async def run(self) -> None:
        """Look for ever, and return once settled. Raise ProbingLost where that is no longer possible; run it again then."""
        ...

    def sooner(self, monitor_id: str) -> None:
        """Look again sooner than the interval says: what was seen last was news, and one look is not enough."""
        ...

    def put(self, watched: "Watched") -> None:
        """Look at this monitor from now on, at once and then on its phase; in place of the one that had its id."""
        ...

    def remove(self, monitor_id: str) -> None:
        """Look at it no more. What a check under way sees is thrown away."""
        ...

    def pause(self, monitor_id: str) -> None:
        """Begin no more checks of it until `resume`."""
        ...

    def resume(self, monitor_id: str) -> None:
        """Look at it again, as soon as that delays nothing, and then on its old phase."""
        ...

    async def settle(self, seconds: float) -> None:
        """Begin no more checks, wait so long for those under way and hand over what they saw; cancel the rest."""
        ...


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
