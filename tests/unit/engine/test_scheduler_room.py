"""A large fleet: bounded in flight, no herd at start or after a sleep, and monitors that come and go meanwhile."""

from collections import Counter, deque
from collections.abc import Sequence
from datetime import timedelta

import pytest

from laya_uptime.domain.load import Load
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.schedule import first_phase
from laya_uptime.engine.prober import IN_FLIGHT
from laya_uptime.engine.scheduler import Scheduler, Slot
from laya_uptime.testing import NOON, FakeClock, a_monitor

SECOND = timedelta(seconds=1)
MS = timedelta(milliseconds=1)


class Fleet:
    """A scheduler that is turned by hand. A check takes `takes` seconds; None: it ends when `end` is called."""

    def __init__(self, monitors: Sequence[Monitor], *, takes: float | None = 0.0, limit: int = IN_FLIGHT) -> None:
        self.clock = FakeClock()
        self.takes = takes
        self.started: list[tuple[float, Slot]] = []
        self.running: dict[str, Monitor] = {}
        self.suspects: set[str] = set()
        self.most_at_once = 0
        self.told: list[Load] = []
        self._ends: deque[tuple[float, str]] = deque()
        self.scheduler = Scheduler(
            monitors,
            clock=self.clock,
            start=self._start,
            passed_over=lambda _: None,
            crowded=self.told.append,
            limit=limit,
        )

    @property
    def now(self) -> float:
        return self.scheduler.elapsed / SECOND

    @property
    def ids(self) -> list[str]:
        return [slot.monitor.id for _, slot in self.started]

    def turn(self) -> None:
        while self._ends and self._ends[0][0] <= self.now:
            self.end(self._ends.popleft()[1])
        self.scheduler.hand_out()

    def go_on(self, seconds: float, *, step: float = 0.005) -> None:
        """Turn at once, and then at every step up to and with the end."""
        until = self.now + seconds
        self.turn()
        while self.now < until - 1e-9:
            self.clock.stall(min(step, until - self.now))
            self.turn()

    def end(self, monitor_id: str) -> None:
        self.scheduler.finished(self.running.pop(monitor_id), is_suspect=monitor_id in self.suspects)

    def _start(self, slot: Slot) -> None:
        assert slot.monitor.id not in self.running, "two checks of one monitor at once"
        self.started.append((self.now, slot))
        self.running[slot.monitor.id] = slot.monitor
        self.most_at_once = max(self.most_at_once, len(self.running))
        if self.takes == 0:
            self.end(slot.monitor.id)
        elif self.takes is not None:
            self._ends.append((self.now + self.takes, slot.monitor.id))


def fleet_of(count: int, *, every: str = "60s", in_step: bool = False) -> list[Monitor]:
    return [a_monitor(f"shop-{number}", every=every, in_step=in_step) for number in range(count)]


def seconds_to(monitor: Monitor) -> float:
    return first_phase(monitor) // MS / 1000


# Room


def test_without_room_what_is_due_waits_in_order_and_begins_late() -> None:
    fleet = Fleet(fleet_of(9, every="10s", in_step=True), takes=1.0, limit=3)
    fleet.go_on(9.5)
    fleet.started.clear()

    fleet.go_on(4.0)

    assert fleet.most_at_once == 3
    assert [round(at) for at, _ in fleet.started] == [10] * 3 + [11] * 3 + [12] * 3
    assert fleet.ids == [f"shop-{number}" for number in range(9)]
    load = fleet.scheduler.load()
    assert load.late == 6
    assert 2000 * MS <= load.worst <= 2020 * MS
    assert (load.missed, load.overrun) == (0, 0)


def test_a_slot_that_had_to_wait_is_still_known_by_when_it_was_due() -> None:
    fleet = Fleet(fleet_of(9, every="10s", in_step=True), takes=1.0, limit=3)
    fleet.go_on(14.0)

    assert Counter(slot.due for _, slot in fleet.started)[NOON + 10 * SECOND] == 9


def test_who_waits_for_longer_than_its_interval_misses_slots_and_catches_none_up() -> None:
    fleet = Fleet(fleet_of(2, every="1s", in_step=True), takes=None, limit=1)
    fleet.go_on(5.5)
    assert fleet.ids == ["shop-0"]  # its check hangs, and nobody else has room

    fleet.end("shop-0")
    fleet.takes = 0.0
    fleet.go_on(0.4)

    load = fleet.scheduler.load()
    assert fleet.ids == ["shop-0", "shop-1"]
    assert fleet.started[1][1].due == NOON + 5 * SECOND
    # Of shop-1 the slots 1 to 4; of shop-0, whose check ran all the while, 1 and 5 passed over and 2 to 4 missed.
    assert (load.overrun, load.missed) == (2, 7)


