"""Change: everything one round implies. It is written whole or not at all.

A result never exists without its status, a status without its incident, an incident without its alerts.
"""

from dataclasses import dataclass, field
from datetime import datetime

from laya_uptime.domain.heartbeat import Pulse
from laya_uptime.domain.incident import Incident
from laya_uptime.domain.result import Result
from laya_uptime.domain.routing import DueAlert
from laya_uptime.domain.status import Health, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """An interval in which one belief about a monitor held. `ended` None: it still does. `err` is a Reason's word."""

    outcome: Status
    started: datetime
    ended: datetime | None = None
    err: str | None = None
    detail: str = ""
    incident_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one round, or the lack of one, did to one monitor.

    `health` is written by compare-and-swap: `seq` is the number that the stored status must still have before the
    write, and has plus one after it; None: nothing about the status is to be written.
    """

    monitor_id: str
    results: tuple[Result, ...] = ()
    health: Health | None = None
    seq: int | None = None
    span: Span | None = None  # begins now; the open one ends where it starts
    incidents: tuple[Incident, ...] = ()
    alerts: tuple[DueAlert, ...] = ()
    target: str | None = None  # what it watches from now on; None: what it did before
    pulse: Pulse | None = None  # of a heartbeat; None: nothing was heard

    @property
    def is_news(self) -> bool:
        """Say whether somebody waits for this: then it is committed at once, not with the next batch."""
        return bool(self.alerts or self.incidents or self.span or self.pulse)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one attempt to deliver an alert ended; exactly one of `sent_at`, `next_try_at` and `dead_at` is set."""

    alert_id: str
    attempts: int  # including this one
    sent_at: datetime | None = None
    next_try_at: datetime | None = None
    dead_at: datetime | None = None
    cause: str = ""  # why it failed
    also: tuple[DueAlert, ...] = ()  # written in the same commit: another channel is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What the store knows of one monitor when the process starts."""

    health: Health
    seq: int
    incident: Incident | None
    target: str  # what it watched then


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Everything the store knows when the process starts.

    `seen_at` is the last heartbeat, None: a new database; `seq` is the number of the last commit, 0: none yet.
    """

    monitors: dict[str, Remembered]
    seen_at: datetime | None = None
    seq: int = 0
    pulses: dict[str, Pulse] = field(default_factory=dict)  # of heartbeats, by monitor
