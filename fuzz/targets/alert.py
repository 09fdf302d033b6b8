"""Any text as the name and the cause in an alert: each channel tells it on one line, within its limits, escaped.

An input is one byte and a text, in which half characters may occur; the byte chooses what happened and the channel.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from laya_uptime.adapters.notifiers import discord, pagerduty, slack, webhook
from laya_uptime.adapters.notifiers.email import letter
from laya_uptime.domain import wording
from laya_uptime.domain.alert import Alert, AlertFacts, AlertStatus, Statistics, Transition
from laya_uptime.domain.text import length
from laya_uptime.testing.clock import NOON

LONGEST = 64

_BREAKS = {"Cc", "Zl", "Zp", "Cs"}
_TURNS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_BARE_AMPERSAND = re.compile(r"&(?!amp;|lt;|gt;)|[<>]")
_BARE_MARKUP = re.compile(r"(?<!\\)(?:\\\\)*[*_~`|<>\[\]()#]")
_FACTS = AlertFacts(
    service="Shop",
    monitor_id="shop",
    status=AlertStatus.FAILURE,
    url="https://shop.example/",
    message="Service is down (1 consecutive failures)",
    at=NOON,
    statistics=Statistics(),
)
_ALERTS = tuple(
    Alert(
        id="1",
        incident_id="shop-20261125T120000000Z",
        transition=transition,
        ordinal=0,
        channel_id="chat",
        dedup_key="shop",
        facts=replace(_FACTS, first_failure=NOON, downtime=timedelta(seconds=1)),
    )
    for transition in Transition
)


def run(data: bytes) -> None:
    """Draw an alert with the text in it."""
    if not data:
        return
    text = data[1:].decode("utf-8", "surrogateescape")
    alert = _ALERTS[data[0] % len(_ALERTS)]
    alert = replace(alert, facts=replace(alert.facts, service=text, detail=text, components=(text,)))
    _check_line(wording.subject(alert), 200)
    _check_line(wording.summary(alert), 1300)
    _CHANNELS[(data[0] >> 4) % len(_CHANNELS)](alert)


def _check_line(line: str, limit: int) -> None:
    assert line.isprintable() or not any(unicodedata.category(char) in _BREAKS for char in line), repr(line)
    assert not _TURNS.search(line), repr(line)
    assert line.strip(), repr(line)
    assert length(line) <= limit, line


def _check_slack(alert: Alert) -> None:
    message = slack.draw(alert)
    headline = message["text"]
    assert isinstance(headline, str)
    assert not _BARE_AMPERSAND.search(headline), headline
    assert length(headline) <= 3000
    assert json.loads(json.dumps(message).encode("ascii"))


def _check_discord(alert: Alert) -> None:
    message = discord.draw(alert)
    content = message["content"]
    assert isinstance(content, str)
    assert not _BARE_MARKUP.search(content), content
    assert length(content) <= 2000
    embeds = message["embeds"]
    assert isinstance(embeds, list)
    sentence, *rows = embeds[0]["description"].split("\n")
    assert not _BARE_MARKUP.search(sentence), sentence
    assert all(row.count("`") == 2 for row in rows), rows


def _check_webhook(alert: Alert) -> None:
    body = webhook.encode(alert)
    body.decode("ascii")
    told = json.loads(body)
    assert told["transition"] == alert.transition.value
    told["service"].encode("utf-8")  # half a character is none to strict readers


def _check_pagerduty(alert: Alert) -> None:
    event = pagerduty.draw(alert)
    payload = event["payload"]
    assert isinstance(payload, dict)
    assert payload["source"]
    assert all(length(text) <= 1024 for text in payload.values() if isinstance(text, str))


def _check_letter(alert: Alert) -> None:
    page = letter._html(alert, wording.subject(alert), wording.details(alert))
    assert page.count("<tr>") == page.count("</tr>") == len(wording.details(alert))
    assert page.count("<") == page.count(">")
    header = letter._header(alert.facts.service)
    assert not header or header.strip() == header
    assert "=?" not in header
    for line in wording.details(alert, sent_at=NOON):
        _check_line(line.text, 1000)


_CHANNELS: tuple[Callable[[Alert], None], ...] = (
    _check_slack,
    _check_discord,
    _check_webhook,
    _check_pagerduty,
    _check_letter,
)
