"""Readiness and deadlines for checks, beside the event loop rather than through it.

A task, a future and a transport per check cost more than the check's own system calls. So all sockets of all checks hang on
one private epoll, and its descriptor is a single reader of the loop: when it is ready, `turn` calls the handler of each
ready socket, and what a handler starts is on its way before the loop is asked again.

- Sockets are registered once, edge-triggered, for reading and writing; closing one takes it out again (epoll(7)). A
  handler must therefore read until less comes than it had room for, and may try to write at any time.
- Deadlines lie in buckets of 50 ms and are met up to that much late: a check's deadline is seconds, and most of them
  are taken back long before. One timer of the loop stands for the first bucket that is not empty.

Where there is no epoll (macOS, BSD), the same handlers hang on the loop itself, which is built on `selectors`.
"""

import asyncio
import select
from itertools import count

from laya_uptime.ports import CLOSED, READABLE, WRITABLE, Alarm, Handler, Poll

BUCKET = 0.05  # seconds

_ROOM = 65536
_MOST_EVENTS = 512  # of one turn; the loop gets its own turn between them


class _Alarms:
    """Deadlines in buckets, one timer for all."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._buckets: dict[int, dict[int, Alarm]] = {}
        self._where: dict[int, int] = {}  # alarm -> bucket
        self._numbers = count(1)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_for = 0

    def set(self, seconds: float, ring: Alarm) -> int:
        bucket = int((self._loop.time() + seconds) / BUCKET) + 1
        number = next(self._numbers)
        alarms = self._buckets.get(bucket)
        if alarms is None:
            alarms = self._buckets[bucket] = {}
            if self._timer is None or bucket < self._timer_for:
                self._wind(bucket)
        alarms[number] = ring
        self._where[number] = bucket
        return number

    def take_back(self, number: int) -> None:
        bucket = self._where.pop(number, None)
        if bucket is not None:
            self._buckets[bucket].pop(number, None)

    def _wind(self, bucket: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_for = bucket
        self._timer = self._loop.call_at(bucket * BUCKET, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = int(self._loop.time() / BUCKET + 0.02)  # a timer may come a hair early
        for bucket in sorted(bucket for bucket in self._buckets if bucket <= now):
            alarms = self._buckets[bucket]
            while alarms:
                number, ring = alarms.popitem()
                self._where.pop(number, None)
                ring()
            del self._buckets[bucket]
        # Buckets whose alarms were all taken back go now, so that a quiet loop is not woken for nothing.
        for bucket in [bucket for bucket, alarms in self._buckets.items() if not alarms]:
            del self._buckets[bucket]
        if self._buckets:
            self._wind(min(self._buckets))


class EpollPoll:
    """One epoll, nested in the loop."""

    tells_failure = True

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.view = memoryview(bytearray(_ROOM))
        self._loop = loop
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._new: set[int] = set()  # registered in this turn
        self._turning = False
        alarms = _Alarms(loop)
        self.alarm, self.silence = alarms.set, alarms.take_back
        loop.add_reader(self._epoll.fileno(), self.turn)

    def watch(self, descriptor: int, handler: Handler) -> None:
        """See `Poll.watch`."""
        if descriptor not in self._handlers:
            self._epoll.register(descriptor, READABLE | WRITABLE | CLOSED | select.EPOLLET)
            if self._turning:
                self._new.add(descriptor)
        self._handlers[descriptor] = handler

    def wait_to_write(self, descriptor: int, handler: Handler) -> None:
        """See `Poll.wait_to_write`: edges of both kinds come by themselves."""

    def forget(self, descriptor: int) -> None:
        """See `Poll.forget`."""
        if self._handlers.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def closing(self, descriptor: int) -> None:
        """See `Poll.closing`."""
        self._handlers.pop(descriptor, None)

    def turn(self) -> None:
        """Call the handler of every socket that is ready."""
        handlers, new = self._handlers, self._new
        self._turning = True
        try:
            for descriptor, events in self._epoll.poll(0, _MOST_EVENTS):
                # A number that was closed and given out again in this very turn: the event is its predecessor's.
                if new and descriptor in new:
                    continue
                handler = handlers.get(descriptor)
                if handler is not None:
                    handler(events)
        finally:
            self._turning = False
            new.clear()

    def close(self) -> None:
        """Let go of the loop."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()


class LoopPoll:
    """The same on the loop's own selector, for systems without epoll.

    Its events are level-triggered, so only what the handler can use at the time is asked for: writing until it first
    was possible, then reading.
    """

    tells_failure = False

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.view = memoryview(bytearray(_ROOM))
        self._loop = loop
        self._watched: set[int] = set()
        alarms = _Alarms(loop)
        self.alarm, self.silence = alarms.set, alarms.take_back

    def watch(self, descriptor: int, handler: Handler) -> None:
        """See `Poll.watch`."""
        self._loop.add_reader(descriptor, handler, READABLE)
        if descriptor not in self._watched:
            self._loop.add_writer(descriptor, self._writable, descriptor, handler)
        self._watched.add(descriptor)

    def wait_to_write(self, descriptor: int, handler: Handler) -> None:
        """See `Poll.wait_to_write`."""
        self._loop.add_writer(descriptor, self._writable, descriptor, handler)

    def _writable(self, descriptor: int, handler: Handler) -> None:
        self._loop.remove_writer(descriptor)
        handler(WRITABLE)

    def forget(self, descriptor: int) -> None:
        """See `Poll.forget`."""
        if descriptor in self._watched:
            self._watched.discard(descriptor)
            self._loop.remove_reader(descriptor)
            self._loop.remove_writer(descriptor)

    closing = forget

    def close(self) -> None:
        """Let go of the loop."""
        for descriptor in list(self._watched):
            self.forget(descriptor)


def make_poll(loop: asyncio.AbstractEventLoop) -> Poll:
    """Return a new poll for this loop, with epoll where there is one."""
    return EpollPoll(loop) if hasattr(select, "epoll") else LoopPoll(loop)
