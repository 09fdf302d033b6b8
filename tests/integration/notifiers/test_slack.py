"""Slack: the contract, and what Slack's format asks for."""

import json
import re
from typing import Any

import pytest

from laya_uptime.adapters.notifiers.slack import SlackNotifier, draw
from laya_uptime.domain.alert import Transition
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.text import length
from laya_uptime.ports import Notifier
from laya_uptime.testing.notifier_contract import HOSTILE_NAMES, HttpNotifierContract, an_alert


class TestSlack(HttpNotifierContract):
    secrets = ("T0CANARY", "B0CANARY", "sl4ckt0ken")

    def notifier_at(self, port: int) -> Notifier:
        return SlackNotifier(webhook=Secret(f"http://127.0.0.1:{port}/services/T0CANARY/B0CANARY/sl4ckt0ken"))


def texts(message: Any) -> list[str]:  # noqa: ANN401  JSON as it is sent
    [attachment] = message["attachments"]
    return [message["text"], attachment["fallback"], *(block["text"]["text"] for block in attachment["blocks"])]


def test_a_message_has_a_headline_a_sentence_and_the_facts() -> None:
    message = draw(an_alert())

    assert message["text"] == "DOWN: AI Service - Connection refused"
    _, _, sentence, facts = texts(message)
    assert sentence == "AI Service is down since 2026-02-17 03:30:00 +01:00: Connection refused."
    assert facts.splitlines() == [
        "*Service*  AI Service",
        "*Address*  http://localhost:8000/api/v1/health/liveness",
        "*Message*  Service is down (3 consecutive failures)",
        "*Reason*  refused - Connection refused",
        "*First failure*  2026-02-17 03:30:00 +01:00",
        "*Confirmed*  2026-02-17 03:30:00 +01:00",
        "*Checks*  150 since this start, 3 failed, 3 failures in a row",
        "*Uptime*  98.00 % of checks",
        "*Response time*  45 ms on average",
        "*Incident*  ai-service-20260217T023000000Z",
    ]


@pytest.mark.parametrize(
    ("transition", "colour"),
    [
        (Transition.DOWN, "#a4112f"),
        (Transition.REMINDER, "#a4112f"),
        (Transition.DEGRADED, "#a06512"),
        (Transition.UNDELIVERED, "#a06512"),
        (Transition.RECOVERED, "#1f8662"),
        (Transition.HEALTHY, "#1f8662"),
    ],
)
def test_the_frame_has_the_colour_of_the_news(transition: Transition, colour: str) -> None:
    message: Any = draw(an_alert(transition))

    assert message["attachments"][0]["color"] == colour


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES.keys())
def test_j04_nobody_is_mentioned_and_no_link_is_disguised(name: str) -> None:
    alert = an_alert(service=name, detail=name, components=(name,) * 60, assertions=(name,) * 60)

    message: Any = draw(alert)

    for text in texts(message):
        assert not re.search(r"[<>]", text)
        assert not re.search(r"&(?!amp;|lt;|gt;)", text), "an escape was cut"
    for block in message["attachments"][0]["blocks"]:
        assert block["text"]["verbatim"] is True
    assert message["mrkdwn"] is False


@pytest.mark.parametrize("name", ["x" * 10_000, "&" * 10_000, "👩‍👩‍👧‍👦" * 2_000, "e\u0301" * 5_000])
def test_j04_a_long_message_keeps_slacks_limits_and_whole_characters(name: str) -> None:
    alert = an_alert(
        service=name, url=name, message=name, detail=name, components=(name,) * 60, assertions=(name,) * 60
    )

    message: Any = draw(alert)

    assert len(message["attachments"][0]["blocks"]) <= 50
    for text in texts(message):
        assert 0 < length(text) <= 3000
        assert "\u200d…" not in text
        assert "e…" not in text
    json.dumps(message).encode("ascii")


@pytest.mark.parametrize(
    "webhook", ["", "hooks.slack.com/x", "ftp://hooks.slack.com/tok3n", "https://h/tok3n\nx", "https://h:99999/tok3n"]
)
def test_a_webhook_that_is_no_url_is_refused_without_showing_it(webhook: str) -> None:
    with pytest.raises(ValueError, match="`webhook`") as caught:
        SlackNotifier(webhook=Secret(webhook))

    assert "tok3n" not in str(caught.value)
