"""The file of the SQLite store: its tables, its settings, and who may read it."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex, CreateTable

from laya_uptime.adapters.ledger import first, generate, migrate
from laya_uptime.adapters.ledger.tables import metadata
from laya_uptime.adapters.stores.sqlite import SqliteStore
from laya_uptime.testing.builders import a_monitor
from laya_uptime.testing.clock import NOON

Query = Callable[..., list[tuple[Any, ...]]]

COLUMNS = {
    "ingest_log": "seq shard source_id source_seq first_ts last_ts n data",
    "source_mark": "source_id last_seq seen_at",
    "result_block": "level bucket monitor_id region_id part first_ts last_ts n codec data",
    "rollup": "step bucket monitor_id region_id n_up n_degraded n_down up_ms degraded_ms down_ms unknown_ms maint_ms"
    " lat_sum lat_min lat_max sketch",
    "span": "monitor_id region_id started ended outcome err detail incident_id",
    "monitor_status": "monitor_id seq status streak since",
    "heartbeat": "monitor_id since started began heard_at heard exit_code text",
    "alert_outbox": "id incident_id transition ordinal channel_id due_at expires_at lease_owner lease_until attempts"
    " next_try_at sent_at dead_at payload decision",
    "monitor": "id slug name target created_at removed_at",
    "region": "id slug",
    "channel": "id slug created_at removed_at",
    "incident": "id monitor_id severity opened_at down_at confirmed_at resolved_at closed_by failures reminders reason"
    " detail unseen_ms",
    "alembic_version": "version_num",
}

KEYS = {
    "ingest_log": "seq",
    "source_mark": "source_id",
    "result_block": "level bucket monitor_id region_id part",
    "rollup": "step bucket monitor_id region_id",
    "span": "monitor_id region_id started",
    "monitor_status": "monitor_id",
    "heartbeat": "monitor_id",
    "alert_outbox": "id",
    "monitor": "id",
    "region": "id",
    "channel": "id",
    "incident": "id",
    "alembic_version": "version_num",
}

UNIQUE = {
    "ingest_log": {"source_id source_seq shard"},
    "alert_outbox": {"incident_id transition ordinal channel_id"},
    "monitor": {"slug"},
    "region": {"slug"},
    "channel": {"slug"},
    "incident": {"monitor_id"},  # of those that are open
}


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


async def test_the_tables_and_columns_are_those_of_the_design(store: SqliteStore, query: Query) -> None:
    await store.open([], [], at=NOON)

    tables = [name for (name,) in query(store, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {table: [row[1] for row in query(store, f"PRAGMA table_info({table})")] for table in tables}

    assert columns == {table: names.split() for table, names in COLUMNS.items()}
    await store.close()


async def test_the_keys_are_those_of_the_design(store: SqliteStore, query: Query) -> None:
    await store.open([], [], at=NOON)

    keys: dict[str, list[str]] = {}
    unique: dict[str, set[str]] = {}
    for table in COLUMNS:
        info = query(store, f"PRAGMA table_info({table})")
        keys[table] = [row[1] for row in sorted(info, key=lambda row: row[5]) if row[5]]
        for _, index, is_unique, origin, _ in query(store, f"PRAGMA index_list({table})"):
            if is_unique and origin != "pk":
                columns = " ".join(row[2] for row in query(store, f"PRAGMA index_info({index})"))
                unique.setdefault(table, set()).add(columns)

    assert keys == {table: names.split() for table, names in KEYS.items()}
    assert unique == UNIQUE
    await store.close()


async def test_the_partial_indexes_serve_open_spans_outages_open_incidents_and_waiting_alerts(
    store: SqliteStore, query: Query
) -> None:
    await store.open([], [], at=NOON)

    partial = {name: sql.partition(" WHERE ")[2] for name, sql in query(store, _INDEXES) if " WHERE " in sql}

    assert partial == {
        "ix_span_open": "ended IS NULL",
        "ix_span_down": "outcome = 'down'",
        "ix_incident_open": "resolved_at IS NULL",
        "ix_alert_outbox_waiting": "sent_at IS NULL AND dead_at IS NULL",
    }
    await store.close()


_INDEXES = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"


async def test_the_verdict_and_this_process_are_regions_from_the_start(store: SqliteStore, query: Query) -> None:
    await store.open([], [], at=NOON)

    assert query(store, "SELECT id, slug FROM region ORDER BY id") == [(0, ""), (1, "local")]
    await store.close()


async def test_every_commit_is_flushed_and_the_file_can_shrink(store: SqliteStore) -> None:
    await store.open([], [], at=NOON)

    connection = store._connection
    assert connection is not None
    settings = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "auto_vacuum")
    }

    assert settings == {"journal_mode": "wal", "synchronous": 2, "auto_vacuum": 2}  # FULL, INCREMENTAL
    await store.close()


async def test_the_settings_hold_after_a_restart(store: SqliteStore) -> None:
    await store.open([], [], at=NOON)
    await store.close()

    await store.open([], [], at=NOON)

    connection = store._connection
    assert connection is not None
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    await store.close()


@pytest.mark.usefixtures("open_umask")
async def test_k05_nobody_else_may_read_the_database_whatever_the_umask_is(store: SqliteStore) -> None:
    await store.open([a_monitor()], ["chat"], at=NOON)
    await store.commit([], seq=1, at=NOON)

    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in store.path.parent.iterdir()}

    assert modes == dict.fromkeys(("laya-uptime.db", "laya-uptime.db-wal", "laya-uptime.db-shm"), "0o600")
    await store.close()


async def test_a_clean_stop_leaves_one_file(store: SqliteStore) -> None:
    await store.open([a_monitor()], ["chat"], at=NOON)
    await store.commit([], seq=1, at=NOON)

    await store.close()

    assert [file.name for file in store.path.parent.iterdir()] == ["laya-uptime.db"]


def test_the_generated_schema_is_what_the_tables_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.argv", ["generate", "--check"])

    in_step = generate.main()
    other = tmp_path / "first.py"
    other.write_text(generate.source() + "# edited\n", encoding="utf-8")
    monkeypatch.setattr(generate, "TARGET", other)

    assert in_step == 0
    assert generate.main() == 1


def test_the_generator_writes_what_it_checks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(generate, "TARGET", tmp_path / "first.py")
    monkeypatch.setattr("sys.argv", ["generate"])

    assert generate.main() == 0

    assert (tmp_path / "first.py").read_text(encoding="utf-8") == Path(first.__file__).read_text(encoding="utf-8")


def test_the_head_revision_is_the_newest_in_the_chain() -> None:
    assert migrate.revisions()[-1] == first.HEAD == generate.HEAD


async def test_the_chain_of_migrations_ends_in_the_schema_of_a_fresh_file(store: SqliteStore, tmp_path: Path) -> None:
    await store.open([], [], at=NOON)
    await store.close()

    migrate.upgrade(tmp_path / "migrated.db")

    assert schema_of(tmp_path / "migrated.db") == schema_of(store.path)


def test_the_chain_leaves_nothing_that_the_tables_do_not_say(tmp_path: Path) -> None:
    migrate.upgrade(tmp_path / "migrated.db")

    with create_engine(f"sqlite:///{tmp_path}/migrated.db", poolclass=NullPool).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_tables_can_be_made_in_postgresql_too() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    written = [str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables]
    written += [
        str(CreateIndex(index).compile(dialect=dialect))
        for table in metadata.tables.values()
        for index in table.indexes
    ]

    assert not [statement for statement in written if "BLOB" in statement or "ROWID" in statement]
    assert any("BYTEA" in statement for statement in written)


def schema_of(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {
        name: " ".join(sql.replace("(", " ( ").replace(")", " ) ").replace(",", " , ").split()) for name, sql in rows
    }
