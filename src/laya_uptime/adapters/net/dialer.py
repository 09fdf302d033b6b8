"""The one way to the network: resolve, vet, connect, and say exactly what went wrong.

A name is resolved once per connection; every address it has is held against the egress policy, and only those that pass
are connected, so an answer that changes between the look and the leap changes nothing. Names with several addresses are
tried as RFC 8305 describes, so a service that listens on one family only is found at once.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Network, ip_address
from itertools import chain, zip_longest
from typing import Literal

from laya_uptime.adapters.net.connection import TcpConnection
from laya_uptime.adapters.net.faults import fault, from_os_error, words
from laya_uptime.adapters.net.icmp import NotPermitted, icmp_socket
from laya_uptime.adapters.net.names.asking import Unanswered
from laya_uptime.adapters.net.names.system import SystemNames
from laya_uptime.adapters.net.resolver import Resolver, ThreadResolver
from laya_uptime.adapters.net.sockaddr import SocketAddress, sockaddr
from laya_uptime.adapters.net.tls import Contexts
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.dns import NameServer, cause
from laya_uptime.domain.egress import Address, EgressPolicy, plain
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import DnsFacts, Evidence
from laya_uptime.domain.urls import canonical_host, literal
from laya_uptime.failpoints import fp
from laya_uptime.ports import Clock, Fault, Purpose, Trail

_STAGGER = 0.25  # seconds until the next address is tried beside the last, RFC 8305 section 5
_MOST_TRIED = 16
_OFFLINE = "this machine has no network"
_MOST_NOTED = 64

# Addresses for documentation (RFC 5737, RFC 3849): nobody is there, but a machine with a network has a route to them.
_ANYWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))

_PUBLIC_IPV6 = IPv6Network("2000::/3")

# When every address failed, the error that tells most is the one to show. Our own trouble comes first: with it in play,
# the others prove nothing.
_TELLING = (Reason.INTERNAL, Reason.REFUSED, Reason.RESET, Reason.TIMEOUT, Reason.UNREACHABLE)

# What a missing network looks like: of the second family, a machine without one has not even an address.
_NO_NETWORK = {errno.ENETUNREACH, errno.ENETDOWN, errno.EAFNOSUPPORT}
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def has_route() -> bool:
    """Say whether this machine has a network at all. Sends nothing: connecting a datagram socket only asks for a route."""
    for family, address in _ANYWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((address, 9))
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}:
                return True  # nothing was learnt
        else:
            return True
    return False


def _shortage() -> OSError | None:
    """Return the error that opening any socket meets now; None: sockets can be opened."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except OSError as error:
        return error
    return None


@dataclass(frozen=True, slots=True)
class _Target:
    family: socket.AddressFamily
    address: str
    place: SocketAddress


