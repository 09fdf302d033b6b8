"""The one way to the network: resolve, vet, connect, and say exactly what went wrong.

A name is resolved once per connection; every address it has is held against the egress policy, and only those that pass
are connected, so an answer that changes between the look and the leap changes nothing. Names with several addresses are
tried as RFC 8305 describes, so a service that listens on one family only is found at once.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache
from ipaddress import IPv6Network, ip_address
from itertools import chain, zip_longest
from typing import Literal, cast

from laya_uptime.adapters.net import fast_tls
from laya_uptime.adapters.net.connection import TcpConnection
from laya_uptime.adapters.net.faults import fault, from_os_error, words
from laya_uptime.adapters.net.icmp import NotPermitted, icmp_socket
from laya_uptime.adapters.net.names.asking import Unanswered
from laya_uptime.adapters.net.names.system import SystemNames
from laya_uptime.adapters.net.poll import make_poll
from laya_uptime.adapters.net.race import Race, Target, begin, failure, most_telling, target, without_ipv6
from laya_uptime.adapters.net.resolver import Resolver, ThreadResolver
from laya_uptime.adapters.net.tls import Contexts, Options, make_context
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.dns import NameServer, cause
from laya_uptime.domain.egress import Address, EgressPolicy, plain
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import DnsFacts, Evidence
from laya_uptime.domain.urls import canonical_host, literal
from laya_uptime.failpoints import fp
from laya_uptime.ports import FAILED, WRITABLE, ClientCertificate, Clock, Dialling, Fault, Poll, Purpose, Trail

_MOST_TRIED = 16
_OFFLINE = "this machine has no network"
_MOST_NOTED = 64
_MOST_WAYS = 16_384

# Addresses for documentation (RFC 5737, RFC 3849): nobody is there, but a machine with a network has a route to them.
_ANYWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))

_PUBLIC_IPV6 = IPv6Network("2000::/3")

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
        self._fast_contexts = Contexts(lambda options: fast_tls.make_context(options.ca_file))
        self._contexts = Contexts(make_context)
        self._ways: dict[tuple[str, int, Purpose, bool, Literal[4, 6] | None], Target] = {}
        self._poll: Poll | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def context(
        self,
        *,
        ca_file: str | None = None,
        insecure: bool = False,
        speaks_http: bool = True,
        admits_weak: bool = False,
        client: ClientCertificate | None = None,
    ) -> ssl.SSLContext:
        """Return the shared TLS context with these options. Raise OSError where a file is of no use."""
        return self._contexts.get(
            Options(ca_file=ca_file, insecure=insecure, speaks_http=speaks_http, admits_weak=admits_weak, client=client)
        )

    def fast_context(self, *, ca_file: str | None = None) -> object | None:
        """Return the context of the faster TLS library with this option; None: there is none."""
        if fast_tls.library() is None:
            return None
        return cast("object | None", self._fast_contexts.get(Options(ca_file=ca_file)))

    @property
    def poll(self) -> Poll:
        """Return who waits for sockets in the running loop; made when it is first needed there.

        Raise OSError where this machine has no descriptor left for it.
        """
        if self._poll is None or self._loop is None or not self._loop.is_running():
            self._loop = asyncio.get_running_loop()
            self._poll = make_poll(self._loop)
        return self._poll

    def refusal(self, host: str) -> str | None:
        """Return why nobody may connect to this host for us, where it is an address; None: he may."""
        address = self._written(host)
        return None if address is None else self._policy.refusal(address)

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
    ) -> TcpConnection:
        """Resolve, vet and connect. Raise `Fault` with reason, detail and partial evidence when there is no connection."""
        trail = ExchangeTrail(self.clock) if trail is None else trail
        over: asyncio.Future[socket.socket | Fault] = asyncio.get_running_loop().create_future()

        def tell(outcome: socket.socket | Fault) -> None:
            if not over.done():
                over.set_result(outcome)
            elif isinstance(outcome, socket.socket):
                self._drop(outcome)

        dialling = self.dial(
            host,
            port,
            tell,
            purpose=purpose,
            explicit=explicit,
            resolver=resolver,
            version=version,
            trail=trail,
        )
        try:
            outcome = await over
        except asyncio.CancelledError:
            dialling.cancel()
            if over.done() and not over.cancelled() and isinstance(late := over.result(), socket.socket):
                self._drop(late)  # it was connected in the very moment in which nobody wanted it any more
            raise
        if isinstance(outcome, Fault):
            raise outcome
        self.poll.forget(outcome.fileno())
        sock = socket.socket(fileno=outcome.detach())  # the loop and its transports want the full one
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return TcpConnection(sock, trail=trail, clock=self.clock)

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
        """Resolve, vet and connect, and call `done` once with the socket, or with the fault (see `Reach.dial`)."""
        dialling = _Dialling(self, port, done, purpose, explicit, version, trail)
        way = self._ways.get((host, port, purpose, explicit, version))
        if way is not None:
            trail.addresses = (way.address,)
            dialling.go(way)
        elif (known := self._written(host)) is not None:
            trail.addresses = (str(known),)
            dialling.towards(host, (known,))
        else:
            dialling.looking_up(host, lambda: self._addresses(host, resolver, trail))
        return dialling

    def _drop(self, sock: socket.socket) -> None:
        self.poll.closing(sock.fileno())
        sock.close()

    def _written(self, host: str) -> Address | None:
        """Return the address where the host is one; what is neither that nor a name is left to who looks names up."""
        try:
            return _literal(host)
        except ValueError:
            return None

    def targets(
        self,
        host: str,
        addresses: Sequence[Address],
        port: int,
        trail: Trail,
        *,
        purpose: Purpose,
        explicit: bool,
        version: Literal[4, 6] | None,
    ) -> list[Target]:
        """Return where to connect, best first. Raise `Fault` where nothing of it may be connected."""
        if version is not None:
            addresses = _of_version(addresses, version, host, trail)
        allowed = self._vet(addresses, trail, purpose=purpose, explicit=explicit)
        found = [target(address, port) for address in allowed]
        if len(addresses) == 1 and found[0].address == host:
            # The policy does not change, so a host that is an address needs vetting once.
            if len(self._ways) >= _MOST_WAYS:
                self._ways.clear()
            self._ways[host, port, purpose, explicit, version] = found[0]
        return found

    def connected(self, sock: socket.socket, trail: Trail, *, purpose: Purpose) -> socket.socket | Fault:
        """Return the socket that was connected, or the fault of what came between."""
        try:
            if purpose is Purpose.CHECK:
                fp("check.socket_open")
        except OSError as error:
            self.poll.closing(sock.fileno())
            sock.close()
            return from_os_error(error, _evidence(trail))
        return sock

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
        """Resolve, vet, and return the addresses that there is a route to, in the order in which to try them.

        Nothing is sent to any of them. Raise `Fault` with reason, detail and partial evidence.
        """
        trail = ExchangeTrail(self.clock) if trail is None else trail
        addresses = await self._addresses(host, resolver, trail)
        # The port is any: a datagram socket that connects only looks for a route.
        targets = self.targets(host, addresses, 9, trail, purpose=purpose, explicit=explicit, version=version)
        routed: list[str] = []
        errors: list[OSError] = []
        for towards in targets:
            try:
                _aim(socket.socket(towards.family, socket.SOCK_DGRAM), towards).close()
            except OSError as error:
                errors.append(error)
            else:
                routed.append(towards.address)
        if not routed:
            worst = most_telling(errors)
            raise self.unreached(worst, trail) from worst
        return tuple(routed)

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
        targets = self.targets(host, addresses, 0, trail, purpose=Purpose.CHECK, explicit=True, version=version)
        errors: list[OSError] = []
        for towards in targets:
            try:
                sock = _aim(icmp_socket(towards.family), towards)
            except NotPermitted as error:
                raise fault(Reason.INTERNAL, str(error), _evidence(trail)) from error
            except OSError as error:
                errors.append(error)
            else:
                trail.address = towards.address
                return sock
        worst = most_telling(errors)
        raise self.unreached(worst, trail) from worst

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

    def _vet(self, addresses: Sequence[Address], trail: Trail, *, purpose: Purpose, explicit: bool) -> list[Address]:
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

    def unreached(self, error: OSError, trail: Trail) -> Fault:
        """Return the fault of a connection that none of the addresses took."""
        evidence = _evidence(trail)
        if error.errno in _NO_NETWORK and not self._is_online():
            return fault(Reason.PROBE_OFFLINE, _OFFLINE, evidence)
        return from_os_error(error, evidence, phase="connect")


class _Dialling:
    """One connection on its way: first a name, then a race of its addresses."""

    __slots__ = (
        "_dialer",
        "_done",
        "_explicit",
        "_poll",
        "_port",
        "_purpose",
        "_race",
        "_sock",
        "_task",
        "_towards",
        "_trail",
        "_version",
    )

    def __init__(
        self,
        dialer: GuardedDialer,
        port: int,
        done: Callable[[socket.socket | Fault], None],
        purpose: Purpose,
        explicit: bool,  # noqa: FBT001  one caller, and this is the way of every check
        version: Literal[4, 6] | None,
        trail: Trail,
    ) -> None:
        self._dialer = dialer
        self._port = port
        self._done: Callable[[socket.socket | Fault], None] | None = done
        self._purpose = purpose
        self._explicit = explicit
        self._version = version
        self._trail = trail
        self._task: asyncio.Task[None] | None = None
        self._race: Race | None = None
        self._sock: socket.socket | None = None  # on its way, where there is no race

    def looking_up(self, host: str, addresses: Callable[[], Coroutine[None, None, list[Address]]]) -> None:
        """Go on when the name has been looked up."""
        self._task = asyncio.get_running_loop().create_task(self._look_up(host, addresses))

    async def _look_up(self, host: str, addresses: Callable[[], Coroutine[None, None, list[Address]]]) -> None:
        try:
            found = await addresses()
        except Fault as trouble:
            self._finish(trouble)
        except Exception as error:  # noqa: BLE001  whoever waits must hear of it; the text may hold what nobody shall see
            self._finish(fault(Reason.INTERNAL, f"the lookup failed by itself ({type(error).__name__})", Evidence()))
        else:
            self.towards(host, found)

    def towards(self, host: str, addresses: Sequence[Address]) -> None:
        """Vet these, and connect to the first that answers."""
        trail = self._trail
        try:
            targets = self._dialer.targets(
                host,
                addresses,
                self._port,
                trail,
                purpose=self._purpose,
                explicit=self._explicit,
                version=self._version,
            )
        except Fault as trouble:
            self._finish(trouble)
        except OSError as error:  # the zone of an address is not one of this machine
            self._finish(self._dialer.unreached(error, trail))
        else:
            self.race(targets)

    def race(self, targets: Sequence[Target]) -> None:
        """Connect to the first of these that answers."""
        if len(targets) == 1:
            self.go(targets[0])
            return
        self._trail.enter("connect")
        try:
            poll = self._dialer.poll
        except OSError as error:
            self._over(None, error)
            return
        self._race = Race(targets, poll=poll, clock=self._dialer.clock, done=self._raced)
        self._race.start()

    def go(self, towards: Target) -> None:
        """Connect to the one address there is."""
        self._towards = towards
        self._trail.enter("connect")
        try:
            poll = self._poll = self._dialer.poll
            sock = self._sock = begin(towards)
        except OSError as error:
            self._over(None, without_ipv6(error, towards))
        else:
            self._trail.address = towards.address  # of the connection, once there is one
            poll.watch(sock.fileno(), self._ready)

    def _ready(self, events: int) -> None:
        sock = self._sock
        if sock is None or not events & (WRITABLE | FAILED):
            return
        self._sock = None
        if (events & FAILED or not self._poll.tells_failure) and (error := failure(sock)) is not None:
            self._drop(sock)
            self._over(None, without_ipv6(error, self._towards))
        else:
            self._over(sock, None)

    def _drop(self, sock: socket.socket) -> None:
        self._poll.closing(sock.fileno())
        sock.close()

    def _raced(self, sock: socket.socket | None, address: str, error: OSError | None) -> None:
        race, trail = self._race, self._trail
        self._race = None
        if race is not None and race.attempted:
            trail.attempts = tuple(race.attempted)
        trail.address = address or None
        self._over(sock, error)

    def _over(self, sock: socket.socket | None, error: OSError | None) -> None:
        self._trail.enter(None)
        if sock is not None:
            self._finish(self._dialer.connected(sock, self._trail, purpose=self._purpose))
            return
        self._trail.address = None
        assert error is not None
        self._finish(self._dialer.unreached(error, self._trail))

    def _finish(self, outcome: socket.socket | Fault) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(outcome)

    def cancel(self) -> None:
        """Give it up; nobody is called any more."""
        self._done = None
        if self._task is not None:
            self._task.cancel()
        race, self._race = self._race, None
        if race is not None:
            race.cancel()
            self._trail.attempts = tuple(race.attempted)
        sock, self._sock = self._sock, None
        if sock is not None:
            self._drop(sock)


@lru_cache(maxsize=4096)
def _literal(host: str) -> Address | None:
    return literal(canonical_host(host))


def _of_version(addresses: Sequence[Address], version: int, host: str, trail: Trail) -> Sequence[Address]:
    """Return the addresses of one family. Raise `Fault` where there are none."""
    found = [address for address in addresses if address.version == version]
    if not found:
        raise fault(Reason.DNS, f"{host} has no IPv{version} address", _evidence(trail))
    return found


def _aim(sock: socket.socket, towards: Target) -> socket.socket:
    """Return the datagram socket connected to the target. Sends nothing."""
    try:
        sock.connect(towards.place)
    except OSError as error:
        sock.close()
        raise without_ipv6(error, towards) from error
    return sock


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


def _interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Return the addresses with families taking turns, the resolver's first choice first (RFC 8305 section 4)."""
    first = [address for address in addresses if address.version == addresses[0].version]
    second = [address for address in addresses if address.version != addresses[0].version]
    turns = chain.from_iterable(zip_longest(first, second))
    return [address for address in turns if address is not None]


def _evidence(trail: Trail) -> Evidence:
    return Evidence(
        addresses=trail.addresses,
        address=trail.address,
        attempts=trail.attempts,
        phases=trail.phases,
        tls=trail.tls,
        dns=trail.dns,
    )
