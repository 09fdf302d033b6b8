"""The only module that reads the time."""

import asyncio
import time
from datetime import UTC, datetime

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The machine's clocks: wall time for people, monotonic time for everything that is measured."""

    def now(self) -> datetime:
        """Return the current instant, aware, in UTC. It jumps when somebody sets the clock."""
        return datetime.now(UTC)  # noqa: TID251  this is the place the rule points to

    def monotonic(self) -> float:
        """Return seconds on a clock that only moves forward; its zero means nothing.

        On Linux they pass while the machine is suspended, too, so that the gap is seen for what it is.
        """
        return time.clock_gettime(_STEADY)

    async def sleep(self, seconds: float) -> None:
        """Wait this long on the monotonic clock. Zero or less only gives others a turn."""
        await asyncio.sleep(max(seconds, 0))  # noqa: TID251  likewise