def test_what_waits_and_what_is_under_way_can_be_seen() -> None:
    fleet = Fleet(fleet_of(12, every="10s", in_step=True), takes=None, limit=8)
    fleet.go_on(13.0, step=0.5)

    load = fleet.scheduler.load()

    # Four first looks, which leave half of the room, and four of the eight that were due at ten seconds.
    assert (load.in_flight, load.limit, load.waiting, load.waited) == (8, 8, 4, 3 * SECOND)
    assert (load.monitors, load.started, load.overrun, load.owed) == (12, 8, 4, 4)
    assert load.rate == pytest.approx(1.2)


def test_somebody_is_told_once_when_checks_wait_for_long_and_once_when_that_is_over() -> None:
    fleet = Fleet(fleet_of(4, every="10s", in_step=True), takes=None, limit=2)
    fleet.go_on(14.9, step=0.1)
    assert fleet.told == []

    fleet.go_on(60, step=0.1)
    assert [(load.is_crowded, load.waiting, load.in_flight) for load in fleet.told] == [(True, 2, 2)]

    fleet.takes = 0.0
    for monitor_id in list(fleet.running):
        fleet.end(monitor_id)
    fleet.go_on(4.5, step=0.1)
    assert len(fleet.told) == 1
    fleet.go_on(60, step=0.1)
    assert [load.is_crowded for load in fleet.told] == [True, False]


def test_a_short_wait_for_room_is_nobodys_trouble() -> None:
    fleet = Fleet(fleet_of(9, every="10s", in_step=True), takes=1.0, limit=3)

    fleet.go_on(60)

    assert fleet.told == []


def test_a_check_that_could_not_be_started_is_not_under_way_for_ever() -> None:
    clock = FakeClock()
    started: list[Slot] = []

    def start(slot: Slot) -> None:
        started.append(slot)
        if len(started) == 1:
            raise RuntimeError

    scheduler = Scheduler([a_monitor(every="1s", in_step=True)], clock=clock, start=start, passed_over=lambda _: None)
    with pytest.raises(RuntimeError):
        scheduler.hand_out()
    clock.stall(1)
    scheduler.hand_out()

    assert [slot.due - NOON for slot in started] == [timedelta(0), SECOND]
    assert scheduler.counts.overrun == 0


# No herd at start


def test_a_large_fleet_is_looked_at_a_few_at_a_time_and_each_monitor_once() -> None:
    fleet = Fleet(fleet_of(3_000))
    fleet.turn()
    assert 0 < len(fleet.started) <= 100

    fleet.go_on(1.0)

    assert fleet.scheduler.load().owed == 0
    firsts = Counter(fleet.ids)
    early = sum(seconds_to(monitor) <= 1.0 for monitor in fleet_of(3_000))
    assert len(firsts) == 3_000
    assert 3_000 <= firsts.total() <= 3_000 + early


def test_a_regular_slot_is_never_behind_first_looks() -> None:
    monitors = fleet_of(2_000, every="10s")
    fleet = Fleet(monitors, takes=1.5, limit=800)  # first looks alone would take all of the room for seconds

    fleet.go_on(10.0)

    regular = {monitor.id: seconds_to(monitor) for monitor in monitors}
    on_phase = [at for at, slot in fleet.started if abs((slot.due - NOON) / SECOND - regular[slot.monitor.id]) < 1e-6]
    load = fleet.scheduler.load()
    assert (load.late, load.missed, load.owed) == (0, 0, 0)
    assert load.worst <= 5 * MS
    assert len(on_phase) + load.overrun == 2_000
    assert fleet.most_at_once <= 800


def test_a_regular_slot_settles_the_first_look() -> None:
    monitors = fleet_of(40, every="1s")
    fleet = Fleet(monitors, takes=None, limit=2)  # one first look, which never ends
    fleet.turn()
    (first,) = fleet.running
    fleet.takes = 0.0

    fleet.go_on(1.0)
    fleet.end(first)
    fleet.go_on(0.0)

    assert fleet.scheduler.load().owed == 0
    assert Counter(fleet.ids) == {monitor.id: 1 for monitor in monitors}


def test_when_every_first_look_is_settled_nothing_of_them_is_kept() -> None:
    fleet = Fleet(fleet_of(500, every="1s"))
    fleet.turn()
    for _ in range(50):  # a loop so slow that some regular slot is late in every turn
        fleet.clock.stall(0.03)
        fleet.turn()

    assert len(set(fleet.ids)) == 500
    assert len(fleet.scheduler._queue) == fleet.scheduler.load().owed == 0


def test_first_looks_wait_while_regular_slots_begin_late() -> None:
    monitors = fleet_of(300, every="1s")
    fleet = Fleet(monitors)
    fleet.turn()
    seen = len(fleet.started)

    fleet.clock.stall(0.2)  # a starved loop: some of what is due now is late
    fleet.turn()

    due = sum(seconds_to(monitor) <= 0.2 for monitor in monitors)
    assert len(fleet.started) == seen + due


