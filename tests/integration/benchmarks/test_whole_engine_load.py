"""The load that the whole engine is measured under, and how its stored results are read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from laya_uptime.adapters.ledger.blob import Record
from laya_uptime.config.load import decode
from laya_uptime.domain.result import Outcome

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEN_SECONDS = timedelta(seconds=10)


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


def a_record(monitor: int, due: float) -> Record:
    at = NOON + timedelta(seconds=due)
    return Record(
        monitor_id=monitor,
        region_id=1,
        at=at,
        due=at,
        outcome=Outcome.UP,
        reason=None,
        latency=timedelta(0),
        status=200,
        phases=(None,) * 6,
    )


@pytest.mark.parametrize(
    ("dues", "expected"),
    [
        pytest.param((3, 13, 23), (0, 0), id="each slot once"),
        pytest.param((3, 13.002, 22.999), (0, 0), id="milliseconds are rounding"),
        pytest.param((3, 23, 33), (1, 0), id="one left out"),
        pytest.param((3, 13, 13, 23), (0, 1), id="one twice"),
        pytest.param((3, 13, 15.5, 23), (0, 0), id="a second look at a suspect is no slot"),
    ],
)
def test_slots_that_were_missed_or_used_twice_are_counted(dues: tuple[float, ...], expected: tuple[int, int]) -> None:
    from whole import slots

    records = [a_record(1, due) for due in dues] + [a_record(2, 0), a_record(2, 10)]

    assert slots(records, TEN_SECONDS) == expected


def test_the_configuration_loads_and_holds_the_shares_it_was_asked_for() -> None:
    from whole import Load, configuration

    load = Load(monitors=200, every=10, seconds=1, holes=0.02, storm=0.25)
    text = configuration(load, ["http://127.0.0.1:1/"], ["http://127.0.0.1:2/"], "http://127.0.0.1:3/")

    targets = [each.monitor.target for each in decode(text, source="test", environ={}).monitors]
    holes, doomed = (sum(f"127.0.0.1:{port}/" in target for target in targets) for port in (3, 2))
    assert (len(targets), holes, doomed) == (200, 4, 49)
