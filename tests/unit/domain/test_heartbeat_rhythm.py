"""When a job is late: for every period and every crontab line, across clock changes, and across our own absence."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from laya_uptime.domain.heartbeat import (
    Awaited,
    Kind,
    Pulse,
    Rhythm,
    Signal,
    expect,
    hear,
    miss,
    resume,
    rhythm_of,
    why_failed,
    why_late,
)
from laya_uptime.domain.result import Outcome

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
PERIODS = st.integers(1, 365 * 86400).map(lambda seconds: timedelta(seconds=seconds))
GRACES = st.integers(1, 30 * 86400).map(lambda seconds: timedelta(seconds=seconds))
# Half-hour and quarter-hour offsets, both hemispheres, a change of half an hour, and one that was repealed.
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe",
     "Pacific/Chatham", "America/St_Johns", "America/Santiago", "Asia/Tehran", "Africa/Casablanca", "Europe/London"]
).map(ZoneInfo)  # fmt: skip
LINES = st.sampled_from(
    ["* * * * *", "*/5 * * * *", "0 3 * * *", "30 2 * * *", "15 1,2,3 * * *", "0 */2 * * *", "0 0 * * 0", "0 9 1 * *",
     "59 23 31 12 *", "0 12 * * 1-5", "30 1 L * *", "*/10 2 * * *"]
)  # fmt: skip
INSTANTS = st.integers(0, 6 * 365 * 86400).map(lambda second: datetime(2024, 1, 1, tzinfo=UTC) + second * SECOND)


def heard(kind: Kind, at: datetime, *, text: str = "", code: int | None = None) -> Signal:
    return Signal(kind=kind, at=at, text=text, exit_code=code)


def every(period: timedelta, grace: timedelta) -> Rhythm:
    return rhythm_of(period, grace=grace)


@given(PERIODS, GRACES, INSTANTS)
def test_t05_a_job_is_late_once_at_its_period_and_grace(period: timedelta, grace: timedelta, at: datetime) -> None:
    rhythm = every(period, grace)

    first = expect(rhythm, Pulse(since=at))
    _, second = miss(rhythm, Pulse(since=at), first, now=first.deadline)

    assert first.deadline == at + period + grace
    assert second.deadline == first.deadline + period


@given(PERIODS, GRACES, INSTANTS, st.floats(0, 3))
def test_a_run_that_is_missed_long_ago_is_not_counted_for_each_period_since(
    period: timedelta, grace: timedelta, at: datetime, later: float
) -> None:
    rhythm = every(period, grace)
    first = expect(rhythm, Pulse(since=at))
    now = first.deadline + later * 100 * period

    _, following = miss(rhythm, Pulse(since=at), first, now=now)

    assert now < following.deadline <= now + period
    assert (following.by - at) % period == timedelta(0)


@given(LINES, ZONES, GRACES, INSTANTS)
def test_t03_runs_of_a_crontab_line_are_in_order_and_each_comes_once(
    line: str, zone: ZoneInfo, grace: timedelta, at: datetime
) -> None:
    rhythm = rhythm_of(line, zone=zone, grace=grace)
    awaited = Awaited(by=rhythm.first_not_over(at, at), grace=grace)
    runs = []

    for _ in range(5):
        runs.append(awaited.by)
        _, awaited = miss(rhythm, Pulse(since=at), awaited, now=awaited.deadline)

    assert runs == sorted(set(runs))
    assert all(run.second == 0 for run in runs)
    assert all(run.utcoffset() == timedelta(0) for run in runs)


def runs_of(line: str, zone: str, since: datetime, until: datetime) -> list[str]:
    rhythm = rhythm_of(line, zone=ZoneInfo(zone), grace=SECOND)
    found, at = [], since
    while (at := rhythm.first_not_over(at, at)) < until:
        found.append(f"{at.astimezone(ZoneInfo(zone)):%d %H:%M %z}")
    return found


@pytest.mark.parametrize(
    ("line", "zone", "day", "runs"),
    [
        pytest.param("30 2 * * *", "Europe/Berlin", "2026-03-28", ["28 02:30 +0100", "29 03:00 +0200", "30 02:30 +0200"], id="in the hour that is skipped"),
        pytest.param("30 2 * * *", "Europe/Berlin", "2026-10-24", ["24 02:30 +0200", "25 02:30 +0200", "26 02:30 +0100"], id="in the hour that comes twice"),
        pytest.param("0 3 * * *", "Australia/Lord_Howe", "2026-04-04", ["04 03:00 +1100", "05 03:00 +1030", "06 03:00 +1030"], id="a change of half an hour"),
        pytest.param("45 21 * * *", "Asia/Kathmandu", "2026-03-28", ["28 21:45 +0545", "29 21:45 +0545", "30 21:45 +0545"], id="an offset of three quarters"),
    ],
)  # fmt: skip
def test_t03_a_daily_job_runs_once_a_day_where_the_clocks_change(
    line: str, zone: str, day: str, runs: list[str]
) -> None:
    since = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)

    assert runs_of(line, zone, since, since + 3 * DAY - HOUR) == runs


def test_a_job_whose_clock_is_a_little_ahead_has_reported_the_run_that_is_about_to_be_due() -> None:
    rhythm = rhythm_of("0 3 * * *", grace=10 * MINUTE)
    three = NOON.replace(hour=3)

    assert rhythm.next_after(three - 5 * SECOND) == three + DAY
    assert rhythm.next_after(three - 5 * MINUTE) == three
    assert rhythm.next_after(three + 5 * SECOND) == three + DAY


@pytest.mark.parametrize(
    ("when", "grace"),
    [(SECOND, 10 * SECOND), (10 * MINUTE, MINUTE), (DAY, HOUR), (365 * DAY, HOUR), ("0 3 * * *", HOUR), ("*/10 * * * *", MINUTE)],
)  # fmt: skip
def test_the_usual_grace_is_a_tenth_of_the_period_within_reason(when: timedelta | str, grace: timedelta) -> None:
    assert rhythm_of(when).grace == grace


@pytest.mark.parametrize("line", ["", "3am", "0 3 * *", "0 3 * * * *", "61 * * * *", "0 0 30 2 *", "* * * * mondays"])
def test_what_is_no_crontab_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="crontab line"):
        rhythm_of(line)


def test_a_success_is_timed_from_its_start() -> None:
    begun = hear(Pulse(since=NOON), heard(Kind.START, NOON + HOUR))
    ended = hear(begun.pulse, heard(Kind.SUCCESS, NOON + HOUR + 3 * MINUTE))

    assert (begun.outcome, ended.outcome) == (None, Outcome.UP)
    assert ended.took == 3 * MINUTE
    assert ended.pulse.since == NOON + HOUR + 3 * MINUTE
    assert ended.pulse.started is None


def test_a_job_that_began_is_late_a_grace_after_its_start() -> None:
    rhythm = every(DAY, 30 * MINUTE)
    begun = hear(Pulse(since=NOON), heard(Kind.START, NOON + DAY + 10 * MINUTE)).pulse

    awaited = expect(rhythm, begun)

    assert awaited.deadline == NOON + DAY + 40 * MINUTE
    assert (
        why_late(rhythm, awaited, at=awaited.deadline)
        == "started at 2026-11-26 12:10 UTC and not finished after 30 min"
    )


def test_a_job_that_begins_over_and_over_is_late_all_the_same() -> None:
    rhythm, pulse = every(DAY, 30 * MINUTE), Pulse(since=NOON)

    for minute in range(0, 30, 5):
        pulse = hear(pulse, heard(Kind.START, NOON + HOUR + minute * MINUTE)).pulse

    assert expect(rhythm, pulse).deadline == NOON + HOUR + 30 * MINUTE
    assert hear(pulse, heard(Kind.SUCCESS, NOON + HOUR + 28 * MINUTE)).took == 3 * MINUTE


def test_after_a_run_that_did_not_end_the_next_one_is_awaited() -> None:
    rhythm = every(DAY, 30 * MINUTE)
    begun = hear(Pulse(since=NOON), heard(Kind.START, NOON + HOUR)).pulse

    pulse, awaited = miss(rhythm, begun, expect(rhythm, begun), now=NOON + HOUR + 30 * MINUTE)

    assert (awaited.by, awaited.unfinished) == (NOON + DAY, False)
    assert hear(pulse, heard(Kind.SUCCESS, NOON + 2 * HOUR)).took == HOUR  # late, and still timed


@pytest.mark.parametrize(
    ("signal", "said"),
    [
        (heard(Kind.FAIL, NOON), "the job says that it failed"),
        (heard(Kind.FAIL, NOON, text="\n  disk full \nmore"), "disk full"),
        (heard(Kind.SUCCESS, NOON, code=7), "exit code 7"),
        (heard(Kind.FAIL, NOON, text="rsync: timeout", code=30), "exit code 30: rsync: timeout"),
    ],
)
def test_a_failure_is_down_at_once_with_what_it_said(signal: Signal, said: str) -> None:
    assert hear(Pulse(since=NOON), signal).outcome is Outcome.DOWN
    assert why_failed(signal) == said


def test_a_note_changes_nothing() -> None:
    begun = hear(Pulse(since=NOON), heard(Kind.START, NOON + HOUR)).pulse

    noted = hear(begun, heard(Kind.LOG, NOON + 2 * HOUR, text="half way"))

    assert noted.outcome is None
    assert expect(every(DAY, HOUR), noted.pulse) == expect(every(DAY, HOUR), begun)
    assert hear(Pulse(since=NOON), heard(Kind.SUCCESS, NOON, code=0)).outcome is Outcome.UP


def test_lateness_is_told_in_the_zone_of_the_job() -> None:
    rhythm = rhythm_of("0 3 * * *", zone=ZoneInfo("Europe/Berlin"), grace=30 * MINUTE)
    awaited = Awaited(by=datetime(2026, 11, 25, 2, tzinfo=UTC), grace=rhythm.grace)

    told = why_late(rhythm, awaited, at=awaited.deadline)

    assert told == "expected by 2026-11-25 03:00 CET, 30 min late"


RHYTHMS = st.one_of(
    st.builds(every, PERIODS, GRACES),
    st.builds(lambda line, zone, grace: rhythm_of(line, zone=zone, grace=grace), LINES, ZONES, GRACES),
)


@given(RHYTHMS, INSTANTS, st.integers(0, 400 * 86400), st.integers(0, 40 * 86400), st.booleans(), st.booleans())
def test_t02_nothing_is_late_before_a_whole_grace_after_we_are_back(
    rhythm: Rhythm, since: datetime, gone: int, away: int, begun: bool, down: bool
) -> None:
    pulse = Pulse(since=since)
    if begun:
        pulse = hear(pulse, heard(Kind.START, since + timedelta(seconds=gone // 2))).pulse
    away_since = since + timedelta(seconds=gone)
    back = away_since + timedelta(seconds=away)

    _, awaited = resume(rhythm, pulse, expect(rhythm, pulse), away_since=away_since, back=back, is_down=down)

    assert awaited.deadline >= back + rhythm.grace


@given(PERIODS, GRACES, INSTANTS, st.data())
def test_n05_a_punctual_job_is_never_late_because_we_were_away(
    period: timedelta, grace: timedelta, at: datetime, data: st.DataObject
) -> None:
    """Signals that came in vain are not held against a job that goes on to report each period."""
    assume(grace < period)
    rhythm = every(period, grace)
    away_since = at + data.draw(st.timedeltas(timedelta(0), period))
    back = away_since + data.draw(st.timedeltas(grace + SECOND, 5 * period + grace + SECOND))
    following = at + ((back - at) // period + 1) * period  # the first report that is heard again

    _, awaited = resume(
        rhythm, Pulse(since=at), expect(rhythm, Pulse(since=at)), away_since=away_since, back=back, is_down=False
    )

    assert following <= awaited.deadline


@given(PERIODS, GRACES, INSTANTS)
def test_a_short_absence_moves_no_deadline_that_is_far_away(period: timedelta, grace: timedelta, at: datetime) -> None:
    assume(period > 4 * grace)
    rhythm, pulse = every(period, grace), Pulse(since=at)

    same, awaited = resume(
        rhythm, pulse, expect(rhythm, pulse), away_since=at + grace, back=at + 2 * grace, is_down=False
    )

    assert same == pulse
    assert awaited.deadline == at + period + grace


def test_what_is_known_to_be_late_is_not_found_late_again_when_we_are_back() -> None:
    rhythm, pulse = every(DAY, HOUR), Pulse(since=NOON)
    back = NOON + 10 * DAY + 10 * HOUR

    _, awaited = resume(rhythm, pulse, expect(rhythm, pulse), away_since=back - MINUTE, back=back, is_down=True)

    assert awaited.by == NOON + 11 * DAY
