"""Killed and started again: no second "down", the recovery is sent, and the downtime counts from the first failure."""

import json
import re
import signal
import sqlite3
import stat
from datetime import datetime

from laya_uptime.testing.ledger import LedgerSink
from laya_uptime.testing.program import Installation
from laya_uptime.testing.services import HEALTHY, REFUSES, Services


def test_an_outage_is_taken_up_after_a_kill(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str]
) -> None:
    services.put("gibbon-cms", REFUSES)
    first = laya.start("watch", "--interval", "1", **alerts)
    first.wait_for("📧 Email alert sent")
    first.wait_for("📡 Webhook alert sent")
    first.wait_for("✗ Gibbon CMS", times=3)
    began = next(line.at for line in first.lines if "✗ Gibbon CMS" in line.text)
    assert began is not None
    assert first.end(signal.SIGKILL) == -signal.SIGKILL

    second = laya.start("watch", "--interval", "1", **alerts)
    resumed = second.wait_for(r"INFO - Resuming: Gibbon CMS down since (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)$")
    second.wait_for("✗ Gibbon CMS")
    services.put("gibbon-cms", HEALTHY)
    back = second.wait_for(r"🔄 Gibbon CMS: RECOVERED after \d+ failures \(downtime: 0:00:(\d\d)\)")
    ended = next(line.at for line in second.lines if "✓ Gibbon CMS" in line.text)
    calls = sink.wait_for(2, channel="webhook")
    mails = sink.wait_for(2, channel="email")
    assert second.end() == 0

    assert [call.transition for call in calls] == [mail.transition for mail in mails] == ["down", "recovered"]
    assert abs((datetime.fromisoformat(resumed[1]) - began).total_seconds()) <= 1
    assert ended is not None
    assert abs(int(back[1]) - (ended - began).total_seconds()) <= 1
    assert "🚨" not in second.out


def test_a_service_that_came_back_meanwhile_is_recovered_at_once(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str]
) -> None:
    services.put("gibbon-cms", REFUSES)
    first = laya.start("watch", **alerts)
    first.wait_for("📡 Webhook alert sent")
    first.wait_for("📧 Email alert sent")
    first.end(signal.SIGKILL)
    services.put("gibbon-cms", HEALTHY)

    second = laya.start("watch", **alerts)
    second.wait_for("Gibbon CMS: RECOVERED after 1 failures")
    calls = sink.wait_for(2, channel="webhook")
    second.end()

    assert [call.transition for call in calls] == ["down", "recovered"]


def test_a_monitor_that_watches_something_else_now_closes_its_incident(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str]
) -> None:
    services.put("gibbon-cms", REFUSES)
    first = laya.start("watch", **alerts)
    first.wait_for("📡 Webhook alert sent")
    first.end()

    second = laya.start("watch", **alerts, GIBBON_URL=services.url("ai-service"))
    calls = sink.wait_for(2, channel="webhook")
    second.wait_for("✓ Gibbon CMS")
    second.end()

    told = json.loads(calls[1].raw)
    assert told["status"] == "recovered"
    assert told["message"] == "Incident closed: the monitor now watches another target"
    assert "Resuming" not in second.out


def test_a_second_instance_is_refused_and_names_the_first(laya: Installation) -> None:
    first = laya.start("watch")
    first.wait_for("✓ Parent Portal")

    second = laya.run("watch")

    assert second.code == 2
    assert second.out == ""
    assert second.err == (
        f"laya-uptime: the data directory {laya.data / 'watch'} is in use by process {first.pid}. "
        "Stop that one, or set LAYA_UPTIME_DATA to another directory\n"
    )
    assert first.end() == 0


def test_the_lock_of_a_killed_process_holds_nobody_up(laya: Installation) -> None:
    first = laya.start("watch")
    first.wait_for("✓ Parent Portal")
    first.end(signal.SIGKILL)

    second = laya.start("watch")
    second.wait_for("✓ Parent Portal")

    assert second.end() == 0


def test_data_is_private_whatever_the_umask(laya: Installation) -> None:
    watching = laya.start("watch", command=["sh", "-c", 'umask 000; exec "$@"', "sh", *laya.command])
    watching.wait_for("✓ Parent Portal")

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in laya.data.rglob("*")}
    watching.end()

    assert stat.S_IMODE(laya.data.stat().st_mode) == 0o700
    assert modes["watch"] == 0o700
    assert {mode for name, mode in modes.items() if name != "watch"} == {0o600}
    assert stat.S_IMODE(laya.log.stat().st_mode) == 0o600


def test_a_database_that_is_none_is_set_aside_and_somebody_told(
    laya: Installation, sink: LedgerSink, alerts: dict[str, str]
) -> None:
    (laya.data / "watch").mkdir(parents=True)
    (laya.data / "watch" / "laya-uptime.db").write_bytes(b"this is no database" * 1000)

    watching = laya.start("watch", **alerts)
    watching.wait_for(r"ERROR - The database was damaged .* set aside")
    watching.wait_for("✓ Parent Portal")
    (call,) = sink.wait_for(1, channel="webhook")
    assert watching.end() == 0

    assert json.loads(call.raw)["service"] == "laya-uptime"
    kept = [path for path in (laya.data / "watch").rglob("*") if path.is_file() and b"no database" in path.read_bytes()]
    assert len(kept) == 1, "nothing of it is thrown away"


def test_a_database_of_a_newer_version_is_refused_with_the_way_back(laya: Installation) -> None:
    watching = laya.start("watch")
    watching.wait_for("✓ Parent Portal")
    watching.end()
    database = laya.data / "watch" / "laya-uptime.db"
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = database.read_bytes()

    refused = laya.run("watch")

    assert refused.code == 2
    assert re.fullmatch(r"laya-uptime: .*newer laya-uptime.*: cp .*\n", refused.err)
    assert database.read_bytes() == before
