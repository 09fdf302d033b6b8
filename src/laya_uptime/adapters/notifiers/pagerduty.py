"""Alerts as PagerDuty events, through the Events API v2.

Format: https://developer.pagerduty.com/docs/events-api-v2-overview. Trigger, reminder and resolve of one incident
carry the same `dedup_key`, so PagerDuty keeps one alert per outage and closes it when we do.
"""

import hashlib
import json

import msgspec

from laya_uptime.adapters.net.delivery import check_url, host_of, post
from laya_uptime.domain import wording
from laya_uptime.domain.alert import Alert, AlertStatus, Transition
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.text import cut, length, one_line
from laya_uptime.ports import Reach

_SUMMARY = 1024
_DEDUP_KEY = 255


class PagerDutyNotifier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: pagerduty`, and the channel they configure."""

    routing_key: Secret
    url: str = "https://events.pagerduty.com/v2/enqueue"

    def __post_init__(self) -> None:
        """Raise ValueError where an option cannot be used."""
        check_url(Secret(self.url), option="url")
        key = self.routing_key.reveal()
        if not key.isascii() or not key.isalnum():
            raise ValueError("`routing_key` must be the integration key of an Events API v2 integration")

    @property
    def address(self) -> str:
        """Return the host that is told."""
        return host_of(Secret(self.url))

    async def deliver(self, alert: Alert, via: Reach) -> None:
        """Send the event. Raise DeliveryError where PagerDuty did not take it."""
        event = {"routing_key": self.routing_key.reveal(), **draw(alert)}
        await post(alert, via, Secret(self.url), json.dumps(event).encode("ascii"))


def draw(alert: Alert) -> dict[str, object]:
    """Return the event without its routing key."""
    facts = alert.facts
    resolves = facts.status.is_good and alert.transition is not Transition.UNDELIVERED
    return {
        "event_action": "resolve" if resolves else "trigger",
        "dedup_key": _dedup_key(alert),
        "client": "laya-uptime",
        "payload": {
            "summary": cut(wording.subject(alert), _SUMMARY),
            "source": cut(one_line(facts.url), _SUMMARY) or facts.monitor_id,
            "severity": _severity(alert),
            "timestamp": facts.at.isoformat(timespec="seconds"),
            "component": cut(one_line(facts.service), _SUMMARY),
            "group": cut(one_line(facts.monitor_id), _SUMMARY),
            "class": facts.reason or alert.transition.value,
            "custom_details": _custom_details(alert),
        },
    }


def _custom_details(alert: Alert) -> dict[str, object]:
    """Return the lines by label; a label with several lines holds a list."""
    found: dict[str, list[str]] = {}
    for line in wording.details(alert):
        found.setdefault(line.label, []).append(line.text)
    summary: dict[str, object] = {"Summary": wording.summary(alert)}
    return summary | {label: texts[0] if len(texts) == 1 else texts for label, texts in found.items()}


def _severity(alert: Alert) -> str:
    if alert.transition is Transition.UNDELIVERED:
        return "error"
    match alert.facts.status:
        case AlertStatus.FAILURE | AlertStatus.UNHEALTHY:
            return "critical"
        case AlertStatus.DEGRADED:
            return "warning"
        case AlertStatus.RECOVERED | AlertStatus.HEALTHY:
            return "info"


def _dedup_key(alert: Alert) -> str:
    """Return the key as it is where it fits; else a hash of it, which is as unique and as stable."""
    key = alert.dedup_key
    return key if length(key) <= _DEDUP_KEY else hashlib.sha256(key.encode()).hexdigest()
