"""What the environment and a file can both say means the same, whichever says it."""

import json
import re
import signal
from dataclasses import replace
from typing import Any

import pytest

from laya_uptime.config.environment import from_environment
from laya_uptime.config.load import decode
from laya_uptime.testing.ledger import Entry, LedgerSink
from laya_uptime.testing.program import Installation, Program
from laya_uptime.testing.services import HEALTHY, REFUSES, Services, says

FILE = """
defaults: {{ every: 1s, confirm: 1, recover: 1, remind: 5, health: required }}
monitors:
  AI Service: {AI_SERVICE_URL}/api/v1/health/liveness
  Gibbon CMS: {GIBBON_URL}/modules/System/health.php
  Parent Portal: {PARENT_PORTAL_URL}/api/health
notify:
  email:
    title: Email
    type: email
    to: [{ALERT_EMAIL}]
    server: {SMTP_SERVER}
    port: {SMTP_PORT}
    tls: none
  webhook: {{ title: Webhook, type: webhook, url: "{ALERT_WEBHOOK}" }}
"""


@pytest.fixture
def settings(services: Services, alerts: dict[str, str]) -> dict[str, str]:
    """What both faces are told."""
    return services.environment() | alerts | {"CHECK_INTERVAL": "1"}


def test_both_build_the_same_monitors_and_channels(settings: dict[str, str]) -> None:
    drop_in = from_environment(settings)
    file = decode(FILE.format(**settings), source="file", environ={})

    for ours, theirs in zip(drop_in.monitors, file.monitors, strict=True):
        # The drop-in's three share one phase; monitors of a file are spread.
        assert replace(ours.monitor, in_step=False) == theirs.monitor
        assert ours.check == theirs.check
    assert drop_in.channels == file.channels


@pytest.mark.parametrize(
    ("smtp", "keys"),
    [
        pytest.param({}, "port: 587, tls: none", id="a local relay"),
        pytest.param(
            {"SMTP_USER": "u", "SMTP_PASSWORD": "p"}, "user: u, password: p", id="credentials encrypt the way"
        ),
        pytest.param(
            {"SMTP_USER": "u", "SMTP_PASSWORD": "p", "SMTP_PORT": "465"},
            "user: u, password: p, port: 465, tls: implicit",
            id="TLS from the first byte",
        ),
        pytest.param({"ALERT_FROM_EMAIL": "x@example.org"}, "from: x@example.org, tls: none", id="a sender"),
    ],
)
def test_both_send_mail_the_same_way(smtp: dict[str, str], keys: str) -> None:
    (drop_in,) = from_environment({"ALERT_EMAIL": "a@example.org", **smtp}).channels
    text = f"notify: {{ email: {{ type: email, title: Email, to: a@example.org, {keys} }} }}"

    (file,) = decode(text, source="file", environ={}).channels

    assert drop_in == file


def test_both_tell_the_same_story(
    laya: Installation, services: Services, sink: LedgerSink, settings: dict[str, str]
) -> None:
    """Gibbon CMS is well, degraded, down and well again, and both faces look on at the same time."""
    for_file = settings | {"ALERT_WEBHOOK": sink.url("/served")}
    (laya.directory / "laya-uptime.yaml").write_text(FILE.format(**for_file), encoding="utf-8")
    watching, serving = laya.start("watch", **settings), laya.start("serve")

    def both_say(pattern: str, times: int = 1) -> None:
        for program in (watching, serving):
            program.wait_for(pattern, times=times)

    both_say("✓ Gibbon CMS")
    for count, script in enumerate((says("degraded", checks={"disk": {"status": "warning"}}), REFUSES, HEALTHY), 1):
        services.put("gibbon-cms", script)
        both_say("📧 Email alert sent", count)
        both_say("📡 Webhook alert sent", count)
    ends = [program.end(signal.SIGINT) for program in (watching, serving)]

    assert ends == [0, 0]
    assert logged(serving) == logged(watching)
    told = [body(entry) for entry in sink.entries("webhook")]
    assert [body(entry) for entry in sink.entries("served")] == told
    assert [each["transition"] for each in told] == ["degraded", "down", "recovered"]


def logged(program: Program) -> list[str]:
    """Return its different lines about Gibbon CMS, without times and counts."""
    messages = [re.sub(r"\d+(?::\d\d:\d\d)?(?=ms| failures|\))", "N", message) for message in program.messages]
    return list(dict.fromkeys(message for message in messages if re.search("Gibbon CMS: (?!http)", message)))


def body(entry: Entry) -> dict[str, Any]:
    """Return what a webhook call said, without what is different each time."""
    said: dict[str, Any] = json.loads(entry.raw)
    changing = {"timestamp", "statistics", "incident_id", "dedup_key", "evidence", "message"}
    return {key: value for key, value in said.items() if key not in changing} | {
        "message": re.sub(r"\d+", "N", said["message"])
    }
