"""Probing in this process, in virtual time: what it holds back, throws away and hands over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from laya_uptime.engine.probing import LocalProbing
from laya_uptime.ports import Watched
from laya_uptime.testing import (
    FakeClock,
    NoNetwork,
    RecordingOverseer,
    ScriptedCheck,
    a_monitor,
    watched,
)

SECOND = timedelta(seconds=1)


class World:
    def __init__(self, *monitors: Watched) -> None:
        self.clock = FakeClock()
        self.overseer = RecordingOverseer()
        self.probing = LocalProbing(monitors, self.overseer, via=NoNetwork(self.clock), clock=self.clock)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator["World"]:
        with self.clock.with_timeouts():
            run = asyncio.create_task(self.probing.run())
            await self.clock.settle()
            try:
                yield self
            finally:
                run.cancel()
                await asyncio.gather(run, return_exceptions=True)
                await self.probing.settle(0.0)

    @property
    def seen(self) -> list[str]:
        return [result.observation.monitor_id for result in self.overseer.results]


def one(id_: str = "shop", script: str = ".", *, takes: timedelta = timedelta(0), every: str = "10s") -> Watched:
    return watched(ScriptedCheck(script, takes=takes), a_monitor(id_, every=every, in_step=True))


async def test_while_nobody_takes_results_what_is_due_waits_and_nothing_overlaps() -> None:
    async with World(one(), one("desk")).at_work() as world:
        world.probing.hold()
        await world.clock.advance("35s")

        assert len(world.seen) == 2  # those at start
        assert world.probing.load.waiting == 2
        assert world.probing.load.overrun == 4  # two more slots of each were passed over meanwhile
        assert len(world.overseer.slots) == 4

        world.probing.let_go()
        await world.clock.settle()

        assert len(world.seen) == 4
        assert world.probing.load.waiting == 0
        late = world.overseer.results[-1].observation
        assert late.at - late.due == 25 * SECOND  # and the delay shows


async def test_what_a_check_sees_of_a_target_that_was_replaced_meanwhile_is_thrown_away() -> None:
    async with World(one(script="x", takes=3 * SECOND)).at_work() as world:
        await world.clock.advance("1s")
        world.probing.put(one(script="."))
        await world.clock.advance("5s")

        assert [result.verdict.label for result in world.overseer.results] == ["healthy"]
        assert len(world.overseer.slots) == 1


async def test_what_a_check_sees_of_a_monitor_that_was_removed_meanwhile_is_thrown_away() -> None:
    async with World(one(takes=3 * SECOND)).at_work() as world:
        await world.clock.advance("1s")
        world.probing.remove("shop")
        await world.clock.advance("60s")

        assert world.seen == []
        assert len(world.overseer.slots) == 1
        assert world.probing.load.started == 1


async def test_a_monitor_that_is_removed_and_comes_back_is_looked_at_anew() -> None:
    async with World(one(takes=3 * SECOND)).at_work() as world:
        await world.clock.advance("1s")
        world.probing.remove("shop")
        world.probing.put(one())
        await world.clock.advance("4s")

        assert world.seen == ["shop"]


async def test_a_monitor_on_pause_keeps_its_phase() -> None:
    async with World(one()).at_work() as world:
        world.probing.pause("shop")
        await world.clock.advance("25s")
        world.probing.resume("shop")
        await world.clock.advance("6s")

        due = [result.observation.due for result in world.overseer.results]
        assert [(at - due[0]) / SECOND for at in due] == [0, 26, 30]  # one look as soon as it is told to, then as ever


async def test_looking_sooner_never_overlaps_with_a_look_under_way() -> None:
    check = ScriptedCheck(".", takes=6 * SECOND)
    async with World(watched(check, a_monitor(every="8s", in_step=True))).at_work() as world:
        await world.clock.advance("1s")
        world.probing.sooner("shop")
        await world.clock.advance("30s")

        assert check.overlaps == 0
        assert len(world.seen) == 4


async def test_a_monitor_that_nobody_knows_is_no_mistake() -> None:
    async with World(one()).at_work() as world:
        for tell in (world.probing.sooner, world.probing.remove, world.probing.pause, world.probing.resume):
            tell("gone")
        await world.clock.advance("10s")

        assert world.seen == ["shop", "shop"]
        assert world.overseer.troubles == []
