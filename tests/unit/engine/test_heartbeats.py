"""Heartbeats and groups in a whole service, in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, timedelta

import pytest

from laya_uptime.adapters.checks.group import GroupCheck
from laya_uptime.adapters.checks.heartbeat import HeartbeatCheck
from laya_uptime.adapters.stores.memory import MemoryStore
from laya_uptime.config.load import decode
from laya_uptime.domain.alert import Transition
from laya_uptime.domain.heartbeat import Kind
from laya_uptime.domain.status import Status
from laya_uptime.engine.service import Service, Settings
from laya_uptime.ports import Watched
from laya_uptime.testing import (
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

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DOWN, REMINDER, RECOVERED = Transition.DOWN, Transition.REMINDER, Transition.RECOVERED
DEGRADED = Transition.DEGRADED


class World:
    """What a file asks for, one channel, and one process after another on the same ledger."""

    def __init__(self, text: str, **scripts: str) -> None:
        self.clock = FakeClock()
        self.watched = [
            watched(ScriptedCheck(scripts[each.monitor.id]), each.monitor) if each.monitor.id in scripts else each
            for each in decode(f"monitors:\n{text}", source="c.yaml", environ={}).monitors
        ]
        self.chat = RecordingNotifier("chat.example")
        self.memory = MemoryStore()
        self.store = TroubledStore(self.memory)

    @asynccontextmanager
    async def running(self, *, killed: bool = False) -> AsyncIterator["World"]:
        self.listener, stop = RecordingListener(), asyncio.Event()
        self.service = Service(
            self.watched,
            [a_channel(self.chat, "chat")],
            store=self.store,
            fallback=MemoryStore(),
            via=NoNetwork(self.clock),
            clock=self.clock,
            listener=self.listener,
            watchdog=RecordingWatchdog(),
            settings=Settings(owner="process", local=lambda at: at.astimezone(UTC), chance=lambda: 0.0),
        )
        with self.clock.with_timeouts():
            run = asyncio.create_task(self.service.run(stop))
            await self.clock.settle()
            try:
                yield self
            finally:
                if killed:
                    run.cancel()
                stop.set()
                await self.clock.advance("7s" if not run.done() else 0)
                await asyncio.gather(run, return_exceptions=killed)

    async def say(
        self, kind: Kind = Kind.SUCCESS, *, job: str = "job", text: str = "", code: int | None = None
    ) -> bool:
        said = asyncio.create_task(self.service.heartbeats.hear(job, kind, text=text, exit_code=code))
        await self.clock.settle()
        if not said.done():
            await self.clock.advance("6s")
        return await said

    def believed(self, monitor_id: str = "job") -> Status:
        return self.service.states[monitor_id].health.believed

    @property
    def told(self) -> list[Transition]:
        return self.chat.transitions


JOB = "  job: { heartbeat: 1h, grace: 5m }\n"


async def test_t05_a_job_that_falls_silent_is_told_once_at_its_period_and_grace() -> None:
    async with World(JOB).running() as world:
        assert await world.say()
        await world.clock.advance("64m")
        assert (world.believed(), world.told) == (Status.UP, [])

        await world.clock.advance("61s")

        assert (world.believed(), world.told) == (Status.DOWN, [DOWN])
        [alert] = world.chat.delivered
        assert alert.facts.reason == "heartbeat_late"
        assert alert.facts.detail == "expected by 2026-11-25 13:00 UTC, 5 min late"
        await world.clock.advance("3h")
        assert world.told == [DOWN]


async def test_a_job_that_never_reports_is_late_after_its_first_period() -> None:
    async with World(JOB).running() as world:
        await world.clock.advance("64m")
        assert (world.believed(), world.told) == (Status.PENDING, [])

        await world.clock.advance("61s")

        assert world.told == [DOWN]


async def test_every_further_run_that_stays_away_is_a_failure_and_the_fifth_reminds() -> None:
    async with World(JOB).running() as world:
        await world.clock.advance("306m")

        assert world.told == [DOWN, REMINDER]
        assert world.chat.delivered[-1].facts.statistics.consecutive_failures == 5


async def test_a_report_brings_the_job_back_at_once() -> None:
    async with World(JOB).running() as world:
        await world.clock.advance("70m")
        await world.say()
        await world.clock.settle()

        assert (world.believed(), world.told) == (Status.UP, [DOWN, RECOVERED])


async def test_a_failure_is_down_at_once_with_what_the_job_said() -> None:
    async with World(JOB).running() as world:
        await world.say()
        await world.say(Kind.FAIL, text="disk full\nsecond line", code=3)

        [alert] = world.chat.delivered
        assert (alert.facts.reason, alert.facts.detail) == ("reported_unhealthy", "exit code 3: disk full")
        assert "second line" in str(alert.facts.evidence)


async def test_a_job_is_timed_from_its_start_and_may_have_to_be_quick() -> None:
    async with World("  job: { heartbeat: 1h, grace: 30m, prefer: latency < 5m }\n").running() as world:
        await world.say(Kind.START)
        await world.clock.advance("4m")
        await world.say()
        assert world.believed() is Status.UP
        await world.say(Kind.START)
        await world.clock.advance("6m")
        await world.say()

        assert world.believed() is Status.DEGRADED
        assert [str(each.observation.elapsed) for each in world.memory.results] == ["0:04:00", "0:06:00"]


async def test_a_job_that_began_and_does_not_end_is_late() -> None:
    async with World(JOB).running() as world:
        await world.say()
        await world.say(Kind.START)
        await world.clock.advance("301s")

        assert world.told == [DOWN]
        assert world.chat.delivered[0].facts.detail == "started at 2026-11-25 12:00 UTC and not finished after 5 min"


async def test_a_note_is_kept_and_changes_nothing() -> None:
    async with World(JOB).running() as world:
        assert await world.say(Kind.LOG, text="half way")

        assert world.believed() is Status.PENDING
        heard = world.memory.pulses["job"].heard
        assert heard is not None
        assert (heard.kind, heard.text) == (Kind.LOG, "half way")


async def test_a_restart_neither_forgets_a_deadline_nor_puts_it_off() -> None:
    world = World(JOB)
    async with world.running(killed=True):
        await world.say()
        await world.clock.advance("30m")
    async with world.running():
        await world.clock.advance("33m")
        assert world.told == []

        await world.clock.advance("3m")

        assert world.told == [DOWN]


async def test_a_report_that_is_no_news_is_remembered_as_well_as_the_first() -> None:
    world = World(JOB)
    async with world.running(killed=True):
        await world.say()
        await world.clock.advance("50m")
        await world.say(text="the second")
        heard = world.memory.pulses["job"].heard
        assert heard is not None
        assert heard.text == "the second"
    async with world.running():
        await world.clock.advance("63m")
        assert world.told == []

        await world.clock.advance("3m")

        assert world.told == [DOWN]


async def test_a_restart_does_not_begin_the_first_period_anew() -> None:
    world = World(JOB)
    for _ in range(3):
        async with world.running(killed=True):
            await world.clock.advance("20m")
    async with world.running():
        await world.clock.advance("6m")

        assert world.told == [DOWN]


async def test_a_start_is_remembered_across_a_kill() -> None:
    world = World("  job: { heartbeat: 1h, grace: 30m }\n")
    async with world.running(killed=True):
        await world.say(Kind.START)
        await world.clock.advance("10m")
    async with world.running():
        await world.say()

        took = world.memory.results[-1].observation.elapsed
        assert 10 * MINUTE <= took <= 11 * MINUTE  # a killed process takes its seconds here


async def test_t02_nothing_is_late_before_a_whole_grace_after_a_night_of_sleep() -> None:
    async with World(JOB).running() as world:
        await world.say()
        await world.clock.advance("10m")
        world.clock.stall("8h")
        await world.clock.settle()
        await world.clock.advance("64m")
        assert world.told == []

        await world.clock.advance("2m")

        assert world.told == [DOWN]


async def test_n05_jobs_are_not_told_late_because_nobody_could_hear_them() -> None:
    world = World("".join(f"  job {number}: {{ heartbeat: 5m, grace: 1m }}\n" for number in range(20)))
    async with world.running(killed=True):
        for number in range(20):
            await world.say(job=f"job-{number}")
    await world.clock.advance("1h")
    async with world.running():
        for _ in range(4):
            await world.clock.advance("285s")
            for number in range(20):
                await world.say(job=f"job-{number}")

        assert world.told == []


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 87_600 * HOUR, -87_600 * HOUR], ids=str)
async def test_t01_setting_the_wall_clock_makes_no_job_late_and_hides_none(jump: timedelta) -> None:
    async with World(JOB).running() as world:
        await world.say()
        world.clock.jump_wall(jump)
        await world.clock.advance("64m")
        assert world.told == []

        await world.clock.advance("2m")

        assert world.told == [DOWN]


async def test_a_job_of_a_crontab_line_waits_with_a_wall_clock_that_is_set_back() -> None:
    async with World('  job: { heartbeat: "0 13 * * *", grace: 5m }\n').running() as world:
        await world.say()
        world.clock.jump_wall(-30 * MINUTE)
        await world.clock.advance("90m")
        assert world.told == []

        await world.clock.advance("6m")

        assert world.told == [DOWN]


async def test_a_signal_that_cannot_be_kept_counts_and_its_sender_is_told() -> None:
    async with World(JOB).running() as world:
        world.store.fail("disk full")
        first = await world.say()
        second = await world.say()
        await world.clock.advance("5s")

        assert (first, second) == (False, False)
        assert world.believed() is Status.UP
        world.store.heal()
        await world.clock.advance("10s")
        assert await world.say()
        assert world.memory.pulses["job"].heard is not None


SHOP = """\
  web: https://web.example/
  api: https://api.example/
  shop: { members: [web, api], up_when: any, every: 10m }
