"""What every clock promises. A test of a clock inherits `ClockContract` and supplies `clock` and `pass_time`.

class TestSystemClock(ClockContract):
    @pytest.fixture
    def clock(self) -> SystemClock:
        return SystemClock()
"""

import asyncio
from datetime import timedelta

from laya_uptime.ports import Clock


class ClockContract:
    """Inherit it, and supply a fixture `clock`."""

    async def pass_time(self, clock: Clock, seconds: float) -> None:
        """Let this much time pass on the clock: a real one is waited for, a false one moved."""
        await clock.sleep(seconds)

    def test_now_is_aware_and_in_utc(self, clock: Clock) -> None:
        """Store and schedule take it as it comes."""
        assert clock.now().utcoffset() == timedelta(0)

    async def test_monotonic_time_only_moves_forward(self, clock: Clock) -> None:
        """However often it is read."""
        readings = [clock.monotonic()]
        for _ in range(5):
            await self.pass_time(clock, 0.001)
            readings.append(clock.monotonic())

        assert readings == sorted(readings)
        assert readings[-1] > readings[0]

    async def test_a_sleeper_does_not_wake_before_its_time(self, clock: Clock) -> None:
        """A rounding error here would start checks early."""
        began = clock.monotonic()
        woke: list[float] = []

        async def nap() -> None:
            await clock.sleep(0.05)
            woke.append(clock.monotonic())

        task = asyncio.create_task(nap())
        await self.pass_time(clock, 0.1)
        await task

        assert woke[0] - began >= 0.05 - 1e-6

    async def test_a_sleep_of_nothing_only_gives_others_a_turn(self, clock: Clock) -> None:
        """Zero and less: the loop goes round once."""
        turns: list[str] = []

        async def other() -> None:
            turns.append("other")

        task = asyncio.create_task(other())
        await clock.sleep(0)
        await clock.sleep(-1)
        await task

        assert turns == ["other"]

    async def test_a_sleeper_can_be_cancelled(self, clock: Clock) -> None:
        """At once, and without a trace."""
        task = asyncio.create_task(clock.sleep(3600))
        await clock.sleep(0)
        task.cancel()

        assert await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
