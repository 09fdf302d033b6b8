"""A clock that stands still until a test moves it.

    clock = FakeClock()
    task = asyncio.create_task(service.run(stop))
    await clock.advance("90s")               # everybody who sleeps wakes in order, each at its own instant

Nothing waits in real time. What waits for a socket or a thread is not waited for: use it with parts in memory.
"""

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from laya_uptime.testing.durations import duration

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)

_ZERO = 1_000.0  # seconds; a monotonic clock does not begin at nought
_NANOSECOND = 1_000_000_000
_MOST_TURNS = 100_000  # of the loop, for one instant
_BLIND_TURNS = 200  # where the loop does not show what is ready
_STEP = _NANOSECOND  # the longest step while deadlines of asyncio follow this clock


class FakeClock:
    """`ports.Clock` for tests. Wall time and monotonic time run together until `jump_wall` parts them.

    Times are kept in whole nanoseconds, so that months of virtual time add up without drift.
    """

    def __init__(self, at: datetime = NOON) -> None:
        """Begin at this instant; it must be aware."""
        self._began = at
        self._elapsed = 0  # nanoseconds
        self._shift = timedelta(0)  # what `jump_wall` did to the wall clock
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._entries = 0
        self._step: int | None = None

    def now(self) -> datetime:
        """Return the current instant, aware, in the zone in which the clock began."""
        return self._began + timedelta(microseconds=self._elapsed // 1000) + self._shift

    def monotonic(self) -> float:
        """Return seconds on a clock that only moves forward."""
        return _ZERO + self._elapsed / _NANOSECOND

    async def sleep(self, seconds: float) -> None:
        """Wait until the test has moved the clock this far. Zero or less only gives others a turn."""
        if seconds <= 0:
            await asyncio.sleep(0)  # noqa: TID251  a turn of the loop takes no time
            return
        wake = asyncio.get_running_loop().create_future()
        self._entries += 1
        heapq.heappush(self._sleepers, (self._elapsed + max(round(seconds * _NANOSECOND), 1), self._entries, wake))
        await wake

    @property
    def sleepers(self) -> int:
        """Return how many wait for this clock now."""
        return sum(not wake.done() for _, _, wake in self._sleepers)

    async def advance(self, by: float | timedelta | str) -> None:
        """Move on by seconds, a timedelta or a text like "90s", through every sleeper that comes due on the way.

        They wake in order, each at its own instant, and the loop comes to rest before time goes on.
        """
        span = by if isinstance(by, int | float) else duration(by).total_seconds()
        if span < 0:
            raise ValueError("time does not go back; jump_wall moves the wall clock")
        target = self._elapsed + round(span * _NANOSECOND)
        await self.settle()
        while (instant := self._next_instant(target)) is not None:
            self._elapsed = max(self._elapsed, instant)
            self._wake_due()
            await self.settle()
        self._elapsed = target
        await self.settle()

    def stall(self, by: float | timedelta | str) -> None:
        """Move on without giving anybody a turn, as when the whole process was held up or the machine was starved.

        Who came due meanwhile wakes at the next `advance`, which may be by nothing.
        """
        span = by if isinstance(by, int | float) else duration(by).total_seconds()
        self._elapsed += round(span * _NANOSECOND)

    def jump_wall(self, by: timedelta) -> None:
        """Set the wall clock forward or, by a negative timedelta, back. Monotonic time and sleepers do not notice."""
        self._shift += by

    async def settle(self) -> None:
        """Let everybody run until nobody can without time moving on.

        Raise RuntimeError where that does not come: somebody turns in circles.
        """
        ready: deque[object] | None = getattr(asyncio.get_running_loop(), "_ready", None)
        for turn in range(_MOST_TURNS):
            await asyncio.sleep(0)  # noqa: TID251  likewise
            if not ready and (ready is not None or turn >= _BLIND_TURNS):
                return
        raise RuntimeError("the loop does not come to rest: somebody turns without waiting for the clock")

    @contextlib.contextmanager
    def with_timeouts(self) -> Iterator[None]:
        """Let the deadlines of asyncio itself (asyncio.timeout, call_later) follow this clock as well, inside the block.

        Use it in a coroutine. A deadline is met to the second, because the clock then moves in steps of one.
        """
        loop = asyncio.get_running_loop()
        if self._step is not None:  # it does so already
            yield
            return
        origin = loop.time() - self.monotonic()
        loop.time = lambda: origin + self.monotonic()  # type: ignore[method-assign]  # that is the point of it
        self._step = _STEP
        try:
            yield
        finally:
            del loop.time
            self._step = None

    def _next_instant(self, target: int) -> int | None:
        """Return when something happens next, at most at `target`; None: nothing more does until then."""
        while self._sleepers and self._sleepers[0][2].done():  # cancelled meanwhile
            heapq.heappop(self._sleepers)
        due = self._sleepers[0][0] if self._sleepers else None
        if self._step is not None and self._elapsed < target:
            step = min(self._elapsed + self._step, target)
            due = step if due is None else min(due, step)
        return due if due is not None and due <= target else None

    def _wake_due(self) -> None:
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            _, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                wake.set_result(None)
