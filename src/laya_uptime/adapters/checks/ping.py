"""Send a few ICMP echoes and count who comes back, without privileges.

An answer counts only when it comes from the address that was asked and carries the bytes that were sent, which nobody
off the path can know. What routers say about an echo is read from the socket's error queue. Lost echoes alone are no
outage: only when none comes back is the target down.
"""

import asyncio
import errno
import re
import secrets
import socket
import struct
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated, Literal

import msgspec

from laya_uptime.adapters.net.faults import words
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Evidence, Failure, PingFacts, Seen
from laya_uptime.domain.urls import canonical_host, literal
from laya_uptime.ports import Clock, Fault, Reach

_URL = re.compile(r"ping://([^/?#@]+)/?", re.IGNORECASE)
_VERSIONS: dict[str, Literal[4, 6] | None] = {"any": None, "ipv4": 4, "ipv6": 6}

_HEADER = struct.Struct("!BBHHH")  # RFC 792, RFC 4443: type, code, checksum, identifier, sequence; the kernel fills two
_REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
_REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}
_PAYLOAD = 56  # bytes, as ping(8) sends
_LARGEST = 2048  # bytes of one datagram that are looked at
_PER_TURN = 32  # datagrams: a flood must not keep the loop from its deadlines
_LINGER = 1.0  # seconds that stragglers are waited for once somebody has answered

_EXTENDED = struct.Struct("=IBBBBII")  # linux/errqueue.h: errno, origin, type, code, pad, info, data
_FROM_ICMP = {2, 3}  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6
_OFFENDER = {socket.AF_INET: (4, 8), socket.AF_INET6: (8, 24)}  # where its address stands in a sockaddr
_SAID = {
    errno.EHOSTUNREACH: "Host is unreachable",
    errno.ENETUNREACH: "Network is unreachable",
    errno.EACCES: "Host is unreachable, by a rule",
}
_TIME_EXCEEDED = {(2, 11), (3, 3)}


class PingCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: ping`, and the probe they configure."""

    url: str  # ping://host
    count: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    gap: timedelta = timedelta(milliseconds=200)  # from one echo to the next
    family: Literal["any", "ipv4", "ipv6"] = "any"

    def __post_init__(self) -> None:
        """Raise ValueError with a plain sentence where nothing can be pinged with this."""
        address = literal(self._host)
        if address is not None and _VERSIONS[self.family] not in {None, address.version}:
            raise ValueError(f"the host is an IPv{address.version} address and no {self.family} one")
        if not timedelta(milliseconds=10) <= self.gap <= timedelta(seconds=10):
            raise ValueError("gap must be from 10ms to 10s")
        if not 1 <= self.count <= 100:
            raise ValueError("count must be from 1 to 100")

    @property
    def target(self) -> str:
        """Return the URL."""
        host = self._host
        return f"ping://[{host}]" if ":" in host else f"ping://{host}"

    async def probe(self, via: Reach, *, timeout: timedelta) -> Seen:  # noqa: ASYNC109  it keeps what was seen until then
        """Send the echoes and wait for their answers. An outage is returned, never raised; so is a passed deadline."""
        trail = ExchangeTrail(via.clock)
        series = None
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                with await via.echo(self._host, version=_VERSIONS[self.family], trail=trail) as sock:
                    trail.enter("wait")
                    series = _Series(sock, trail.address or "", via.clock, count=self.count, gap=self.gap)
                    await series.run()
        except TimeoutError:
            if series is None:
                return _overdue(trail, timeout)
        except Fault as fault:
            return fault.failure
        trail.enter(None)
        return series.outcome(trail.evidence(), timeout)

    @property
    def _host(self) -> str:
        match = _URL.fullmatch(self.url)
        if match is None:
            raise ValueError("the URL must be ping:// and a host, without a port or a path")
        host = match[1]
        if ":" in host and not host.startswith("["):
            raise ValueError("a ping has no port, and an IPv6 address in a URL needs brackets, as in ping://[::1]")
        return canonical_host(host)


def _overdue(trail: ExchangeTrail, timeout: timedelta) -> Failure:
    trail.enter(None)
    detail = f"no answer within {timeout.total_seconds():g} s (looking up the name)"
    return Failure(Reason.TIMEOUT, detail, trail.evidence(), phase=trail.phase)


class _Series:
    """Some echoes on one socket, and what became of each."""

    def __init__(self, sock: socket.socket, address: str, clock: Clock, *, count: int, gap: timedelta) -> None:
        self._socket = sock
        self._address = _without_zone(address)
        self._clock = clock
        self._count = count
        self._gap = gap.total_seconds()
        self._payload = secrets.token_bytes(_PAYLOAD)
        self._sent: dict[int, float] = {}  # by sequence number, when
        self._rtts: dict[int, timedelta] = {}
        self._refusals: dict[int, tuple[Reason, str]] = {}

    async def run(self) -> None:
        """Send them all and listen until each is settled, or stragglers have had their time."""
        next_at = self._clock.monotonic()
        while True:
            now = self._clock.monotonic()
            if len(self._sent) < self._count:
                if now >= next_at:
                    self._send(len(self._sent) + 1)
                    next_at += self._gap
                    continue
                wake_at: float | None = next_at
            else:
                if self._is_settled:
                    return
                wake_at = self._linger_until
                if wake_at is not None and now >= wake_at:
                    return
            await self._readable(None if wake_at is None else wake_at - now)
            self._take_answers()
            self._take_errors()

    def outcome(self, evidence: Evidence, timeout: timedelta) -> Seen:
        """Return what all of it means."""
        rtts = tuple(self._rtts[sequence] for sequence in sorted(self._rtts))
        evidence = replace(evidence, ping=PingFacts(sent=len(self._sent), rtts=rtts))
        if rtts:
            return Answer(evidence)
        # Our own trouble comes first: with it in play, the others prove nothing.
        if self._refusals:
            reason, detail = min(self._refusals.values(), key=lambda refusal: not refusal[0].is_ours)
            return Failure(reason, detail, evidence)
        many = f"none of {len(self._sent)} echoes was" if len(self._sent) > 1 else "the echo was not"
        detail = f"{many} answered within {timeout.total_seconds():g} s"
        return Failure(Reason.TIMEOUT, detail, evidence, phase="wait")

    @property
    def _is_settled(self) -> bool:
        return self._sent.keys() == self._rtts.keys() | self._refusals.keys()

    @property
    def _linger_until(self) -> float | None:
        if not self._rtts:
            return None
        slowest = max(self._rtts.values()).total_seconds()
        return max(self._sent.values()) + max(_LINGER, 2 * slowest)

    def _send(self, sequence: int) -> None:
        packet = _HEADER.pack(_REQUEST[self._family], 0, 0, 0, sequence) + self._payload
        self._sent[sequence] = self._clock.monotonic()
        try:
            self._try_twice(packet)
        except BlockingIOError:
            pass  # no room to send: as good as lost
        except OSError as error:
            self._refusals[sequence] = words(error)

    def _try_twice(self, packet: bytes) -> None:
        try:
            self._socket.send(packet)
        except BlockingIOError:
            raise
        except OSError:
            # It may be the error of an earlier echo, which sending reports too.
            self._take_errors()
            self._socket.send(packet)

    async def _readable(self, seconds: float | None) -> None:
        """Wait until something has come, at most this long; None: until it has."""
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(self._socket, _settle, ready)
        try:
            async with asyncio.timeout(seconds):
                await ready
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(self._socket)

    def _take_answers(self) -> None:
        now = self._clock.monotonic()
        for _ in range(_PER_TURN):
            try:
                data, sender = self._socket.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            except OSError:
                continue  # its cause stands in the error queue
            if len(data) < _HEADER.size or _without_zone(str(sender[0])) != self._address:
                continue
            kind, _, _, _, sequence = _HEADER.unpack_from(data)
            if kind != _REPLY[self._family] or data[_HEADER.size :] != self._payload or sequence in self._rtts:
                continue
            if sequence in self._sent:
                self._rtts[sequence] = timedelta(seconds=now - self._sent[sequence])

    def _take_errors(self) -> None:
        for _ in range(_PER_TURN):
            try:
                data, ancillary, _, _ = self._socket.recvmsg(_LARGEST, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            # The queue gives back the head of the packet that the error is about.
            sequence = _HEADER.unpack_from(data)[4] if len(data) >= _HEADER.size else 0
            if sequence in self._sent:
                for _, _, extended in ancillary:
                    if (said := _explained(extended)) is not None:
                        self._refusals[sequence] = (Reason.UNREACHABLE, said)

    @property
    def _family(self) -> socket.AddressFamily:
        return socket.AddressFamily(self._socket.family)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _without_zone(address: str) -> str:
    return address.partition("%")[0]


def _explained(extended: bytes) -> str | None:
    """Return what a router or the host itself said, None where this is no word of theirs."""
    if len(extended) < _EXTENDED.size:
        return None
    number, origin, kind, *_ = _EXTENDED.unpack_from(extended)
    if origin not in _FROM_ICMP:
        return None
    said = "Time to live exceeded" if (origin, kind) in _TIME_EXCEEDED else _SAID.get(number, "Not deliverable")
    offender = extended[_EXTENDED.size :]
    family = int.from_bytes(offender[:2], "little" if struct.pack("=H", 1)[0] else "big")
    if family not in _OFFENDER:
        return said
    start, end = _OFFENDER[socket.AddressFamily(family)]
    return f"{said}, says {ip_address(offender[start:end])}" if len(offender) >= end else said
