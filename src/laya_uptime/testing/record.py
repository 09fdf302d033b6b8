"""What the SQLite ledger says, read as a reader has to: without ever writing to it. For tests, so it knows no adapter."""

import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one belief about a monitor. `ended` None: it still holds."""

    began: datetime
    ended: datetime | None
    outcome: str
    incident: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the outbox."""

    id: str
    incident: str
    transition: str
    channel: str
    sent_at: datetime | None
    dead_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident. `downtime` None: it never was an outage, or still is one; `unseen` of it nobody looked."""

    id: str
    monitor: str
    is_open: bool
    downtime: timedelta | None
    unseen: timedelta


@dataclass(frozen=True, slots=True)
class Record:
    """Spans of the verdict by monitor, outbox and incidents, all oldest first."""

    schema: str
    spans: dict[str, list[Span]]
    rows: list[Row]
    incidents: dict[str, Incident]


def read(database: Path) -> Record:
    """Return what the file says. Raise sqlite3.Error where it cannot be read or is damaged."""
    with closing(_open(database)) as connection:
        said = [str(line) for (line,) in connection.execute("PRAGMA integrity_check")]
        if said != ["ok"]:
            message = f"it is damaged: {said[0]}"
            raise sqlite3.DatabaseError(message)
        versions = sorted(str(version) for (version,) in connection.execute("SELECT version_num FROM alembic_version"))
        return Record(" and ".join(versions), _spans(connection), _rows(connection), _incidents(connection))


def waiting(database: Path) -> int:
    """Return how many alerts are neither sent nor given up. Raise sqlite3.Error where the file cannot be read."""
    with closing(_open(database)) as connection:
        query = "SELECT count(*) FROM alert_outbox WHERE sent_at IS NULL AND dead_at IS NULL"
        return int(connection.execute(query).fetchone()[0])


def _open(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)


def _spans(connection: sqlite3.Connection) -> dict[str, list[Span]]:
    spans: dict[str, list[Span]] = defaultdict(list)
    for monitor, began, ended, outcome, incident in connection.execute(
        "SELECT m.slug, s.started, s.ended, s.outcome, s.incident_id FROM span s JOIN monitor m ON m.id = s.monitor_id"
        " WHERE s.region_id = 0 ORDER BY s.monitor_id, s.started"
    ):
        spans[str(monitor)].append(Span(_instant(began), _maybe(ended), str(outcome), incident))
    return dict(spans)


def _rows(connection: sqlite3.Connection) -> list[Row]:
    return [
        Row(str(identity), str(incident), str(transition), str(channel), _maybe(sent), _maybe(dead))
        for identity, incident, transition, channel, sent, dead in connection.execute(
            "SELECT o.id, o.incident_id, o.transition, c.slug, o.sent_at, o.dead_at FROM alert_outbox o"
            " JOIN channel c ON c.id = o.channel_id ORDER BY o.due_at, o.id"
        )
    ]


def _incidents(connection: sqlite3.Connection) -> dict[str, Incident]:
    found = {}
    for identity, monitor, down, resolved, unseen in connection.execute(
        "SELECT i.id, m.slug, i.down_at, i.resolved_at, i.unseen_ms FROM incident i JOIN monitor m"
        " ON m.id = i.monitor_id ORDER BY i.opened_at"
    ):
        is_over = down is not None and resolved is not None
        found[str(identity)] = Incident(
            id=str(identity),
            monitor=str(monitor),
            is_open=resolved is None,
            downtime=timedelta(milliseconds=resolved - down) if is_over else None,
            unseen=timedelta(milliseconds=unseen),
        )
    return found


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)


def _maybe(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else _instant(milliseconds)
