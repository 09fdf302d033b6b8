"""The ledger without a disk: the same promises until the process ends.

Monitoring falls back to it when the database cannot be opened at all, and tests run on it in virtual time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from laya_uptime.domain.alert import Alert
from laya_uptime.domain.change import Attempt, Change, Memory, Remembered, Span
from laya_uptime.domain.heartbeat import Pulse
from laya_uptime.domain.incident import SELF, Incident
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.result import Result
from laya_uptime.domain.routing import DueAlert
from laya_uptime.domain.status import Health
from laya_uptime.errors import StoreError
from laya_uptime.ports import Claimed, Write

MOST_RESULTS = 10_000  # the newest are kept
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Row:
    """One outbox row."""

    alert: Alert
    due_at: datetime
    expires_at: datetime
    next_try_at: datetime
    decision: tuple[str, ...]
    attempts: int = 0
    lease_owner: str | None = None
    lease_until: datetime = _NEVER
    sent_at: datetime | None = None
    dead_at: datetime | None = None
    cause: str = ""

    @property
    def is_open(self) -> bool:
        """Say whether it still waits for its delivery."""
        return self.sent_at is None and self.dead_at is None


class MemoryStore:
    """`ports.Store` in plain dictionaries."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.spans: dict[str, list[Span]] = {}
        self.incidents: dict[str, Incident] = {}
        self.outbox: dict[str, Row] = {}
        self.pulses: dict[str, Pulse] = {}
        self._health: dict[str, tuple[Health, int]] = {}
        self._targets: dict[str, str] = {}
        self._open: dict[str, str | None] = {}  # the id of each monitor's open incident
        self._seq = 0
        self._seen_at: datetime | None = None

    async def open(self, monitors: Sequence[Monitor], channels: Sequence[str], *, at: datetime) -> Memory:
        """See `ports.Store.open`."""
        for monitor in monitors:
            if monitor.id not in self._health:
                self._targets[monitor.id] = monitor.target
        for row in self.outbox.values():
            row.lease_owner, row.lease_until = None, _NEVER
            if row.is_open and row.expires_at < at and row.alert.channel_id not in channels:
                row.dead_at = at  # nobody is left to deliver it
        still_open = {monitor_id: self.incidents[opened] for monitor_id, opened in self._open.items() if opened}
        remembered = {
            monitor_id: Remembered(
                health=health, seq=seq, incident=still_open.get(monitor_id), target=self._targets[monitor_id]
            )
            for monitor_id, (health, seq) in self._health.items()
        }
        memory = Memory(monitors=remembered, seen_at=self._seen_at, seq=self._seq, pulses=dict(self.pulses))
        self.pulses = {monitor.id: self.pulses[monitor.id] for monitor in monitors if monitor.id in self.pulses}
        return memory

    async def commit(self, writes: Sequence[Write], *, seq: int, at: datetime) -> None:
        """See `ports.Store.commit`."""
        if seq <= self._seq:
            return
        self._vet([write for write in writes if isinstance(write, Change)])
        for write in writes:
            if isinstance(write, Change):
                self._apply(write)
            else:
                self._record(write)
        del self.results[:-MOST_RESULTS]
        self._seq, self._seen_at = seq, at

    async def claim(
        self, capacity: Mapping[str, int], *, owner: str, at: datetime, lease: timedelta
    ) -> Sequence[Claimed]:
        """See `ports.Store.claim`."""
        claimed = []
        for channel, room in capacity.items():
            ready = [row for row in self._first_in_line(channel) if row.next_try_at <= at and row.lease_until <= at]
            for row in ready[:room]:
                row.lease_owner, row.lease_until = owner, at + lease
                claimed.append(Claimed(alert=row.alert, attempts=row.attempts, expires_at=row.expires_at))
        return claimed

    async def next_due(self, channels: Sequence[str]) -> datetime | None:
        """See `ports.Store.next_due`."""
        times = [max(row.next_try_at, row.lease_until) for channel in channels for row in self._first_in_line(channel)]
        return min(times, default=None)

    async def prune(self, *, before: datetime) -> int:
        """See `ports.Store.prune`."""
        old = [result for result in self.results if result.observation.at < before]
        self.results = [result for result in self.results if result.observation.at >= before]
        done = [key for key, row in self.outbox.items() if not row.is_open and row.due_at < before]
        for key in done:
            del self.outbox[key]
        return len(old) + len(done)

    async def set_aside(self, *, at: datetime) -> str:
        """See `ports.Store.set_aside`."""
        del at
        self.__init__()  # type: ignore[misc]  # forgetting everything is all there is to do
        return "nowhere"

    async def close(self) -> None:
        """See `ports.Store.close`."""

    def _first_in_line(self, channel: str) -> Iterable[Row]:
        """Return the oldest open alert of each incident on this channel, in the order in which they were committed."""
        heads: dict[str, Row] = {}
        for row in self.outbox.values():
            if row.alert.channel_id == channel and row.is_open:
                heads.setdefault(row.alert.incident_id, row)
        return heads.values()

    def _vet(self, changes: Sequence[Change]) -> None:
        """Raise StoreError where one of these may not be written, so that nothing is half done."""
        seqs: dict[str, int] = {}
        current: dict[str, str | None] = {}
        for change in changes:
            monitor_id = change.monitor_id
            if monitor_id not in self._targets and monitor_id != SELF:
                raise StoreError(f"no monitor is called {monitor_id}")
            if change.health is not None and change.seq is not None:
                stored = self._health[monitor_id][1] if monitor_id in self._health else 0
                if seqs.get(monitor_id, stored) != change.seq:
                    raise StoreError(f"somebody else wrote the status of {monitor_id}")
                seqs[monitor_id] = change.seq + 1
            for incident in change.incidents:
                opened = current.get(incident.monitor_id, self._open.get(incident.monitor_id))
                if incident.resolved_at is None and opened not in {None, incident.id}:
                    raise StoreError(f"{incident.monitor_id} has an open incident already")
                current[incident.monitor_id] = _still_open(opened, incident)

    def _apply(self, change: Change) -> None:
        self.results.extend(change.results)
        if change.health is not None and change.seq is not None:
            self._health[change.monitor_id] = (change.health, change.seq + 1)
        if change.target is not None:
            self._targets[change.monitor_id] = change.target
        if change.span is not None:
            spans = self.spans.setdefault(change.monitor_id, [])
            if spans and spans[-1].started >= change.span.started:
                spans.pop()
            elif spans:
                spans[-1] = _ended(spans[-1], change.span.started)
            spans.append(change.span)
        for incident in change.incidents:
            self.incidents[incident.id] = incident
            self._open[incident.monitor_id] = _still_open(self._open.get(incident.monitor_id), incident)
        if change.pulse is not None:
            self.pulses[change.monitor_id] = change.pulse
        self._insert(change.alerts)

    def _insert(self, alerts: Sequence[DueAlert]) -> None:
        for due in alerts:
            row = Row(due.alert, due.due_at, due.expires_at, due.due_at, due.decision)
            self.outbox.setdefault(due.alert.id, row)

    def _record(self, attempt: Attempt) -> None:
        row = self.outbox.get(attempt.alert_id)
        if row is not None and row.is_open:
            row.attempts, row.sent_at, row.dead_at = attempt.attempts, attempt.sent_at, attempt.dead_at
            row.next_try_at = attempt.next_try_at or row.next_try_at
            row.lease_owner, row.lease_until, row.cause = None, _NEVER, attempt.cause
        self._insert(attempt.also)


def _still_open(opened: str | None, incident: Incident) -> str | None:
    """Return which incident of its monitor is open after this one was written."""
    if incident.resolved_at is None:
        return incident.id
    return None if opened == incident.id else opened


def _ended(span: Span, at: datetime) -> Span:
    return Span(
        outcome=span.outcome,
        started=span.started,
        ended=at,
        err=span.err,
        detail=span.detail,
        incident_id=span.incident_id,
    )
