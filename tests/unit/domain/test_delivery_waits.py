"""next_try(): growing waits with jitter, the receiver's wish, and an end."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laya_uptime.domain.delivery import FIRST_WAIT, LONGEST_WAIT, next_try
from laya_uptime.testing import NOON

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
_ALMOST = 1 - 2**-53


def wait(attempts: int, *, chance: float, asked: timedelta | None = None) -> timedelta:
    again = next_try(attempts=attempts, at=NOON, expires_at=NOON + 2 * DAY, chance=chance, asked=asked)
    assert again is not None
    return again - NOON


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(1, 5), (2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 320), (8, 640), (9, 900), (10, 900), (10_000, 900)],
)
def test_waits_double_up_to_a_quarter_of_an_hour_and_vary_by_half(attempts: int, seconds: int) -> None:
    assert wait(attempts, chance=0) == seconds * SECOND / 2
    assert seconds * SECOND / 2 < wait(attempts, chance=0.5) < seconds * SECOND
    assert wait(attempts, chance=_ALMOST) <= seconds * SECOND


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(None, 2.5), (timedelta(0), 2.5), (SECOND, 2.5), (60 * SECOND, 60), (timedelta(hours=3), 10_800)],
)
def test_the_receivers_wish_is_a_lower_bound(asked: timedelta | None, expected: float) -> None:
    assert wait(1, chance=0, asked=asked) == expected * SECOND


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        pytest.param(NOON + DAY - 5 * SECOND, NOON + DAY - 2.5 * SECOND, id="there is time for another"),
        pytest.param(NOON + DAY - 2.5 * SECOND, NOON + DAY, id="the wait ends at the deadline"),
        pytest.param(NOON + DAY - SECOND, NOON + DAY, id="the last one is made at the deadline"),
        pytest.param(NOON + DAY, None, id="at the deadline it was the last one"),
        pytest.param(NOON + DAY + SECOND, None, id="and after it as well"),
    ],
)
def test_the_last_attempt_is_made_at_the_deadline(at: datetime, expected: datetime | None) -> None:
    assert next_try(attempts=1, at=at, expires_at=NOON + DAY, chance=0, asked=None) == expected


def test_a_receiver_that_asks_for_more_than_the_deadline_gets_a_last_attempt_at_it() -> None:
    again = next_try(attempts=1, at=NOON, expires_at=NOON + DAY, chance=0, asked=30 * DAY)

    assert again == NOON + DAY


@given(
    attempts=st.integers(1, 200),
    late=st.timedeltas(timedelta(0), 2 * DAY),
    chance=st.floats(0, 1, exclude_max=True),
    asked=st.none() | st.timedeltas(timedelta(0), 2 * DAY),
)
def test_an_attempt_is_never_repeated_at_once_nor_after_the_deadline(
    attempts: int, late: timedelta, chance: float, asked: timedelta | None
) -> None:
    at, expires_at = NOON + late, NOON + DAY

    again = next_try(attempts=attempts, at=at, expires_at=expires_at, chance=chance, asked=asked)

    if again is None:
        assert at >= expires_at
        return
    assert at < again <= expires_at
    assert again - at <= max(LONGEST_WAIT, asked or timedelta(0))
    assert again == expires_at or again - at >= max(FIRST_WAIT / 2, asked or timedelta(0))
