"""Alerts as Slack messages, through an incoming webhook.

Formats: https://api.slack.com/messaging/webhooks, https://api.slack.com/reference/block-kit/blocks and
https://api.slack.com/reference/surfaces/formatting. Text from names and targets is escaped (`&`, `<`, `>`), which
leaves no way to mention anybody or to disguise a link, and is marked verbatim, so Slack makes no links of its own.
"""

import json

import msgspec

from laya_uptime.adapters.net.delivery import check_url, host_of, post
from laya_uptime.domain import wording
from laya_uptime.domain.alert import Alert, AlertStatus, Transition
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.text import cut_escaped, length
from laya_uptime.ports import Reach

_TEXT = 3000  # characters in one text object
_BLOCKS = 50  # in one attachment
_GREEN, _AMBER, _RED = "#1f8662", "#a06512", "#a4112f"


class SlackNotifier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: slack`, and the channel they configure."""

    webhook: Secret

    def __post_init__(self) -> None:
        """Raise ValueError where the webhook is not an URL."""
        check_url(self.webhook, option="webhook")

    @property
    def address(self) -> str:
        """Return the host that is told; the rest of the webhook is its token."""
        return host_of(self.webhook)

    async def deliver(self, alert: Alert, via: Reach) -> None:
        """Post the alert. Raise DeliveryError where Slack did not take it."""
        await post(alert, via, self.webhook, json.dumps(draw(alert)).encode("ascii"))


def draw(alert: Alert) -> dict[str, object]:
    """Return the message: the headline, and below it in a coloured frame one sentence and the facts."""
    headline = _escaped(wording.subject(alert))
    facts = [f"*{line.label}*  {_escaped(line.text)}" for line in wording.details(alert)]
    texts = [_escaped(wording.summary(alert)), *_packed(facts)]
    return {
        "text": headline,
        "mrkdwn": False,  # of the headline: a name with asterisks keeps them
        "unfurl_links": False,
        "unfurl_media": False,
        "attachments": [
            {"color": _colour(alert), "fallback": headline, "blocks": [_section(text) for text in texts[:_BLOCKS]]}
        ],
    }


def _section(text: str) -> dict[str, object]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _packed(lines: list[str]) -> list[str]:
    """Return the lines joined into as few texts as their limit allows."""
    texts = [""]
    for line in lines:
        joined = f"{texts[-1]}\n{line}".lstrip("\n")
        if length(joined) <= _TEXT:
            texts[-1] = joined
        else:
            texts.append(line)
    return texts


def _escaped(text: str) -> str:
    return cut_escaped(text, _TEXT - 100, _escape)  # the rest is room for a label


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _colour(alert: Alert) -> str:
    if alert.transition is Transition.UNDELIVERED or alert.facts.status is AlertStatus.DEGRADED:
        return _AMBER
    return _GREEN if alert.facts.status.is_good else _RED
