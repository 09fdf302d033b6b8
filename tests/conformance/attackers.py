"""Both sides of the attack, each in a process of its own.

`attackers.py serve` prints a port and attacks whoever asks, each path in its own way; `/healthy` is a good neighbour.
`attackers.py watch FILE DIRECTORY` runs the service on a configuration file, writes one JSON object a line to FILE.looks
for the first round of each monitor, and at its end one with the memory it needed at most.
"""

import asyncio
import gzip
import json
import os
import sys
from pathlib import Path
from typing import TextIO

import brotli

from laya_uptime import bootstrap
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.config.load import load
from laya_uptime.ports import Round
from laya_uptime.testing.target import Peer, ScriptedTarget

OK = b"HTTP/1.1 200 OK\r\n"
FINE = OK + b"Content-Length: 2\r\n\r\nhi"
ZEROS = bytes(32 << 20)
GZIP, BROTLI = gzip.compress(ZEROS), brotli.compress(ZEROS)  # type: ignore[no-untyped-call]

# What is sent at once, what again and again, and how many seconds apart.
ATTACKS: dict[str, tuple[bytes, bytes, float]] = {
    "endless-body": (OK + b"\r\n", bytes(65536), 0),
    "endless-chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(65536) + b"\r\n", 0),
    "tiny-chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 5000, 0),
    "byte-a-second": (OK + b"Content-Length: 1000\r\n\r\n", b"x", 1),
    "head-byte-a-second": (b"HTTP/1.1 200 ", b"x", 1),
    "just-below-the-cap": (OK + b"Content-Length: 1048576\r\n\r\n" + bytes((1 << 20) - 60), b"x", 1),
    "continue-for-ever": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.3),
    "continue-at-once": (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, b"", 0),
    "no-length": (OK + b"\r\nfirst words", b"", 0),
    "wrong-length": (OK + b"Content-Length: 99\r\n\r\nhello", b"", 0),
    "gzip-bomb": (OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(GZIP), GZIP), b"", 0),
    "br-bomb": (OK + b"Content-Encoding: br\r\nContent-Length: %d\r\n\r\n%s" % (len(BROTLI), BROTLI), b"", 0),
    "million-headers": (OK, b"X: y\r\n" * 10_000, 0),
    "long-header": (OK + b"X: ", b"y" * 65536, 0),
    "ten-thousand-trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: x\r\n" * 10_000, b"", 0),
    "redirect-loop": (b"HTTP/1.1 302 Found\r\nLocation: /redirect-loop\r\nContent-Length: 0\r\n\r\n", b"", 0),
    "silence": (b"", b"", 0),
}


async def _attack(peer: Peer) -> None:
    path = (await peer.request()).split(b" ")[1].decode().strip("/").partition("/")[0]
    if path not in ATTACKS:
        await peer.send(FINE)
        return
    first, again, apart = ATTACKS[path]
    await peer.send(first)
    while again:
        await peer.send(again)
        if apart:
            await SystemClock().sleep(apart)
    await peer.gone()


async def _serve() -> None:
    async with ScriptedTarget(_attack) as target:
        print(target.port, flush=True)
        await asyncio.Event().wait()


def _watch(file: Path, directory: Path) -> None:
    configuration = load(file, environ={})
    with file.with_suffix(".looks").open("w", encoding="utf-8") as out:

        def note(round_: Round) -> None:
            observation, verdict = round_.result.observation, round_.result.verdict
            _write(
                out,
                monitor=round_.monitor.id,
                late=(observation.at - observation.due).total_seconds(),
                elapsed=observation.elapsed.total_seconds(),
                outcome=verdict.outcome,
                reason=verdict.reason,
                detail=verdict.detail,
            )

        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        before = _memory("VmRSS")
        plan = bootstrap.Plan(watched=configuration.monitors, channels=(), first_look=note)
        with bootstrap.log_to(None), bootstrap.hold(directory) as held:
            bootstrap.run(plan, directory=held, banner=(), farewell="")
        _write(out, before=before, peak=_memory("VmHWM"))


def _write(out: TextIO, **facts: object) -> None:
    out.write(json.dumps(facts) + "\n")
    out.flush()


def _memory(what: str) -> int:
    """Return bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(_serve())
    elif sys.argv[1] == "attacks":
        print(*ATTACKS)
    else:
        _watch(Path(sys.argv[2]), Path(sys.argv[3]))
    os._exit(0)
