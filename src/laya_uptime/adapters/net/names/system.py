"""Look names up as this machine would, but in the loop, fresh each time, and with what the name servers said.

`/etc/hosts` comes first; `localhost` and what is under it never leaves the machine (RFC 6761 section 6.3); then the name
servers of `/etc/resolv.conf` are asked, with its search domains and options. Where the machine has more sources of names
than these, `takes` says so, and the system is asked instead.
"""

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from laya_uptime.adapters.net.names.asking import Heard, Manner
from laya_uptime.adapters.net.names.files import Hosts, Reread, ResolvConf, is_ours
from laya_uptime.adapters.net.names.lookup import look_up, look_up_addresses
from laya_uptime.domain.dns import PORT, NameServer
from laya_uptime.domain.result import DnsFacts
from laya_uptime.ports import Clock, Trail

_LOOPBACK = ("127.0.0.1", "::1")
_BOTH = ("A", "AAAA")
_FROM_MYHOSTNAME = {"_gateway", "_outbound"}  # nss-myhostname(8)

# glibc reads these instead of, or on top of, the files.
_BENDING = ("LOCALDOMAIN", "RES_OPTIONS", "HOSTALIASES")


class SystemNames:
    """The names of this machine, and the name servers of others."""

    def __init__(
        self,
        *,
        clock: Clock,
        etc: Path = Path("/etc"),
        port: int = PORT,
        platform: str = sys.platform,
        environ: Mapping[str, str] = os.environ,
        heard: Heard | None = None,
    ) -> None:
        """Read nothing yet. `port` is that of the name servers in resolv.conf, which has no word for it.

        `heard` is told of every question that goes out, and of what came of it.
        """
        self._clock = clock
        self._port = port
        self._is_possible = platform == "linux" and not any(environ.get(name) for name in _BENDING)
        self._nsswitch = Reread(etc / "nsswitch.conf", is_ours)
        self._hosts = Reread(etc / "hosts", Hosts)
        self._resolv = Reread(etc / "resolv.conf", ResolvConf.parse)
        self._hostname = socket.gethostname().lower()
        self._asked = 0
        self._heard = heard

    def takes(self, name: str) -> bool:
        """Say whether this name is looked up here as the system would do it. Raise OSError as `addresses` does."""
        if not self._is_possible or name in _FROM_MYHOSTNAME or name == self._hostname:
            return False
        return self._nsswitch.read() is not False

    async def addresses(self, name: str, *, server: NameServer | None, trail: Trail) -> tuple[str, ...]:
        """Return the addresses of a canonical name, none where it has none; `trail.dns` says what a server said.

        With a `server` nobody else is asked, and no file. Raise Unanswered where there is no answer, OSError where this
        machine is at its limits, ValueError for what can be no name.
        """
        plain = name.removesuffix(".")
        if server is None and (known := self._hosts.read().addresses(plain)):
            return known
        if plain == "localhost" or plain.endswith(".localhost"):
            return _LOOPBACK
        if server is not None:
            manner = Manner(servers=(server,), chances=2, heard=self._heard)
            return await self._look_up(plain, manner, _BOTH, trail)
        conf = self._resolv.read()
        return await self._search(name, conf, trail)

    async def ask(self, name: str, record: str, *, server: NameServer | None, dnssec: bool, trail: Trail) -> DnsFacts:
        """Return what one server says of this very name: no files, no search domains. Raise as `addresses` does."""
        servers = (server,) if server is not None else self._servers(self._resolv.read())
        manner = Manner(servers=servers, dnssec=dnssec, heard=self._heard)
        trail.addresses = tuple(each.address for each in servers)
        trail.address = trail.addresses[0] if len(servers) == 1 else None
        trail.dns = facts = await look_up(name, record, manner, clock=self._clock)
        trail.address = NameServer.parse(facts.server).address
        return facts

    async def _search(self, name: str, conf: ResolvConf, trail: Trail) -> tuple[str, ...]:
        """Try the name and its longer forms until one has an address, and tell of the failure that matters."""
        servers = self._servers(conf)
        manner = Manner(
            servers=servers,
            longest_pause=float(conf.timeout),
            patience=float(conf.timeout * conf.attempts * len(servers)),  # as long as glibc has
            chances=conf.attempts,
            tcp=conf.tcp,
            heard=self._heard,
        )
        told: DnsFacts | None = None
        for candidate in conf.candidates(name, self._hostname):
            addresses = await self._look_up(candidate, manner, _BOTH[:1] if conf.no_aaaa else _BOTH, trail)
            if addresses:
                return addresses
            told = _more_telling(told, trail.dns, name)
        trail.dns = told
        return ()

    async def _look_up(self, name: str, manner: Manner, families: tuple[str, ...], trail: Trail) -> tuple[str, ...]:
        trail.dns = None  # what was said of a shorter form of the name explains nothing if this one has no answer
        trail.dns = await look_up_addresses(name, manner, families=families, clock=self._clock)
        return trail.dns.answers

    def _servers(self, conf: ResolvConf) -> tuple[NameServer, ...]:
        servers = [NameServer(address, self._port) for address in conf.servers]
        if conf.rotate:
            self._asked += 1
            first = self._asked % len(servers)
            servers = servers[first:] + servers[:first]
        return tuple(servers)


def _more_telling(before: DnsFacts | None, now: DnsFacts | None, name: str) -> DnsFacts | None:
    """Return which of two failures to show: an error of a server, else what was said of the name as it is written."""
    if before is None or now is None:
        return now or before
    if before.rcode not in {"NXDOMAIN", "NOERROR"}:
        return before
    if now.rcode not in {"NXDOMAIN", "NOERROR"}:
        return now
    return now if now.name == name.removesuffix(".") else before
