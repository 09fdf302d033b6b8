"""The scheduler in virtual time: no drift, no overlap, no burst, and no regard for the wall clock."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.schedule import first_phase
from laya_uptime.engine.scheduler import Scheduler, Slot
from laya_uptime.testing import NOON, FakeClock, a_monitor

SECOND = timedelta(seconds=1)
MS = timedelta(milliseconds=1)
DAYS = 30
DAY = 86_400

# From one second up; few of them share a factor.
_MIXED = (1, *range(31, 73), 97, 120, 333, 600, 3600, 7200, 86_400)


class Watch:
    """A scheduler, and what it hands out. Checks take `takes` seconds, on the clock."""

    def __init__(self, *monitors: Monitor, takes: float = 0.0, suspect: bool = False) -> None:
        self.clock = FakeClock()
        self.takes = takes
        self.suspect = suspect
        self.started: list[tuple[float, Slot]] = []  # seconds since the start
        self.passed_over: list[Slot] = []
        self.running: Counter[str] = Counter()
        self.most_at_once = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.scheduler = Scheduler(monitors, clock=self.clock, start=self._start, passed_over=self.passed_over.append)

    @property
    def times(self) -> list[float]:
        return [round(at, 3) for at, _ in self.started]

    @asynccontextmanager
    async def on(self) -> AsyncIterator["Watch"]:
        task = asyncio.create_task(self.scheduler.run())
        await self.clock.settle()
        try:
            yield self
        finally:
            tasks = [task, *self._tasks]
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, slot: Slot) -> None:
        self.started.append((self.scheduler.elapsed / SECOND, slot))
        self.running[slot.monitor.id] += 1
        self.most_at_once = max(self.most_at_once, self.running[slot.monitor.id])
        if self.takes:
            task = asyncio.create_task(self._check(slot))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._finish(slot)

    async def _check(self, slot: Slot) -> None:
        await self.clock.sleep(self.takes)
        self._finish(slot)

    def _finish(self, slot: Slot) -> None:
        self.running[slot.monitor.id] -= 1
        self.scheduler.finished(slot.monitor, is_suspect=self.suspect)


def a_month_of(monitors: list[Monitor], *, wake_every: float) -> tuple[Scheduler, dict[str, list[datetime]]]:
    """Run the scheduler for thirty days, waking so often; each check takes until the next waking.

    Return the first and the last due instant of each monitor, and its number of slots in between as a list's length
    would be too long: [first, last]. Every step from one due instant to the next is held against the interval.
    """
    clock = FakeClock()
    due: dict[str, list[datetime]] = {}
    running: list[Monitor] = []
    busy: set[str] = set()

    def start(slot: Slot) -> None:
        monitor = slot.monitor
        assert monitor.id not in busy, "two checks of one monitor overlap"
        busy.add(monitor.id)
        running.append(monitor)
        ends = due.setdefault(monitor.id, [])
        if len(ends) > 1:
            assert abs(slot.due - ends[-1] - monitor.every) <= MS, "a slot drifted or was missed"
            ends[-1] = slot.due
        else:
            ends.append(slot.due)

    scheduler = Scheduler(monitors, clock=clock, start=start, passed_over=lambda slot: pytest.fail(f"{slot}"))
    while scheduler.elapsed <= timedelta(days=DAYS):
        for monitor in running:
            scheduler.finished(monitor, is_suspect=False)
        running.clear()
        busy.clear()
        scheduler.hand_out()
        clock.stall(wake_every)
    return scheduler, due


def test_three_monitors_in_step_keep_their_minute_for_thirty_days() -> None:
    names = ("ai-service", "gibbon-cms", "parent-portal")
    monitors = [a_monitor(name, every="60s", in_step=True) for name in names]

    scheduler, due = a_month_of(monitors, wake_every=10.0)

    minutes = DAYS * DAY // 60
    assert scheduler.counts.started == 3 * (minutes + 1)  # one at start, then every minute
    assert (scheduler.counts.overrun, scheduler.counts.missed) == (0, 0)
    assert {ends[-1] for ends in due.values()} == {NOON + timedelta(days=DAYS)}


@pytest.mark.timeout(300)
def test_fifty_monitors_of_mixed_intervals_keep_theirs_for_thirty_days() -> None:
    assert len(_MIXED) == 50
    monitors = [a_monitor(f"every-{seconds}", every=f"{seconds}s") for seconds in _MIXED]

    scheduler, due = a_month_of(monitors, wake_every=1.0)

    month = timedelta(days=DAYS)
    for monitor in monitors:
        slots = (month - first_phase(monitor)) // monitor.every
        last = NOON + first_phase(monitor) + slots * monitor.every
        assert timedelta(0) <= last - due[monitor.id][-1] <= SECOND + monitor.every * (monitor.every <= SECOND)
    expected = sum(2 + (month - first_phase(monitor)) // monitor.every for monitor in monitors)
    assert expected - len(monitors) <= scheduler.counts.started <= expected
    assert (scheduler.counts.overrun, scheduler.counts.missed) == (0, 0)


async def test_every_monitor_is_checked_at_once_at_start_and_then_on_its_phase() -> None:
    monitors = [a_monitor(f"shop-{number}") for number in range(20)]

    async with Watch(*monitors).on() as watch:
        assert watch.times == [0.0] * 20
        await watch.clock.advance("60s")

        later = {slot.monitor.id: at for at, slot in watch.started[20:]}
        assert later == {each.id: pytest.approx(first_phase(each) / SECOND, abs=0.001) for each in monitors}


async def test_monitors_in_step_share_the_instant_that_keys_their_round() -> None:
    async with Watch(*(a_monitor(name, in_step=True) for name in "abc")).on() as watch:
        await watch.clock.advance("125s")

        rounds = Counter(slot.due for _, slot in watch.started)
        assert rounds == {NOON: 3, NOON + 60 * SECOND: 3, NOON + 120 * SECOND: 3}


async def test_a_slot_is_named_by_when_it_was_due_not_by_when_it_was_noticed() -> None:
    async with Watch(a_monitor(every="10s", in_step=True)).on() as watch:
        watch.clock.stall(13.5)
        await watch.clock.advance(0)

        assert watch.times == [0.0, 13.5]
        assert watch.started[-1][1].due == NOON + 10 * SECOND


async def test_a_check_longer_than_its_interval_is_passed_over_and_never_overlaps() -> None:
    async with Watch(a_monitor(every="10s", in_step=True), takes=25.0).on() as watch:
        await watch.clock.advance("119s")

        assert watch.times == [0.0, 30.0, 60.0, 90.0]
        assert watch.most_at_once == 1
        assert watch.scheduler.counts.overrun == 8
        assert [slot.due - NOON for slot in watch.passed_over[:2]] == [10 * SECOND, 20 * SECOND]


async def test_a_check_that_ends_just_before_its_next_slot_passes_over_nothing() -> None:
    async with Watch(a_monitor(every="10s", in_step=True), takes=9.999).on() as watch:
        await watch.clock.advance("100s")

        assert watch.times == [10.0 * slot for slot in range(11)]
        assert watch.scheduler.counts.overrun == 0


async def test_a_process_that_was_held_up_counts_what_it_missed_and_makes_no_burst() -> None:
    monitors = [a_monitor(f"shop-{number}", every="10s") for number in range(50)]

    async with Watch(*monitors, takes=0.5).on() as watch:
        await watch.clock.advance("10s")
        before = len(watch.started)

        watch.clock.stall(100)
        await watch.clock.advance(0)

        assert Counter(slot.monitor.id for _, slot in watch.started[before:]) == {each.id: 1 for each in monitors}
        assert watch.scheduler.counts.missed == 50 * 9
        await watch.clock.advance("10s")
        assert len(watch.started) - before == 100
        assert watch.most_at_once == 1


async def test_after_being_held_up_the_phases_are_the_old_ones() -> None:
    monitor = a_monitor(every="60s")

    async with Watch(monitor).on() as watch:
        watch.clock.stall(1000)
        await watch.clock.advance("120s")

        phase = first_phase(monitor) / SECOND
        for at in watch.times[2:]:
            assert (at - phase + 30) % 60 == pytest.approx(30, abs=0.002)


@pytest.mark.parametrize(
    "jump",
    [
        timedelta(hours=1),
        timedelta(hours=-1),
        datetime(1970, 1, 1, tzinfo=UTC) - NOON,
        datetime(2038, 1, 20, tzinfo=UTC) - NOON,
    ],
    ids=["an hour ahead", "an hour back", "to 1970", "to 2038"],
)
async def test_setting_the_wall_clock_moves_no_slot_t01(jump: timedelta) -> None:
    async with Watch(a_monitor(every="10s", in_step=True), a_monitor("desk", every="7s")).on() as watch:
        await watch.clock.advance("63s")
        watch.clock.jump_wall(jump)
        await watch.clock.advance("60s")

        of_shop = [(at, slot.due) for at, slot in watch.started if slot.monitor.id == "shop"]
        assert [round(at, 3) for at, _ in of_shop] == [10.0 * slot for slot in range(13)]
        assert [due for _, due in of_shop[7:]] == [NOON + jump + 10 * slot * SECOND for slot in range(7, 13)]
        assert watch.scheduler.counts.missed == watch.scheduler.counts.overrun == 0
        assert (
            len(watch.started) == 13 + 1 + (123 - round(first_phase(a_monitor("desk", every="7s")) / SECOND)) // 7 + 1
        )


async def test_while_suspect_a_monitor_is_looked_at_sooner() -> None:
    async with Watch(a_monitor(every="60s", in_step=True), suspect=True).on() as watch:
        await watch.clock.advance("59s")

        assert watch.times == [0.0, 15.0, 30.0, 45.0]


async def test_and_no_longer_so_when_it_is_sure() -> None:
    async with Watch(a_monitor(every="60s", in_step=True)).on() as watch:
        await watch.clock.advance("59s")
        watch.suspect = True
        await watch.clock.advance("20s")  # the slot at 60 and one look at 75
        watch.suspect = False
        await watch.clock.advance("110s")

        assert watch.times == [0.0, 60.0, 75.0, 90.0, 120.0, 180.0]


@pytest.mark.parametrize(("every", "second_look"), [("8s", 2.0), ("20s", 5.0), ("10m", 15.0), ("2s", 1.0)], ids=str)
async def test_sooner_is_a_quarter_of_the_interval_between_one_and_fifteen_seconds(
    every: str, second_look: float
) -> None:
    async with Watch(a_monitor(every=every, in_step=True), suspect=True).on() as watch:
        await watch.clock.advance(second_look + 0.5)

        assert watch.times[:2] == [0.0, second_look]


async def test_with_an_interval_of_one_second_the_next_slot_is_soon_enough() -> None:
    async with Watch(a_monitor(every="1s", in_step=True), suspect=True).on() as watch:
        await watch.clock.advance("5s")

        assert watch.times == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


async def test_looking_sooner_does_not_move_the_phase() -> None:
    async with Watch(a_monitor(every="10s", in_step=True), takes=0.5, suspect=True).on() as watch:
        await watch.clock.advance("21s")

        # From each look on it is a quarter of the interval; a regular slot in between begins that anew.
        assert watch.times == [0.0, 3.0, 6.0, 9.0, 10.0, 13.0, 16.0, 19.0, 20.0]
        assert watch.scheduler.counts.overrun == 0


async def test_it_is_known_whether_it_turns() -> None:
    async with Watch(a_monitor()).on() as watch:
        await watch.clock.advance("10m")
        assert watch.scheduler.is_turning(within=15 * SECOND)

        watch.clock.stall(13.9)
        assert watch.scheduler.is_turning(within=15 * SECOND)
        watch.clock.stall(1.2)
        assert not watch.scheduler.is_turning(within=15 * SECOND)


async def test_when_it_is_stopped_nothing_is_started_any_more() -> None:
    watch = Watch(a_monitor(every="10s", in_step=True))
    async with watch.on():
        await watch.clock.advance("25s")

    await watch.clock.advance("1h")

    assert watch.times == [0.0, 10.0, 20.0]


async def test_without_monitors_it_waits() -> None:
    async with Watch().on() as watch:
        await watch.clock.advance("1h")

        assert watch.scheduler.is_turning(within=2 * SECOND)
