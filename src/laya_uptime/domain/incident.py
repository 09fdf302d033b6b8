"""Incident: opened, escalated, resolved; follow() keeps it in step with the status.

An incident is one stretch of trouble of one monitor. It opens degraded or down, a degraded one may turn into an
outage, and leaving down ends it, even where the monitor is still degraded: then a degraded incident follows
without an alert of its own, because one transition sends one alert.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from laya_uptime.domain.alert import Transition
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Verdict
from laya_uptime.domain.status import Health, Status

SELF = "@self"  # the monitor id under which laya-uptime's own troubles are recorded


class Severity(StrEnum):
    """How bad an incident is at its worst."""

    DEGRADED = "degraded"
    DOWN = "down"


class Closing(StrEnum):
    """Why an incident ended."""

    RECOVERED = "recovered"
    TARGET_CHANGED = "target_changed"  # the monitor now watches something else
    MONITOR_REMOVED = "monitor_removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One stretch of trouble. Instants are UTC; None means that it has not happened."""

    id: str
    monitor_id: str
    severity: Severity
    opened_at: datetime  # the first round that was not good
    down_at: datetime | None = None  # the first failure
    confirmed_at: datetime | None = None  # when enough failures had been seen
    resolved_at: datetime | None = None  # the first pass of those that ended it
    closed_by: Closing | None = None
    failures: int = 0  # failed rounds in it, reminders sent for it
    reminders: int = 0
    reason: Reason | None = None  # the latest
    detail: str = ""
    unseen: timedelta = timedelta(0)  # how long nobody looked, while it was open

    @property
    def downtime(self) -> timedelta | None:
        """Return how long the outage lasted, from the first failure to the first pass; None while it is not over.

        `unseen` of it is not known for sure: in the spans, and so in every uptime, that part is unknown.
        """
        if self.down_at is None or self.resolved_at is None:
            return None
        return max(self.resolved_at - self.down_at, timedelta(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What a round did to the incident of its monitor.

    `closed` ended now, `current` is open now; `transition` is what somebody should hear of, and `about` the
    incident that it belongs to.
    """

    current: Incident | None = None
    closed: Incident | None = None
    transition: Transition | None = None

    @property
    def about(self) -> Incident | None:
        """Return the incident that the transition belongs to."""
        return self.closed if self.transition in {Transition.RECOVERED, Transition.HEALTHY} else self.current


_NOTHING = Followed()


def incident_id(monitor_id: str, opened_at: datetime) -> str:
    """Return the id of the incident that opened then: the same whoever computes it, and readable."""
    return f"{monitor_id}-{opened_at:%Y%m%dT%H%M%S}{opened_at.microsecond // 1000:03d}Z"


def follow(
    open_incident: Incident | None,
    health: Health,
    verdict: Verdict,
    *,
    monitor_id: str,
    at: datetime,
    remind_every: int,
) -> Followed:
    """Keep the incident in step with the health after a round. Waiting rooms decide nothing yet."""
    match health.status:
        case Status.DOWN:
            return _down(open_incident, health, verdict, monitor_id, at, remind_every)
        case Status.DEGRADED:
            return _degraded(open_incident, health, verdict, monitor_id, at)
        case Status.UP:
            return _up(open_incident, health, at)
        case Status.PENDING | Status.SUSPECT | Status.RECOVERING | Status.UNKNOWN:
            return _NOTHING if open_incident is None else Followed(current=open_incident)


def close(open_incident: Incident, *, at: datetime, why: Closing) -> Incident:
    """Return the incident ended from outside, by a change of the configuration."""
    return replace(open_incident, resolved_at=at, closed_by=why)


def _down(
    incident: Incident | None, health: Health, verdict: Verdict, monitor_id: str, at: datetime, remind_every: int
) -> Followed:
    if incident is None or incident.severity is Severity.DEGRADED:
        opened = incident or _opened(monitor_id, health.since, Severity.DOWN)
        outage = replace(
            opened,
            severity=Severity.DOWN,
            down_at=health.since,
            confirmed_at=at,
            failures=health.streak,
            reason=verdict.reason,
            detail=verdict.detail,
            unseen=timedelta(0),
        )
        return Followed(current=outage, transition=Transition.DOWN)
    worse = replace(incident, failures=incident.failures + 1, reason=verdict.reason, detail=verdict.detail)
    if remind_every and health.streak % remind_every == 0:
        return Followed(current=replace(worse, reminders=worse.reminders + 1), transition=Transition.REMINDER)
    return Followed(current=worse)


def _degraded(incident: Incident | None, health: Health, verdict: Verdict, monitor_id: str, at: datetime) -> Followed:
    if incident is not None and incident.severity is Severity.DEGRADED:
        return Followed(current=replace(incident, reason=verdict.reason, detail=verdict.detail))
    began = replace(
        _opened(monitor_id, at, Severity.DEGRADED), confirmed_at=at, reason=verdict.reason, detail=verdict.detail
    )
    if incident is None:
        return Followed(current=began, transition=Transition.DEGRADED)
    return Followed(current=began, closed=_ended(incident, health.since), transition=Transition.RECOVERED)


def _up(incident: Incident | None, health: Health, at: datetime) -> Followed:
    if incident is None:
        return _NOTHING
    if incident.severity is Severity.DEGRADED:
        return Followed(closed=_ended(incident, at), transition=Transition.HEALTHY)
    return Followed(closed=_ended(incident, health.since), transition=Transition.RECOVERED)


def _opened(monitor_id: str, at: datetime, severity: Severity) -> Incident:
    return Incident(id=incident_id(monitor_id, at), monitor_id=monitor_id, severity=severity, opened_at=at)


def _ended(incident: Incident, at: datetime) -> Incident:
    return replace(incident, resolved_at=max(at, incident.opened_at), closed_by=Closing.RECOVERED)
