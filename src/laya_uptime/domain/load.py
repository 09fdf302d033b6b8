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

    monitors: int = 0
    rate: float = 0.0  # regular slots a second that the monitors ask for; those that are paused ask for none
    limit: int = 0  # the most checks under way at once
    in_flight: int = 0  # under way now
    waiting: int = 0  # due now and not begun: without room, or because the next turn has yet to come
    waited: timedelta = timedelta(0)  # for how long the first of those has been due
    is_crowded: bool = False  # such have been without room for more than five seconds, or that is over for less
    owed: int = 0  # monitors that are owed one look as soon as nothing is late: first looks, and after a suspend
    started: int = 0
    overrun: int = 0
    missed: int = 0
    late: int = 0  # began more than `LATE` after they were due
    worst: timedelta = timedelta(0)
    lateness: tuple[int, ...] = (0,) * (_LAST + 1)  # how many began less than `BOUNDS[0]` late, ...; beyond them all

    def plus(self, other: "Load") -> "Load":
        """Return both together, as of schedulers that share the monitors."""
        return Load(
            monitors=self.monitors + other.monitors,
            rate=self.rate + other.rate,
            limit=self.limit + other.limit,
            in_flight=self.in_flight + other.in_flight,
            waiting=self.waiting + other.waiting,
            waited=max(self.waited, other.waited),
            is_crowded=self.is_crowded or other.is_crowded,
            owed=self.owed + other.owed,
            started=self.started + other.started,
            overrun=self.overrun + other.overrun,
            missed=self.missed + other.missed,
            late=self.late + other.late,
            worst=max(self.worst, other.worst),
            lateness=tuple(mine + its for mine, its in zip(self.lateness, other.lateness, strict=True)),
        )

    @property
    def past(self) -> "Load":
        """Return only what was counted, as of a scheduler that is gone."""
        return Load(
            started=self.started,
            overrun=self.overrun,
            missed=self.missed,
            late=self.late,
            worst=self.worst,
            lateness=self.lateness,
        )

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
