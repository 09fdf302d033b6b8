"""supervise(): a task that fails is started again, and somebody is told."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from laya_uptime.engine.supervisor import supervise
from laya_uptime.testing import FakeClock, RecordingListener


class Ward:
    """A supervised task that fails as often as it is told to; `starts` are seconds since the beginning."""

    def __init__(self, *, lives: float = 0.0, fails: int = 10**9) -> None:
        self.clock = FakeClock()
        self.listener = RecordingListener()
        self.lives = lives
        self.fails = fails
        self.starts: list[float] = []
        self._zero = self.clock.monotonic()

    async def work(self) -> None:
        self.starts.append(round(self.clock.monotonic() - self._zero, 3))
        await self.clock.sleep(self.lives)
        if len(self.starts) <= self.fails:
            raise ConnectionError("password=SECRET")

    def start(self, work: Callable[[], Awaitable[None]] | None = None) -> asyncio.Task[None]:
        return asyncio.create_task(
            supervise("the pruning", work or self.work, clock=self.clock, listener=self.listener)
        )


async def test_a_task_that_fails_is_started_again_and_told_without_its_secrets_n06() -> None:
    ward = Ward(lives=1, fails=1)
    task = ward.start()

    await ward.clock.advance("10s")

    assert ward.starts == [0.0, 2.0]
    assert ward.listener.troubles == ["the pruning failed (ConnectionError), starting it again in 1 s"]
    assert task.done()


async def test_each_time_a_little_later_up_to_a_minute() -> None:
    ward = Ward()
    task = ward.start()

    await ward.clock.advance("4m")

    assert ward.starts == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 123.0, 183.0]
    task.cancel()


async def test_a_task_that_ran_well_for_long_has_earned_a_quick_restart_again() -> None:
    ward = Ward(fails=3)
    task = ward.start()
    await ward.clock.advance("3s")
    ward.lives, ward.fails = 301, 5

    await ward.clock.advance("20m")

    starts = ward.starts
    assert starts[:4] == [0.0, 1.0, 3.0, 7.0]
    assert [round(after - before - 301, 3) for before, after in pairwise(starts[3:])] == [1.0, 1.0]
    task.cancel()


async def test_a_task_that_ends_is_not_started_again() -> None:
    ward = Ward(fails=0)
    task = ward.start()

    await ward.clock.advance("1h")

    assert ward.starts == [0.0]
    assert task.done()
    assert ward.listener.troubles == []


async def test_cancelling_ends_it_for_good() -> None:
    ward = Ward(lives=10)
    task = ward.start()
    await ward.clock.advance("5s")

    task.cancel()
    await ward.clock.advance("1h")

    assert ward.starts == [0.0]
    assert task.cancelled()
    with pytest.raises(asyncio.CancelledError):
        await task
