"""ICMP sockets without privileges: Linux gives them to the groups in net.ipv4.ping_group_range (icmp(7)).

Such a socket sends echo requests and receives the replies to them, nothing else; the kernel picks the identifier. One
setting speaks for IPv4 and IPv6.
"""

import socket
import sys
from contextlib import closing

REMEDY = 'sysctl -w net.ipv4.ping_group_range="0 2147483647"'

# Constants of linux/in.h and linux/in6.h that older Pythons do not name. Errors wait in a queue of the socket then.
_RECVERR = {
    socket.AF_INET: (socket.IPPROTO_IP, 11),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 25),
}
_PROTOCOLS = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}


class NotPermitted(OSError):
    """The system gives this user no such socket."""


def icmp_socket(family: socket.AddressFamily) -> socket.socket:
    """Return a new non-blocking socket whose errors are kept with their cause.

    Raise NotPermitted where the system does not give one to this user, OSError where it has other trouble.
    """
    if sys.platform != "linux":  # others hand over the IP header too, and keep no errors
        raise NotPermitted("pings without privileges work on Linux only")
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM, _PROTOCOLS[family])
    except PermissionError as error:
        raise NotPermitted(f"this user may not send pings; run: {REMEDY}") from error
    sock.setblocking(False)
    sock.setsockopt(*_RECVERR[family], 1)
    return sock


def why_not() -> str | None:
    """Return why this user cannot send pings; None: it can."""
    try:
        with closing(icmp_socket(socket.AF_INET)):
            return None
    except OSError as error:
        return str(error) if isinstance(error, NotPermitted) else error.strerror or type(error).__name__