def test_while_looks_are_owed_the_naps_are_short_and_then_as_long_as_can_be() -> None:
    fleet = Fleet([*fleet_of(200, every="1h")])
    naps = []
    for _ in range(6):
        fleet.turn()
        naps.append(fleet.scheduler._nap())
        fleet.clock.stall(naps[-1])

    assert naps[:3] == [0.005] * 3
    assert naps[-1] == 1.0


def test_a_nap_is_never_shorter_than_a_tick() -> None:
    fleet = Fleet([a_monitor(every="1s", in_step=True)])
    fleet.turn()
    fleet.clock.stall(0.9999)

    assert fleet.scheduler._nap() == 0.001


# No herd after a sleep


def test_after_a_night_asleep_each_monitor_is_looked_at_once_and_not_all_at_once_t02() -> None:
    monitors = fleet_of(1_000)
    fleet = Fleet(monitors, takes=0.1)
    fleet.go_on(120, step=0.02)
    fleet.started.clear()
    before = fleet.scheduler.load()

    fleet.clock.stall("8h")
    fleet.turn()
    assert 0 < len(fleet.started) <= 100
    woke = fleet.now
    fleet.go_on(1.5)

    load = fleet.scheduler.load()
    looks = Counter(fleet.ids)
    regular = sum((seconds_to(monitor) - woke) % 60 <= 1.5 for monitor in monitors)
    assert len(looks) == 1_000
    assert looks.total() <= 1_000 + regular
    assert (load.owed, load.overrun) == (0, before.overrun)
    assert load.missed - before.missed == 1_000 * 479
    assert min(slot.due for _, slot in fleet.started) >= NOON + (woke - 60) * SECOND


def test_after_a_stall_of_half_a_minute_late_slots_stand_behind_those_on_time_t06() -> None:
    monitors = fleet_of(3_000)
    fleet = Fleet(monitors, takes=0.1)
    fleet.go_on(70, step=0.02)
    fleet.started.clear()

    fleet.clock.stall("30s")
    woke = fleet.now
    fleet.go_on(5.0)

    on_time = [at - (slot.due - NOON) / SECOND for at, slot in fleet.started if slot.due > NOON + woke * SECOND]
    assert len(on_time) > 200
    assert max(on_time) <= 0.006
    assert fleet.scheduler.load().missed == 0
    assert fleet.scheduler.load().late > 1_000
    assert len(set(fleet.ids)) == len(fleet.ids)


# Monitors that come and go


def test_a_monitor_that_is_added_is_looked_at_soon_and_then_on_the_phase_it_would_always_have() -> None:
    fleet = Fleet(fleet_of(1))
    fleet.go_on(100, step=0.5)
    fleet.started.clear()
    desk = a_monitor("desk", every="60s")

    fleet.scheduler.add(desk)
    fleet.go_on(60, step=0.001)

    looks = [at for at, slot in fleet.started if slot.monitor is desk]
    assert looks == [100.0, pytest.approx(100 + (seconds_to(desk) - 100) % 60)]


def test_a_monitor_cannot_be_added_twice() -> None:
    fleet = Fleet(fleet_of(1))

    with pytest.raises(ValueError, match="a monitor 'shop-0' already"):
        fleet.scheduler.add(a_monitor("shop-0"))


@pytest.mark.parametrize("verb", ["remove", "pause", "resume"])
def test_nothing_can_be_done_with_a_monitor_that_is_not_there(verb: str) -> None:
    fleet = Fleet([])

    with pytest.raises(KeyError):
        getattr(fleet.scheduler, verb)("desk")
    with pytest.raises(KeyError):
        fleet.scheduler.replace(a_monitor("desk"))


def test_a_monitor_that_is_removed_is_not_looked_at_any_more() -> None:
    fleet = Fleet(fleet_of(2, every="1s", in_step=True))
    fleet.go_on(3.5)
    fleet.started.clear()

    fleet.scheduler.remove("shop-0")
    fleet.go_on(10)

    assert set(fleet.ids) == {"shop-1"}
    assert fleet.scheduler.load().monitors == 1
    assert fleet.scheduler.load().rate == pytest.approx(1.0)


def test_a_check_of_a_monitor_that_is_gone_ends_and_moves_nothing() -> None:
    fleet = Fleet(fleet_of(1, every="10s", in_step=True), takes=None)
    fleet.suspects = {"shop-0"}
    fleet.turn()

    fleet.scheduler.remove("shop-0")
    assert fleet.scheduler.load().in_flight == 1
    fleet.end("shop-0")
    fleet.go_on(30, step=0.1)

    assert fleet.ids == ["shop-0"]
    assert fleet.scheduler.load().in_flight == 0


