"""next_due() and first_phase(): phases that spread the load, and slots that never drift."""

from collections import Counter
from datetime import timedelta

import pytest

from laya_uptime.domain.schedule import first_phase, is_stale, next_due
from laya_uptime.testing import a_monitor

SECOND = timedelta(seconds=1)
ZERO = timedelta(0)
MONTH = timedelta(days=30)


@pytest.mark.parametrize("every", ["1s", "7s", "60s", "1h", "1d"])
def test_the_first_slot_comes_within_one_interval_after_the_start(every: str) -> None:
    for number in range(500):
        monitor = a_monitor(f"shop-{number}", every=every)

        assert ZERO < first_phase(monitor) <= monitor.every


def test_a_phase_depends_on_nothing_but_the_monitor() -> None:
    # Written down, so that an upgrade cannot move every monitor of a fleet by accident.
    assert first_phase(a_monitor("shop", every="60s")) == first_phase(a_monitor("shop", every="60s", name="Other"))
    assert first_phase(a_monitor("shop", every="60s")) == timedelta(seconds=10, microseconds=926_275)


def test_ten_thousand_monitors_are_spread_over_the_interval() -> None:
    buckets = Counter(first_phase(a_monitor(f"service-{number}")) // SECOND for number in range(10_000))

    expected = 10_000 / 60
    chi_square = sum((buckets[second] - expected) ** 2 / expected for second in range(60))
    assert chi_square < 98.3  # 59 degrees of freedom: a fair spread is worse once in a thousand times
    assert max(buckets.values()) < 1.4 * expected


def test_monitors_in_step_are_due_together_at_whole_intervals() -> None:
    phases = {first_phase(a_monitor(name, in_step=True)) for name in ("ai-service", "gibbon-cms", "parent-portal")}

    assert phases == {60 * SECOND}


@pytest.mark.parametrize(
    "every",
    [SECOND, 7 * SECOND, 59 * SECOND, 60 * SECOND, timedelta(seconds=3601), timedelta(microseconds=333_333_333)],
)
def test_thirty_days_of_slots_are_where_arithmetic_puts_them(every: timedelta) -> None:
    due, slots = ZERO, 0

    while due + every <= MONTH:
        due, missed = next_due(due, every=every, now=due + every / 3)  # a little late every time
        slots += 1
        assert missed == 0

    assert due == slots * every
    assert slots == MONTH // every


@pytest.mark.parametrize(
    ("now", "following", "missed"),
    [
        pytest.param(0, 10, 0, id="in time"),
        pytest.param(9.9, 10, 0, id="late, but before the next"),
        pytest.param(10, 10, 0, id="a slot that is due exactly now is not past"),
        pytest.param(10.1, 20, 1, id="one was passed over"),
        pytest.param(20, 20, 1, id="one was passed over, the next is due now"),
        pytest.param(100, 100, 9, id="nine were"),
        pytest.param(104, 110, 10, id="ten were"),
    ],
)
def test_slots_that_are_past_are_counted_and_not_caught_up(now: float, following: int, missed: int) -> None:
    found = next_due(ZERO, every=10 * SECOND, now=now * SECOND)

    assert found == (following * SECOND, missed)


def test_no_slot_is_lost_between_those_kept_and_those_counted() -> None:
    due, every, kept, passed_over = ZERO, 7 * SECOND, 0, 0
    for hiccup in (0, 3, 6.9, 7, 7.1, 14, 30, 700, 1):
        due, missed = next_due(due, every=every, now=due + hiccup * SECOND)
        kept += 1
        passed_over += missed

    assert due == (kept + passed_over) * every


@pytest.mark.parametrize(
    ("every", "unseen", "expected"),
    [
        pytest.param("60s", 180, False, id="three intervals are bearable"),
        pytest.param("60s", 180.1, True, id="more are not"),
        pytest.param("5s", 20, False, id="a check may take its whole timeout"),
        pytest.param("5s", 20.1, True, id="and no longer"),
        pytest.param("1s", 12, False, id="also where that is many intervals"),
        pytest.param("1s", 12.1, True, id="but not for ever"),
    ],
)
def test_a_monitor_that_nobody_has_seen_for_three_intervals_is_stale(every: str, unseen: float, expected: bool) -> None:
    monitor = a_monitor(every=every, timeout="10s")

    found = is_stale(last_seen=SECOND, every=monitor.every, timeout=monitor.timeout, now=SECOND + unseen * SECOND)

    assert found is expected
