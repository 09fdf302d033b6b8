"""Sleep until the next monitor is due, hand its slot over, and never let two checks of one monitor overlap.

Time is counted in whole milliseconds since one anchor on the monotonic clock, so setting the wall clock moves nothing
and rounding never adds up. A monitor is due at its phase and at every interval after that, for ever.

**The plan** is one heap of plain integers, each a due time and the number of a monitor's place, packed so that they
sort by time. Per monitor that is one integer, its place in the heap, in a list and in a dictionary: nothing that the
garbage collector would have to walk through, and nothing to allocate but the next integer. Nothing is ever taken out
of the middle of the heap. Instead a dictionary says which entry of a monitor counts, and an entry that comes up and
does not count any more is void and dropped: so to add, remove, pause or plan anew costs no more than one push.

**Room.** So many checks may be under way at once. Without room, what is due stays where it is, at the top of the heap:
it waits in order of its due time, and begins late, which is counted. A slot that comes due while the check before it
still runs is passed over (overrun); one that is over before there was time or room for it is missed. Neither is ever
caught up.

**What is owed.** The first look at each monitor, and one look at each whose slot came due while the whole process was
held up (a suspend, a starved machine), are owed rather than due. They are handed out a few at a time, in half of the
room at most, and only in turns in which every regular slot began in time; a regular slot that comes first settles
them. So neither a start nor an awakening makes a herd, and three monitors are still looked at the moment they start.

**Turns.** `run` naps until the next due time, but at least for one tick: at a high rate several checks then begin in one
turn, which makes each of them cheaper, and no timer is so short that an event loop would rather spin.
"""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush, heapreplace
from typing import NamedTuple

from laya_uptime.domain.load import Counts, Load
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.schedule import first_phase, next_due
from laya_uptime.engine.prober import IN_FLIGHT
from laya_uptime.ports import Clock

LONGEST_NAP = 1.0  # seconds; a pause of the whole process is noticed within this time
SOONER_SHARE = 4  # while suspect, look again after this part of the interval
SOONER_MOST = 15_000  # and after this at most; like everything below in milliseconds
SOONER_LEAST = 1_000

_TICK = 1
_BUSY_TICK = 5
_BUSY = 500.0  # regular slots a second from which on the longer tick pays
_AT_ONCE = 50  # looks that are owed, in one turn
_PRESSED = 20  # a turn in which a regular slot began so late hands out none of them
_HELD_UP = 2_000  # turns so far apart: the process was suspended or starved
_PATIENCE = 5_000  # how long checks wait for room before somebody is told, and wait no more before that is over

_MS = timedelta(milliseconds=1)
_PLACE_BITS = 24
_PLACE = (1 << _PLACE_BITS) - 1  # an entry is (due << _PLACE_BITS) | place; one without a due time is just the place
_NOBODY = Monitor(id="", name="", target="")  # at a place that is free


class Slot(NamedTuple):
    """One slot of one monitor. `due` is the wall-clock instant that keys the round, UTC, whole milliseconds."""

    monitor: Monitor
    due: datetime


def _nobody_asks(_load: Load) -> None:
    pass


