"""look_once(): one look at each monitor, all at the same time."""

import asyncio
from datetime import timedelta

from laya_uptime.domain.status import Status
from laya_uptime.engine.once import Look, look_once
from laya_uptime.testing import FakeClock, NoNetwork, ScriptedCheck, a_monitor, watched

SECOND = timedelta(seconds=1)


async def test_all_are_looked_at_at_the_same_time_and_returned_in_the_order_given() -> None:
    clock = FakeClock()
    slow = watched(ScriptedCheck("x", takes=3 * SECOND), a_monitor("slow"))
    quick = watched(ScriptedCheck(".", takes=SECOND), a_monitor("quick"))
    heard: list[Look] = []

    looking = asyncio.create_task(
        look_once([slow, quick], via=NoNetwork(clock), clock=clock, trouble=lambda _: None, seen=heard.append)
    )
    await clock.advance("3s")

    assert [look.watched.monitor.id for look in looking.result()] == ["slow", "quick"]
    assert [look.watched.monitor.id for look in heard] == ["quick", "slow"]


async def test_one_look_is_believed_at_once_however_patient_the_monitor_is() -> None:
    clock = FakeClock()
    everyone = [watched(sign, a_monitor(f"shop-{place}", confirm=5)) for place, sign in enumerate(".dxu?")]

    looks = await look_once(everyone, via=NoNetwork(clock), clock=clock, trouble=lambda _: None)

    assert [look.health.believed for look in looks] == [
        Status.UP,
        Status.DEGRADED,
        Status.DOWN,
        Status.DOWN,
        Status.PENDING,
    ]
    assert [look.tally.checks for look in looks] == [1, 1, 1, 1, 0]


async def test_a_faulty_check_spoils_no_other_look() -> None:
    clock, troubles = FakeClock(), list[str]()

    looks = await look_once(
        [watched("e", a_monitor("faulty")), watched(".")], via=NoNetwork(clock), clock=clock, trouble=troubles.append
    )

    assert [look.result.verdict.outcome for look in looks] == ["unknown", "up"]
    assert len(troubles) == 1
