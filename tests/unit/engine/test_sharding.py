"""Probing in parts, in virtual time: who gets which monitor, and what happens when a part is lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from laya_uptime.adapters.checks.heartbeat import HeartbeatCheck
from laya_uptime.domain.load import Load
from laya_uptime.engine.sharding import Shards, part_of, parts_for
from laya_uptime.errors import ProbingLost
from laya_uptime.ports import Watched
from laya_uptime.testing import FakeClock, RecordingOverseer, a_monitor, watched

SOON = timedelta(seconds=15)


class Part:
    """`ports.Probing` that is lost when a test says so."""

    def __init__(self, share: Sequence[Watched]) -> None:
        self.ids = {each.monitor.id for each in share}
        self.told: list[tuple[str, str]] = []
        self.runs = 0
        self.turns = True
        self.load = Load(started=len(share), waiting=1)
        self.end: asyncio.Future[None] | None = None
        self.is_broken = False

    def is_turning(self, *, within: timedelta) -> bool:
        return self.turns and self.end is not None and not self.end.done()

    async def run(self) -> None:
        self.runs += 1
        if self.is_broken:
            raise ProbingLost("could not be started")
        self.end = asyncio.get_running_loop().create_future()
        await self.end

    def lose(self, error: Exception | None = None) -> None:
        assert self.end is not None
        self.end.set_exception(error or ProbingLost("was killed by SIGKILL"))

    def sooner(self, monitor_id: str) -> None:
        self.told.append(("sooner", monitor_id))

    def put(self, watched: Watched) -> None:
        self.told.append(("put", watched.monitor.id))

    def remove(self, monitor_id: str) -> None:
        self.told.append(("remove", monitor_id))

    def pause(self, monitor_id: str) -> None:
        self.told.append(("pause", monitor_id))

    def resume(self, monitor_id: str) -> None:
        self.told.append(("resume", monitor_id))

    async def settle(self, seconds: float) -> None:
        self.told.append(("settle", f"{seconds:g}"))
        if self.end is not None and not self.end.done():
            self.end.set_result(None)


class World:
    def __init__(self, count: int = 100, parts: int = 4) -> None:
        self.clock = FakeClock()
        self.overseer = RecordingOverseer()
        self.parts: list[Part] = []
        self.monitors = [watched(".", a_monitor(f"shop-{place}")) for place in range(count)]

        def make(share: Sequence[Watched]) -> Part:
            self.parts.append(Part(share))
            return self.parts[-1]

        self.shards = Shards(self.monitors, self.overseer, parts=parts, make=make, clock=self.clock)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator["World"]:
        run = asyncio.create_task(self.shards.run())
        await self.clock.advance("1s")
        try:
            yield self
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)


def test_each_monitor_belongs_to_one_part_and_the_parts_are_of_a_size() -> None:
    world = World(count=2_000)

    assert sum(len(part.ids) for part in world.parts) == 2_000
    assert len(set.union(*(part.ids for part in world.parts))) == 2_000
    assert all(400 < len(part.ids) < 600 for part in world.parts)


def test_where_a_monitor_belongs_never_changes() -> None:
    assert [part_of(name, 4) for name in ("shop", "desk", "mail", "ai-service")] == [1, 2, 0, 1]


async def test_every_edit_goes_to_the_part_that_the_monitor_belongs_to() -> None:
    world = World()

    world.shards.put(world.monitors[0])
    for tell in (world.shards.sooner, world.shards.pause, world.shards.resume, world.shards.remove):
        tell("shop-0")

    [home] = [part for part in world.parts if "shop-0" in part.ids]
    assert [verb for verb, _ in home.told] == ["put", "sooner", "pause", "resume", "remove"]
    assert [part.told for part in world.parts if part is not home] == [[], [], []]


async def test_counts_are_those_of_all_parts() -> None:
    assert World().shards.load == Load(started=100, waiting=4)


async def test_a_lost_part_is_run_again_and_that_is_told_once() -> None:
    async with World().at_work() as world:
        world.parts[2].lose()
        await world.clock.advance("2s")

        assert [part.runs for part in world.parts] == [1, 1, 2, 1]
        assert world.overseer.troubles == [
            "Probe process 3 of 4 was killed by SIGKILL, starting it again in 1 s; nobody looks at its monitors until then"
        ]
        assert world.overseer.reliefs == ["Probe process 3 of 4 looks at its monitors again"]


async def test_a_part_that_stays_lost_is_tried_ever_later_and_told_once() -> None:
    async with World().at_work() as world:
        world.parts[0].is_broken = True
        world.parts[0].lose()
        await world.clock.advance("10m")

        assert 10 <= world.parts[0].runs <= 17  # after 1, 2, 4, ... 60 seconds
        assert len(world.overseer.troubles) == 1
        assert world.shards.is_turning(within=SOON)  # it was told, so nobody needs to restart the rest

        world.parts[0].is_broken = False
        await world.clock.advance("61s")
        assert len(world.overseer.reliefs) == 1


async def test_a_fault_of_ours_in_a_part_does_not_end_the_others() -> None:
    async with World().at_work() as world:
        world.parts[1].lose(ZeroDivisionError("s3cret"))
        await world.clock.advance("2s")

        assert [part.runs for part in world.parts] == [1, 2, 1, 1]
        assert "failed (ZeroDivisionError)" in world.overseer.troubles[0]
        assert "s3cret" not in world.overseer.troubles[0]


async def test_a_part_that_does_not_turn_shows() -> None:
    async with World().at_work() as world:
        assert world.shards.is_turning(within=SOON)

        world.parts[3].turns = False

        assert not world.shards.is_turning(within=SOON)


async def test_it_ends_when_all_parts_have_settled() -> None:
    world = World()
    run = asyncio.create_task(world.shards.run())
    await world.clock.advance("1s")

    await world.shards.settle(5.0)
    await world.clock.advance("2s")

    assert [part.told for part in world.parts] == [[("settle", "5")]] * 4
    assert run.done()
    await run
    assert world.shards.is_turning(within=SOON)  # an end that was asked for is no trouble


@pytest.mark.parametrize(
    ("count", "every", "parts"),
    [
        pytest.param(0, "60s", 1, id="nothing"),
        pytest.param(3, "1s", 1, id="a few"),
        pytest.param(6_000, "60s", 1, id="a hundred checks a second"),
        pytest.param(6_100, "60s", 4, id="more than a hundred checks a second"),
        pytest.param(1_100, "10s", 4, id="fewer, more often"),
    ],
)
def test_auto_takes_every_core_only_where_there_is_enough_to_do(count: int, every: str, parts: int) -> None:
    one = watched(".", a_monitor(every=every))

    assert parts_for([one] * count, cores=4) == parts


def test_what_nobody_looks_at_needs_no_process() -> None:
    job = Watched(monitor=a_monitor(every="1s"), check=HeartbeatCheck(heartbeat=timedelta(seconds=1)))

    assert parts_for([job] * 1000, cores=4) == 1
