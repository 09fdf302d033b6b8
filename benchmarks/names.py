"""What one question to a name server costs, and one lookup of both families, against a server on loopback.

CPU is that of this process alone; the server is another one. Beside it, in the same run, a bare loop sends the same
bytes on a fresh blocking socket and reads the answer unseen: the least that a fresh question costs here from Python.
"""

import asyncio
import multiprocessing
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.names.asking import Manner
from laya_uptime.adapters.net.names.lookup import look_up, look_up_addresses
from laya_uptime.adapters.net.names.message import Question, write
from laya_uptime.domain.dns import NameServer
from rows import Row, main, progress

NAME = "shop.example.org"
CLOCK = SystemClock()


def serve(ready: Connection) -> None:
    """Answer every question for A with one address and every other with none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        ready.send(sock.getsockname()[1])
        while True:
            query, address = sock.recvfrom(4096)
            end = query.index(b"\0", 12) + 5
            wants_a = query[end - 4 : end - 2] == b"\0\1"
            head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, int(wants_a), 0, 0)
            answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes((192, 0, 2, 1))
            sock.sendto(head + query[12:end] + (answer if wants_a else b""), address)


def bare(port: int, count: int) -> float:
    """Return the CPU microseconds of one question on a fresh blocking socket."""
    query = write(Question.of(NAME, "A"), id_=1, edns=True, dnssec=False)
    began = time.process_time()
    for _ in range(count):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            sock.send(query)
            sock.recv(4096)
    return (time.process_time() - began) / count * 1e6


async def timed(ask: Callable[[], Awaitable[object]], count: int) -> tuple[float, float]:
    """Return CPU microseconds of one, and the median of the milliseconds it took."""
    took = []
    cpu = time.process_time()
    for _ in range(count):
        began = time.perf_counter()
        await ask()
        took.append(time.perf_counter() - began)
    cpu = time.process_time() - cpu
    return cpu / count * 1e6, sorted(took)[count // 2] * 1e3


def measure(quick: bool) -> list[Row]:
    """Return all rows."""
    count = 1_000 if quick else 10_000
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        port: int = ours.recv()
        manner = Manner(servers=(NameServer("127.0.0.1", port),))
        progress(f"{count} questions, {count} lookups ...")
        query = asyncio.run(timed(lambda: look_up(NAME, "A", manner, clock=CLOCK), count))
        families = ("A", "AAAA")
        lookup = asyncio.run(timed(lambda: look_up_addresses(NAME, manner, families=families, clock=CLOCK), count))
        least = bare(port, count)
    finally:
        server.terminate()
        server.join()
    return [
        Row(name="names.query_us", value=query[0], unit="us"),
        Row(name="names.query_ms", value=query[1], unit="ms"),
        Row(name="names.lookup_us", value=lookup[0], unit="us"),
        Row(name="names.lookup_ms", value=lookup[1], unit="ms"),
        Row(name="names.bare_query_us", value=least, unit="us"),
        Row(name="names.query_vs_bare", value=query[0] / least, unit="x"),
    ]


if __name__ == "__main__":
    raise SystemExit(main(__doc__ or "", measure))
