"""alerts_due(): which channels hear of a transition, and the Decision why.

As long as no policy is written, every channel hears every transition.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from laya_uptime.domain.alert import Alert, AlertFacts, Transition
from laya_uptime.domain.incident import Incident

PATIENCE_WITH_CHANNELS = timedelta(hours=24)  # how long a delivery is tried before another channel is told


@dataclass(frozen=True, slots=True, kw_only=True)
class DueAlert:
    """An alert to be written into the outbox, with the path of the decision that made it."""

    alert: Alert
    due_at: datetime
    expires_at: datetime
    decision: tuple[str, ...]


def outbox_id(incident_id: str, transition: Transition, ordinal: int, channel_id: str) -> str:
    """Return the id of an outbox row: the same for the same decision, so that it cannot be recorded twice."""
    key = "\x1f".join((incident_id, transition, str(ordinal), channel_id))
    return sha256(key.encode()).hexdigest()[:32]


def dedup_key(incident_id: str, channel_id: str) -> str:
    """Return the key that trigger, reminder and resolve of one incident share on one channel."""
    return f"{incident_id}/{channel_id}"


def alerts_due(
    transition: Transition | None,
    incident: Incident | None,
    *,
    facts: AlertFacts | None,
    channels: Sequence[str],
    at: datetime,
) -> tuple[DueAlert, ...]:
    """Return one alert per channel that should hear of the transition; none where nothing happened."""
    if transition is None or incident is None or facts is None:
        return ()
    ordinal = incident.reminders if transition is Transition.REMINDER else 0
    why = f"{transition} of incident {incident.id}: {facts.message}"
    return tuple(
        address(incident.id, transition, ordinal, channel, facts=facts, at=at, decision=(why, _EVERY.format(channel)))
        for channel in channels
    )


_EVERY = "no policy is written, so channel {} hears every transition"


def address(
    incident_id: str,
    transition: Transition,
    ordinal: int,
    channel_id: str,
    *,
    facts: AlertFacts,
    at: datetime,
    decision: tuple[str, ...],
) -> DueAlert:
    """Return the facts as an alert for one channel."""
    alert = Alert(
        id=outbox_id(incident_id, transition, ordinal, channel_id),
        incident_id=incident_id,
        transition=transition,
        ordinal=ordinal,
        channel_id=channel_id,
        dedup_key=dedup_key(incident_id, channel_id),
        facts=facts,
    )
    return DueAlert(alert=alert, due_at=at, expires_at=at + PATIENCE_WITH_CHANNELS, decision=decision)
