"""Tally: simple counts of checks since this start."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laya_uptime.domain.statistics import Tally
from laya_uptime.testing import a_result

MS = timedelta(milliseconds=1)


def tally(signs: str, *, elapsed: timedelta = 43 * MS) -> Tally:
    counts = Tally()
    for sign in signs:
        result = a_result(sign, elapsed=elapsed)
        counts.count(result.observation, result.verdict)
    return counts


@pytest.mark.parametrize(
    ("signs", "checks", "failures", "percentage"),
    [
        pytest.param("", 0, 0, 100.0, id="before the first one"),
        pytest.param("....", 4, 0, 100.0, id="all passed"),
        pytest.param("x", 1, 1, 0.0, id="none passed"),
        pytest.param("..x", 3, 1, 66.67, id="two decimals"),
        pytest.param("dd", 2, 0, 100.0, id="a warning is passing"),
        pytest.param("u.", 2, 1, 50.0, id="unhealthy by its own word is a failure"),
        pytest.param("??.x??", 2, 1, 50.0, id="a round that nobody saw is not counted"),
        pytest.param("." * 147 + "xxx", 150, 3, 98.0, id="as in the documented webhook body"),
    ],
)
def test_uptime_is_the_share_of_checks_that_did_not_fail(
    signs: str, checks: int, failures: int, percentage: float
) -> None:
    counts = tally(signs)

    assert (counts.checks, counts.failures, counts.uptime_percentage) == (checks, failures, percentage)


@given(checks=st.integers(1, 10**9), data=st.data())
def test_a_failure_never_reads_as_a_hundred(checks: int, data: st.DataObject) -> None:
    failures = data.draw(st.integers(1, checks))

    percentage = Tally(checks=checks, failures=failures).uptime_percentage

    assert 0 <= percentage <= 99.99
    assert f"{percentage:6.2f}" != "100.00"


def test_response_time_is_the_mean_of_answered_checks_in_whole_milliseconds() -> None:
    counts = tally("..", elapsed=43 * MS)
    slow = a_result("u", elapsed=timedelta(microseconds=47_600))

    counts.count(slow.observation, slow.verdict)

    assert counts.average_ms == 45


def test_checks_without_an_answer_do_not_make_it_look_fast_or_slow() -> None:
    assert tally("xxx", elapsed=timedelta(seconds=10)).average_ms == 0
    assert tally("x.x?", elapsed=10 * MS).average_ms == 10


def test_an_alert_carries_the_counts_and_the_failures_in_a_row() -> None:
    statistics = tally("..x").statistics(consecutive_failures=7)

    assert (statistics.total_checks, statistics.total_failures, statistics.consecutive_failures) == (3, 1, 7)
    assert (statistics.uptime_percentage, statistics.avg_response_time_ms) == (66.67, 43)
