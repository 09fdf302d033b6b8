"""Alert: one message for one channel, with its reason and its dedup key.

An alert holds facts, not rendered text: each notifier draws it in its own format. Everything in it is
already redacted, so that it can be stored, sent and logged as it stands.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Transition(StrEnum):
    """What happened to an incident that somebody should hear of. Each happens once, reminders are numbered."""

    DOWN = "down"
    REMINDER = "reminder"
    RECOVERED = "recovered"
    DEGRADED = "degraded"
    HEALTHY = "healthy"
    UNDELIVERED = "undelivered"  # another channel could not be told


class AlertStatus(StrEnum):
    """The `status` of a webhook body, in SEED's words."""

    FAILURE = "failure"
    UNHEALTHY = "unhealthy"
    RECOVERED = "recovered"
    DEGRADED = "degraded"
    HEALTHY = "healthy"

    @property
    def is_good(self) -> bool:
        """Say whether this ends a trouble (and so resolves a page) rather than opening or repeating one."""
        return self in {AlertStatus.RECOVERED, AlertStatus.HEALTHY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Counts of one monitor since this start. Consecutive failures alone survive a restart."""

    total_checks: int = 0
    total_failures: int = 0
    consecutive_failures: int = 0
    uptime_percentage: float = 100.0  # of checks, two decimals
    avg_response_time_ms: int = 0  # over answered checks; 0: none answered


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFacts:
    """What happened, the same for every channel. Instants are aware; None means that it has not happened."""

    service: str  # the monitor's name
    monitor_id: str
    status: AlertStatus
    url: str  # the target, redacted
    message: str  # one plain sentence, e.g. "Service is down (3 consecutive failures)"
    at: datetime  # of the observation that decided it, in the time zone that people read
    statistics: Statistics
    reason: str | None = None  # a Reason's word
    detail: str = ""  # the cause in one sentence, e.g. "Connection refused"
    components: tuple[str, ...] = ()  # "disk_space warning, Disk space running low"
    assertions: tuple[str, ...] = ()  # "expected status == 200, actual status = 500"
    first_failure: datetime | None = None
    confirmed: datetime | None = None
    recovered: datetime | None = None
    downtime: timedelta | None = None  # set on recovery: from the first failure to the first pass
    unseen: timedelta | None = None  # the part of it during which nobody looked
    evidence: dict[str, object] | None = None  # JSON values only, redacted


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One message for one channel.

    `id` is the outbox row's id: the same at every attempt, and the root of Message-ID and Idempotency-Key.
    `dedup_key` is the same for trigger, reminder and resolve of one incident on one channel.
    """

    id: str
    incident_id: str
    transition: Transition
    ordinal: int  # the reminder's number; 0 for all else
    channel_id: str
    dedup_key: str
    facts: AlertFacts
