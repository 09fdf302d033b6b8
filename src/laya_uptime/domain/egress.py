"""Where laya-uptime may connect to, decided on the resolved address.

A monitor's job is to reach inside, so private and loopback addresses are open to checks. Notifications carry facts to
the outside, so they reach inside only where a person wrote that very host into the configuration. Some addresses are
closed to both, because what answers there hands out credentials or is no single host at all; only the configuration
file opens them (`egress.allow`), never a page or an API.

An IPv6 address that carries an IPv4 address (mapped, NAT64, 6to4, Teredo, ISATAP) is judged by both.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Closed to checks and notifications alike. The words complete the sentence "ADDRESS is ...".
_CLOSED: tuple[tuple[Network, str], ...] = (
    (IPv4Network("0.0.0.0/8"), "an unspecified address"),  # Linux connects 0.0.0.0 to itself
    (IPv4Network("169.254.0.0/16"), "a link-local address"),  # 169.254.169.254: metadata of most clouds
    (IPv4Network("100.100.100.200/32"), "a cloud metadata address"),  # Alibaba Cloud
    (IPv4Network("168.63.129.16/32"), "a cloud metadata address"),  # Azure
    (IPv4Network("224.0.0.0/4"), "a multicast address"),
    (IPv4Network("255.255.255.255/32"), "the broadcast address"),
    (IPv6Network("::/128"), "an unspecified address"),
    (IPv6Network("fe80::/10"), "a link-local address"),
    (IPv6Network("fd00:ec2::254/128"), "a cloud metadata address"),  # AWS
    (IPv6Network("ff00::/8"), "a multicast address"),
    # RFC 8215: a site places the IPv4 address anywhere in here, so nobody can tell what is behind it.
    (IPv6Network("64:ff9b:1::/48"), "a local NAT64 address"),
)

# Not public: IANA's special-purpose registries, as far as they are not closed above.
_INSIDE: tuple[Network, ...] = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("127.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.0.2.0/24"),
    IPv4Network("192.168.0.0/16"),
    IPv4Network("198.18.0.0/15"),
    IPv4Network("198.51.100.0/24"),
    IPv4Network("203.0.113.0/24"),
    IPv4Network("240.0.0.0/4"),
    IPv6Network("2001:2::/48"),
    IPv6Network("2001:db8::/32"),
    IPv6Network("3fff::/20"),
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # RFC 4291: all public IPv6 is in here
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_SIX_TO_FOUR = IPv6Network("2002::/16")  # RFC 3056
_TEREDO = IPv6Network("2001::/32")  # RFC 4380
_LOW_32_BITS = (
    _NAT64,
    IPv6Network("::ffff:0:0/96"),  # mapped, RFC 4291
    IPv6Network("::ffff:0:0:0/96"),  # translated, RFC 2765
    IPv6Network("::/96"),  # compatible, RFC 4291
)
_ISATAP = {0x00005EFE, 0x02005EFE}  # RFC 5214: the upper half of such an interface identifier


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Which addresses may be connected to. `allow`: networks that the configuration file opens on top."""

    allow: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> "EgressPolicy":
        """Read addresses and networks ("169.254.169.254", "10.0.0.0/8"). Raise ValueError naming the one that is neither.

        Names are not accepted: what a name resolves to is for others to decide.
        """
        networks = []
        for entry in entries:
            try:
                networks.append(ip_network(entry.strip(), strict=False))
            except ValueError:
                raise ValueError(f"{entry!r} is neither an IP address nor a network such as 10.0.0.0/8") from None
        return cls(tuple(networks))

    def refusal(self, address: Address | str, *, notification: bool = False, explicit: bool = False) -> str | None:
        """Return why this address may not be connected to, as a short plain sentence; None: it may.

        `explicit` says that a person wrote this host into the configuration; it matters to notifications only.
        Raise ValueError where `address` is no IP address.
        """
        address = plain(ip_address(address)) if isinstance(address, str) else plain(address)
        if self._opens(address):
            return None
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            return f"{address} has a zone, which the egress policy does not open"
        for part in (address, *_embedded(address)):
            if self._opens(part):
                continue
            closed, inside = _classify(part)
            if closed is not None:
                return f"{_named(address, part)} is {closed}, which the egress policy does not open"
            if inside and notification and not explicit:
                return f"{_named(address, part)} is not a public address, and notifications go there only when configured to"
        return None

    def _opens(self, address: Address) -> bool:
        # `in` compares addresses of one family only, and a zone is no part of the number.
        number = int(address)
        return any(
            network.version == address.version
            and int(network.network_address) <= number <= int(network.broadcast_address)
            for network in self.allow
        )


def plain(address: Address) -> Address:
    """Return the IPv4 address where this is one in IPv6 clothes (::ffff:a.b.c.d), else the address itself."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=4096)
def _classify(address: Address) -> tuple[str | None, bool]:
    """Return what closes this address to everybody, or None, and whether it lies inside rather than in public."""
    for network, what in _CLOSED:
        if address in network:
            return what, True
    if any(address in network for network in _INSIDE):
        return None, True
    if isinstance(address, IPv6Address):
        return None, address not in _GLOBAL_UNICAST and address not in _NAT64
    return None, False


def _embedded(address: Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that the packets would really be for."""
    if isinstance(address, IPv4Address) or int(address) <= 1:
        return
    number = int(address)
    if any(address in network for network in _LOW_32_BITS) or (number >> 32) & 0xFFFFFFFF in _ISATAP:
        yield IPv4Address(number & 0xFFFFFFFF)
    elif address in _SIX_TO_FOUR:
        yield IPv4Address((number >> 80) & 0xFFFFFFFF)
    elif address in _TEREDO:
        yield IPv4Address((number >> 64) & 0xFFFFFFFF)  # the server
        yield IPv4Address(~number & 0xFFFFFFFF)  # the client, whose bits are inverted


def _named(address: Address, part: Address) -> str:
    return str(address) if part is address else f"{part} (in {address})"
