"""A probe process: looks at what it is told to, reports, and keeps nothing.

    python -m laya_uptime.agent FD

The hub starts it with the number of a connected socket, over which everything comes and goes (`adapters.shards.wire`).
It reads no configuration, opens no store, writes to no log, and ends as soon as nobody holds the other end.

When the hub does not take results, they wait here, at most `ROOM` of them and what is under way; then no more checks
are begun until there is room. What was not begun waits, and is counted as waiting; nothing that was seen is dropped.
"""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.adapters.shards import wire
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.result import Result
from laya_uptime.engine.probing import LocalProbing
from laya_uptime.ports import Clock

ROOM = 2_000  # results that may wait for the hub
GATHER = 0.01  # seconds in which results come together for one batch
AT_ONCE = 500  # rows in one batch
BEAT = 1.0  # seconds
_WEDGED_AFTER = timedelta(seconds=15)  # a scheduler that has not looked at slots for so long does not turn
_DESCRIPTORS = 8_192
_FAULT = 70
_REGION = "local"


class Agent:
    """The process's end of the conversation. It is the `ports.Overseer` of its own probing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, clock: Clock) -> None:
        """Say nothing before the hub has."""
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._probing: LocalProbing | None = None
        self._rows: list[wire.Row] = []
        self._over: list[tuple[str, int]] = []
        self._news = asyncio.Event()
        self._is_held = self._has_begun = False
        self._duties: list[asyncio.Task[None]] = []

    async def serve(self) -> int:
        """Do as told until the hub hangs up or says stop; return the exit code."""
        listening = asyncio.create_task(self._listen())
        self._duties.append(listening)
        code = _FAULT
        while not listening.done():
            done, _ = await asyncio.wait(self._duties, return_when=asyncio.FIRST_COMPLETED)
            if done - {listening}:  # none of the others ever returns
                break
        if listening.done() and listening.exception() is None:
            code = 0
        for duty in self._duties:
            duty.cancel()
        await asyncio.gather(*self._duties, return_exceptions=True)
        if self._probing is not None:
            await self._probing.settle(0.0)  # ends programs that checks have started
        self._writer.close()
        return code

    def seen(self, result: Result) -> None:
        """Let it wait for the next batch; where too many wait already, begin no more."""
        self._rows.append(wire.row_of(result))
        self._news.set()
        if len(self._rows) >= ROOM and not self._is_held and self._probing is not None:
            self._is_held = True
            self._probing.hold()

    def slot_over(self, monitor_id: str, due: datetime) -> None:
        """Let it wait likewise. Where nobody listens for long it is left out: the counts have it."""
        if len(self._over) < ROOM:
            self._over.append((monitor_id, wire.microseconds(due)))
            self._news.set()

    def trouble(self, text: str) -> None:
        """Pass it on."""
        self._say(wire.Trouble(text))

    def relief(self, text: str) -> None:
        """Pass it on."""
        self._say(wire.Relief(text))

    async def _listen(self) -> None:
        while (body := await wire.read_frame(self._reader)) is not None:
            order = wire.read_order(body)
            if isinstance(order, wire.Stop):
                await self._stop(order.seconds)
                return
            self._obey(order)

    def _obey(self, order: wire.Order) -> None:
        if isinstance(order, wire.Hello):
            self._greet(order)
            return
        probing = self._probing
        if probing is None:
            raise wire.WireError("an order came before the greeting")
        match order:
            case wire.Watch(tasks=tasks):
                for task in tasks:
                    probing.put(wire.watched_of(task))
                self._confirm(order.serial)
            case wire.Remove(ids=ids):
                _each(probing.remove, ids)
                self._confirm(order.serial)
            case wire.Pause(ids=ids):
                _each(probing.pause, ids)
            case wire.Resume(ids=ids):
                _each(probing.resume, ids)
            case wire.Sooner(ids=ids):
                _each(probing.sooner, ids)
            case wire.Begin() | wire.Stop():
                self._begin(probing)

    def _greet(self, hello: wire.Hello) -> None:
        clock = self._clock
        via = GuardedDialer(clock=clock, policy=EgressPolicy.parse(hello.allow))
        self._probing = LocalProbing([], self, via=via, clock=clock, anchor=hello.anchor)
        self._duties.append(asyncio.create_task(self._beat(self._probing)))
        self._duties.append(asyncio.create_task(self._report()))

    def _begin(self, probing: LocalProbing) -> None:
        # Nothing loaded so far will be garbage; collections need not walk it for ever.
        gc.collect()
        gc.freeze()
        self._has_begun = True
        self._duties.append(asyncio.create_task(probing.run()))

    def _confirm(self, serial: int) -> None:
        """Say that an edit is done, after everything that was seen before it."""
        while self._rows or self._over:
            self._write_some()
        self._say(wire.Took(serial))

    async def _stop(self, seconds: float) -> None:
        if self._probing is not None:
            await self._probing.settle(seconds)
        self._writer.transport.set_write_buffer_limits(0)  # so that draining means that all of it is gone
        await self._hand_over()
        await self._writer.drain()

    async def _report(self) -> None:
        while True:
            await self._news.wait()
            await self._clock.sleep(GATHER)
            self._news.clear()
            await self._hand_over()

    async def _hand_over(self) -> None:
        """Write all that waits, as fast as the hub takes it."""
        while self._rows or self._over:
            self._write_some()
            await self._writer.drain()
            if self._is_held and len(self._rows) < ROOM // 2 and self._probing is not None:
                self._is_held = False
                self._probing.let_go()

    def _write_some(self) -> None:
        rows, over = self._rows[:AT_ONCE], self._over
        self._over = []
        del self._rows[: len(rows)]
        try:
            self._writer.write(wire.frame(wire.Batch(_REGION, rows, over)))
        except wire.WireError:  # what some target said cannot be written as text
            self._writer.write(wire.frame(wire.Batch(_REGION, [wire.plain(row) for row in rows], over)))

    def _say(self, report: wire.Report) -> None:
        with contextlib.suppress(wire.WireError):
            self._writer.write(wire.frame(report))

    async def _beat(self, probing: LocalProbing) -> None:
        """Show once a second that the loop turns, unless what was said before is still to be heard."""
        while True:
            is_turning = self._has_begun and probing.is_turning(within=_WEDGED_AFTER)
            self._say(wire.Beat(turning=is_turning, load=probing.load))
            await self._writer.drain()
            await self._clock.sleep(BEAT)


def _each(act: Callable[[str], None], ids: Sequence[str]) -> None:
    for monitor_id in ids:
        act(monitor_id)


async def _serve(sock: socket.socket) -> int:
    reader, writer = await asyncio.open_connection(sock=sock)
    return await Agent(reader, writer, clock=SystemClock()).serve()


def _make_room_for_sockets() -> None:
    """Take as many descriptors as checks under way may need, where the system lets us: the usual 1,024 are too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main(words: list[str]) -> int:
    """Serve on the socket of this number and return the exit code."""
    # The hub hears of these as well, and says what is to be done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if len(words) != 1 or not words[0].isdigit():
        sys.stderr.write("laya-uptime: this module is started by laya-uptime serve --shards N\n")
        return 2
    _make_room_for_sockets()
    return asyncio.run(_serve(socket.socket(fileno=int(words[0]))))


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except BaseException:  # noqa: BLE001  a trace may show what is confidential, and there is nobody to read it
        code = _FAULT
    os._exit(code)  # a thread that still waits for the system's resolver is not waited for
