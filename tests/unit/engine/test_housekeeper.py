"""The housekeeper: the service manager is fed only for work that gets done, or for trouble that was told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, timedelta

import pytest

from laya_uptime.adapters.stores.memory import MemoryStore
from laya_uptime.domain.status import Status
from laya_uptime.engine.housekeeper import Housekeeper
from laya_uptime.engine.pipeline import Pipeline
from laya_uptime.engine.probing import LocalProbing
from laya_uptime.engine.writer import Writer
from laya_uptime.errors import StoreError
from laya_uptime.testing import (
    FakeClock,
    NoNetwork,
    RecordingListener,
    RecordingOverseer,
    RecordingWatchdog,
    TroubledStore,
    a_change,
    a_monitor,
    a_result,
    watched,
)

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


class House:
    """Everything the housekeeper looks after; the scheduler turns only while `turning`."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.memory = MemoryStore()
        self.store = TroubledStore(self.memory)
        self.listener = RecordingListener()
        self.watchdog = RecordingWatchdog()
        self.monitor = a_monitor(every="60s")
        self.writer = Writer(
            self.store,
            clock=self.clock,
            listener=self.listener,
            committed=lambda _: None,
            rescue=lambda _: None,
            degraded=lambda _: None,
        )
        self.pipeline = Pipeline(
            [self.monitor],
            [],
            submit=self.writer.submit,
            listener=self.listener,
            local=lambda at: at.astimezone(UTC),
        )
        self.probing = LocalProbing(
            [watched("?", self.monitor)], RecordingOverseer(), via=NoNetwork(self.clock), clock=self.clock
        )
        self.began = self.clock.monotonic()
        self.housekeeper = Housekeeper(
            clock=self.clock,
            store=self.store,
            writer=self.writer,
            probing=self.probing,
            elapsed=self.elapsed,
            pipeline=self.pipeline,
            watchdog=self.watchdog,
            listener=self.listener,
            retention=90 * DAY,
        )

    def elapsed(self) -> timedelta:
        return timedelta(seconds=self.clock.monotonic() - self.began)

    @property
    def believed(self) -> str:
        return self.pipeline.states["shop"].health.believed

    @asynccontextmanager
    async def at_work(self, *, turning: bool = True) -> AsyncIterator["House"]:
        memory = await self.memory.open([self.monitor], [], at=self.clock.now())
        self.pipeline.restore(memory, at=self.clock.now(), elapsed=self.elapsed())
        duties = [self.writer.run, self.housekeeper.beat, self.housekeeper.look_for_blindness, self.housekeeper.prune]
        if turning:
            duties.append(self.probing.run)
        tasks = [asyncio.create_task(duty()) for duty in duties]
        await self.clock.settle()
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_watchdog_is_fed_every_ten_seconds_after_a_durable_beat() -> None:
    async with House().at_work() as house:
        assert house.watchdog.feedings == 1

        await house.clock.advance("60s")

        assert house.watchdog.feedings == 7
        assert len(house.store.commits) >= 7


async def test_it_is_not_fed_before_the_beat_is_durable() -> None:
    house = House()
    house.store.delay = lambda: house.clock.sleep(3)
    async with house.at_work():
        await house.clock.advance(2.9)
        assert house.watchdog.feedings == 0
        await house.clock.advance(0.2)
        assert house.watchdog.feedings == 1


async def test_it_is_not_fed_while_nothing_can_be_written_and_nobody_knows_yet() -> None:
    house = House()
    house.store.delay = lambda: house.clock.sleep(10**6)  # a disk that hangs says nothing
    async with house.at_work():
        await house.clock.advance(4.9)
        assert house.watchdog.feedings == 0
        assert not house.listener.troubles


async def test_a_disk_that_hangs_is_declared_like_one_that_fails() -> None:
    house = House()
    house.store.delay = lambda: house.clock.sleep(10**6)
    async with house.at_work():
        await house.clock.advance("60s")

        assert house.writer.is_degraded
        assert len(house.listener.troubles) == 1
        assert "does not answer" in house.listener.troubles[0]
        assert house.watchdog.feedings >= 2


async def test_it_is_fed_again_once_the_trouble_is_declared() -> None:
    async with House().at_work() as house:
        house.store.fail()
        await house.clock.advance("60s")

        fed = house.watchdog.feedings
        assert house.writer.is_degraded
        assert len(house.listener.troubles) == 1
        await house.clock.advance("120s")
        assert house.watchdog.feedings - fed >= 4  # at least every thirty seconds, as the unit wants


async def test_it_is_not_fed_when_the_scheduler_has_stopped_turning() -> None:
    async with House().at_work(turning=False) as house:
        await house.clock.advance("16s")
        fed = house.watchdog.feedings

        await house.clock.advance("5m")

        assert house.watchdog.feedings == fed
        assert "The scheduler has stopped turning" in house.listener.troubles


async def test_a_wedged_scheduler_is_not_forgiven_because_the_database_fails_too() -> None:
    async with House().at_work(turning=False) as house:
        house.store.fail()
        await house.clock.advance("30s")
        fed = house.watchdog.feedings

        await house.clock.advance("5m")

        assert house.watchdog.feedings == fed


async def test_a_monitor_that_nobody_sees_any_more_is_unknown_within_an_interval_of_three() -> None:
    async with House().at_work() as house:
        house.pipeline.absorb(
            house.monitor, [a_result(".", house.monitor, at=house.clock.now())], elapsed=house.elapsed()
        )
        await house.clock.advance("179s")
        assert house.believed == "up"

        await house.clock.advance("12s")

        assert house.believed == "unknown"
        assert [span.outcome for span in house.memory.spans["shop"]][-1] is Status.UNKNOWN


async def test_results_older_than_the_retention_are_deleted_at_start_and_every_hour() -> None:
    house = House()
    now = house.clock.now()
    await house.memory.open([house.monitor], [], at=now)
    old = [a_result(at=now - 91 * DAY), a_result(at=now - 90 * DAY + 1800 * SECOND), a_result(at=now)]
    await house.memory.commit([a_change(results=old)], seq=1, at=now)
    house.writer.start_at(1)
    async with house.at_work():
        assert len(house.memory.results) == 2

        await house.clock.advance("61m")

        assert len(house.memory.results) == 1


async def test_a_database_that_cannot_be_pruned_is_left_for_later() -> None:
    house = House()
    house.store.trouble = StoreError("database is locked")
    async with house.at_work():
        house.store.heal()
        await house.clock.advance("61m")

        assert house.listener.troubles == []


@pytest.mark.parametrize("every", ["1s", "5s", "1h"])
async def test_the_look_out_turns_at_least_every_ten_seconds(every: str) -> None:
    house = House()
    house.monitor = a_monitor(every=every)
    house.pipeline.monitors = {"shop": house.monitor}
    async with house.at_work():
        house.clock.stall(3.1 * house.monitor.every.total_seconds() + 10)
        await house.clock.advance("10s")

        assert house.believed == "unknown"
