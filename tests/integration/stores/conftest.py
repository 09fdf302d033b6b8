"""What the tests of the SQLite store share: one in a directory of its own, and a look into its file."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from laya_uptime.adapters.ledger import blob
from laya_uptime.adapters.ledger.blob import from_ms
from laya_uptime.adapters.stores.sqlite import FILE, SqliteStore, _read_incident
from laya_uptime.domain.change import Span
from laya_uptime.domain.status import Status
from laya_uptime.testing.store_contract import Contents, Delivery

Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path)


@pytest.fixture
def query() -> Query:
    """Ask the file of a store, over a connection of its own that only reads."""

    def ask(store: SqliteStore, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"{store.path.as_uri()}?mode=ro", uri=True)) as database:
            return database.execute(statement, values).fetchall()

    return ask


@pytest.fixture
def contents(query: Query) -> Callable[[SqliteStore], Contents]:
    def at(ms: object) -> datetime | None:
        return from_ms(ms) if isinstance(ms, int) else None

    def read(store: SqliteStore) -> Contents:
        names: dict[int, str] = dict(query(store, "SELECT id, slug FROM monitor"))
        spans: dict[str, list[Span]] = {}
        for monitor, started, ended, outcome, err, detail, incident in query(
            store, "SELECT monitor_id, started, ended, outcome, err, detail, incident_id FROM span ORDER BY started"
        ):
            assert isinstance(started, int)
            span = Span(
                outcome=Status(str(outcome)),
                started=from_ms(started),
                ended=at(ended),
                err=None if err is None else str(err),
                detail=str(detail),
                incident_id=None if incident is None else str(incident),
            )
            spans.setdefault(str(names[monitor]), []).append(span)
        incidents = {
            str(row[0]): _read_incident(str(names[monitor]), row)
            for monitor, *row in query(
                store,
                "SELECT monitor_id, id, severity, opened_at, down_at, confirmed_at, resolved_at, closed_by, failures,"
                " reminders, reason, detail, unseen_ms FROM incident",
            )
        }
        outbox = {
            str(identity): Delivery(attempts=int(str(attempts)), sent_at=at(sent), dead_at=at(dead))
            for identity, attempts, sent, dead in query(
                store, "SELECT id, attempts, sent_at, dead_at FROM alert_outbox"
            )
        }
        return Contents(
            results=[
                (str(names[record.monitor_id]), record.at)
                for (data,) in query(store, "SELECT data FROM ingest_log ORDER BY source_seq")
                for record in blob.unpack(bytes(data))
            ],
            spans=spans,
            incidents=incidents,
            outbox=outbox,
        )

    return read


@pytest.fixture
def database_file(tmp_path: Path) -> Path:
    return tmp_path / FILE
