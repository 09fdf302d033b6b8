"""`watch --dry-run`: one check of each, the report, and nothing left behind."""

import re
import signal
import sys
from pathlib import Path

import pytest

from laya_uptime.testing.ledger import LedgerSink
from laya_uptime.testing.program import Installation
from laya_uptime.testing.services import REFUSES, Services, is_silent, says

REPOSITORY = Path(__file__).parents[2]


def test_it_exits_0_when_all_pass(laya: Installation) -> None:
    ended = laya.run("watch", "--dry-run")

    assert (ended.code, ended.err) == (0, "")
    assert len(re.findall(r"INFO - ✓ .*: healthy \(200\)", ended.out)) == 3
    assert ended.out.count("Status Report") == 1


def test_it_exits_0_when_one_is_degraded_and_1_when_one_fails(laya: Installation, services: Services) -> None:
    services.put("ai-service", says("degraded"))

    degraded = laya.run("watch", "--dry-run")
    services.put("ai-service", REFUSES)
    failed = laya.run("watch", "--dry-run")

    assert (degraded.code, failed.code) == (0, 1)


def test_it_looks_once_at_each(laya: Installation, services: Services) -> None:
    laya.run("watch", "--dry-run")

    assert {service: len(looks) for service, looks in services.looks.items()} == {
        "ai-service": 1,
        "gibbon-cms": 1,
        "parent-portal": 1,
    }


def test_it_stores_nothing(laya: Installation, tmp_path: Path) -> None:
    place = tmp_path / "cwd"
    place.mkdir()
    laya.directory = place
    del laya.environment["LOG_FILE"]

    ended = laya.run("watch", "--dry-run")

    assert ended.code == 0
    assert list(place.iterdir()) == [], "not even the default log file"
    assert not laya.data.exists()
    assert list(laya.home.rglob("*")) == []


def test_it_tells_nobody(laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str]) -> None:
    services.put_all(REFUSES)

    ended = laya.run("watch", "--dry-run", **alerts)

    assert ended.code == 1
    assert "🚨" not in ended.out
    assert sink.entries() == []


def test_it_works_beside_a_watch_on_the_same_data(laya: Installation) -> None:
    watching = laya.start("watch")
    watching.wait_for("✓ Parent Portal")

    beside = laya.run("watch", "--dry-run")

    assert (beside.code, beside.err) == (0, "")
    assert watching.end() == 0


def test_ctrl_c_ends_it_at_once_without_a_traceback(laya: Installation, services: Services) -> None:
    services.put("gibbon-cms", is_silent)

    looking = laya.start("watch", "--dry-run")
    looking.wait_for("✓ AI Service")
    code = looking.end(signal.SIGINT)

    assert code == 130
    assert looking.err == ""


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([sys.executable, REPOSITORY / "scripts" / "uptime_monitoring.py"], id="the script"),
        pytest.param([Path(sys.executable).with_name("laya-uptime"), "watch"], id="the command"),
        pytest.param([sys.executable, "-m", "laya_uptime", "watch"], id="the module"),
    ],
)
def test_every_way_to_start_it_is_the_same(laya: Installation, command: list[str | Path]) -> None:
    ended = laya.run("--dry-run", "--interval", "30", command=command)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.count("✓") == 6
