"""FakeClock: the fake on which all of virtual time rests keeps what the real one promises."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from laya_uptime.testing import NOON, FakeClock, duration

HOUR = timedelta(hours=1)


async def test_it_stands_still_until_it_is_moved() -> None:
    clock = FakeClock()
    before = clock.monotonic()
    await clock.settle()

    assert (clock.now(), clock.monotonic()) == (NOON, before)
    await clock.advance("90s")
    assert (clock.now(), clock.monotonic()) == (NOON + timedelta(seconds=90), before + 90)


async def test_sleepers_wake_in_order_each_at_its_own_instant() -> None:
    clock, woke = FakeClock(), list[tuple[str, float]]()

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woke.append((name, (clock.now() - NOON).total_seconds()))

    tasks = [asyncio.create_task(sleeper("a", 3, 3)), asyncio.create_task(sleeper("b", 1, 1, 1, 7))]
    await clock.advance(10)

    assert woke == [("b", 1), ("b", 2), ("a", 3), ("b", 3), ("a", 6), ("b", 10)]
    assert all(task.done() for task in tasks)


async def test_whoever_comes_due_later_goes_on_sleeping() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(10))

    await clock.advance(9.999)
    assert not task.done()
    assert clock.sleepers == 1
    await clock.advance(0.001)
    assert task.done()
    assert clock.sleepers == 0


async def test_sleeping_for_nothing_gives_others_a_turn_and_takes_no_time() -> None:
    clock, turns = FakeClock(), list[str]()

    async def taker(name: str) -> None:
        for _ in range(2):
            turns.append(name)
            await clock.sleep(0)
            await clock.sleep(-1)

    await asyncio.gather(taker("a"), taker("b"))

    assert turns == ["a", "b", "a", "b"]
    assert clock.now() == NOON


async def test_the_loop_comes_to_rest_before_time_goes_on() -> None:
    clock, seen = FakeClock(), list[float]()
    queue = asyncio.Queue[int]()

    async def far_behind() -> None:
        while True:
            await queue.get()
            for _ in range(50):
                await clock.sleep(0)
            seen.append((clock.now() - NOON).total_seconds())

    async def ticker() -> None:
        for tick in range(3):
            await clock.sleep(1)
            queue.put_nowait(tick)

    tasks = [asyncio.create_task(far_behind()), asyncio.create_task(ticker())]
    await clock.advance(10)
    tasks[0].cancel()

    assert seen == [1, 2, 3]


async def test_setting_the_wall_clock_wakes_nobody_and_moves_nothing_else() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(60))
    await clock.settle()
    before = clock.monotonic()

    clock.jump_wall(-HOUR)
    await clock.settle()

    assert clock.now() == NOON - HOUR
    assert clock.monotonic() == before
    await clock.advance(59)
    assert not task.done()
    await clock.advance(1)
    assert task.done()


async def test_when_everything_was_held_up_all_wake_at_the_same_late_instant() -> None:
    clock, woke = FakeClock(), list[float]()

    async def sleeper(nap: float) -> None:
        await clock.sleep(nap)
        woke.append((clock.now() - NOON).total_seconds())

    tasks = [asyncio.create_task(sleeper(nap)) for nap in (1, 2, 200)]
    await clock.settle()
    clock.stall("100s")
    assert woke == []
    await clock.advance(0)

    assert woke == [100, 100]
    tasks[2].cancel()


async def test_a_sleeper_that_was_cancelled_is_gone() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(1))
    await clock.settle()
    task.cancel()

    await clock.advance(2)

    assert task.cancelled()
    assert clock.sleepers == 0


async def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="jump_wall"):
        await FakeClock().advance(-1)


async def test_somebody_who_turns_in_circles_is_found_out() -> None:
    clock = FakeClock()

    async def restless() -> None:
        while True:
            await clock.sleep(0)

    task = asyncio.create_task(restless())
    with pytest.raises(RuntimeError, match="does not come to rest"):
        await clock.advance(1)
    task.cancel()


async def test_deadlines_of_asyncio_follow_it_where_that_is_wanted() -> None:
    clock = FakeClock()
    loop = asyncio.get_running_loop()
    real = loop.time

    async def waiter() -> timedelta:
        try:
            async with asyncio.timeout(30):
                await loop.create_future()
        except TimeoutError:
            return clock.now() - NOON
        raise AssertionError("nothing ended it")

    with clock.with_timeouts():
        task = asyncio.create_task(waiter())
        await clock.advance("29s")
        assert not task.done()
        await clock.advance("1m")
        assert timedelta(seconds=30) <= task.result() <= timedelta(seconds=31)

    assert loop.time == real


async def test_months_add_up_without_drift() -> None:
    clock, due = FakeClock(), list[timedelta]()

    async def ticker() -> None:
        while True:
            await clock.sleep(0.1)
            due.append(clock.now() - NOON)

    task = asyncio.create_task(ticker())
    await clock.advance("100s")
    clock.stall("30d")
    await clock.advance("10s")
    task.cancel()

    assert due[999] == timedelta(seconds=100)
    assert {after - before for before, after in pairwise(due[:1000])} == {timedelta(seconds=0.1)}
    assert due[-1] - due[1000] == (len(due) - 1001) * timedelta(seconds=0.1)


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86_400)])
def test_durations_are_written_as_people_write_them(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1.5s", "5 m", "1w"])
def test_anything_else_is_a_mistake_of_the_test(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        duration(text)
