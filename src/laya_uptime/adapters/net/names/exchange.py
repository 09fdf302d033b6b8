"""One question to one server, over a datagram or a stream, on a socket of its own.

Each datagram leaves from a port that the kernel picks at random, with a random id; connected, the socket takes nothing
from anybody but the server that was asked. What then still answers another question is passed over.
"""

import asyncio
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

from laya_uptime.adapters.net.names.message import Malformed, Question, Reply, read, write
from laya_uptime.adapters.net.sockaddr import SocketAddress, sockaddr
from laya_uptime.domain.dns import NameServer
from laya_uptime.ports import Clock

_LARGEST = 65535  # bytes of a message: RFC 1035 section 4.2.2
_MOST_STRAYS = 64  # datagrams from the server that answer another question


@contextmanager
def _socket(server: NameServer, kind: socket.SocketKind) -> Iterator[tuple[socket.socket, SocketAddress]]:
    family, address = sockaddr(ip_address(server.address), server.port)
    with socket.socket(family, kind) as sock:
        sock.setblocking(False)
        yield sock, address


async def over_udp(server: NameServer, question: Question, *, edns: bool, dnssec: bool, clock: Clock) -> Reply:
    """Ask and wait, for ever if need be. Raise OSError where the server cannot be asked, Malformed where it talks rubbish."""
    loop = asyncio.get_running_loop()
    id_ = secrets.randbits(16)
    with _socket(server, socket.SOCK_DGRAM) as (sock, address):
        sock.connect(address)  # sends nothing, so it does not block
        await loop.sock_sendall(sock, write(question, id_=id_, edns=edns, dnssec=dnssec))
        for _ in range(_MOST_STRAYS):
            reply = read(await loop.sock_recv(sock, _LARGEST), question, id_=id_)
            if reply is not None:
                return reply
            await clock.sleep(0)  # a flood must leave the others their turn
    raise Malformed("it answers other questions than ours")


async def over_tcp(server: NameServer, question: Question, *, edns: bool, dnssec: bool) -> Reply:
    """Ask and wait, for ever if need be. Raise OSError where the server cannot be asked, Malformed where it talks rubbish."""
    loop = asyncio.get_running_loop()
    id_ = secrets.randbits(16)
    query = write(question, id_=id_, edns=edns, dnssec=dnssec)
    with _socket(server, socket.SOCK_STREAM) as (sock, address):
        await loop.sock_connect(sock, address)
        await loop.sock_sendall(sock, len(query).to_bytes(2, "big") + query)
        size = int.from_bytes(await _exactly(sock, 2), "big")
        reply = read(await _exactly(sock, size), question, id_=id_)
    if reply is None:
        raise Malformed("it answers another question than ours")
    if reply.is_truncated:
        raise Malformed("its answer over TCP is truncated")
    return reply


async def _exactly(sock: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = bytearray()
    while len(data) < size:
        piece = await loop.sock_recv(sock, size - len(data))
        if not piece:
            raise Malformed("it hangs up before its answer is complete")
        data += piece
    return bytes(data)
