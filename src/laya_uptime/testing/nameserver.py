"""A name server on loopback, over UDP and TCP on one port, that answers from a zone or exactly as a test wants.

    async with ScriptedNameServer(knows({"shop.test": {"A": ["192.0.2.1"]}})) as server:
        ...  # server.port, server.asked

Messages are made with dnspython's own reader and writer, which the client under test does not use.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Self

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = Mapping[str, Mapping[str, Sequence[str]]]


class Asked:
    """One question as it came, and the way back."""

    def __init__(self, wire: bytes, server: "ScriptedNameServer", peer: "_Peer") -> None:
        """Read the question."""
        self.message = dns.message.from_wire(wire)
        self.server = server
        self.over_tcp = peer.over_tcp
        self.port = peer.port
        self._peer = peer

    @property
    def name(self) -> str:
        """Return the name that is asked for, without its final dot."""
        return str(self.message.question[0].name).removesuffix(".")

    @property
    def record(self) -> str:
        """Return the type that is asked for."""
        return dns.rdatatype.to_text(self.message.question[0].rdtype)

    def reply(
        self,
        *answers: tuple[str, str, str],
        rcode: str = "NOERROR",
        truncated: bool = False,
        authenticated: bool = False,
        why: tuple[int, str] | None = None,
        soa: bool = False,
    ) -> dns.message.Message:
        """Return an answer to it. Each record is (owner, type, data); `why` an extended error, `soa` as with NODATA."""
        reply = dns.message.make_response(self.message, recursion_available=True)
        reply.set_rcode(dns.rcode.from_text(rcode))
        if truncated:
            reply.flags |= dns.flags.TC
        if authenticated:
            reply.flags |= dns.flags.AD
        if why is not None:
            reply.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode.make(why[0]), why[1])])
        for owner, record, data in answers:
            reply.answer.append(dns.rrset.from_text(f"{owner.removesuffix('.')}.", 60, "IN", record, data))
        if soa:
            reply.authority.append(dns.rrset.from_text("test.", 60, "IN", "SOA", "ns.test. root.test. 1 2 3 4 5"))
        return reply

    async def send(self, reply: dns.message.Message | bytes) -> None:
        """Send an answer, or any bytes as if they were one."""
        wire = reply if isinstance(reply, bytes) else reply.to_wire(max_size=65535)
        await self._peer.send(len(wire).to_bytes(2, "big") + wire if self.over_tcp else wire)

    async def send_raw(self, data: bytes) -> None:
        """Send bytes as they are, over TCP without their length in front."""
        await self._peer.send(data)

    async def send_from_elsewhere(self, reply: dns.message.Message) -> None:
        """Send a datagram from another port than the one that was asked."""
        assert isinstance(self._peer, _UdpPeer)
        with socket.socket(self._peer.sock.family, socket.SOCK_DGRAM) as other:
            other.bind((self.server.host, 0))
            other.sendto(reply.to_wire(), self._peer.address)


Script = Callable[[Asked], Awaitable[None]]


def knows(zone: Zone, *, authenticated: bool = False) -> Script:
    """Return a script that answers as a recursive server does: aliases followed, NXDOMAIN or NODATA for the rest."""

    async def script(asked: Asked) -> None:
        name, answers = asked.name.lower(), []
        while asked.record != "CNAME" and (aliases := zone.get(name, {}).get("CNAME")):
            answers.append((name, "CNAME", f"{aliases[0].removesuffix('.')}."))
            name = aliases[0].removesuffix(".")
        answers += [(name, asked.record, data) for data in zone.get(name, {}).get(asked.record, ())]
        is_missing = not any(known == name or known.endswith(f".{name}") for known in zone)
        rcode = "NXDOMAIN" if is_missing else "NOERROR"
        soa = not any(record == asked.record for _, record, _ in answers)
        await asked.send(asked.reply(*answers, rcode=rcode, soa=soa, authenticated=authenticated))

    return script


async def silence(asked: Asked) -> None:
    """Answer nothing."""
    del asked


class ScriptedNameServer:
    """Both sockets, whose every question goes to the script. `asked` is its ledger."""

    def __init__(self, script: Script, *, host: str = "127.0.0.1", port: int = 0, tcp: bool = True) -> None:
        """Listen nowhere yet; over UDP alone where `tcp` is false."""
        self.asked: list[Asked] = []
        self.host = host
        self.port = port
        self._script = script
        self._tcp = tcp
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._datagrams = socket.socket(family, socket.SOCK_DGRAM)
        self._streams = socket.socket(family, socket.SOCK_STREAM)
        self._streams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._bind()
        for sock in (self._datagrams, self._streams):
            sock.setblocking(False)
        if self._tcp:
            self._streams.listen()
            self._start(self._accept())
        self._start(self._receive())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._datagrams.close()
        self._streams.close()

    def _bind(self) -> None:
        """Take one port for both; a free one for datagrams may be taken for streams."""
        for attempt in range(50):
            self._streams.bind((self.host, self.port))
            port = self._streams.getsockname()[1]
            try:
                self._datagrams.bind((self.host, port))
            except OSError:
                if self.port or attempt == 49:
                    raise
                self._streams.close()
                self._streams = socket.socket(self._datagrams.family, socket.SOCK_STREAM)
            else:
                self.port = port
                return

    async def _receive(self) -> None:
        while True:
            wire, address = await asyncio.get_running_loop().sock_recvfrom(self._datagrams, 65535)
            self._start(self._answer(wire, _UdpPeer(self._datagrams, address)))

    async def _accept(self) -> None:
        while True:
            sock, address = await asyncio.get_running_loop().sock_accept(self._streams)
            self._start(self._serve(sock, address[1]))

    async def _serve(self, sock: socket.socket, port: int) -> None:
        with sock, contextlib.suppress(OSError):
            peer = _TcpPeer(sock, port)
            size = int.from_bytes(await peer.receive(2), "big")
            await self._answer(await peer.receive(size), peer)

    async def _answer(self, wire: bytes, peer: "_Peer") -> None:
        asked = Asked(wire, self, peer)
        self.asked.append(asked)
        with contextlib.suppress(OSError):  # the other side may have gone
            await self._script(asked)

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Peer:
    """Whoever asks."""

    over_tcp = False

    def __init__(self, sock: socket.socket, port: int) -> None:
        self.sock = sock
        self.port = port

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await asyncio.get_running_loop().sock_sendall(self.sock, data)


class _UdpPeer(_Peer):
    def __init__(self, sock: socket.socket, address: tuple[str, int]) -> None:
        super().__init__(sock, address[1])
        self.address = address

    async def send(self, data: bytes) -> None:
        """Send one datagram."""
        await asyncio.get_running_loop().sock_sendto(self.sock, data, self.address)


class _TcpPeer(_Peer):
    over_tcp = True

    async def receive(self, size: int) -> bytes:
        """Return exactly so many bytes. Raise ConnectionError where they do not come."""
        data = b""
        while len(data) < size:
            piece = await asyncio.get_running_loop().sock_recv(self.sock, size - len(data))
            if not piece:
                raise ConnectionError("the question ends early")
            data += piece
        return data
