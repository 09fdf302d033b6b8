"""Now, when somebody may set the wall clock.

What the ledger holds (retries, leases, deadlines) is in wall-clock time, because it must survive a restart. A clock
that is set back must not put a retry off by an hour, and one that is set forward must not end an alert's day at once.
So the wall clock is held against the same instant reckoned from the start of the process on the monotonic clock.
"""

from datetime import datetime, timedelta

from laya_uptime.ports import Clock


class Reckoning:
    """The latest and the earliest that it may be now; equal as long as nobody sets the clock.

    Neither ever goes back, and both remember every setting seen so far: what was written by a clock that was ahead
    for a while is due when it was meant to be.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest = self._earliest = self._offset()

    def late(self) -> datetime:
        """Return the latest, for all that may happen from some instant on."""
        self._latest = max(self._latest, self._offset())
        return self._latest + self._steady()

    def early(self) -> datetime:
        """Return the earliest, for all that must end by some instant."""
        self._earliest = min(self._earliest, self._offset())
        return self._earliest + self._steady()

    def _steady(self) -> timedelta:
        return timedelta(seconds=self._clock.monotonic())

    def _offset(self) -> datetime:
        return self._clock.now() - self._steady()
