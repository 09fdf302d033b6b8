"""A network of its own in one thread: the loopback, and a wire whose other end is the test.

Pings without privileges are off on many machines, and nobody may change the host for a test. A new network namespace has
its own setting, and the system forgets all of it with the thread.
"""

import asyncio
import ctypes
import fcntl
import ipaddress
import os
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK, SIOCGIFINDEX = 0x8914, 0x8916, 0x891C, 0x8933
UP_AND_RUNNING = 0x41
SETTING = Path("/proc/sys/net/ipv4/ping_group_range")


def checksum(data: bytes) -> int:
    """Return the Internet checksum, RFC 1071."""
    padded = data + bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


class Wire:
    """The other end: every packet goes to `play`, which says with which packets it is answered."""

    def __init__(self, tun: int) -> None:
        """Own the near end. Nobody answers yet."""
        self.tun = tun
        self.play: Callable[[bytes], list[bytes]] = lambda _: []
        self.echoes = 0

    def carry(self) -> None:
        """Take what has come and send what the play says."""
        with suppress(BlockingIOError):
            while packet := os.read(self.tun, 65536):
                if packet[0] >> 4 == 4 and packet[9] == socket.IPPROTO_ICMP:
                    self.echoes += 1
                    for answer in self.play(packet):
                        os.write(self.tun, answer)

    @staticmethod
    def reply(packet: bytes, **changes: object) -> bytes:
        """Return the answer that an honest host gives, with some of it changed."""
        head = (packet[0] & 15) * 4
        icmp = bytearray(packet[head:])
        icmp[0] = 0
        icmp[4:6] = struct.pack("!H", changes.get("identifier", struct.unpack("!H", icmp[4:6])[0]))
        icmp[6:8] = struct.pack("!H", changes.get("sequence", struct.unpack("!H", icmp[6:8])[0]))
        payload = changes.get("payload", bytes(icmp[8:]))
        assert isinstance(payload, bytes)
        sender = ipaddress.IPv4Address(str(changes.get("sender", ipaddress.IPv4Address(packet[16:20]))))
        return datagram(sender.packed, packet[12:16], bytes(icmp[:8]) + payload)

    @staticmethod
    def error(packet: bytes, kind: int, code: int, *, sender: str) -> bytes:
        """Return an ICMP error about this packet."""
        about = packet[: (packet[0] & 15) * 4 + 8]
        return datagram(
            ipaddress.IPv4Address(sender).packed, packet[12:16], struct.pack("!BBHI", kind, code, 0, 0) + about
        )


def datagram(source: bytes, target: bytes, icmp: bytes) -> bytes:
    """Return an IPv4 packet around an ICMP message, with both checksums right."""
    message = icmp[:2] + b"\0\0" + icmp[4:]
    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(message), 0, 0, 64, socket.IPPROTO_ICMP, 0, source, target)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + message


class Laboratory:
    """Runs coroutines in the network of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wire: Wire) -> None:
        """Take a loop that runs in the network, and the near end of the wire."""
        self.wire = wire
        self._loop = loop

    @classmethod
    def start(cls) -> "Laboratory":
        """Make the network and return when it can be used. Raise OSError where this user may not make one."""
        started: Future[Laboratory] = Future()
        threading.Thread(target=_enter, args=(started,), daemon=True).start()
        return started.result(10)

    def stop(self) -> None:
        """Let go of the network."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what this does in there. Raise TimeoutError after a minute."""

        async def inside() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(60)

    def allow(self, groups: str) -> None:
        """Say which groups may ping in this network."""

        async def write() -> None:
            SETTING.write_text(groups)  # noqa: ASYNC240  a file of the kernel's

        self.run(write)


def _enter(started: "Future[Laboratory]") -> None:
    """Make the network, then run a loop in it until it is stopped."""
    try:
        _unshare()
        SETTING.write_text("0 2147483647")
        _bring_up(b"lo")
        wire = _wire()
    except OSError as error:
        started.set_exception(error)
        return
    loop = asyncio.new_event_loop()
    loop.add_reader(wire.tun, wire.carry)
    loop.call_soon(started.set_result, Laboratory(loop, wire))
    loop.run_forever()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    os.close(wire.tun)


def _unshare() -> None:
    """Put this thread alone into a network of its own. `os.unshare` came with Python 3.12."""
    system = ctypes.CDLL(None, use_errno=True)
    if system.unshare(CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _bring_up(interface: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", interface, UP_AND_RUNNING))


def _wire() -> Wire:
    """Return a point-to-point wire, 198.51.100.1/24 on this side; the test is everybody on the other."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"wire0", IFF_TUN | IFF_NO_PI))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for request, address in ((SIOCSIFADDR, "198.51.100.1"), (SIOCSIFNETMASK, "255.255.255.0")):
            packed = ipaddress.IPv4Address(address).packed
            fcntl.ioctl(sock, request, struct.pack("16sHH4s8x", b"wire0", socket.AF_INET, 0, packed))
    _bring_up(b"wire0")
    return Wire(tun)
