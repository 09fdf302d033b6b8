"""The scheduler against one that looks at every monitor at every turn: whatever happens, they do the same.

The oracle keeps no heap and nothing packed. What is due it finds by looking at all; a next slot it finds by dividing.
In one point it is free: which of the looks that are owed are handed out, it learns from the scheduler and only holds to
be allowed, and as many as there may be.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.schedule import first_phase
from laya_uptime.engine.scheduler import Scheduler, Slot
from laya_uptime.testing import NOON, FakeClock, a_monitor

MS = timedelta(milliseconds=1)
NAMES = [f"shop-{number}" for number in range(12)]
EVERY = ["1s", "2s", "3s", "7s", "10s", "60s", "97s", "1h", "1d"]
AT_ONCE = 50
Look = tuple[str, int]  # a monitor and the milliseconds at which it was due


@dataclass
class Kept:
    """What the oracle knows of one monitor. Times are in milliseconds; None: not planned."""

    monitor: Monitor
    place: int
    regular: int | None = None
    sooner: int | None = None
    owed: int | None = None  # 0: a first look

    @property
    def every(self) -> int:
        return self.monitor.every // MS

    def slot_from(self, at: int) -> int:
        """Return the first slot of its phase that is not before this."""
        phase = first_phase(self.monitor) // MS or self.every
        return phase + max(-((phase - at) // self.every), 0) * self.every


class Oracle:
    """What should happen."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kept: dict[str, Kept] = {}
        self.places: list[int] = []
        self.under_way: dict[str, bool] = {}
        self.overrun = self.missed = self.started = 0
        self.turned = self.held_up_until = 0
        self.waits = False

    def admit(self, monitor: Monitor, now: int) -> None:
        place = self.places.pop() if self.places else len(self.kept)
        self.kept[monitor.id] = Kept(monitor, place)
        self.plan(monitor.id, now)

    def plan(self, monitor_id: str, now: int) -> None:
        kept = self.kept[monitor_id]
        kept.regular = kept.slot_from(now)
        kept.owed = 0 if kept.owed is None else kept.owed

    def remove(self, monitor_id: str) -> None:
        self.places.append(self.kept.pop(monitor_id).place)

    def pause(self, monitor_id: str) -> None:
        kept = self.kept[monitor_id]
        kept.regular = kept.sooner = kept.owed = None

    def replace(self, monitor: Monitor, now: int) -> None:
        kept = self.kept[monitor.id]
        is_new_phase = kept.monitor.every != monitor.every
        kept.monitor = monitor
        if kept.regular is not None:
            kept.regular = kept.slot_from(now) if is_new_phase else kept.regular
            kept.owed = 0 if kept.owed is None else kept.owed

    def finish(self, monitor_id: str, now: int, *, is_suspect: bool) -> None:
        del self.under_way[monitor_id]
        kept = self.kept.get(monitor_id)
        if kept is None or kept.regular is None:
            return
        if self.waits and kept.regular <= now:
            self.pass_on(kept, now)
            self.overrun += 1
        wait = max(min(kept.every // 4, 15_000), 1_000)
        if is_suspect and kept.owed is None and wait < kept.every:
            kept.sooner = now + wait

    def pass_on(self, kept: Kept, now: int) -> int:
        """Go on to the next slot that is not past; return the last before it."""
        assert kept.regular is not None
        following = kept.slot_from(max(now, kept.regular + 1))
        self.missed += (following - kept.regular) // kept.every - 1
        kept.regular = following
        return following - kept.every

    def turn(self, now: int) -> tuple[list[Look], int, set[Look]]:
        """Return what begins in order, how many of the owed looks do, and which those may be."""
        if now - self.turned > 2_000:
            self.held_up_until = now
        self.turned = now
        begun: list[Look] = []
        pressed = self.waits = False
        while due := self.first_due(now):
            at, _, kept = due
            monitor_id = kept.monitor.id
            if monitor_id not in self.under_way and len(self.under_way) >= self.limit:
                self.waits = True
                break
            is_regular = at == kept.regular
            if is_regular:
                at = self.pass_on(kept, now)
            else:
                kept.sooner = None
            if monitor_id in self.under_way:
                self.overrun += 1
            elif at <= self.held_up_until:
                self.missed += is_regular and kept.owed is not None
                if kept.owed is None:
                    kept.owed = at if is_regular else 0
            else:
                pressed = pressed or now - at > 20
                begun.append((monitor_id, at))
                self.begin(monitor_id, owed=False)
        if pressed or self.waits:
            return begun, 0, set()
        may = {
            (monitor_id, kept.owed or now)
            for monitor_id, kept in self.kept.items()
            if kept.owed is not None and monitor_id not in self.under_way
        }
        room = min(max(self.limit // 2, 1) - sum(self.under_way.values()), self.limit - len(self.under_way))
        return begun, min(len(may), max(room, 0), AT_ONCE), may

    def first_due(self, now: int) -> tuple[int, int, Kept] | None:
        due = [
            (at, kept.place, kept)
            for kept in self.kept.values()
            for at in (kept.regular, kept.sooner)
            if at is not None and at <= now
        ]
        return min(due, key=lambda each: each[:2], default=None)

    def begin(self, monitor_id: str, *, owed: bool) -> None:
        kept = self.kept[monitor_id]
        self.missed += bool(kept.owed) and not owed
        kept.sooner = kept.owed = None
        self.under_way[monitor_id] = owed
        self.started += 1


class Both:
    """The scheduler and the oracle, side by side in virtual time."""

    def __init__(self, monitors: Sequence[Monitor], limit: int) -> None:
        self.clock = FakeClock()
        self.begun: list[Look] = []
        self.running: dict[str, Monitor] = {}
        self.oracle = Oracle(limit)
        self.scheduler = Scheduler(
            monitors, clock=self.clock, start=self._start, passed_over=self._passed_over, limit=limit
        )
        for monitor in monitors:
            self.oracle.admit(monitor, 0)

    @property
    def now(self) -> int:
        return self.scheduler.elapsed // MS

    def turn(self, after: int) -> None:
        """Let so many milliseconds pass, and turn both."""
        self.clock.stall(after * MS)
        self.begun.clear()
        begun, owed, may = self.oracle.turn(self.now)
        self.scheduler.hand_out()

        assert self.begun[: len(begun)] == begun
        rest = self.begun[len(begun) :]
        assert len(rest) == owed
        assert set(rest) <= may
        for monitor_id, _ in rest:
            self.oracle.begin(monitor_id, owed=True)
        self.compare()

    def compare(self) -> None:
        oracle, load = self.oracle, self.scheduler.load()
        assert (load.started, load.overrun, load.missed) == (oracle.started, oracle.overrun, oracle.missed)
        assert load.in_flight == len(oracle.under_way) == len(self.running) <= oracle.limit
        assert load.monitors == len(oracle.kept)
        assert load.owed == sum(kept.owed is not None for kept in oracle.kept.values())
        waiting = [
            min(due)
            for monitor_id, kept in oracle.kept.items()
            if (due := [at for at in (kept.regular, kept.sooner) if at is not None and at <= self.now])
            and monitor_id not in oracle.under_way
        ]
        assert load.waiting == len(waiting)
        assert load.waited == (self.now - min(waiting, default=self.now)) * MS

    def finish(self, place: int, *, is_suspect: bool) -> None:
        if self.running:
            monitor_id = list(self.running)[place % len(self.running)]
            self.oracle.finish(monitor_id, self.now, is_suspect=is_suspect)
            self.scheduler.finished(self.running.pop(monitor_id), is_suspect=is_suspect)

    def edit(self, verb: str, name: str, every: str) -> None:
        """Do it where it can be done."""
        monitor = a_monitor(name, every=every)
        kept = self.oracle.kept.get(name)
        if kept is None:
            if verb == "add":
                self.oracle.admit(monitor, self.now)
                self.scheduler.add(monitor)
        elif verb == "remove":
            self.oracle.remove(name)
            self.scheduler.remove(name)
        elif verb == "replace":
            self.oracle.replace(monitor, self.now)
            self.scheduler.replace(monitor)
        elif verb == "pause":
            self.oracle.pause(name)
            self.scheduler.pause(name)
        elif verb == "resume":
            if kept.regular is None:
                self.oracle.plan(name, self.now)
            self.scheduler.resume(name)

    def _start(self, slot: Slot) -> None:
        assert slot.monitor.id not in self.running, "two checks of one monitor at once"
        assert slot.monitor is self.scheduler._monitors[self.oracle.kept[slot.monitor.id].place]
        self.running[slot.monitor.id] = slot.monitor
        self.begun.append((slot.monitor.id, (slot.due - NOON) // MS))

    def _passed_over(self, slot: Slot) -> None:
        assert slot.monitor.id in self.oracle.kept


Act = Callable[[Both], None]
AFTER = st.one_of(st.integers(0, 50), st.integers(51, 2_000), st.integers(2_001, 30_000_000))
VERBS = st.sampled_from(["add", "remove", "replace", "pause", "resume"])
TURN = st.builds(partial, st.just(Both.turn), after=AFTER)
FINISH = st.builds(partial, st.just(Both.finish), place=st.integers(0, 20), is_suspect=st.booleans())
EDIT = st.builds(partial, st.just(Both.edit), verb=VERBS, name=st.sampled_from(NAMES), every=st.sampled_from(EVERY))


@settings(deadline=None, max_examples=300)
@given(
    monitors=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(EVERY)), unique_by=lambda each: each[0]),
    limit=st.sampled_from([1, 2, 3, 5, 100]),
    story=st.lists(st.one_of(TURN, FINISH, EDIT), max_size=80),
)
def test_whatever_happens_it_does_what_one_would_do_that_looks_at_all_monitors(
    monitors: list[tuple[str, str]], limit: int, story: list[Act]
) -> None:
    both = Both([a_monitor(name, every=every) for name, every in monitors], limit)

    for act in story:
        act(both)


@pytest.mark.parametrize("seed", range(3))
def test_so_it_is_for_thirty_days_with_slow_checks_edits_and_nights_asleep(seed: int) -> None:
    chance = Random(seed)
    both = Both([a_monitor(name, every=chance.choice(EVERY)) for name in NAMES[:8]], limit=4)

    for _ in range(30):
        for _ in range(chance.randint(200, 800)):  # some minutes of work
            both.turn(chance.choice([1, 5, 100, 500, 1_000]))
            for _ in range(chance.choice([0, 0, 1, 2, 3])):
                both.finish(chance.randrange(20), is_suspect=chance.random() < 0.3)
            if chance.random() < 0.05:
                verb = chance.choice(["add", "remove", "replace", "pause", "resume"])
                both.edit(verb, chance.choice(NAMES), chance.choice(EVERY))
        both.clock.stall(86_400 - both.now / 1000 % 86_400)  # asleep until midnight

    assert both.now >= 30 * 86_400_000
    assert both.oracle.started > 3_000  # or the days were too quiet to prove anything
    assert both.oracle.overrun > 0
    assert both.oracle.missed > 0


@pytest.mark.parametrize("seed", range(3))
def test_every_slot_was_looked_at_or_is_counted_among_those_passed_over(seed: int) -> None:
    chance = Random(seed)
    both = Both([a_monitor(name, every=chance.choice(EVERY)) for name in NAMES], limit=3)
    looked = 0

    for _ in range(5_000):
        both.turn(chance.choice([1, 5, 100, 500, 1_000, 2_500, 60_000]))
        on_phase = [both.oracle.kept[monitor_id].slot_from(due) == due for monitor_id, due in both.begun]
        looked += sum(on_phase)
        for _ in range(chance.choice([0, 0, 1, 2, 3])):
            both.finish(chance.randrange(20), is_suspect=False)

    kept = both.oracle.kept.values()
    regular = [each.regular for each in kept if each.regular is not None]
    planned = sum((due - each.slot_from(1)) // each.every for each, due in zip(kept, regular, strict=True))
    still_owed = sum(bool(each.owed) for each in kept)
    counts = both.scheduler.counts
    assert planned == looked + counts.overrun + counts.missed + still_owed
