"""The histogram of lateness: small, and honest about what it does not know."""

from datetime import timedelta

import pytest

from laya_uptime.domain.load import BOUNDS, Counts
from laya_uptime.engine.scheduler import Scheduler
from laya_uptime.testing import FakeClock

MS = timedelta(milliseconds=1)


def scheduler_with(*late: int) -> Scheduler:
    scheduler = Scheduler([], clock=FakeClock(), start=lambda _: None, passed_over=lambda _: None)
    for each in late:
        scheduler.counts.begun(each)
    return scheduler


@pytest.mark.parametrize(("late", "bucket"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (65_535, 16), (65_536, 17)])
def test_a_start_is_counted_under_the_first_bound_that_it_is_below(late: int, bucket: int) -> None:
    counts = Counts()

    counts.begun(late)

    assert counts.lateness.index(1) == bucket
    assert bucket == len(BOUNDS) or late * MS < BOUNDS[bucket]
    assert bucket == 0 or BOUNDS[bucket - 1] <= late * MS


def test_the_bound_of_a_share_of_the_starts_can_be_read() -> None:
    load = scheduler_with(*[0] * 500, *[3] * 490, *[40] * 9, 700).load()

    assert [load.late_by(share) for share in (0.5, 0.99, 0.999, 1.0)] == [1 * MS, 4 * MS, 64 * MS, 700 * MS]
    assert (load.late, load.worst) == (1, 700 * MS)


def test_what_is_later_than_all_bounds_is_known_by_the_worst() -> None:
    assert scheduler_with(80_000, 70_000).load().late_by(0.5) == 80_000 * MS


def test_where_nothing_has_begun_nothing_is_claimed() -> None:
    assert scheduler_with().load().late_by(0.99) is None
