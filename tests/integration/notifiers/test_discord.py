"""Discord: the contract, and what Discord's format asks for."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from laya_uptime.adapters.notifiers.discord import DiscordNotifier, draw
from laya_uptime.domain.alert import Transition
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.text import length
from laya_uptime.ports import Notifier, Reach
from laya_uptime.testing.http_peer import HttpPeer, reply
from laya_uptime.testing.notifier_contract import HOSTILE_NAMES, HttpNotifierContract, an_alert, failure


class TestDiscord(HttpNotifierContract):
    secrets = ("d1scordt0ken",)

    def notifier_at(self, port: int) -> Notifier:
        return DiscordNotifier(webhook=Secret(f"http://127.0.0.1:{port}/api/webhooks/123456789/d1scordt0ken"))

    @pytest.mark.parametrize(
        ("body", "seconds"),
        [
            pytest.param('{"message": "limited", "retry_after": 64.57, "global": false}', 64.57, id="as documented"),
            pytest.param('{"retry_after": 0}', 0, id="at once"),
            pytest.param('{"retry_after": 1e300}', 86400, id="for ever"),
            pytest.param('{"retry_after": -3}', 0, id="in the past"),
            pytest.param('{"retry_after": NaN}', None, id="not a number"),
            pytest.param('{"retry_after": true}', 7, id="a truth"),
            pytest.param('{"retry_after": "65"}', 7, id="a string"),
            pytest.param('{"message": "limited"}', 7, id="no wait in it"),
            pytest.param("[1]", 7, id="no object"),
            pytest.param("<html>", 7, id="no JSON"),
            pytest.param("[" * 100_000, 7, id="too deep"),
            pytest.param('{"retry_after": ' + "9" * 5000 + "}", 7, id="too many digits"),
        ],
    )
    async def test_the_wait_in_the_body_of_a_429_counts_before_the_header(
        self, notifier: Notifier, peer: HttpPeer, via: Reach, body: str, seconds: float | None
    ) -> None:
        peer.answer = reply(429, "Retry-After: 7", body=body.encode())

        error = await failure(notifier, via)

        assert error.after == (None if seconds is None else timedelta(seconds=seconds))


def said(message: Any) -> tuple[str, str]:  # noqa: ANN401  JSON as it is sent
    [embed] = message["embeds"]
    return message["content"], embed["description"]


def test_a_message_has_a_headline_and_an_embed_with_the_facts() -> None:
    message: Any = draw(an_alert())

    content, description = said(message)
    assert content == "DOWN: AI Service - Connection refused"
    assert description.splitlines()[:3] == [
        "AI Service is down since 2026-02-17 03:30:00 +01:00: Connection refused.",
        "**Service** `AI Service`",
        "**Address** `http://localhost:8000/api/v1/health/liveness`",
    ]
    assert message["embeds"][0]["timestamp"] == "2026-02-17T03:30:00+01:00"


@pytest.mark.parametrize(
    ("transition", "colour"),
    [(Transition.DOWN, 0xA4112F), (Transition.DEGRADED, 0xA06512), (Transition.RECOVERED, 0x1F8662)],
)
def test_the_embed_has_the_colour_of_the_news(transition: Transition, colour: int) -> None:
    message: Any = draw(an_alert(transition))

    assert message["embeds"][0]["color"] == colour


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES.keys())
def test_j04_nobody_is_pinged_and_no_link_is_disguised(name: str) -> None:
    message: Any = draw(an_alert(service=name, detail=name, components=(name,), assertions=(name,)))

    assert message["allowed_mentions"] == {"parse": []}
    content, description = said(message)
    sentence, *facts = description.splitlines()
    for text in (content, sentence):
        assert not re.search(r"(?<!\\)(?:\\\\)*[*_~`|<>\[\]()#]", text), "markup that is not escaped"
    for fact in facts:
        assert fact.count("`") == 2, "a code span that ends early"


@pytest.mark.parametrize("name", ["x" * 10_000, "*" * 10_000, "👩‍👩‍👧‍👦" * 2_000, "`" * 10_000])
def test_j04_a_long_message_keeps_discords_limits(name: str) -> None:
    message: Any = draw(
        an_alert(service=name, url=name, message=name, detail=name, components=(name,) * 60, assertions=(name,) * 60)
    )

    content, description = said(message)
    assert 0 < length(content) <= 2000
    assert 0 < length(description) <= 4096
    assert not re.search(r"(?<!\\)(?:\\\\)*\\…", content), "an escape that was cut"
    json.dumps(message).encode("ascii")


def test_a_webhook_that_is_no_url_is_refused() -> None:
    with pytest.raises(ValueError, match="`webhook`: the URL must begin with http:// or https://"):
        DiscordNotifier(webhook=Secret("discord.com/api/webhooks/1/x"))
