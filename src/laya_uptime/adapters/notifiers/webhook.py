"""Alerts as JSON to any URL: the body that SEED documents, signed where a secret is shared.

The keys `service`, `status`, `url`, `message`, `timestamp` and `statistics` never change; others may be added beside
them. `X-Laya-Signature: t=UNIX_SECONDS,v1=HEX` is the HMAC-SHA256 of "UNIX_SECONDS." and the body under the secret.
`Idempotency-Key` is the same at every attempt, so a receiver can drop the rare duplicate.
"""

import hashlib
import hmac
import json
import math

import msgspec

from laya_uptime.adapters.net.delivery import check_url, host_of, post
from laya_uptime.adapters.net.wire import check_header
from laya_uptime.domain.alert import Alert
from laya_uptime.domain.secret import Secret
from laya_uptime.ports import Reach

# Receivers refuse large bodies; an alert without its evidence is worth more than none.
_EVIDENCE_BYTES = 256 * 1024
_DEEPEST = 64
_OURS = frozenset({"content-type", "expect", "host", "idempotency-key", "x-laya-signature"})


class WebhookNotifier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: webhook`, and the channel they configure."""

    url: Secret
    secret: Secret | None = None
    headers: dict[str, Secret] = {}
    ca_file: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where an option cannot be used."""
        check_url(self.url, option="url")
        if self.secret is not None and not self.secret:
            raise ValueError("`secret` is empty; leave it out to send without a signature")
        for name, value in self.headers.items():
            try:
                check_header(name, value.reveal())
            except ValueError as error:
                message = f"`headers`: {error}"
                raise ValueError(message) from None
            if name.lower() in _OURS:
                message = f"`headers`: the header {name} cannot be set"
                raise ValueError(message)

    @property
    def address(self) -> str:
        """Return the host that is told."""
        return host_of(self.url)

    async def deliver(self, alert: Alert, via: Reach) -> None:
        """Post the alert. Raise DeliveryError where the receiver did not take it."""
        body = encode(alert)
        headers = {name: value.reveal() for name, value in self.headers.items()}
        if self.secret is not None:
            sent_at = int(via.clock.now().timestamp())
            headers["X-Laya-Signature"] = sign(body, self.secret, sent_at=sent_at)
        await post(alert, via, self.url, body, headers=headers, ca_file=self.ca_file)


def sign(body: bytes, secret: Secret, *, sent_at: int) -> str:
    """Return the signature header's value. `sent_at` is in Unix seconds and is signed too, against replays."""
    signed = f"{sent_at}.".encode() + body
    return f"t={sent_at},v1={hmac.new(secret.reveal().encode(), signed, hashlib.sha256).hexdigest()}"


def encode(alert: Alert) -> bytes:
    """Return the body, in ASCII so that no receiver can misread its charset."""
    facts = alert.facts
    statistics = facts.statistics
    document = {
        "service": facts.service,
        "status": facts.status.value,
        "url": facts.url,
        "message": facts.message,
        "timestamp": facts.at.isoformat(timespec="seconds"),
        "statistics": {
            "total_checks": statistics.total_checks,
            "total_failures": statistics.total_failures,
            "consecutive_failures": statistics.consecutive_failures,
            "uptime_percentage": statistics.uptime_percentage,
            "avg_response_time_ms": statistics.avg_response_time_ms,
        },
        "reason": facts.reason,
        "detail": facts.detail,
        "components": facts.components,
        "transition": alert.transition.value,
        "incident_id": alert.incident_id,
        "dedup_key": alert.dedup_key,
    }
    evidence = json.dumps(_plain(facts.evidence))
    if len(evidence) > _EVIDENCE_BYTES:
        evidence = json.dumps({"omitted": f"{len(evidence)} bytes of evidence are more than a message carries"})
    head = json.dumps(_plain(document))
    return f'{head[:-1]}, "evidence": {evidence}}}'.encode("ascii")


def _plain(value: object, depth: int = 0) -> object:
    """Return the value as JSON that every reader accepts: no NaN, no lone surrogate, no depth without end."""
    if depth > _DEEPEST:
        return "nested too deeply"
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {str(_plain(str(key))): _plain(inner, depth + 1) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner, depth + 1) for inner in value]
        case _:
            return value
