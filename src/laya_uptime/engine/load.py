"""How much there is to do and how late it begins: counted by the scheduler, read by whoever shows it."""

from dataclasses import dataclass, field
from datetime import timedelta

LATE = timedelta(milliseconds=100)  # a check that begins later than this after its due time is counted as late
BOUNDS = tuple(timedelta(milliseconds=1 << place) for place in range(17))  # 1 ms, 2 ms, 4 ms, ... 65.536 s
_LAST = len(BOUNDS)
_LATE_MS = LATE // timedelta(milliseconds=1)


@dataclass(slots=True)
class Counts:
    """What happened to the slots since start. Times are whole milliseconds."""

    started: int = 0
    overrun: int = 0  # passed over because the check before still ran
    missed: int = 0  # passed over because the process was held up, or had no room for a whole interval
    late: int = 0  # begun more than `LATE` after they were due
    worst: int = 0
    # How many began less than 1, 2, 4, ... 65,536 ms after they were due, each in the first that fits; the rest last.
    lateness: list[int] = field(default_factory=lambda: [0] * (_LAST + 1))

    def begun(self, late: int) -> None:
        """Count a check that began this many milliseconds after it was due."""
        self.lateness[min(late.bit_length(), _LAST)] += 1
        self.worst = max(self.worst, late)
        if late > _LATE_MS:
            self.late += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The scheduler at one instant. Counts are since start."""

    monitors: int
    rate: float  # regular slots a second that the monitors ask for; those that are paused ask for none
    limit: int  # the most checks under way at once
    in_flight: int  # under way now
    waiting: int  # due now and not begun: without room, or because the next turn has yet to come
    waited: timedelta  # for how long the first of those has been due
    is_crowded: bool  # such have been without room for more than five seconds, or that is over for less
    owed: int  # monitors that are owed one look as soon as nothing is late: first looks, and after a suspend
    started: int
    overrun: int
    missed: int
    late: int  # began more than `LATE` after they were due
    worst: timedelta
    lateness: tuple[int, ...]  # how many began less than `BOUNDS[0]` late, then `BOUNDS[1]`, ...; beyond them all

    def late_by(self, share: float) -> timedelta | None:
        """Return the bound under which this share of the checks began, 0.99 for p99; None: none has begun.

        It is the upper bound of the bucket, at most twice the true figure, and never more than the worst.
        """
        begun = sum(self.lateness)
        if not begun:
            return None
        below = 0
        for bound, count in zip(BOUNDS, self.lateness, strict=False):
            below += count
            if below >= share * begun:
                return min(bound, self.worst)
        return self.worst
