"""The whole service in virtual time: scripted targets, a ledger in memory, channels that record."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from laya_uptime.adapters.stores.memory import MemoryStore
from laya_uptime.domain.alert import AlertStatus, Transition
from laya_uptime.domain.incident import Closing, Incident
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.status import Status
from laya_uptime.engine.probing import LocalProbing
from laya_uptime.engine.service import Service, Settings
from laya_uptime.engine.sharding import Shards
from laya_uptime.errors import ProbingLost, StoreCorrupt, StoreError, StoreTooNew
from laya_uptime.ports import Overseer, Probing, Watched
from laya_uptime.testing import (
    NOON,
    FakeClock,
    NoNetwork,
    RecordingListener,
    RecordingNotifier,
    RecordingWatchdog,
    ScriptedCheck,
    TroubledStore,
    a_channel,
    a_monitor,
    watched,
)

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DOWN, REMINDER, RECOVERED = Transition.DOWN, Transition.REMINDER, Transition.RECOVERED


class World:
    """One monitor in step and two channels; one process after another on the same ledger."""

    def __init__(
        self,
        script: str = ".",
        *,
        monitor: Monitor | None = None,
        takes: timedelta = timedelta(0),
    ) -> None:
        self.clock = FakeClock()
        self.check = ScriptedCheck(script, takes=takes)
        self.monitor = monitor or a_monitor(confirm=1, recover=1, in_step=True)
        self.also: list[Watched] = []
        self.chat, self.mail = RecordingNotifier("chat.example"), RecordingNotifier("alerts@example.com")
        self.channels = [a_channel(self.chat, "chat"), a_channel(self.mail, "mail", kind="email", title="Email")]
        self.memory = MemoryStore()
        self.store = TroubledStore(self.memory)
        self.fallback = MemoryStore()
        self.processes = 0
        self.restored: list[tuple[int, int]] = []  # monitors and probes so far, when told that all were taken up
        self.probing: Callable[[Overseer], Probing] | None = None

    @property
    def watched(self) -> list[Watched]:
        return [watched(self.check, self.monitor), *self.also]

    @asynccontextmanager
    async def running(self, *, killed: bool = False) -> AsyncIterator["World"]:
        """Run a process. At the end it is stopped, or `killed` where nothing can be finished any more."""
        self.processes += 1
        self.listener, self.watchdog, stop = RecordingListener(), RecordingWatchdog(), asyncio.Event()
        self.service = Service(
            self.watched,
            self.channels,
            store=self.store,
            fallback=self.fallback,
            via=NoNetwork(self.clock),
            clock=self.clock,
            listener=self.listener,
            watchdog=self.watchdog,
            settings=Settings(
                owner=f"process-{self.processes}",
                local=lambda at: at.astimezone(UTC),
                chance=lambda: 0.0,
                restored=lambda: self.restored.append((len(self.service.states), self.check.probes)),
            ),
            probing=self.probing,
        )
        with self.clock.with_timeouts():
            run = asyncio.create_task(self.service.run(stop))
            await self.clock.settle()
            if run.done():
                await run
            try:
                yield self
            finally:
                if killed:
                    run.cancel()
                stop.set()
                await self.clock.advance("7s" if not run.done() else 0)
                await asyncio.gather(run, return_exceptions=killed)

    async def pass_by(self, rounds: int) -> None:
        """Let so many intervals go by, until just after the last slot."""
        await self.clock.advance(rounds * self.monitor.every)

    @property
    def incidents(self) -> list[Incident]:
        return [each for each in self.memory.incidents.values() if each.monitor_id == self.monitor.id]

    @property
    def state(self) -> Status:
        return self.service.states[self.monitor.id].health.believed

    def spans(self) -> str:
        told = []
        for span in self.memory.spans.get(self.monitor.id, []):
            length = "" if span.ended is None else f" {round((span.ended - span.started) / SECOND)}"
            told.append(f"{span.outcome}{length}")
        return ", ".join(told)


async def test_the_first_failure_alerts_every_channel_at_once() -> None:
    async with World(".x").running() as world:
        await world.pass_by(1)

        assert world.chat.transitions == world.mail.transitions == [DOWN]
        [alert] = world.chat.delivered
        assert alert.facts.message == "Service is down (1 consecutive failures)"
        assert alert.facts.status is AlertStatus.FAILURE
        assert alert.facts.first_failure == NOON + MINUTE


async def test_it_is_told_once_that_every_monitor_was_taken_up_before_the_first_check() -> None:
    async with World(".").running() as world:
        await world.pass_by(2)

        assert world.restored == [(len(world.watched), 0)]


async def test_reminders_come_at_every_fifth_failure() -> None:
    async with World("x").running() as world:
        await world.pass_by(14)

        assert world.chat.transitions == [DOWN, REMINDER, REMINDER, REMINDER]
        assert [alert.facts.statistics.consecutive_failures for alert in world.chat.delivered] == [1, 5, 10, 15]


async def test_a_recovery_tells_how_long_it_was() -> None:
    async with World(".xx.").running() as world:
        await world.pass_by(3)

        assert world.chat.transitions == [DOWN, RECOVERED]
        assert world.chat.delivered[-1].facts.message == "Service recovered after 2 failures (downtime: 0:02:00)"
        assert {alert.dedup_key for alert in world.chat.delivered} == {world.chat.delivered[0].dedup_key}


async def test_status_changes_are_told_once_each() -> None:
    async with World(".ddxxd..").running() as world:
        await world.pass_by(8)

        assert [alert.facts.status for alert in world.chat.delivered] == [
            "degraded",
            "failure",
            "recovered",
            "healthy",
        ]


async def test_one_blip_is_looked_at_again_sooner_and_wakes_nobody() -> None:
    async with World(".x.", monitor=a_monitor(confirm=2, in_step=True)).running() as world:
        await world.clock.advance("80s")

        assert world.check.probes == 3  # at start, at 60 s, and again at 75 s
        assert world.chat.attempts == []
        assert world.spans() == "up"


async def test_unknown_verdicts_change_nothing() -> None:
    async with World(".x??.??").running() as world:
        await world.pass_by(3)
        assert world.state is Status.DOWN

        await world.pass_by(3)

        assert world.chat.transitions == [DOWN, RECOVERED]
        assert world.service.states["shop"].tally.checks == 3


async def test_a_monitor_unseen_for_three_intervals_is_unknown_and_no_alert() -> None:
    async with World(".?").running() as world:
        await world.pass_by(4)

        assert world.spans() == "unknown"  # since the last time somebody saw it
        assert world.state is Status.UNKNOWN
        assert world.chat.attempts == []


async def test_an_incident_survives_a_restart_without_a_second_down_d05() -> None:
    world = World(".xx")
    async with world.running():
        await world.pass_by(2)
    world.check.play("x")

    async with world.running():
        await world.pass_by(2)
        resumed = [incident.id for incident in world.listener.resumptions]

    assert resumed == [world.incidents[0].id]
    assert world.chat.transitions == [DOWN, REMINDER]
    assert len(world.incidents) == 1


async def test_failures_in_a_row_are_counted_on_across_a_restart() -> None:
    world = World("x")
    async with world.running():
        await world.pass_by(3)

    async with world.running():
        await world.clock.settle()

    assert world.chat.transitions == [DOWN, REMINDER]
    assert world.chat.delivered[-1].facts.statistics.consecutive_failures == 5
    assert world.chat.delivered[-1].facts.statistics.total_checks == 1  # since this start


@pytest.mark.parametrize("recover", [1, 2])
async def test_a_recovery_while_nobody_looked_is_told_and_its_downtime_is_right_d05(recover: int) -> None:
    world = World(".x", monitor=a_monitor(confirm=1, recover=recover, in_step=True))
    async with world.running():
        await world.pass_by(2)
    stopped = world.clock.now()
    await world.clock.advance("1h")
    world.check.play(".")

    async with world.running():
        began = world.clock.now()
        await world.pass_by(2)

    assert world.chat.transitions == [DOWN, RECOVERED]
    [incident] = world.incidents
    assert incident.closed_by is Closing.RECOVERED
    assert incident.downtime == began - (NOON + MINUTE)
    assert HOUR - SECOND <= incident.unseen <= began - stopped + 10 * SECOND
    assert [part.split()[0] for part in world.spans().split(", ")] == ["up", "down", "unknown", "up"]


async def test_a_removed_monitor_has_its_incident_closed_for_that_reason_d05() -> None:
    world = World(".x")
    async with world.running():
        await world.pass_by(1)
    gone, world.monitor = world.monitor, a_monitor("desk", confirm=1, in_step=True)
    world.check.play(".")

    async with world.running():
        await world.pass_by(1)

    assert world.memory.incidents[world.chat.delivered[0].incident_id].closed_by is Closing.MONITOR_REMOVED
    assert world.chat.transitions == [DOWN, RECOVERED]
    assert world.chat.delivered[-1].facts.monitor_id == gone.id
    assert "not monitored any more" in world.chat.delivered[-1].facts.message


async def test_a_changed_target_closes_the_incident_for_that_reason_d05() -> None:
    world = World(".x")
    async with world.running():
        await world.pass_by(1)
    world.monitor = replace(world.monitor, target="https://new.example/health")
    world.check.play("x")

    async with world.running():
        await world.clock.settle()

    first, second = world.incidents
    assert (first.closed_by, second.resolved_at) == (Closing.TARGET_CHANGED, None)
    assert world.chat.transitions == [DOWN, RECOVERED, DOWN]
    assert world.listener.resumptions == []


async def test_an_own_downtime_longer_than_the_interval_is_unknown_t07() -> None:
    world = World(".")
    async with world.running():
        await world.clock.advance("5m")
    await world.clock.advance("5h")

    async with world.running():
        await world.clock.advance("5m")

    [up, unknown, again] = world.memory.spans["shop"]
    assert [up.outcome, unknown.outcome, again.outcome] == [Status.UP, Status.UNKNOWN, Status.UP]
    assert unknown.ended is not None
    assert 5 * HOUR <= unknown.ended - unknown.started <= 5 * HOUR + 20 * SECOND


async def test_an_own_downtime_shorter_than_the_interval_is_not() -> None:
    world = World(".")
    async with world.running():
        await world.clock.advance("5m")
    await world.clock.advance("30s")

    async with world.running():
        await world.clock.advance("5m")

    assert world.spans() == "up"


async def test_after_a_kill_what_was_decided_is_delivered_by_the_next_process() -> None:
    world = World(".x")
    world.chat.hang()
    async with world.running(killed=True):
        await world.pass_by(1)
    world.chat.heal()

    async with world.running():
        await world.clock.advance("1s")

    assert world.chat.transitions == [DOWN]
    assert len({alert.id for alert in world.chat.attempts}) == 1


async def test_a_check_that_hangs_ends_at_its_deadline_and_overlaps_with_nothing() -> None:
    world = World("h", monitor=a_monitor(confirm=1, every="3s", timeout="10s", in_step=True))
    async with world.running():
        await world.clock.advance("61s")

        assert world.check.overlaps == 0
        assert world.check.probes == 6
        assert world.state is Status.DOWN
        assert world.spans() == "down"
        assert world.service.probing.load.overrun == 15
        assert len(world.listener.slots) == 20


async def test_a_check_that_ignores_its_deadline_is_ended_too() -> None:
    world = World("s", monitor=a_monitor(confirm=1, timeout="10s", in_step=True))
    async with world.running():
        await world.clock.advance("12s")

        assert world.chat.delivered[0].facts.reason == "timeout"


async def test_a_check_that_fails_by_itself_is_never_target_trouble() -> None:
    async with World("e").running() as world:
        await world.pass_by(10)

        assert world.chat.attempts == []
        assert world.state is Status.UNKNOWN
        assert not any("secret" in text for text in world.listener.troubles)


async def test_one_slow_target_delays_no_other() -> None:
    world = World("h")
    quick = ScriptedCheck(".")
    world.also = [watched(quick, a_monitor("desk", every="1s", in_step=True))]
    async with world.running():
        await world.clock.advance("10s")

        assert quick.probes == 11


async def test_a_stop_waits_for_checks_under_way_and_keeps_them() -> None:
    world = World(".x", takes=2 * SECOND)
    async with world.running():
        await world.clock.advance("61s")  # the second one began a second ago

    assert len(world.memory.results) == 2
    assert world.watchdog.stops == 1
    assert world.chat.attempts == []  # nobody was to be told any more

    async with world.running():
        await world.clock.settle()

    assert world.chat.transitions == [DOWN]


async def test_what_was_seen_just_before_a_stop_is_kept() -> None:
    world = World(".")
    async with world.running():
        await world.pass_by(1)  # nobody waits for this result, so it would have waited a second for company

    assert len(world.memory.results) == 2


async def test_a_stop_does_not_wait_for_a_database_that_takes_nothing() -> None:
    world = World(".x")
    async with world.running():
        await world.pass_by(1)
        world.store.fail()
        await world.pass_by(1)
        began = world.clock.monotonic()

    assert world.clock.monotonic() - began <= 7
    assert world.listener.troubles[-1] == "The database did not take the last results; they are not kept"


async def test_a_check_that_takes_longer_than_five_seconds_to_end_is_not_recorded() -> None:
    world = World(".h")
    async with world.running():
        await world.clock.advance("61s")

    assert len(world.memory.results) == 1
    assert world.chat.attempts == []


async def test_alerts_that_could_not_go_out_before_a_stop_go_out_at_the_next_start() -> None:
    world = World(".x")
    world.chat.fail()
    async with world.running():
        await world.pass_by(1)
    world.chat.heal()
    world.check.play("x")

    async with world.running():
        await world.pass_by(1)

    assert world.chat.transitions == [DOWN]


async def test_ready_is_said_once_and_the_watchdog_is_fed_every_ten_seconds() -> None:
    async with World().running() as world:
        await world.clock.advance("60s")

        assert world.watchdog.readies == 1
        assert world.watchdog.feedings == 7


async def test_a_duty_that_fails_is_started_again_n06(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(".x")
    async with world.running():
        real = world.store.inner
        world.store.trouble = ZeroDivisionError("SECRET")  # no StoreError: the duties themselves fall over
        await world.clock.advance("70s")
        assert any("starting it again" in text for text in world.listener.troubles)
        assert not any("SECRET" in text for text in world.listener.troubles)

        world.store.heal()
        await world.clock.advance("2m")

        assert world.store.inner is real
        assert world.chat.transitions == [DOWN]
        assert len(world.memory.results) == 4


@pytest.mark.parametrize(
    "jump",
    [HOUR, -HOUR, datetime(1970, 1, 1, tzinfo=UTC) - NOON, datetime(2038, 1, 20, tzinfo=UTC) - NOON],
    ids=["an hour ahead", "an hour back", "to 1970", "to 2038"],
)
async def test_setting_the_wall_clock_makes_no_burst_no_gap_and_no_false_alert_t01(jump: timedelta) -> None:
    async with World(".").running() as world:
        await world.pass_by(3)
        world.clock.jump_wall(jump)
        await world.pass_by(10)
        assert world.check.probes == 14
        assert world.chat.attempts == []
        assert world.state is Status.UP

        world.check.play("xx.x.")
        await world.pass_by(5)

        assert world.chat.transitions == [DOWN, RECOVERED, DOWN, RECOVERED]
        started = [span.started for span in world.memory.spans["shop"]]
        assert all(before < after for before, after in pairwise(started))


async def test_a_full_disk_stops_no_alert_and_our_own_trouble_is_told_d06() -> None:
    async with World(".....x.").running() as world:
        await world.pass_by(4)
        world.store.fail("no space left on device")
        await world.pass_by(2)
        told = [(alert.facts.service, alert.transition) for alert in world.chat.delivered]
        assert told == [("laya-uptime", DOWN), ("Shop", DOWN), ("Shop", RECOVERED)]

        world.store.heal()
        await world.clock.advance("3602s")

        told = [(alert.facts.service, alert.transition) for alert in world.chat.delivered]
        assert told[3:] == [("laya-uptime", RECOVERED)]
        assert len(world.memory.results) == world.check.probes
        assert all(not row.is_open for row in world.memory.outbox.values())
        assert world.spans() == "up 300, down 60, up"


async def test_a_damaged_database_is_set_aside_with_an_alarm_d08() -> None:
    world = World(".")
    opened = 0

    async def damaged_at_first() -> None:
        nonlocal opened
        opened += 1
        if opened == 1:
            raise StoreCorrupt("page 7 is not a page")

    world.store.opening = damaged_at_first
    async with world.running():
        await world.clock.advance("1s")

        assert world.chat.transitions == [DOWN]
        assert "was damaged (page 7 is not a page). It was set aside as nowhere" in world.listener.troubles[0]
        assert len(world.memory.results) == 1


async def test_without_any_database_monitoring_goes_on_in_memory_with_an_alarm_d08() -> None:
    world = World(".x")
    world.store.trouble = StoreError("permission denied")
    async with world.running():
        await world.clock.advance("2s")  # it is asked three times
        await world.pass_by(1)

        assert [alert.facts.service for alert in world.chat.delivered] == ["laya-uptime", "Shop"]
        assert len(world.fallback.results) == 2
        assert "Monitoring goes on in memory" in world.listener.troubles[-1]


async def test_checks_that_wait_for_room_are_told_once_and_so_is_the_end_of_it() -> None:
    world = World("h" * 3 + "." * 20, monitor=a_monitor(every="10s", timeout="9s", in_step=True))
    others = [ScriptedCheck("h" * 3 + "." * 20) for _ in range(3)]
    world.also = [
        watched(check, a_monitor(f"desk-{place}", every="10s", timeout="9s", in_step=True))
        for place, check in enumerate(others)
    ]
    world.probing = lambda overseer: LocalProbing(
        world.watched, overseer, via=NoNetwork(world.clock), clock=world.clock, limit=2
    )
    async with world.running():
        await world.clock.advance("80s")

        load = world.service.probing.load
        (trouble,) = world.listener.troubles
        (relief,) = world.listener.reliefs
        assert "2 checks are due and wait for room, the first for 5 s: 2 are under way" in trouble
        assert relief == f"No check waits for room any more; {load.late} have begun late since the start"
        assert load.late > 0
        assert load.in_flight == 0


async def test_a_database_that_somebody_holds_for_a_moment_at_start_is_waited_for_d07() -> None:
    world = World(".")
    world.store.fail("database is locked")
    async with world.running():
        await world.clock.advance(0.5)
        world.store.heal()
        await world.clock.advance("2s")

        assert len(world.memory.results) == 1
        assert world.fallback.results == []
        assert world.listener.troubles == ["The database cannot be opened (database is locked), trying again"]


async def test_a_database_of_a_newer_version_is_refused_u02() -> None:
    world = World(".")
    world.store.trouble = StoreTooNew("written by a newer laya-uptime")

    with pytest.raises(StoreTooNew):
        async with world.running():
            pass

    assert world.check.probes == 0


async def test_five_hundred_monitors_for_an_hour_miss_nothing() -> None:
    world = World(".")
    checks = [ScriptedCheck(".", takes=timedelta(milliseconds=50)) for _ in range(500)]
    world.also = [watched(check, a_monitor(f"shop-{place}", every="5m")) for place, check in enumerate(checks)]
    async with world.running():
        await world.clock.advance("1h")

        assert {check.probes for check in checks} == {13}
        assert sum(check.overlaps for check in checks) == 0
        assert world.service.probing.load.missed == world.service.probing.load.overrun == 0
        assert world.listener.troubles == []


class Mortal(LocalProbing):
    """Probing that is lost at once where it is `dead`, as a process that cannot be started."""

    dead = False

    async def run(self) -> None:
        if Mortal.dead:
            raise ProbingLost("was killed by SIGKILL")
        watch = asyncio.ensure_future(super().run())
        try:
            while not Mortal.dead:
                await self.clock.sleep(0.5)
        finally:
            watch.cancel()
        raise ProbingLost("was killed by SIGKILL")

    def is_turning(self, *, within: timedelta) -> bool:
        return not Mortal.dead and super().is_turning(within=within)

    clock: FakeClock


async def test_while_a_part_of_the_probing_is_lost_its_monitors_become_unknown_and_nobody_is_woken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(".")
    monkeypatch.setattr(Mortal, "clock", world.clock, raising=False)
    monkeypatch.setattr(Mortal, "dead", False)

    def in_parts(overseer: Overseer) -> Probing:
        def make(share: Sequence[Watched]) -> Probing:
            return Mortal(share, overseer, via=NoNetwork(world.clock), clock=world.clock)

        return Shards(world.watched, overseer, parts=1, make=make, clock=world.clock)

    world.probing = in_parts
    async with world.running():
        await world.pass_by(3)
        monkeypatch.setattr(Mortal, "dead", True)
        await world.clock.advance("4m")
        assert str(world.state) == "unknown"
        assert world.watchdog.feedings >= 42  # it was told, so the service manager need not restart everything

        monkeypatch.setattr(Mortal, "dead", False)
        await world.clock.advance("2m")

        assert str(world.state) == "up"
        assert [part.split()[0] for part in world.spans().split(", ")] == ["up", "unknown", "up"]
        assert world.chat.attempts == []
        assert len(world.listener.troubles) == len(world.listener.reliefs) == 1
