"""What time alone brings: the heartbeat, monitors that nobody sees any more, and old data.

The service manager is fed only after a heartbeat row is durable and while the scheduler turns; or, when the database
fails, after that has been declared and told: a full disk must not become a restart loop.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from laya_uptime.domain.monitor import Monitor
from laya_uptime.engine.pipeline import Pipeline
from laya_uptime.engine.writer import Writer
from laya_uptime.errors import StoreError
from laya_uptime.ports import Clock, Listener, Probing, Store, Watchdog

BEAT = 10.0  # seconds
WEDGED_AFTER = timedelta(seconds=15)  # a scheduler that has not turned for so long feeds nobody
_PRUNE_EVERY = 3600.0
_PRUNE_PAUSE = 0.05
_LOOK_MOST = 10.0
_LOOK_AT_ONCE = 1_000  # monitors, which takes less than a millisecond


class Housekeeper:
    """Small regular duties beside the checks."""

    def __init__(
        self,
        *,
        clock: Clock,
        store: Store,
        writer: Writer,
        probing: Probing,
        elapsed: Callable[[], timedelta],
        pipeline: Pipeline,
        watchdog: Watchdog,
        listener: Listener,
        retention: timedelta,
    ) -> None:
        self._clock = clock
        self._store = store
        self._writer = writer
        self._probing = probing
        self._elapsed = elapsed
        self._pipeline = pipeline
        self._watchdog = watchdog
        self._listener = listener
        self._retention = retention

    async def beat(self) -> None:
        """Prove every ten seconds that work gets done."""
        while True:
            if await self._is_durable() or self._writer.is_degraded:
                if self._probing.is_turning(within=WEDGED_AFTER):
                    self._watchdog.alive()
                else:
                    self._listener.trouble("The scheduler has stopped turning")
            await self._clock.sleep(BEAT)

    async def look_for_blindness(self) -> None:
        """Mark what nobody has seen for three intervals as unknown."""
        shortest = min((monitor.every.total_seconds() for monitor in self._pipeline.monitors.values()), default=60.0)
        while True:
            await self._clock.sleep(min(max(shortest, 1.0), _LOOK_MOST))
            await self._look_at(list(self._pipeline.monitors.values()))

    async def _look_at(self, monitors: Sequence[Monitor]) -> None:
        """Look at some, then give the checks a turn, so that a hundred thousand of them hold up nothing."""
        for begin in range(0, len(monitors), _LOOK_AT_ONCE):
            if begin:
                await self._clock.sleep(0)
            some = monitors[begin : begin + _LOOK_AT_ONCE]
            self._pipeline.watch_for_blindness(some, at=self._clock.now(), elapsed=self._elapsed())

    async def prune(self) -> None:
        """Delete what is older than the retention, a small piece at a time."""
        while True:
            await self._prune_once()
            await self._clock.sleep(_PRUNE_EVERY)

    async def _is_durable(self) -> bool:
        beat = asyncio.ensure_future(self._writer.beat())
        pause = asyncio.ensure_future(self._clock.sleep(BEAT))
        try:
            await asyncio.wait({beat, pause}, return_when=asyncio.FIRST_COMPLETED)
            return beat.done()
        finally:
            beat.cancel()
            pause.cancel()

    async def _prune_once(self) -> None:
        before = self._clock.now() - self._retention
        try:
            while await self._store.prune(before=before):
                await self._clock.sleep(_PRUNE_PAUSE)
        except StoreError:
            return  # the writer tells when the database fails for long; old rows can wait