def test_a_monitor_that_comes_back_while_its_old_check_runs_waits_for_that_to_end() -> None:
    fleet = Fleet(fleet_of(1, every="10s", in_step=True), takes=None)
    fleet.turn()
    fleet.scheduler.remove("shop-0")
    fleet.scheduler.add(a_monitor("shop-0", every="10s", in_step=True))

    fleet.go_on(3, step=0.1)
    assert len(fleet.started) == 1
    fleet.end("shop-0")
    fleet.go_on(0.0)

    assert [round(at, 3) for at, _ in fleet.started] == [0.0, 3.0]


def test_what_replaces_a_monitor_is_looked_at_soon_and_keeps_its_phase() -> None:
    before = a_monitor("desk", every="60s")
    fleet = Fleet([before])
    fleet.go_on(65, step=0.5)
    fleet.started.clear()
    after = a_monitor("desk", every="60s", target="https://desk.example.org/")

    fleet.scheduler.replace(after)
    fleet.go_on(60, step=0.001)

    assert [slot.monitor for _, slot in fleet.started] == [after, after]
    assert [at for at, _ in fleet.started] == [65.0, pytest.approx(65 + (seconds_to(before) - 65) % 60)]


def test_what_replaces_a_monitor_while_it_is_looked_at_is_looked_at_next() -> None:
    fleet = Fleet([a_monitor("desk", every="60s", in_step=True)], takes=None)
    fleet.turn()
    after = a_monitor("desk", every="60s", in_step=True, target="https://desk.example.org/")

    fleet.scheduler.replace(after)
    fleet.go_on(2, step=0.1)
    assert len(fleet.started) == 1
    fleet.end("desk")
    fleet.go_on(0.0)

    assert fleet.started[-1][1].monitor is after


def test_another_interval_has_another_phase_from_the_next_slot_on() -> None:
    fleet = Fleet([a_monitor("desk", every="60s", in_step=True)])
    fleet.go_on(65, step=0.5)
    fleet.started.clear()

    fleet.scheduler.replace(a_monitor("desk", every="10s", in_step=True))
    fleet.go_on(60, step=0.1)

    assert [round(at, 3) for at, _ in fleet.started] == [65.0, 70.0, 80.0, 90.0, 100.0, 110.0, 120.0]
    assert fleet.scheduler.load().rate == pytest.approx(0.1)


def test_a_monitor_that_is_paused_rests_and_comes_back_on_its_old_phase() -> None:
    fleet = Fleet([a_monitor("desk", every="10s", in_step=True)])
    fleet.go_on(11, step=0.1)
    fleet.scheduler.pause("desk")
    fleet.scheduler.pause("desk")
    fleet.go_on(22, step=0.1)
    assert fleet.scheduler.load().rate == pytest.approx(0.0)

    fleet.scheduler.resume("desk")
    fleet.scheduler.resume("desk")
    fleet.go_on(8, step=0.1)

    assert [round(at, 3) for at, _ in fleet.started] == [0.0, 10.0, 33.0, 40.0]
    assert (fleet.scheduler.counts.missed, fleet.scheduler.counts.overrun) == (0, 0)


def test_a_check_of_a_paused_monitor_ends_and_looks_no_sooner_again() -> None:
    fleet = Fleet([a_monitor("desk", every="60s", in_step=True)], takes=None)
    fleet.suspects = {"desk"}
    fleet.turn()

    fleet.scheduler.pause("desk")
    fleet.end("desk")
    fleet.go_on(120, step=0.5)

    assert len(fleet.started) == 1


def test_a_paused_monitor_is_replaced_in_its_sleep() -> None:
    fleet = Fleet([a_monitor("desk", every="60s", in_step=True)])
    fleet.turn()
    fleet.scheduler.pause("desk")
    after = a_monitor("desk", every="5s", in_step=True)

    fleet.scheduler.replace(after)
    fleet.go_on(12, step=0.1)
    assert len(fleet.started) == 1
    fleet.scheduler.resume("desk")
    fleet.go_on(4, step=0.1)

    assert [(round(at, 3), slot.monitor) for at, slot in fleet.started[1:]] == [(12.0, after), (15.0, after)]


def test_ten_thousand_edits_leave_no_more_behind_than_the_fleet_itself() -> None:
    monitors = fleet_of(100, every="1d")
    fleet = Fleet(monitors)
    fleet.go_on(1.0)

    for number in range(10_000):
        monitor = monitors[number % 100]
        fleet.scheduler.remove(monitor.id)
        fleet.scheduler.add(monitor)

    assert len(fleet.scheduler._heap) <= 300
    assert len(fleet.scheduler._monitors) == 100
    fleet.started.clear()
    fleet.go_on(1.0)
    assert Counter(fleet.ids) == {monitor.id: 1 for monitor in monitors}
    assert fleet.scheduler.load().rate == pytest.approx(100 / 86_400)