class GuardedDialer:
    """How the checks and notifiers of this machine reach the network, under one egress policy."""

    def __init__(
        self,
        *,
        clock: Clock,
        policy: EgressPolicy,
        resolver: Resolver | None = None,
        names: SystemNames | None = None,
        is_online: Callable[[], bool] = has_route,
    ) -> None:
        """Look names up ourselves where that finds what the system would find (see `SystemNames`), else by the system.

        A `resolver` is taken for all names that no name server is given for. `is_online` is asked only when nothing can
        be reached.
        """
        self.clock = clock
        self._policy = policy
        self._resolve = resolver or ThreadResolver()
        self._names = names or SystemNames(clock=clock)
        self._asks_the_system = resolver is not None
        self._is_online = is_online
        self._contexts = Contexts()

    def context(
        self,
        *,
        ca_file: str | None = None,
        insecure: bool = False,
        speaks_http: bool = True,
        admits_weak: bool = False,
    ) -> ssl.SSLContext:
        """Return the shared TLS context with these options. Raise OSError where the file of authorities is of no use."""
        return self._contexts.get(ca_file=ca_file, insecure=insecure, speaks_http=speaks_http, admits_weak=admits_weak)

    async def connect(
        self,
        host: str,
        port: int,
        *,
        purpose: Purpose,
        explicit: bool = False,
        resolver: NameServer | None = None,
        trail: Trail | None = None,
    ) -> TcpConnection:
        """Resolve, vet and connect. Raise `Fault` with reason, detail and partial evidence when there is no connection."""
        trail = ExchangeTrail(self.clock) if trail is None else trail
        addresses = await self._addresses(host, resolver, trail)
        allowed = self._vet(addresses, trail, purpose=purpose, explicit=explicit)
        trail.enter("connect")
        try:
            sock, address = await self._race([_target(address, port) for address in allowed])
        except OSError as error:
            trail.enter(None)
            raise self._unreached(error, trail) from error
        trail.address = address
        trail.enter(None)
        connection = TcpConnection(sock, trail=trail, clock=self.clock)
        try:
            if purpose is Purpose.CHECK:
                fp("check.socket_open")
        except OSError as error:
            connection.close()
            raise from_os_error(error, _evidence(trail)) from error
        return connection

    async def ask(
        self,
        name: str,
        record: str,
        *,
        resolver: NameServer | None = None,
        dnssec: bool = False,
        trail: Trail | None = None,
    ) -> DnsFacts:
        """Ask a name server one question. Raise `Fault` where there is no answer, ValueError where it is no question."""
        trail = ExchangeTrail(self.clock) if trail is None else trail
        self._vet_server(resolver, trail)
        trail.enter("dns")
        try:
            facts = await self._names.ask(name, record, server=resolver, dnssec=dnssec, trail=trail)
        except (Unanswered, OSError) as error:
            trail.enter(None)
            raise self._unanswered(error, name, resolver, trail, is_target=True) from error
        trail.enter(None)
        return facts

    async def echo(
        self, host: str, *, version: Literal[4, 6] | None = None, trail: Trail | None = None
    ) -> socket.socket:
        """Resolve, vet, and return an ICMP socket for the first address that there is a route to.

        Nothing is sent yet, and the socket is non-blocking. Raise `Fault` with reason, detail and partial evidence.
        """
        trail = ExchangeTrail(self.clock) if trail is None else trail
        addresses = await self._addresses(host, None, trail)
        if version is not None:
            addresses = [address for address in addresses if address.version == version]
            if not addresses:
                raise fault(Reason.DNS, f"{host} has no IPv{version} address", _evidence(trail))
        allowed = self._vet(addresses, trail, purpose=Purpose.CHECK, explicit=True)
        errors: list[OSError] = []
        for target in (_target(address, 0) for address in allowed):
            try:
                sock = _aim(icmp_socket(target.family), target)
            except NotPermitted as error:
                raise fault(Reason.INTERNAL, str(error), _evidence(trail)) from error
            except OSError as error:
                errors.append(error)
            else:
                trail.address = target.address
                return sock
        worst = min(errors, key=_tells)
        raise self._unreached(worst, trail) from worst

    async def _addresses(self, host: str, server: NameServer | None, trail: Trail) -> list[Address]:
        try:
            name = canonical_host(host)
        except ValueError as error:
            raise fault(Reason.DNS, str(error), _evidence(trail)) from None
        address = literal(name)
        if address is not None:
            trail.addresses = (str(address),)
            return [address]
        self._vet_server(server, trail)
        trail.enter("dns")
        answers = await self._look_up(name, server, trail)
        trail.enter(None)
        addresses = list(dict.fromkeys(plain(ip_address(answer)) for answer in answers))
        trail.addresses = tuple(str(address) for address in addresses[:_MOST_NOTED])
        if not addresses:
            raise self._nowhere(name, server, trail)
        return addresses

    async def _look_up(self, name: str, server: NameServer | None, trail: Trail) -> tuple[str, ...]:
        """Return what the name leads to, best first, by whoever is in charge of names here."""
        try:
            if server is not None or (not self._asks_the_system and self._names.takes(name)):
                return _in_order(await self._names.addresses(name, server=server, trail=trail))
        except (Unanswered, OSError, ValueError) as error:
            trail.enter(None)
            raise self._unanswered(error, name, server, trail, is_target=False) from error
        try:
            return await self._resolve(name)
        except OSError as error:
            trail.enter(None)
            raise self._unresolved(error, name, trail) from error

    def _vet_server(self, server: NameServer | None, trail: Trail) -> None:
        """Hold a name server that somebody named against the policy; this machine's own are its business."""
        refusal = None if server is None else self._policy.refusal(server.address)
        if refusal is not None:
            raise fault(Reason.BLOCKED_BY_POLICY, f"name server {refusal}", _evidence(trail))

    def _vet(self, addresses: list[Address], trail: Trail, *, purpose: Purpose, explicit: bool) -> list[Address]:
        """Return the addresses that may be connected, in the order in which to try them."""
        notification = purpose is Purpose.NOTIFICATION
        refusals = {
            address: self._policy.refusal(address, notification=notification, explicit=explicit)
            for address in addresses
        }
        allowed = [address for address, refusal in refusals.items() if refusal is None]
        if not allowed:
            detail = next(refusal for refusal in refusals.values() if refusal is not None)
            raise fault(Reason.BLOCKED_BY_POLICY, detail, _evidence(trail))
        allowed = _interleaved(allowed)[:_MOST_TRIED]
        denied = [address for address in addresses if address not in set(allowed)]
        trail.addresses = tuple(str(address) for address in (*allowed, *denied)[:_MOST_NOTED])
        return allowed

    async def _race(self, targets: Sequence[_Target]) -> tuple[socket.socket, str]:
        """Return the first socket that connects. Raise the most telling OSError where none does."""
        if len(targets) == 1:
            return await _attempt(targets[0]), targets[0].address
        waiting = list(reversed(targets))
        running: dict[asyncio.Task[socket.socket], str] = {}
        errors: list[OSError] = []
        try:
            while waiting or running:
                if waiting:
                    target = waiting.pop()
                    running[asyncio.create_task(_attempt(target))] = target.address
                done, _ = await asyncio.wait(
                    running, timeout=_STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    error = task.exception()
                    if error is None:
                        return task.result(), running.pop(task)
                    del running[task]
                    if not isinstance(error, OSError):
                        raise error
                    errors.append(error)
        finally:
            await _abandon(running)
        raise min(errors, key=_tells)

    def _nowhere(self, name: str, server: NameServer | None, trail: Trail) -> Fault:
        """Return the fault of a name that has no address, with what was said of it."""
        facts, evidence = trail.dns, _evidence(trail)
        if facts is None:
            return fault(Reason.DNS, f"no address for {name}", evidence)
        if server is None and facts.rcode not in {"NOERROR", "NXDOMAIN"} and not self._is_online():
            return fault(Reason.PROBE_OFFLINE, _OFFLINE, evidence)
        return fault(Reason.DNS, cause(facts) or f"no address for {name}", evidence)

    def _unanswered(
        self, error: Exception, name: str, server: NameServer | None, trail: Trail, *, is_target: bool
    ) -> Fault:
        """Return the fault of a question without an answer. `is_target`: the name server itself is what is watched."""
        evidence = _evidence(trail)
        trouble = error.error if isinstance(error, Unanswered) else error
        reason, words_ = words(trouble) if isinstance(trouble, OSError) else (Reason.DNS, "")
        if reason is Reason.INTERNAL:
            return fault(reason, f"{words_} while looking up {name}", evidence)
        no_network = isinstance(trouble, OSError) and trouble.errno in _NO_NETWORK
        if (server is None or no_network) and not self._is_online():
            return fault(Reason.PROBE_OFFLINE, _OFFLINE, evidence)
        if is_target:
            detail = str(error) if server is None else words_ or str(error)
            return fault(reason, detail, evidence, phase="dns" if reason is Reason.TIMEOUT else None)
        return fault(Reason.DNS, f"{error} (looking up {name})", evidence)

    def _unresolved(self, error: OSError, name: str, trail: Trail) -> Fault:
        evidence = _evidence(trail)
        # The system's resolver reports a missing file descriptor as a name server's failure, or as no such name.
        shortage = error if not isinstance(error, socket.gaierror) else _shortage()
        if shortage is not None:
            reason, cause = words(shortage)
            if reason is Reason.INTERNAL:
                return fault(reason, f"{cause} while looking up {name}", evidence)
            return fault(Reason.DNS, f"the lookup of {name} failed", evidence)
        code = error.errno
        if code == socket.EAI_MEMORY:
            return fault(Reason.INTERNAL, f"out of memory while looking up {name}", evidence)
        if code == socket.EAI_AGAIN:
            if not self._is_online():
                return fault(Reason.PROBE_OFFLINE, _OFFLINE, evidence)
            return fault(Reason.DNS, f"name server did not answer for {name}", evidence)
        if code in _NO_SUCH_NAME:
            return fault(Reason.DNS, f"no such name: {name}", evidence)
        return fault(Reason.DNS, f"name server failed for {name}", evidence)

    def _unreached(self, error: OSError, trail: Trail) -> Fault:
        evidence = _evidence(trail)
        if error.errno in _NO_NETWORK and not self._is_online():
            return fault(Reason.PROBE_OFFLINE, _OFFLINE, evidence)
        return from_os_error(error, evidence, phase="connect")


async def _attempt(target: _Target) -> socket.socket:
    sock = socket.socket(target.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, target.place)
    except OSError as error:
        sock.close()
        raise _without_ipv6(error, target) from error
    except BaseException:
        sock.close()
        raise
    return sock


def _aim(sock: socket.socket, target: _Target) -> socket.socket:
    """Return the datagram socket connected to the target. Sends nothing."""
    try:
        sock.connect(target.place)
    except OSError as error:
        sock.close()
        raise _without_ipv6(error, target) from error
    return sock


def _without_ipv6(error: OSError, target: _Target) -> OSError:
    """Return what an error of connecting means."""
    if error.errno == errno.EADDRNOTAVAIL and target.family is socket.AF_INET6:
        # No IPv6 address to come from; for IPv4 the same error means that the local ports are used up.
        return OSError(errno.EAFNOSUPPORT, "no IPv6")
    return error


async def _abandon(running: Iterable[asyncio.Task[socket.socket]]) -> None:
    """End the attempts that lost, and close what some of them may have opened in the same moment."""
    losers = list(running)
    for task in losers:
        task.cancel()
        task.add_done_callback(_close)  # also when this very wait is cancelled
    if losers:
        await asyncio.wait(losers)


def _close(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def _target(address: Address, port: int) -> _Target:
    family, place = sockaddr(address, port)
    return _Target(family, str(address), place)


def _in_order(addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Return addresses of both families with the preferred one first (RFC 6724 section 6, as far as it is about families)."""
    if len({":" in address for address in addresses}) < 2:
        return addresses
    sixth_first = _has_public_ipv6()
    return tuple(sorted(addresses, key=lambda address: (":" in address) is not sixth_first))


def _has_public_ipv6() -> bool:
    """Say whether this machine has an IPv6 address that answers from the public network could come back to."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect((_ANYWHERE[1][1], 9))
            return ip_address(str(probe.getsockname()[0])) in _PUBLIC_IPV6
    except (OSError, ValueError):
        return False


def _interleaved(addresses: list[Address]) -> list[Address]:
    """Return the addresses with families taking turns, the resolver's first choice first (RFC 8305 section 4)."""
    first = [address for address in addresses if address.version == addresses[0].version]
    second = [address for address in addresses if address.version != addresses[0].version]
    turns = chain.from_iterable(zip_longest(first, second))
    return [address for address in turns if address is not None]


def _tells(error: OSError) -> tuple[int, bool]:
    reason, _ = words(error)
    return _TELLING.index(reason), error.errno == errno.EAFNOSUPPORT


def _evidence(trail: Trail) -> Evidence:
    return Evidence(addresses=trail.addresses, address=trail.address, phases=trail.phases, tls=trail.tls, dns=trail.dns)