"""


async def test_a_group_follows_its_members_as_soon_as_they_are_believed_otherwise() -> None:
    async with World(SHOP, web=".x", api=".....x").running() as world:
        await world.clock.advance("1s")
        assert world.believed("shop") is Status.UP

        await world.clock.advance("3m")
        assert world.believed("web") is Status.DOWN
        assert world.believed("shop") is Status.DEGRADED
        await world.clock.advance("5m")

        assert world.believed("shop") is Status.DOWN
        told = [alert.facts for alert in world.chat.delivered if alert.facts.monitor_id == "shop"]
        assert [each.status for each in told] == ["degraded", "unhealthy"]
        assert told[1].detail.startswith(
            "0 of 2 pass, 1 must: down: web (Connection refused), api (Connection refused)"
        )
        assert len(told[1].components) == 2


async def test_groups_may_contain_groups_and_heartbeats() -> None:
    text = f"{JOB}  nights: {{ members: [job] }}\n  all: {{ members: [nights, web] }}\n  web: https://web.example/\n"
    async with World(text, web=".").running() as world:
        await world.say()
        await world.clock.advance("1s")
        assert (world.believed("nights"), world.believed("all")) == (Status.UP, Status.UP)

        await world.say(Kind.FAIL)
        await world.clock.settle()

        assert (world.believed("nights"), world.believed("all")) == (Status.DOWN, Status.DOWN)


async def test_a_group_reminds_at_its_interval() -> None:
    async with World(
        "  web: https://web.example/\n  shop: { members: [web], every: 1m }\n", web="x"
    ).running() as world:
        await world.clock.advance("10m")

        shop = [alert.transition for alert in world.chat.delivered if alert.facts.monitor_id == "shop"]
        assert shop[:2] == [DOWN, REMINDER]


def test_the_checks_themselves_have_nothing_to_look_at() -> None:
    assert a_monitor().id
    assert HeartbeatCheck(heartbeat=HOUR).target == "heartbeat"
    assert isinstance(Watched(monitor=a_monitor(), check=GroupCheck(members=["shop"])).check, GroupCheck)
