"""Alerts as Discord messages, through a channel's webhook.

Format and limits: https://discord.com/developers/docs/resources/webhook#execute-webhook and
https://discord.com/developers/docs/resources/message#embed-object. No mention is ever allowed to ping; Markdown in
names is escaped in sentences, and facts stand in code spans, where Discord interprets nothing.
"""

import json
import re
from datetime import timedelta

import msgspec

from laya_uptime.adapters.net.delivery import Refusal, check_url, host_of, post, retry_after, seconds
from laya_uptime.domain import wording
from laya_uptime.domain.alert import Alert, AlertStatus, Transition
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.text import cut_escaped, length
from laya_uptime.ports import Reach

_CONTENT = 2000
_DESCRIPTION = 4096
_MARKUP = re.compile(r"([\\*_~`|<>\[\]()#])")
_GRAVE = "\N{MODIFIER LETTER GRAVE ACCENT}"  # looks like a backtick, and ends no code span
_GREEN, _AMBER, _RED = 0x1F8662, 0xA06512, 0xA4112F


class DiscordNotifier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: discord`, and the channel they configure."""

    webhook: Secret

    def __post_init__(self) -> None:
        """Raise ValueError where the webhook is not an URL."""
        check_url(self.webhook, option="webhook")

    @property
    def address(self) -> str:
        """Return the host that is told; the rest of the webhook is its token."""
        return host_of(self.webhook)

    async def deliver(self, alert: Alert, via: Reach) -> None:
        """Post the alert. Raise DeliveryError where Discord did not take it."""
        await post(alert, via, self.webhook, json.dumps(draw(alert)).encode("ascii"), asked=_asked)


def draw(alert: Alert) -> dict[str, object]:
    """Return the message: the headline as its text, which is what a phone shows, and the facts in an embed."""
    description = cut_escaped(wording.summary(alert), _CONTENT, _escape)
    for line in wording.details(alert):
        longer = f"{description}\n**{line.label}** `{line.text.replace('`', _GRAVE)}`"
        if length(longer) > _DESCRIPTION:
            break
        description = longer
    return {
        "content": cut_escaped(wording.subject(alert), _CONTENT, _escape),
        "embeds": [
            {
                "description": description,
                "color": _colour(alert),
                "timestamp": alert.facts.at.isoformat(timespec="seconds"),
            }
        ],
        "allowed_mentions": {"parse": []},
    }


def _escape(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)


def _asked(refusal: Refusal) -> timedelta | None:
    """Return the wait in the body of a 429, which is exact; else the one in Retry-After."""
    try:
        body = json.loads(refusal.body)
    except (ValueError, RecursionError):
        return retry_after(refusal)
    wait = body.get("retry_after") if isinstance(body, dict) else None
    if isinstance(wait, int | float) and not isinstance(wait, bool):
        return seconds(wait)
    return retry_after(refusal)


def _colour(alert: Alert) -> int:
    if alert.transition is Transition.UNDELIVERED or alert.facts.status is AlertStatus.DEGRADED:
        return _AMBER
    return _GREEN if alert.facts.status.is_good else _RED
