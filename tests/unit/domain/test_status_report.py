"""The status report, column by column as it is documented."""

from dataclasses import replace
from datetime import timedelta

import pytest

from laya_uptime.domain.report import Line, report, status_word
from laya_uptime.domain.statistics import Tally
from laya_uptime.domain.status import Status, fresh
from laya_uptime.testing import NOON, a_result

HOUR = timedelta(hours=1)
DOCUMENTED = "✓ AI Service           | Status: healthy    | Uptime:  99.50% | Failures:   1/ 60 | Avg RT:    43ms"


def a_tally(checks: int = 60, failures: int = 0, average: float = 43) -> Tally:
    return Tally(checks=checks, failures=failures, answered=1, latency=average * timedelta(milliseconds=1))


def a_row(name: str = "AI Service", status: str = "healthy", tally: Tally | None = None) -> str:
    return report([Line(name=name, status=status, tally=tally or a_tally())], uptime=HOUR).splitlines()[3]


def test_a_row_is_laid_out_as_documented() -> None:
    row = a_row(tally=a_tally(checks=200, failures=1))

    assert row == DOCUMENTED.replace("1/ 60", "1/200")


def test_its_percentage_is_that_of_its_counts() -> None:
    assert a_row(tally=a_tally(failures=1)) == DOCUMENTED.replace("99.50", "98.33")


def test_the_block_stands_between_lines_of_eighty_signs() -> None:
    lines = [
        Line(name="AI Service", status="healthy", tally=a_tally(average=43)),
        Line(name="Gibbon CMS", status="healthy", tally=a_tally(average=38)),
        Line(name="Parent Portal", status="healthy", tally=a_tally(average=122)),
    ]

    assert report(lines, uptime=HOUR) == "\n".join(
        [
            "=" * 80,
            "Status Report - Uptime: 1:00:00",
            "=" * 80,
            "✓ AI Service           | Status: healthy    | Uptime: 100.00% | Failures:   0/ 60 | Avg RT:    43ms",
            "✓ Gibbon CMS           | Status: healthy    | Uptime: 100.00% | Failures:   0/ 60 | Avg RT:    38ms",
            "✓ Parent Portal        | Status: healthy    | Uptime: 100.00% | Failures:   0/ 60 | Avg RT:   122ms",
            "=" * 80,
        ]
    )


@pytest.mark.parametrize(
    ("status", "beginning"),
    [
        ("healthy", "✓ AI Service           | Status: healthy    |"),
        ("degraded", "⚠ AI Service           | Status: degraded   |"),
        ("unhealthy", "✗ AI Service           | Status: unhealthy  |"),
        ("down", "✗ AI Service           | Status: down       |"),
        ("unknown", "? AI Service           | Status: unknown    |"),
    ],
)
def test_every_status_has_its_sign_and_the_same_width(status: str, beginning: str) -> None:
    row = a_row(status=status)

    assert row.startswith(beginning)
    assert len(row) == len(DOCUMENTED)


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("A" * 20, "A" * 20),
        ("A" * 21, "A" * 19 + "…"),
        ("Shop\nrow two", "Shop row two        "),
        ("", " " * 20),
    ],
)
def test_a_name_stays_in_its_cell_and_on_its_line(name: str, cell: str) -> None:
    assert a_row(name=name)[2:22] == cell


def test_large_counts_are_shown_whole() -> None:
    row = a_row(tally=a_tally(checks=43_200, failures=1234, average=123_456))

    assert row.endswith("| Uptime:  97.14% | Failures: 1234/43200 | Avg RT: 123456ms")


def test_the_uptime_never_turns_into_days() -> None:
    assert "Status Report - Uptime: 49:00:01" in report([], uptime=timedelta(days=2, hours=1, seconds=1.9))


@pytest.mark.parametrize(
    ("believed", "sign", "expected"),
    [
        (Status.PENDING, "x", "unknown"),
        (Status.UP, ".", "healthy"),
        (Status.UP, "x", "healthy"),
        (Status.DEGRADED, "d", "degraded"),
        (Status.DOWN, "x", "down"),
        (Status.DOWN, "u", "unhealthy"),
        (Status.UNKNOWN, "u", "unknown"),
    ],
)
def test_a_service_is_called_what_is_believed_of_it(believed: Status, sign: str, expected: str) -> None:
    health = replace(fresh(NOON), believed=believed)

    assert status_word(health, a_result(sign).verdict.reason) == expected


def test_a_service_that_is_down_since_before_this_start_is_down() -> None:
    assert status_word(replace(fresh(NOON), believed=Status.DOWN), None) == "down"