class Scheduler:
    """Says when each monitor is looked at. `start` is called with each slot, `passed_over` with each overrun one; both must return at once.

    `finished` must be called once for every slot that was started. `crowded` is told the load when checks that are due
    have waited for room for more than five seconds, and again when none has for as long: `Load.is_crowded` tells which.
    """

    def __init__(
        self,
        monitors: Sequence[Monitor],
        *,
        clock: Clock,
        start: Callable[[Slot], None],
        passed_over: Callable[[Slot], None],
        crowded: Callable[[Load], None] = _nobody_asks,
        limit: int = IN_FLIGHT,
        anchor: float | None = None,
    ) -> None:
        """Count due times from `anchor`, an instant of the clock's `monotonic`; None: from now."""
        self.counts = Counts()
        self.limit = limit
        self._clock = clock
        self._start = start
        self._passed_over = passed_over
        self._tell_crowded = crowded
        self._anchor = clock.monotonic() if anchor is None else anchor
        self._wall = _whole_ms(clock.now() - self.elapsed)  # at the anchor, as the wall clock is set now

        self._monitors: list[Monitor] = []  # by place
        self._free: list[int] = []  # places
        self._rate = 0.0  # regular slots a second

        self._heap: list[int] = []
        # Which entry of a monitor counts, by its id. In the plan stand all of them, a paused one without a due time.
        self._plan: dict[str, int] = {}
        self._sooner: dict[str, int] = {}
        self._owed: dict[str, int] = {}  # without a due time where it is for no slot: due when it is handed out
        self._queue: deque[int] = deque()  # the order of what is owed

        self._under_way: dict[str, bool] = {}  # True: a look that was owed
        self._owed_under_way = 0

        self._turned = self._now()  # the end of the last turn
        self._held_up_until = 0  # what came due up to here came due while nobody could have looked
        self._waits = False  # something due found no room in the last turn
        self._waits_since = 0  # since when that has been as it is
        self._is_crowded = False  # what was told last

        for monitor in monitors:
            self.add(monitor)

    @property
    def elapsed(self) -> timedelta:
        """Return the monotonic time since the anchor."""
        return timedelta(seconds=self._clock.monotonic() - self._anchor)

    def is_turning(self, *, within: timedelta) -> bool:
        """Say whether slots have been looked at within this time."""
        return self.elapsed - self._turned * _MS <= within

    def load(self) -> Load:
        """Return how much there is to do and how late it began. It costs a few microseconds for each that waits."""
        waiting = self._waiting()
        counts = self.counts
        return Load(
            monitors=len(self._plan),
            rate=self._rate,
            limit=self.limit,
            in_flight=len(self._under_way),
            waiting=len(waiting),
            waited=max(waiting.values(), default=0) * _MS,
            is_crowded=self._is_crowded,
            owed=len(self._owed),
            started=counts.started,
            overrun=counts.overrun,
            missed=counts.missed,
            late=counts.late,
            worst=counts.worst * _MS,
            lateness=tuple(counts.lateness),
        )

    # The monitors. Ids are unique; ValueError where one is added twice, KeyError where there is none of that id.

    def add(self, monitor: Monitor) -> None:
        """Watch one more. It is owed a first look; then it is due on its phase."""
        if monitor.id in self._plan:
            raise ValueError(f"there is a monitor {monitor.id!r} already")
        if self._free:
            place = self._free.pop()
            self._monitors[place] = monitor
        else:
            place = len(self._monitors)
            self._monitors.append(monitor)
        self._admit(monitor, place)

    def remove(self, monitor_id: str) -> None:
        """Watch it no more. A check that is under way ends by itself and moves nothing."""
        self.pause(monitor_id)
        place = self._plan.pop(monitor_id)
        self._monitors[place] = _NOBODY
        self._free.append(place)

    def replace(self, monitor: Monitor) -> None:
        """Watch what has that id in this new way. It is owed a look; its phase moves only with its interval."""
        entry = self._plan[monitor.id]
        before = self._monitors[entry & _PLACE]
        self._monitors[entry & _PLACE] = monitor
        if entry <= _PLACE:  # paused
            return
        if (before.every, before.in_step) == (monitor.every, monitor.in_step):
            self._owe(monitor, entry & _PLACE)
        else:
            self._rate -= _rate(before)
            self._admit(monitor, entry & _PLACE)

    def pause(self, monitor_id: str) -> None:
        """Stop looking at it. A check that is under way ends by itself. Nothing happens where it is paused already."""
        entry = self._plan[monitor_id]
        if entry > _PLACE:
            self._rate -= _rate(self._monitors[entry & _PLACE])
        self._plan[monitor_id] = entry & _PLACE
        self._sooner.pop(monitor_id, None)
        self._owed.pop(monitor_id, None)

    def resume(self, monitor_id: str) -> None:
        """Look at it again, as soon as that delays nothing, and then on its old phase. Nothing where it is not paused."""
        entry = self._plan[monitor_id]
        if entry <= _PLACE:
            self._admit(self._monitors[entry], entry)

    def _admit(self, monitor: Monitor, place: int) -> None:
        """Plan its regular slots from now on, and a look before."""
        every = monitor.every // _MS
        phase = first_phase(monitor) // _MS or every
        due, _ = next_due(phase - every, every=every, now=self._now())
        self._rate += _rate(monitor)
        self._plan[monitor.id] = entry = (due << _PLACE_BITS) | place
        self._push(entry)
        self._owe(monitor, place)

    # The turns.

    async def run(self) -> None:
        """Hand out slots for ever."""
        while True:
            self.hand_out()
            await self._clock.sleep(self._nap())

    def hand_out(self) -> None:
        """Take one turn: start what is due, then some of what is owed."""
        now = self._read_clocks()
        if now - self._turned > _HELD_UP:
            self._held_up_until = now
        is_in_time = self._hand_out_due(now)
        if self._queue:
            if is_in_time:
                self._hand_out_owed(now)
            if not self._owed:  # the rest of the queue is void
                self._queue.clear()
                self._owed.clear()  # empty as it is, it still has the size of the fleet that it held
        self._turned = self._now()

    def finished(self, monitor: Monitor, *, is_suspect: bool) -> None:
        """Note that the check of a monitor is over. While it is suspect, look again sooner than its phase."""
        was_owed = self._under_way.pop(monitor.id, None)
        if was_owed is None:
            return
        self._owed_under_way -= was_owed
        entry = self._plan.get(monitor.id, 0)
        if entry <= _PLACE:  # paused or gone meanwhile
            return
        if self._waits:
            self._settle_overrun(self._monitors[entry & _PLACE], entry)
        if (owed := self._owed.get(monitor.id)) is not None:  # it had to wait for this check to end
            self._queue.append(owed)
        elif is_suspect:
            self._look_sooner(entry & _PLACE)

    def sooner(self, monitor_id: str) -> None:
        """Look again sooner than the phase says. Nothing happens where it is under way, paused, or not there."""
        entry = self._plan.get(monitor_id, 0)
        if entry > _PLACE and monitor_id not in self._under_way and monitor_id not in self._owed:
            self._look_sooner(entry & _PLACE)

    def _hand_out_due(self, now: int) -> bool:
        """Start what is due as far as there is room. Return whether all of it began in time."""
        heap, monitors, plan, sooner = self._heap, self._monitors, self._plan, self._sooner
        late = 0
        waits = False
        after = (now + 1) << _PLACE_BITS
        while heap and heap[0] < after:
            entry = heap[0]
            monitor = monitors[entry & _PLACE]
            is_regular = plan.get(monitor.id) == entry
            if not is_regular and sooner.get(monitor.id) != entry:
                heappop(heap)  # void
                continue
            is_under_way = monitor.id in self._under_way
            if len(self._under_way) >= self.limit and not is_under_way:
                waits = True
                break
            due = entry >> _PLACE_BITS
            if is_regular:
                due = self._plan_next(monitor, entry, now)
                heapreplace(heap, plan[monitor.id])
                entry = (due << _PLACE_BITS) | (entry & _PLACE)
            else:
                heappop(heap)
                del sooner[monitor.id]
                entry &= _PLACE  # where it comes to be owed, it is no slot of the plan
            if is_under_way:
                self.counts.overrun += 1
                self._passed_over(self._slot(monitor, due))
            elif due <= self._held_up_until:
                self._owe(monitor, entry)
            else:
                late = max(late, self._begin(monitor, due))
        self._note_room(now, waits=waits)
        return late <= _PRESSED and not waits

    def _plan_next(self, monitor: Monitor, entry: int, now: int) -> int:
        """Let the next slot that is not past count, and return when the one before it was due: that one is looked at.

        Those between it and the entry that counted so far are missed.
        """
        every = monitor.every // _MS
        following, missed = next_due(entry >> _PLACE_BITS, every=every, now=now)
        self.counts.missed += missed
        self._plan[monitor.id] = (following << _PLACE_BITS) | (entry & _PLACE)
        return following - every

    def _hand_out_owed(self, now: int) -> None:
        """Start a few of the looks that are owed, and leave half of the room to regular slots."""
        most = max(self.limit // 2, 1)
        for _ in range(min(len(self._queue), _AT_ONCE)):
            if self._owed_under_way >= most or len(self._under_way) >= self.limit:
                return
            entry = self._queue.popleft()
            monitor = self._monitors[entry & _PLACE]
            # One that is under way comes into the queue again when that is over.
            if self._owed.get(monitor.id) == entry and monitor.id not in self._under_way:
                self._owed_under_way += 1
                self._begin(monitor, entry >> _PLACE_BITS or now, is_owed=True)

    def _begin(self, monitor: Monitor, due: int, *, is_owed: bool = False) -> int:
        """Start one check and return by how many milliseconds it is late."""
        late = max(self._now() - due, 0)
        self._sooner.pop(monitor.id, None)
        if self._owed.pop(monitor.id, 0) > _PLACE and not is_owed:
            self.counts.missed += 1  # the slot that it is owed for: this one came first
        self._under_way[monitor.id] = is_owed
        self.counts.started += 1
        self.counts.begun(late)
        try:
            self._start(self._slot(monitor, due))
        except BaseException:  # or it would pass for under way for ever
            self.finished(monitor, is_suspect=False)
            raise
        return late

    def _owe(self, monitor: Monitor, entry: int) -> None:
        """Promise one look, for a slot or without; one that is promised already is enough."""
        if monitor.id not in self._owed:
            self._owed[monitor.id] = entry
            self._queue.append(entry)
        elif entry > _PLACE:
            self.counts.missed += 1

    def _look_sooner(self, place: int) -> None:
        monitor = self._monitors[place]
        every = monitor.every // _MS
        wait = max(min(every // SOONER_SHARE, SOONER_MOST), SOONER_LEAST)
        if wait < every:
            self._sooner[monitor.id] = entry = ((self._now() + wait) << _PLACE_BITS) | place
            self._push(entry)

    def _settle_overrun(self, monitor: Monitor, entry: int) -> None:
        """Pass over what came due while the check ran and no turn has come to, behind others that wait for room."""
        now = self._now()
        if entry >> _PLACE_BITS <= now:
            due = self._plan_next(monitor, entry, now)
            self._push(self._plan[monitor.id])
            self.counts.overrun += 1
            self._passed_over(self._slot(monitor, due))

    def _push(self, entry: int) -> None:
        """Put an entry into the heap; where most entries are void, from many edits, sweep them out first."""
        heap = self._heap
        if len(heap) > 2 * (len(self._plan) + len(self._sooner)) + _AT_ONCE:
            heap[:] = {each for each in heap if self._is_live(each)}
            heapify(heap)
        heappush(heap, entry)

    def _is_live(self, entry: int) -> bool:
        monitor_id = self._monitors[entry & _PLACE].id
        return entry in (self._plan.get(monitor_id), self._sooner.get(monitor_id))

    def _waiting(self) -> dict[str, int]:
        """Return for how many milliseconds each monitor has been due that waits for a turn or for room.

        A slot of one that is under way does not: it will be passed over. What is due is a tree at the top of the heap,
        and nothing else is visited.
        """
        heap, now = self._heap, self._now()
        found: dict[str, int] = {}
        branches = [0]
        while branches:
            at = branches.pop()
            if at < len(heap) and (due := heap[at] >> _PLACE_BITS) <= now:
                branches += (2 * at + 1, 2 * at + 2)
                monitor_id = self._monitors[heap[at] & _PLACE].id
                if self._is_live(heap[at]) and monitor_id not in self._under_way:
                    found[monitor_id] = max(now - due, found.get(monitor_id, 0))
        return found

    def _note_room(self, now: int, *, waits: bool) -> None:
        if waits is not self._waits:
            self._waits, self._waits_since = waits, now
        if waits is not self._is_crowded and now - self._waits_since >= _PATIENCE:
            self._is_crowded = waits
            self._tell_crowded(self.load())

    # The clocks.

    def _nap(self) -> float:
        """Return the seconds until the next turn."""
        is_busy = bool(self._queue) or self._waits or self._rate >= _BUSY
        tick = (_BUSY_TICK if is_busy else _TICK) / 1000
        if self._queue or not self._heap:
            return tick if self._queue else LONGEST_NAP
        due = (self._heap[0] >> _PLACE_BITS) / 1000
        return min(max(due - (self._clock.monotonic() - self._anchor), tick), LONGEST_NAP)

    def _now(self) -> int:
        # By way of microseconds: 10.926 s may come as 10.925999999999931.
        return round((self._clock.monotonic() - self._anchor) * 1_000_000) // 1000

    def _read_clocks(self) -> int:
        """Return the milliseconds since the anchor, and note what the wall clock says of it.

        A difference under a millisecond changes nothing: otherwise the instants of monitors that run in step, and of one
        monitor from round to round, would differ by the rounding.
        """
        wall = self._clock.now() - self.elapsed
        if abs(wall - self._wall) >= _MS:
            self._wall = _whole_ms(wall)
        return self._now()

    def _slot(self, monitor: Monitor, due: int) -> Slot:
        return Slot(monitor, self._wall + due * _MS)


def _rate(monitor: Monitor) -> float:
    return timedelta(seconds=1) / monitor.every


def _whole_ms(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
