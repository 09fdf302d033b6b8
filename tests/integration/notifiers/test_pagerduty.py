"""PagerDuty: the contract, and what the Events API v2 asks for."""

import json
from dataclasses import replace
from typing import Any

import pytest

from laya_uptime.adapters.notifiers.pagerduty import PagerDutyNotifier, draw
from laya_uptime.domain.alert import AlertStatus, Transition
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.text import length
from laya_uptime.ports import Notifier, Reach
from laya_uptime.testing.http_peer import HttpPeer, reply
from laya_uptime.testing.notifier_contract import HOSTILE_NAMES, HttpNotifierContract, an_alert

KEY = "r0ut1ngkeycanary0000000000000000"


class TestPagerDuty(HttpNotifierContract):
    secrets = (KEY,)

    def notifier_at(self, port: int) -> Notifier:
        return PagerDutyNotifier(routing_key=Secret(KEY), url=f"http://127.0.0.1:{port}/v2/enqueue")

    async def test_the_event_carries_the_routing_key(self, notifier: Notifier, peer: HttpPeer, via: Reach) -> None:
        peer.answer = reply(202, body=b'{"status": "success"}')

        await notifier.deliver(an_alert(), via)

        assert json.loads(peer.requests[0].body) == {"routing_key": KEY, **draw(an_alert())}


def test_an_outage_triggers() -> None:
    event: Any = draw(an_alert())

    assert event["event_action"] == "trigger"
    assert event["dedup_key"] == "ai-service-20260217T023000000Z/ops"
    details = event["payload"].pop("custom_details")
    assert event["payload"] == {
        "summary": "DOWN: AI Service - Connection refused",
        "source": "http://localhost:8000/api/v1/health/liveness",
        "severity": "critical",
        "timestamp": "2026-02-17T03:30:00+01:00",
        "component": "AI Service",
        "group": "ai-service",
        "class": "refused",
    }
    assert details["Summary"] == "AI Service is down since 2026-02-17 03:30:00 +01:00: Connection refused."
    assert details["Reason"] == "refused - Connection refused"
    assert "links" not in event


@pytest.mark.parametrize(
    ("transition", "action", "severity"),
    [
        (Transition.DOWN, "trigger", "critical"),
        (Transition.REMINDER, "trigger", "critical"),
        (Transition.DEGRADED, "trigger", "warning"),
        (Transition.UNDELIVERED, "trigger", "error"),
        (Transition.RECOVERED, "resolve", "info"),
        (Transition.HEALTHY, "resolve", "info"),
    ],
)
def test_one_incident_is_one_page_that_ends_with_it(transition: Transition, action: str, severity: str) -> None:
    event: Any = draw(an_alert(transition))

    assert event["event_action"] == action
    assert event["payload"]["severity"] == severity
    assert event["dedup_key"] == draw(an_alert(Transition.DOWN))["dedup_key"]


def test_news_of_another_channel_never_resolves_a_page() -> None:
    event = draw(an_alert(Transition.UNDELIVERED, status=AlertStatus.RECOVERED))

    assert event["event_action"] == "trigger"


def test_several_components_are_a_list() -> None:
    event: Any = draw(an_alert(components=("disk warning", "redis down")))

    assert event["payload"]["custom_details"]["Component"] == ["disk warning", "redis down"]


def test_a_long_dedup_key_stays_one_key() -> None:
    long = replace(an_alert(), dedup_key="k" * 256)
    other = replace(an_alert(), dedup_key="k" * 255 + "j")

    keys = [str(draw(alert)["dedup_key"]) for alert in (long, long, other)]

    assert all(len(key) <= 255 for key in keys)
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES.keys())
def test_a_summary_is_one_line_within_its_limit(name: str) -> None:
    event: Any = draw(an_alert(service=name, url=name, detail=name))

    summary = event["payload"]["summary"]
    assert 0 < length(summary) <= 1024
    assert len(summary.splitlines()) == 1
    assert event["payload"]["source"]


@pytest.mark.parametrize("key", ["", "with space", "new\nline", "schlüssel"])
def test_a_routing_key_that_cannot_be_one_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match="`routing_key`") as caught:
        PagerDutyNotifier(routing_key=Secret(key))

    assert not key or key not in str(caught.value)
