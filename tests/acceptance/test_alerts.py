"""Who is told of what, and when: from a service that changes to the mail and the webhook call that arrive."""

import json
import re
import signal
from datetime import datetime, timedelta
from typing import Any

import pytest

from laya_uptime.testing.ledger import Entry, LedgerSink
from laya_uptime.testing.program import Installation
from laya_uptime.testing.services import HEALTHY, REFUSES, Services, answers, says

SEED_KEYS = {"service", "status", "url", "message", "timestamp", "statistics"}
ADDED_KEYS = {"reason", "detail", "components", "transition", "incident_id", "dedup_key", "evidence"}
STATISTICS = {
    "total_checks",
    "total_failures",
    "consecutive_failures",
    "uptime_percentage",
    "avg_response_time_ms",
}


def body(entry: Entry) -> dict[str, Any]:
    """Return what a webhook call carried."""
    said = json.loads(entry.raw)
    assert isinstance(said, dict)
    return said


def test_a_whole_story_by_mail_and_by_webhook(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str]
) -> None:
    """Healthy, degraded, unhealthy, down for five, degraded again, healthy: one message for each change."""
    watching = laya.start("watch", "--interval", "1", **alerts)
    watching.wait_for("✓ Gibbon CMS")
    services.put("gibbon-cms", says("degraded", checks={"disk": {"status": "warning", "message": "low"}}))
    sink.wait_for(1, channel="webhook")
    services.put("gibbon-cms", says("unhealthy", status=503))
    sink.wait_for(2, channel="webhook")
    services.put("gibbon-cms", REFUSES)
    sink.wait_for(3, channel="webhook")
    services.put("gibbon-cms", says("degraded", checks={"disk": {"status": "warning", "message": "low"}}))
    sink.wait_for(4, channel="webhook")
    services.put("gibbon-cms", HEALTHY)
    calls = sink.wait_for(5, channel="webhook")
    mails = sink.wait_for(5, channel="email")
    watching.wait_for("✓ Gibbon CMS", times=3)
    assert watching.end(signal.SIGINT) == 0

    told = [body(call) for call in calls]
    assert [each["transition"] for each in told] == ["degraded", "down", "reminder", "recovered", "healthy"]
    assert [each["status"] for each in told] == ["degraded", "unhealthy", "failure", "recovered", "healthy"]
    assert [each["reason"] for each in told] == [
        "reported_degraded",
        "reported_unhealthy",
        "refused",
        "reported_degraded",
        None,
    ]
    assert told[0]["message"] == "Service is degraded: disk warning, low"
    assert told[1]["message"] == "Service is unhealthy (1 consecutive failures)"
    assert told[2]["message"] == "Service is down (5 consecutive failures)"
    assert re.fullmatch(
        r"Service recovered after \d+ failures \(downtime: 0:00:\d\d\), still degraded: disk warning, low",
        told[3]["message"],
    )
    assert told[4]["message"] == "Service is healthy again"
    assert [mail.transition for mail in mails] == [each["transition"] for each in told]
    assert [mail.status for mail in mails] == [each["status"] for each in told]
    assert [mail.recipients for mail in mails] == [("on-call@example.org",)] * 5
    assert len(sink.entries()) == 10, "and nobody heard anything else"
    assert len({mail.message_id for mail in mails}) == len({call.idempotency_key for call in calls}) == 5
    # The degraded stretch, the outage it grew into, and the degraded stretch after it.
    assert [each["dedup_key"] for each in told[:4]] == [told[0]["dedup_key"]] * 4
    assert told[4]["dedup_key"] != told[0]["dedup_key"]


def test_the_webhook_body_is_seed_s(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str]
) -> None:
    watching = laya.start("watch", "--interval", "1", TZ="<-0330>3:30", **alerts)
    watching.wait_for("✓ Gibbon CMS")
    services.put("gibbon-cms", REFUSES)
    (call,) = sink.wait_for(1, channel="webhook")
    watching.end()

    said = body(call)
    statistics = said["statistics"]
    assert said.keys() == SEED_KEYS | ADDED_KEYS
    assert list(said)[:6] == ["service", "status", "url", "message", "timestamp", "statistics"]
    assert said["service"] == "Gibbon CMS"
    assert said["status"] == "failure"
    assert said["url"] == services.url("gibbon-cms", "/modules/System/health.php")
    assert said["message"] == "Service is down (1 consecutive failures)"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-03:30", said["timestamp"])
    assert statistics.keys() == STATISTICS
    assert statistics["total_checks"] >= 2
    assert statistics["total_failures"] == statistics["consecutive_failures"] == 1
    assert statistics["uptime_percentage"] == round(100 - 100 / statistics["total_checks"], 2)
    assert isinstance(statistics["avg_response_time_ms"], int)
    assert said["reason"] == "refused"
    assert said["detail"] == "Connection refused"
    headers = {name.lower(): value for name, value in call.headers}
    assert headers["content-type"].startswith("application/json")
    assert len(headers["idempotency-key"]) >= 16


