"""Sleep until the next monitor is due, hand its slot over, and never let two slots of one monitor overlap.

Due times are offsets from one anchor on the monotonic clock, so setting the wall clock moves nothing and rounding
never adds up. A slot that comes due while its check still runs is passed over and counted.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.schedule import first_phase, next_due
from laya_uptime.ports import Clock

LONGEST_NAP = 1.0  # seconds; a pause of the whole process is noticed within this time
SOONER_SHARE = 4  # while suspect, look again after this part of the interval
SOONER_MOST = timedelta(seconds=15)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of one monitor. `due` is the wall-clock instant that keys the round, UTC, whole milliseconds."""

    monitor: Monitor
    due: datetime


@dataclass(slots=True)
class Counts:
    """What happened to the slots since start."""

    started: int = 0
    overrun: int = 0  # passed over because the check before still ran
    missed: int = 0  # passed over because the process itself was held up


class Scheduler:
    """A heap of due times. `start` is called with each slot and must return at once."""

    def __init__(
        self,
        monitors: Sequence[Monitor],
        *,
        clock: Clock,
        start: Callable[[Slot], None],
        passed_over: Callable[[Slot], None],
        anchor: float | None = None,
    ) -> None:
        """Count due times from `anchor`, an instant of the clock's `monotonic`; None: from now."""
        self.counts = Counts()
        self._clock = clock
        self._start = start
        self._passed_over = passed_over
        self._anchor = clock.monotonic() if anchor is None else anchor
        self._monitors: dict[str, Monitor] = {}
        self._busy: set[str] = set()
        self._paused: set[str] = set()
        self._fresh: set[str] = set()  # whose first slot, which is at once, was not handed out yet
        self._regular: dict[str, timedelta] = {}  # the next slot on the phase; other entries in the heap do not count
        self._sooner: dict[str, timedelta] = {}  # when to look again; older entries in the heap do not count
        # (due, order of entry, monitor, whether a regular slot)
        self._heap: list[tuple[timedelta, int, str, bool]] = []
        self._entries = 0
        self._turned = self.elapsed
        for monitor in monitors:
            self.add(monitor)

    def add(self, monitor: Monitor) -> None:
        """Hand out a slot of it at once, and then on its phase."""
        self._monitors[monitor.id] = monitor
        self._fresh.add(monitor.id)
        self._plan(self.elapsed, monitor.id)

    def replace(self, monitor: Monitor) -> None:
        """Take this in place of the monitor that has its id; it begins anew."""
        self._sooner.pop(monitor.id, None)
        self._busy.discard(monitor.id)
        self.add(monitor)

    def remove(self, monitor_id: str) -> None:
        """Hand out no more slots of it. One that is not there is no mistake."""
        for kept in (self._monitors, self._sooner, self._regular):
            kept.pop(monitor_id, None)
        for marks in (self._busy, self._paused, self._fresh):
            marks.discard(monitor_id)

    def pause(self, monitor_id: str) -> None:
        """Hand out no slots of it until `resume`. Its phase stays."""
        self._paused.add(monitor_id)

    def resume(self, monitor_id: str) -> None:
        """Hand out its slots again, on its phase."""
        self._paused.discard(monitor_id)

    @property
    def elapsed(self) -> timedelta:
        """Return the monotonic time since the anchor."""
        return timedelta(seconds=self._clock.monotonic() - self._anchor)

    def is_turning(self, *, within: timedelta) -> bool:
        """Say whether slots have been looked at within this time."""
        return self.elapsed - self._turned <= within

    async def run(self) -> None:
        """Hand out slots for ever."""
        while True:
            self.hand_out()
            self._turned = self.elapsed
            wait = self._heap[0][0] - self.elapsed if self._heap else _SECOND
            await self._clock.sleep(min(max(wait / _SECOND, 0.0), LONGEST_NAP))

    def hand_out(self) -> None:
        """Start every slot that is due by now."""
        now, wall = self.elapsed, self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            due, _, monitor_id, regular = heapq.heappop(self._heap)
            if (self._regular if regular else self._sooner).get(monitor_id) != due:
                continue
            monitor = self._monitors[monitor_id]
            if regular:
                following, missed = self._following(monitor, due, now)
                self.counts.missed += missed
                self._plan(following, monitor_id)
            self._sooner.pop(monitor_id, None)
            if monitor_id in self._paused:
                continue
            slot = Slot(monitor, _whole_ms(wall - (now - due)))
            if monitor_id in self._busy:
                self.counts.overrun += 1
                self._passed_over(slot)
                continue
            self._busy.add(monitor_id)
            self.counts.started += 1
            self._start(slot)

    def finished(self, monitor: Monitor, *, is_suspect: bool) -> None:
        """Note that the check of a monitor is over. While it is suspect, look again sooner than its phase."""
        self._busy.discard(monitor.id)
        self._sooner.pop(monitor.id, None)
        if is_suspect:
            self.sooner(monitor.id)

    def sooner(self, monitor_id: str) -> None:
        """Look again sooner than the phase says. Nothing happens where it is under way, or not there."""
        monitor = self._monitors.get(monitor_id)
        if monitor is None or monitor_id in self._busy:
            return
        wait = max(min(monitor.every / SOONER_SHARE, SOONER_MOST), _SECOND)
        if wait < monitor.every:
            self._sooner[monitor.id] = due = self.elapsed + wait
            self._push(due, monitor.id, regular=False)

    def _following(self, monitor: Monitor, due: timedelta, now: timedelta) -> tuple[timedelta, int]:
        if monitor.id in self._fresh:  # everything is checked at once at start, then on its phase
            self._fresh.discard(monitor.id)
            phase, _ = next_due(first_phase(monitor) - monitor.every, every=monitor.every, now=due)
            return next_due(phase - monitor.every, every=monitor.every, now=now)
        return next_due(due, every=monitor.every, now=now)

    def _plan(self, due: timedelta, monitor_id: str) -> None:
        self._regular[monitor_id] = due
        self._push(due, monitor_id, regular=True)

    def _push(self, due: timedelta, monitor_id: str, *, regular: bool) -> None:
        self._entries += 1
        heapq.heappush(self._heap, (due, self._entries, monitor_id, regular))


def _whole_ms(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
