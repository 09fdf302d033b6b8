"""Push monitors: by when the next signal is expected, since when it is late, and what each signal means.

A job says when it begins, when it is done and when it failed. Silence is the news here: a run that is not reported by
the end of its grace is late, and so is one that began and did not end within a grace. Each further run that stays away
is one more failure.

What could not be heard is not held against anybody. While we were away, a signal may have come in vain, so nothing is
late before one whole grace after we are back; and where we were away for longer than a grace while a run was due, that
run is let pass and the next one is awaited.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from cronsim import CronSim, CronSimError

from laya_uptime.domain.readable import in_words
from laya_uptime.domain.result import Outcome

# A job whose clock is a little ahead of ours reports the run that is about to be due.
CLOCK_SKEW = timedelta(seconds=30)
_LEAST_GRACE, _MOST_GRACE = timedelta(seconds=10), timedelta(hours=1)
_SHARE_OF_GRACE = 10
_SAMPLE = datetime(2026, 1, 1, tzinfo=UTC)
_SAMPLED = 100  # runs, whose longest gap is taken for that of all
_LONGEST = timedelta(days=365)


class Kind(StrEnum):
    """What a job says."""

    SUCCESS = "success"
    START = "start"
    FAIL = "fail"
    LOG = "log"  # a note, which changes nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One thing that a job said. `exit_code` None: it gave none."""

    kind: Kind
    at: datetime
    text: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """When a job is to report, and how long one waits for it beyond that. Exactly one of `period` and `cron` is set."""

    period: timedelta | None = None  # at most so long from one report to the next
    cron: str = ""  # five fields, as in crontab(5)
    zone: tzinfo = UTC  # in which `cron` is meant
    grace: timedelta

    def next_after(self, at: datetime) -> datetime:
        """Return by when the run after this instant is to report, UTC, without the grace."""
        if self.period is not None:
            return at + self.period
        ticks = self._ticks(at)
        tick, following = next(ticks), next(ticks)
        is_early = tick - at <= min(CLOCK_SKEW, self.grace, (following - tick) / 4)
        return following if is_early else tick

    def first_not_over(self, since: datetime, now: datetime) -> datetime:
        """Return the first instant after `since` at which a run is due and whose grace is not over now."""
        if self.period is not None:
            return since + max((now - self.grace - since) // self.period + 1, 1) * self.period
        return next(self._ticks(max(since, now - self.grace)))

    @property
    def longest_gap(self) -> timedelta:
        """Return how long it may take from one report to the next, as far as a hundred runs can tell; at most a year."""
        if self.period is not None:
            return self.period
        ticks = self._ticks(_SAMPLE)
        before, longest = next(ticks), timedelta(0)
        for _ in range(_SAMPLED):
            after = next(ticks)
            longest, before = max(longest, after - before), after
            if longest >= _LONGEST:
                break
        return min(longest, _LONGEST)

    def _ticks(self, at: datetime) -> "_Ticks":
        return _Ticks(self.cron, at, self.zone)


class _Ticks:
    """The instants of a crontab line after some instant, in UTC and in order.

    Lines that name an hour run once where the clocks change, at the new time in spring and the first time in autumn, as
    in Debian's cron; all others go by real time.
    """

    def __init__(self, cron: str, at: datetime, zone: tzinfo) -> None:
        self._ticks = CronSim(cron, at.astimezone(zone))
        self._zone = zone
        self._last = at

    def __next__(self) -> datetime:
        while True:
            tick = next(self._ticks).astimezone(UTC)
            if tick > self._last:  # in the hour that comes twice, a wall clock alone cannot tell which one it is
                self._last = tick
                return tick


def rhythm_of(when: timedelta | str, *, zone: tzinfo = UTC, grace: timedelta | None = None) -> Rhythm:
    """Return the rhythm. `when` is a period or a crontab line of five fields.

    The usual grace is a tenth of the longest gap, at least ten seconds and at most an hour. Raise ValueError for a line
    that is none or that never comes.
    """
    if isinstance(when, timedelta):
        plain = Rhythm(period=when, zone=zone, grace=_LEAST_GRACE)
    else:
        _check_cron(when)
        plain = Rhythm(cron=when, zone=zone, grace=_LEAST_GRACE)
    if grace is None:
        grace = min(max(plain.longest_gap / _SHARE_OF_GRACE, _LEAST_GRACE), _MOST_GRACE)
    return replace(plain, grace=grace)


def _check_cron(line: str) -> None:
    if len(line.split()) != 5:
        raise ValueError("a crontab line has five fields: minute, hour, day of month, month, day of week")
    try:
        ticks = CronSim(line, _SAMPLE)
        for _ in range(2):
            next(ticks)
    except CronSimError as error:
        raise ValueError(f"this is no crontab line ({error})") from error
    except StopIteration as error:
        raise ValueError("this crontab line never comes") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What is known of a job, and must survive a restart."""

    since: datetime  # from when the next run is reckoned: the last end of one, or when one began to listen
    started: datetime | None = None  # the first start whose end has not been reported; None: no run is under way
    began: datetime | None = None  # the latest start, from which a run is timed
    heard: Signal | None = None  # what was said last; None: nothing yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """What is waited for. `unfinished`: the end of the run that began at `by`."""

    by: datetime
    unfinished: bool = False
    not_before: datetime | None = None  # we were away until then
    grace: timedelta

    @property
    def deadline(self) -> datetime:
        """Return from when on it is late."""
        return max(self.by, self.not_before or self.by) + self.grace


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What follows from a signal. `outcome` None: nothing is to be said of the job; `took` None: nobody knows."""

    pulse: Pulse
    outcome: Outcome | None = None
    took: timedelta | None = None


def hear(pulse: Pulse, signal: Signal) -> Heard:
    """Return what a signal means. A success with an exit code other than 0 is a failure."""
    match signal.kind:
        case Kind.LOG:
            return Heard(pulse=replace(pulse, heard=signal))
        case Kind.START:
            # A job that begins over and over must not look alive: the end is owed since the first of these starts.
            started = signal.at if pulse.started is None else pulse.started
            return Heard(pulse=replace(pulse, started=started, began=signal.at, heard=signal))
        case Kind.SUCCESS | Kind.FAIL:
            failed = signal.kind is Kind.FAIL or bool(signal.exit_code)
            took = None if pulse.began is None else max(signal.at - pulse.began, timedelta(0))
            return Heard(
                pulse=Pulse(since=signal.at, heard=signal),
                outcome=Outcome.DOWN if failed else Outcome.UP,
                took=took,
            )


def expect(rhythm: Rhythm, pulse: Pulse) -> Awaited:
    """Return what is waited for after what was heard last."""
    if pulse.started is not None:
        return Awaited(by=pulse.started, unfinished=True, grace=rhythm.grace)
    return Awaited(by=rhythm.next_after(pulse.since), grace=rhythm.grace)


def miss(rhythm: Rhythm, pulse: Pulse, awaited: Awaited, *, now: datetime) -> tuple[Pulse, Awaited]:
    """Return what is waited for after something was late: the next run whose grace is not over yet."""
    if awaited.unfinished:
        pulse = replace(pulse, started=None)
        since = pulse.since
    else:
        since = awaited.by
    return pulse, Awaited(by=rhythm.first_not_over(since, now), grace=rhythm.grace)


def resume(
    rhythm: Rhythm, pulse: Pulse, awaited: Awaited, *, away_since: datetime, back: datetime, is_down: bool
) -> tuple[Pulse, Awaited]:
    """Return what is waited for now that we are back. `is_down`: it is known already that something is wrong."""
    if back - away_since > rhythm.grace and awaited.by - rhythm.grace < back:
        # Its signal may have come in vain. A punctual job is heard again within one more period.
        pulse = replace(pulse, since=max(back, pulse.since), started=None)
        return pulse, Awaited(by=rhythm.next_after(pulse.since), not_before=back, grace=rhythm.grace)
    if is_down and not awaited.unfinished:
        # That this run is late was told before; with it begins no new count.
        return pulse, Awaited(by=rhythm.first_not_over(pulse.since, back), not_before=back, grace=rhythm.grace)
    return pulse, replace(awaited, not_before=back)


def why_late(rhythm: Rhythm, awaited: Awaited, *, at: datetime) -> str:
    """Return in one sentence what did not come, e.g. "expected by 2026-11-25 03:00 UTC, 30 min late"."""
    by = awaited.by.astimezone(rhythm.zone)
    shown = f"{by:%Y-%m-%d %H:%M:%S %Z}" if by.second else f"{by:%Y-%m-%d %H:%M %Z}"
    if awaited.unfinished:
        return f"started at {shown} and not finished after {in_words(_whole(at - awaited.by))}"
    return f"expected by {shown}, {in_words(_whole(at - awaited.by))} late"


def why_failed(signal: Signal) -> str:
    """Return in one sentence what a failure said of itself; its text may have more than one line."""
    first = next((line.strip() for line in signal.text.splitlines() if line.strip()), "")
    code = "" if signal.exit_code is None else f"exit code {signal.exit_code}"
    return ": ".join(part for part in (code, first) if part) or "the job says that it failed"


def _whole(duration: timedelta) -> timedelta:
    return timedelta(seconds=max(round(duration.total_seconds()), 0))