def test_the_mail_says_what_since_when_and_why(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str]
) -> None:
    services.put("gibbon-cms", answers(500))

    watching = laya.start("watch", **alerts, ALERT_FROM_EMAIL="LAYA <uptime@example.org>")
    (mail,) = sink.wait_for(1, channel="email")
    watching.end()

    headers = dict(mail.headers)
    assert headers["From"] == "LAYA <uptime@example.org>"
    assert headers["To"] == "on-call@example.org"
    assert mail.subject == "DOWN: Gibbon CMS - HTTP 500"
    text = mail.raw.decode("ascii")
    for fact in ("Gibbon CMS is down since ", "HTTP 500", "First failure:", services.url("gibbon-cms"), "Incident:"):
        assert fact in text.replace("=\r\n", "")


def test_everybody_is_told_of_a_first_check_that_is_degraded(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str]
) -> None:
    services.put("parent-portal", says("degraded"))

    watching = laya.start("watch", **alerts)
    (call,) = sink.wait_for(1, channel="webhook")
    (mail,) = sink.wait_for(1, channel="email")
    watching.end()

    assert (body(call)["service"], body(call)["status"]) == ("Parent Portal", "degraded")
    assert mail.subject == "DEGRADED: Parent Portal - the body says degraded"


def test_a_first_check_that_fails_alerts_at_once(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str]
) -> None:
    services.put_all(REFUSES)

    watching = laya.start("watch", **alerts)
    calls = sink.wait_for(3, channel="webhook")
    sink.wait_for(3, channel="email")
    watching.end()

    assert sorted(body(call)["service"] for call in calls) == ["AI Service", "Gibbon CMS", "Parent Portal"]


def test_nobody_is_told_of_what_stays_well(laya: Installation, sink: LedgerSink, alerts: dict[str, str]) -> None:
    watching = laya.start("watch", "--interval", "1", **alerts)
    watching.wait_for("✓ Parent Portal", times=3)
    watching.end()

    assert sink.entries() == []


def test_consecutive_failures_and_the_incident_survive_a_restart(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str]
) -> None:
    services.put("gibbon-cms", REFUSES)
    first = laya.start("watch", "--interval", "1", **alerts)
    first.wait_for("✗ Gibbon CMS", times=3)
    sink.wait_for(1, channel="webhook")
    assert first.end() == 0
    failed = first.out.count("✗ Gibbon CMS: Connection failed")

    second = laya.start("watch", "--interval", "1", **alerts)
    second.wait_for("Resuming: Gibbon CMS down since")
    second.wait_for("🚨 Gibbon CMS: ALERT - 5 consecutive failures")
    calls = sink.wait_for(2, channel="webhook")
    services.put("gibbon-cms", HEALTHY)
    back = second.wait_for(r"🔄 Gibbon CMS: RECOVERED after (\d+) failures")
    calls = sink.wait_for(3, channel="webhook")
    second.end()

    told = [body(call) for call in calls]
    assert [each["transition"] for each in told] == ["down", "reminder", "recovered"]
    assert len({each["incident_id"] for each in told}) == 1
    assert told[1]["statistics"]["consecutive_failures"] == 5
    assert told[1]["statistics"]["total_checks"] == 5 - failed, "counts are of this start"
    assert int(back[1]) == failed + second.out.count("✗ Gibbon CMS: Connection failed")


def test_the_two_channels_of_an_alert_are_delivered_apart(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str], silent_port: int
) -> None:
    """A mail server that never speaks holds up no webhook call, and the other way round."""
    services.put("gibbon-cms", REFUSES)

    watching = laya.start("watch", "--interval", "1", **alerts | {"SMTP_PORT": str(silent_port)})
    sink.wait_for(1, channel="webhook")
    watching.end(signal.SIGKILL)

    services.put("gibbon-cms", HEALTHY)
    laya.start("watch", "--interval", "1", **alerts | {"ALERT_WEBHOOK": f"http://127.0.0.1:{silent_port}/hook"})
    mails = sink.wait_for(2, channel="email")

    assert [mail.transition for mail in mails] == ["down", "recovered"], "the first from the ledger, late but in order"


@pytest.mark.parametrize("webhook", ["https://hooks.slack.com/services/T/B/X", "https://discord.com/api/webhooks/1/x"])
def test_chat_services_are_known_by_their_host(laya: Installation, webhook: str) -> None:
    watching = laya.start("watch", ALERT_WEBHOOK=webhook)
    told = watching.wait_for(r"Webhook alerts: (\S+) \((\w+)\)")
    watching.end()

    assert told[1] in webhook
    assert told[2] in told[1]
    assert "/services/" not in watching.out
    assert "/api/webhooks" not in watching.out


def test_the_timestamp_is_when_it_was_seen(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str]
) -> None:
    services.put("gibbon-cms", REFUSES)

    watching = laya.start("watch", **alerts)
    (call,) = sink.wait_for(1, channel="webhook")
    watching.end()

    at = datetime.fromisoformat(body(call)["timestamp"])
    assert timedelta(0) <= call.received_at - at < timedelta(seconds=60)
