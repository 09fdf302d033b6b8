"""An address and a port in the form that a socket takes."""

import socket
from ipaddress import IPv6Address

from laya_uptime.domain.egress import Address

SocketAddress = tuple[str, int] | tuple[str, int, int, int]


def sockaddr(address: Address, port: int) -> tuple[socket.AddressFamily, SocketAddress]:
    """Return the family and the form. Raise OSError where the zone of a link-local address is not one of this machine."""
    if isinstance(address, IPv6Address):
        zone = address.scope_id
        number = 0
        if zone is not None:
            number = int(zone) if zone.isdigit() else socket.if_nametoindex(zone)
        # The bare number, not the text with a zone: for that the loop would start a lookup in its own executor.
        return socket.AF_INET6, (str(address).partition("%")[0], port, 0, number)
    return socket.AF_INET, (str(address), port)
