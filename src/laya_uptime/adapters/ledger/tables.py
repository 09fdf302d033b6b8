"""The schema: one for every SQL backend, in SQLAlchemy Core.

Instants are milliseconds since 1970 (UTC) as BIGINT, latencies 0.1 ms as INTEGER, blobs BLOB or BYTEA with their
codec in the first byte. Only migrations and their tests import this; the daily path runs on `first.py`, which is
generated from here.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

monitor = Table(
    "monitor",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("slug", Text, nullable=False, unique=True),  # the configuration's mapping key
    Column("name", Text, nullable=False),
    Column("target", Text, nullable=False),  # redacted; tells when a monitor watches something else
    Column("created_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
)

region = Table(
    "region",
    metadata,
    Column("id", Integer, primary_key=True),  # 0 stands for the verdict of all regions
    Column("slug", Text, nullable=False, unique=True),
)

channel = Table(
    "channel",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("slug", Text, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
)

ingest_log = Table(
    "ingest_log",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("shard", Integer, nullable=False),
    Column("source_id", Integer, nullable=False),
    Column("source_seq", BigInteger, nullable=False),
    Column("first_ts", BigInteger, nullable=False),
    Column("last_ts", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    UniqueConstraint("source_id", "source_seq", "shard"),
    Index(None, "last_ts"),
)

source_mark = Table(
    "source_mark",
    metadata,
    Column("source_id", Integer, primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)

result_block = Table(
    "result_block",
    metadata,
    Column("level", Integer, nullable=False),  # 0 hour, 1 day
    Column("bucket", BigInteger, nullable=False),
    Column("monitor_id", Integer, nullable=False),
    Column("region_id", Integer, nullable=False),
    Column("part", Integer, nullable=False),  # above 0: late results
    Column("first_ts", BigInteger, nullable=False),
    Column("last_ts", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),
    Column("codec", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("level", "bucket", "monitor_id", "region_id", "part"),
    sqlite_with_rowid=False,
)

rollup = Table(
    "rollup",
    metadata,
    Column("step", Integer, nullable=False),  # minutes: 60 or 1440
    Column("bucket", BigInteger, nullable=False),
    Column("monitor_id", Integer, nullable=False),
    Column("region_id", Integer, nullable=False),
    Column("n_up", Integer, nullable=False),
    Column("n_degraded", Integer, nullable=False),
    Column("n_down", Integer, nullable=False),
    Column("up_ms", BigInteger, nullable=False),
    Column("degraded_ms", BigInteger, nullable=False),
    Column("down_ms", BigInteger, nullable=False),
    Column("unknown_ms", BigInteger, nullable=False),
    Column("maint_ms", BigInteger, nullable=False),
    Column("lat_sum", BigInteger, nullable=False),
    Column("lat_min", Integer),
    Column("lat_max", Integer),
    Column("sketch", LargeBinary),
    PrimaryKeyConstraint("step", "bucket", "monitor_id", "region_id"),
    sqlite_with_rowid=False,
)

span = Table(
    "span",
    metadata,
    Column("monitor_id", Integer, nullable=False),
    Column("region_id", Integer, nullable=False),  # 0: the verdict
    Column("started", BigInteger, nullable=False),
    Column("ended", BigInteger),  # NULL: still so
    Column("outcome", Text, nullable=False),
    Column("err", Text),
    Column("detail", Text, nullable=False),
    Column("incident_id", Text),
    PrimaryKeyConstraint("monitor_id", "region_id", "started"),
    Index(
        "ix_span_open",
        "monitor_id",
        "region_id",
        sqlite_where=text("ended IS NULL"),
        postgresql_where=text("ended IS NULL"),
    ),
    Index("ix_span_down", "started", sqlite_where=text("outcome = 'down'"), postgresql_where=text("outcome = 'down'")),
    sqlite_with_rowid=False,
)

monitor_status = Table(
    "monitor_status",
    metadata,
    Column("monitor_id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),  # every write must find the number that it read
    Column("status", Text, nullable=False),  # may be a waiting room; what people see is the open span
    Column("streak", Integer, nullable=False),
    Column("since", BigInteger, nullable=False),
)

heartbeat = Table(
    "heartbeat",
    metadata,
    Column("monitor_id", Integer, primary_key=True, autoincrement=False),
    Column("since", BigInteger, nullable=False),  # from when the next run is reckoned
    Column("started", BigInteger),  # of a run whose end is awaited
    Column("began", BigInteger),  # of the latest run
    Column("heard_at", BigInteger),
    Column("heard", Text),  # success, start, fail or log
    Column("exit_code", Integer),
    Column("text", Text, nullable=False),
)

incident = Table(
    "incident",
    metadata,
    Column("id", Text, primary_key=True),
    Column("monitor_id", Integer, nullable=False),
    Column("severity", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("down_at", BigInteger),
    Column("confirmed_at", BigInteger),
    Column("resolved_at", BigInteger),
    Column("closed_by", Text),
    Column("failures", Integer, nullable=False),
    Column("reminders", Integer, nullable=False),
    Column("reason", Text),
    Column("detail", Text, nullable=False),
    Column("unseen_ms", BigInteger, nullable=False),
    Index(
        "ix_incident_open",
        "monitor_id",
        unique=True,  # one open incident per monitor, whatever else goes wrong
        sqlite_where=text("resolved_at IS NULL"),
        postgresql_where=text("resolved_at IS NULL"),
    ),
    Index(None, "opened_at"),
)

alert_outbox = Table(
    "alert_outbox",
    metadata,
    Column("id", Text, primary_key=True),
    Column("incident_id", Text, nullable=False),
    Column("transition", Text, nullable=False),
    Column("ordinal", Integer, nullable=False),  # the reminder's number, else 0
    Column("channel_id", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", BigInteger, nullable=False),
    Column("sent_at", BigInteger),
    Column("dead_at", BigInteger),
    Column("payload", LargeBinary, nullable=False),
    Column("decision", Text, nullable=False),
    UniqueConstraint("incident_id", "transition", "ordinal", "channel_id"),
    Index(
        "ix_alert_outbox_waiting",
        "channel_id",
        "next_try_at",
        sqlite_where=text("sent_at IS NULL AND dead_at IS NULL"),
        postgresql_where=text("sent_at IS NULL AND dead_at IS NULL"),
    ),
)
