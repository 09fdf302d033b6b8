"""The ledger in one SQLite file: WAL, synchronous=FULL, one connection that does every write and every checkpoint.

Each commit is one transaction: results, statuses, spans, incidents, outbox. Instants are stored in milliseconds.
"""

import contextlib
import errno
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TypeVar

import msgspec

from laya_uptime.adapters.ledger import blob, first
from laya_uptime.adapters.ledger.blob import from_ms, to_ms
from laya_uptime.adapters.ledger.worker import Worker
from laya_uptime.domain.alert import Alert
from laya_uptime.domain.change import Attempt, Change, Memory, Remembered, Span
from laya_uptime.domain.heartbeat import Kind, Pulse, Signal
from laya_uptime.domain.incident import SELF, Closing, Incident, Severity
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Result
from laya_uptime.domain.routing import PATIENCE_WITH_CHANNELS, DueAlert
from laya_uptime.domain.status import Health, Status
from laya_uptime.errors import DataDirectoryError, LayaUptimeError, StoreCorrupt, StoreError, StoreTooNew
from laya_uptime.failpoints import fp
from laya_uptime.ports import Claimed, Write

FILE = "laya-uptime.db"
BUSY_SECONDS = 5.0  # how long a statement waits for a lock that a stranger holds
QUICK_CHECK_BELOW = 64 * 1024 * 1024  # larger files are not read whole at every start

_SMALLEST = 512  # bytes of the smallest database there is: one page of the smallest size
_FORMATS_AT = 18  # where the two versions of the file format are, https://www.sqlite.org/fileformat2.html
_LOCAL = 1  # the region and the source of results measured by this process
_VERDICT = 0  # the region number that stands for the verdict
_SHARD = 0
_PRUNE_ROWS = 500
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
# Before any statement of ours that could be at fault, an error of the general kind is one of the file's header.
_DAMAGE_AT_OPEN = _DAMAGE | {sqlite3.SQLITE_ERROR}
_FILES = ("", "-wal", "-shm", "-journal")  # a journal left behind would be rolled back into the next database
_MS = timedelta(milliseconds=1)
T = TypeVar("T")


class SqliteStore:
    """`ports.Store` on one file. Made cheaply; `open` touches the disk."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE
        self._worker = Worker("laya-uptime-store")
        self._connection: sqlite3.Connection | None = None
        self._monitors: dict[str, int] = {}
        self._channels: dict[str, int] = {}

    async def open(self, monitors: Sequence[Monitor], channels: Sequence[str], *, at: datetime) -> Memory:
        """See `ports.Store.open`."""
        return await self._do(lambda: self._open(monitors, channels, at))

    async def commit(self, writes: Sequence[Write], *, seq: int, at: datetime) -> None:
        """See `ports.Store.commit`."""
        await self._do(lambda: self._commit(writes, seq, at))

    async def claim(
        self, capacity: Mapping[str, int], *, owner: str, at: datetime, lease: timedelta
    ) -> Sequence[Claimed]:
        """See `ports.Store.claim`."""
        return await self._do(lambda: self._claim(capacity, owner, to_ms(at), to_ms(at + lease)))

    async def next_due(self, channels: Sequence[str]) -> datetime | None:
        """See `ports.Store.next_due`."""
        return await self._do(lambda: self._next_due(channels))

    async def prune(self, *, before: datetime) -> int:
        """See `ports.Store.prune`."""
        return await self._do(lambda: self._prune(to_ms(before)))

    async def set_aside(self, *, at: datetime) -> str:
        """See `ports.Store.set_aside`."""
        return await self._do(lambda: self._set_aside(at))

    async def close(self) -> None:
        """See `ports.Store.close`."""
        try:
            await self._do(self._close)
        finally:
            self._worker.stop()

    async def _do(self, job: Callable[[], T]) -> T:
        def guarded() -> T:
            try:
                return job()
            except sqlite3.DatabaseError as error:
                kind = StoreCorrupt if _code(error) in _DAMAGE else StoreError
                raise kind(f"{self.path}: {error}") from error
            except OSError as error:
                raise StoreError(f"{self.path}: {error.strerror or error}") from error
            except LayaUptimeError:
                raise
            except Exception as error:
                # Whatever it is, the ledger did not take or give it; its text may hold what must not be shown.
                raise StoreError(f"{self.path}: {type(error).__name__}") from error

        return await self._worker.do(guarded)

    # Everything below runs in the worker's thread.

    @property
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"{self.path} is not open")
        return self._connection

    def _open(self, monitors: Sequence[Monitor], channels: Sequence[str], at: datetime) -> Memory:
        self._close()
        is_new = self._create_file()
        try:
            with self._damage_told():
                self._connect()
                if is_new:
                    self._database.execute("PRAGMA auto_vacuum = INCREMENTAL")
                else:
                    self._inspect()
                self._database.execute("PRAGMA journal_mode = WAL")
                revision = None if is_new else self._revision()
            self._bring_up_to_date(revision)
            with self._damage_told():
                memory = self._remember()  # before anything is written: a damaged file is set aside as it was found
            with self._transaction():
                self._register(monitors, channels, to_ms(at))
                self._database.execute(
                    "UPDATE alert_outbox SET lease_owner = NULL, lease_until = NULL"
                    " WHERE sent_at IS NULL AND dead_at IS NULL AND lease_owner IS NOT NULL"
                )
                # What a job said before it was taken out is no news of a time when it is back.
                self._database.execute(
                    "DELETE FROM heartbeat WHERE monitor_id IN (SELECT id FROM monitor WHERE removed_at IS NOT NULL)"
                )
                # Nothing is put off for more than a day, so this was written by a clock that has been set back since.
                self._database.execute(
                    "UPDATE alert_outbox SET next_try_at = ? WHERE sent_at IS NULL AND dead_at IS NULL AND next_try_at > ?",
                    (to_ms(at), to_ms(at + PATIENCE_WITH_CHANNELS)),
                )
        except BaseException:
            self._close()
            raise
        return memory

    def _connect(self) -> None:
        self._connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        self._connection.execute("PRAGMA synchronous = FULL")

    @contextlib.contextmanager
    def _damage_told(self) -> Iterator[None]:
        """Raise StoreCorrupt where the file gives what we never wrote: a flipped bit need not make it unreadable."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if _code(error) in _DAMAGE_AT_OPEN:
                raise StoreCorrupt(f"{self.path}: {error}") from error
            raise
        except (ValueError, TypeError, OverflowError, AssertionError) as error:
            raise StoreCorrupt(f"{self.path} holds a value that no version writes") from error

    def _create_file(self) -> bool:
        try:
            descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}:
                raise
            raise DataDirectoryError(f"{self.path} cannot be written: {error.strerror}") from error
        try:
            size = os.fstat(descriptor).st_size
            formats = os.pread(descriptor, 2, _FORMATS_AT)
        finally:
            os.close(descriptor)
        if 0 < size < _SMALLEST:
            raise StoreCorrupt(f"{self.path} was cut off")  # SQLite would take it for a new one
        if size and not set(formats) <= {1, 2}:
            # SQLite would take it for a database that may only be read.
            raise StoreCorrupt(f"{self.path} has a garbled header")
        log = self.path.with_name(f"{self.path.name}-wal")
        if not size and log.exists() and log.stat().st_size:
            # SQLite would throw the log away; no crash leaves such a pair, so something cut the file off.
            raise StoreCorrupt(f"{self.path} is empty, but its log is not")
        return not size

    def _inspect(self) -> None:
        """Raise StoreCorrupt for a file that is no sound database of ours."""
        database = self._database
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and "alembic_version" not in tables:
            raise StoreCorrupt(f"{self.path} is a database of something else")
        if self.path.stat().st_size <= QUICK_CHECK_BELOW:
            (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise StoreCorrupt(f"{self.path}: {verdict}")

    def _bring_up_to_date(self, revision: str | None) -> None:
        """Make the tables, or migrate them. Raise StoreTooNew for a revision that is not known here."""
        if revision == first.HEAD:
            return
        if revision is None:
            with self._transaction():
                for statement in first.SCHEMA:
                    self._database.execute(statement)
                self._database.execute(_VERSION_TABLE)
                self._database.execute("INSERT INTO alembic_version VALUES (?)", (first.HEAD,))
                self._database.executemany("INSERT INTO region VALUES (?, ?)", [(_VERDICT, ""), (_LOCAL, "local")])
            return
        # Alembic is heavy and a migration rare, so it is loaded only now.
        from laya_uptime.adapters.ledger import migrate  # noqa: PLC0415

        if revision not in migrate.revisions():
            raise StoreTooNew(
                f"{self.path} was written by a newer laya-uptime (schema {revision}, this one knows {first.HEAD}). "
                f"Install that version again, or put the backup of the older one in place: "
                f"cp {self.path}.before-{first.HEAD} {self.path}"
            )
        self._close()
        migrate.backup(self.path, revision)
        migrate.upgrade(self.path)
        self._connect()

    def _revision(self) -> str | None:
        """Return the revision of the schema; None: the process died before the first transaction of a new file."""
        if not self._database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return None
        row = self._database.execute("SELECT version_num FROM alembic_version").fetchone()
        if row is None:
            raise StoreCorrupt(f"{self.path} does not say which schema it has")
        return str(row[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def _register(self, monitors: Sequence[Monitor], channels: Sequence[str], now: int) -> None:
        """Give every monitor and channel its number, and note which are gone."""
        self._database.execute("UPDATE monitor SET removed_at = ? WHERE removed_at IS NULL", (now,))
        self._database.executemany(
            "INSERT INTO monitor (slug, name, target, created_at) VALUES (?, ?, ?, ?)"
            # What it watches is taken over only while nothing is known of it: else the engine must see that it changed.
            " ON CONFLICT (slug) DO UPDATE SET name = excluded.name, removed_at = NULL, target = CASE"
            " WHEN EXISTS (SELECT 1 FROM monitor_status s WHERE s.monitor_id = monitor.id) THEN monitor.target"
            " ELSE excluded.target END",
            chain(
                [(SELF, "laya-uptime", "", now)],
                ((monitor.id, _text(monitor.name), _text(monitor.target), now) for monitor in monitors),
            ),
        )
        self._database.execute("UPDATE channel SET removed_at = ? WHERE removed_at IS NULL", (now,))
        self._database.executemany(
            "INSERT INTO channel (slug, created_at) VALUES (?, ?) ON CONFLICT (slug) DO UPDATE SET removed_at = NULL",
            [(channel, now) for channel in channels],
        )
        # Nobody is left to deliver these; they stay readable.
        self._database.execute(
            "UPDATE alert_outbox SET dead_at = ?,"
            " decision = decision || char(10) || 'given up: the channel is not configured any more'"
            " WHERE sent_at IS NULL AND dead_at IS NULL AND expires_at < ?"
            " AND channel_id IN (SELECT id FROM channel WHERE removed_at IS NOT NULL)",
            (now, now),
        )
        # Under the very ids that the monitors have: with many of them, a second copy of each would be much.
        ids = {monitor.id: monitor.id for monitor in monitors}
        self._monitors = {
            ids.get(slug, slug): number for slug, number in self._database.execute("SELECT slug, id FROM monitor")
        }
        self._channels = dict(self._database.execute("SELECT slug, id FROM channel"))

    def _remember(self) -> Memory:
        mark = self._database.execute(
            "SELECT last_seq, seen_at FROM source_mark WHERE source_id = ?", (_LOCAL,)
        ).fetchone()
        incidents = {
            number: _read_incident(slug, row)
            for number, slug, *row in self._database.execute(
                "SELECT i.monitor_id, m.slug, i.id, i.severity, i.opened_at, i.down_at, i.confirmed_at, i.resolved_at,"
                " i.closed_by, i.failures, i.reminders, i.reason, i.detail, i.unseen_ms"
                " FROM incident i JOIN monitor m ON m.id = i.monitor_id WHERE i.resolved_at IS NULL"
            )
        }
        remembered = {}
        for slug, number, target, seq, status, streak, since, believed, believed_since in self._database.execute(
            "SELECT m.slug, m.id, m.target, s.seq, s.status, s.streak, s.since, p.outcome, p.started"
            " FROM monitor m JOIN monitor_status s ON s.monitor_id = m.id"
            " LEFT JOIN span p ON p.monitor_id = m.id AND p.region_id = ? AND p.ended IS NULL",
            (_VERDICT,),
        ):
            health = Health(
                status=Status(status),
                streak=streak,
                since=from_ms(since),
                believed=Status(believed or Status.PENDING),
                believed_since=from_ms(believed_since or since),
            )
            remembered[slug] = Remembered(health=health, seq=seq, incident=incidents.get(number), target=target)
        return Memory(
            monitors=remembered,
            seen_at=from_ms(mark[1]) if mark else None,
            seq=int(mark[0]) if mark else 0,
            pulses={slug: _read_pulse(row) for slug, *row in self._database.execute(_PULSES)},
        )

    def _commit(self, writes: Sequence[Write], seq: int, at: datetime) -> None:
        changes = [write for write in writes if isinstance(write, Change)]
        attempts = [write for write in writes if isinstance(write, Attempt)]
        telling = [
            change for change in changes if change.health is not None or change.is_news or change.target is not None
        ]
        pass_by = fp if changes else _pass_by  # the points of the check path belong to rounds
        pass_by("check.before_begin")
        with self._transaction():
            mark = self._database.execute("SELECT last_seq FROM source_mark WHERE source_id = ?", (_LOCAL,)).fetchone()
            if mark and mark[0] >= seq:
                return  # it was durable after all
            self._write_results([result for change in changes for result in change.results], seq)
            pass_by("check.after_result")
            for change in telling:
                self._write_health(change)
                if change.target is not None:
                    self._database.execute(
                        "UPDATE monitor SET target = ? WHERE slug = ?", (_text(change.target), change.monitor_id)
                    )
            pass_by("check.after_state")
            for change in telling:
                self._write_span(change.monitor_id, change.span)
                for incident in change.incidents:
                    self._write_incident(incident)
            pass_by("check.after_incident")
            for change in telling:
                if change.alerts:
                    self._write_alerts(change.alerts)
            pass_by("check.after_outbox")
            self._write_pulses(telling)
            for attempt in attempts:
                self._write_attempt(attempt)
            self._database.execute(
                "INSERT INTO source_mark (source_id, last_seq, seen_at) VALUES (?, ?, ?)"
                " ON CONFLICT (source_id) DO UPDATE SET last_seq = excluded.last_seq, seen_at = excluded.seen_at",
                (_LOCAL, seq, to_ms(at)),
            )
            pass_by("check.before_commit")
        pass_by("check.after_commit")
        if attempts:
            fp("delivery.after_stamp")

    def _write_results(self, results: Sequence[Result], seq: int) -> None:
        if not results:
            return
        rows = [(self._monitors[result.observation.monitor_id], _LOCAL, result) for result in results]
        moments = [result.observation.at for result in results]
        self._database.execute(
            "INSERT INTO ingest_log (shard, source_id, source_seq, first_ts, last_ts, n, data)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (_SHARD, _LOCAL, seq, to_ms(min(moments)), to_ms(max(moments)), len(rows), blob.pack(rows)),
        )

    def _write_health(self, change: Change) -> None:
        health, seq = change.health, change.seq
        if health is None or seq is None:
            return
        number = self._monitors[change.monitor_id]
        row = (health.status, health.streak, to_ms(health.since))
        if seq == 0:
            written = self._database.execute(
                "INSERT INTO monitor_status (monitor_id, seq, status, streak, since) VALUES (?, 1, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (number, *row),
            )
        else:
            written = self._database.execute(
                "UPDATE monitor_status SET seq = seq + 1, status = ?, streak = ?, since = ?"
                " WHERE monitor_id = ? AND seq = ?",
                (*row, number, seq),
            )
        if written.rowcount != 1:
            raise StoreError(f"{self.path}: somebody else wrote the status of {change.monitor_id}")

    def _write_span(self, monitor_id: str, span: Span | None) -> None:
        if span is None:
            return
        number, started = self._monitors[monitor_id], to_ms(span.started)
        # A belief that lasted no time at all leaves no trace.
        self._database.execute(
            "DELETE FROM span WHERE monitor_id = ? AND region_id = ? AND ended IS NULL AND started >= ?",
            (number, _VERDICT, started),
        )
        self._database.execute(
            "UPDATE span SET ended = ? WHERE monitor_id = ? AND region_id = ? AND ended IS NULL",
            (started, number, _VERDICT),
        )
        self._database.execute(
            "INSERT OR REPLACE INTO span (monitor_id, region_id, started, ended, outcome, err, detail, incident_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (number, _VERDICT, started, _ms(span.ended), span.outcome, span.err, _text(span.detail), span.incident_id),
        )

    def _write_incident(self, incident: Incident) -> None:
        self._database.execute(
            "INSERT INTO incident (id, monitor_id, severity, opened_at, down_at, confirmed_at, resolved_at, closed_by,"
            " failures, reminders, reason, detail, unseen_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET severity = excluded.severity, down_at = excluded.down_at,"
            " confirmed_at = excluded.confirmed_at, resolved_at = excluded.resolved_at,"
            " closed_by = excluded.closed_by, failures = excluded.failures, reminders = excluded.reminders,"
            " reason = excluded.reason, detail = excluded.detail, unseen_ms = excluded.unseen_ms",
            (
                incident.id,
                self._monitors[incident.monitor_id],
                incident.severity,
                to_ms(incident.opened_at),
                _ms(incident.down_at),
                _ms(incident.confirmed_at),
                _ms(incident.resolved_at),
                incident.closed_by,
                incident.failures,
                incident.reminders,
                incident.reason,
                _text(incident.detail),
                incident.unseen // _MS,
            ),
        )

    def _write_alerts(self, alerts: Sequence[DueAlert]) -> None:
        self._database.executemany(
            "INSERT INTO alert_outbox (id, incident_id, transition, ordinal, channel_id, due_at, expires_at, attempts,"
            " next_try_at, payload, decision) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            [
                (
                    due.alert.id,
                    due.alert.incident_id,
                    due.alert.transition,
                    due.alert.ordinal,
                    self._channels[due.alert.channel_id],
                    to_ms(due.due_at),
                    to_ms(due.expires_at),
                    to_ms(due.due_at),
                    _payload(due.alert),
                    _text("\n".join(due.decision)),
                )
                for due in alerts
            ],
        )

    def _write_pulses(self, changes: Sequence[Change]) -> None:
        pulses = [(change.monitor_id, change.pulse) for change in changes if change.pulse is not None]
        if not pulses:
            return
        fp("heartbeat.in_transaction")
        self._database.executemany(
            "INSERT OR REPLACE INTO heartbeat (monitor_id, since, started, began, heard_at, heard, exit_code, text)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(self._monitors[monitor_id], *_pulse_row(pulse)) for monitor_id, pulse in pulses],
        )

    def _write_attempt(self, attempt: Attempt) -> None:
        if attempt.sent_at is None:
            fp("delivery.retry_write")
        self._database.execute(
            "UPDATE alert_outbox SET attempts = ?, sent_at = ?, dead_at = ?, decision = decision || ?,"
            " next_try_at = coalesce(?, next_try_at), lease_owner = NULL, lease_until = NULL"
            " WHERE id = ? AND sent_at IS NULL AND dead_at IS NULL",
            (
                attempt.attempts,
                _ms(attempt.sent_at),
                _ms(attempt.dead_at),
                _text(f"\nattempt {attempt.attempts} failed: {attempt.cause}") if attempt.cause else "",
                _ms(attempt.next_try_at),
                attempt.alert_id,
            ),
        )
        if attempt.sent_at is not None:
            fp("delivery.inside_stamp")
        self._write_alerts(attempt.also)

    def _claim(self, capacity: Mapping[str, int], owner: str, now: int, until: int) -> list[Claimed]:
        claimed: list[Claimed] = []
        with self._transaction():
            for channel, room in capacity.items():
                rows = self._database.execute(
                    _CLAIMABLE, {"channel": self._channels[channel], "now": now, "room": room}
                ).fetchall()
                for identity, payload, attempts, expires in rows:
                    try:
                        alert = msgspec.json.decode(payload, type=Alert)
                    except (msgspec.DecodeError, UnicodeDecodeError):
                        self._give_up_unreadable(identity, now)
                        continue
                    self._database.execute(
                        "UPDATE alert_outbox SET lease_owner = ?, lease_until = ? WHERE id = ?",
                        (owner, until, identity),
                    )
                    claimed.append(Claimed(alert=alert, attempts=attempts, expires_at=from_ms(expires)))
        return claimed

    def _give_up_unreadable(self, identity: str, now: int) -> None:
        """Bury an alert that the disk has garbled, so that it does not hold up all others."""
        self._database.execute(
            "UPDATE alert_outbox SET dead_at = ?, decision = decision || char(10) || 'given up: it cannot be read'"
            " WHERE id = ?",
            (now, identity),
        )

    def _next_due(self, channels: Sequence[str]) -> datetime | None:
        numbers = [self._channels[channel] for channel in channels]
        times = [self._database.execute(_SOONEST, {"channel": number}).fetchone()[0] for number in numbers]
        soonest = min((ms for ms in times if ms is not None), default=None)
        return None if soonest is None else from_ms(soonest)

    def _prune(self, before: int) -> int:
        with self._transaction():
            logs = self._database.execute(
                "DELETE FROM ingest_log WHERE seq IN (SELECT seq FROM ingest_log WHERE last_ts < ? LIMIT ?)",
                (before, _PRUNE_ROWS),
            ).rowcount
            alerts = self._database.execute(
                "DELETE FROM alert_outbox WHERE id IN (SELECT id FROM alert_outbox"
                " WHERE due_at < ? AND (sent_at IS NOT NULL OR dead_at IS NOT NULL) LIMIT ?)",
                (before, _PRUNE_ROWS),
            ).rowcount
        if logs + alerts:
            self._database.execute("PRAGMA incremental_vacuum(256)").fetchall()
        return logs + alerts

    def _set_aside(self, at: datetime) -> str:
        self._close()
        kept = self.path.with_name(f"{self.path.name}.corrupt-{at:%Y%m%dT%H%M%SZ}")
        number = 1
        while kept.exists():
            number += 1
            kept = self.path.with_name(f"{self.path.name}.corrupt-{at:%Y%m%dT%H%M%SZ}-{number}")
        for suffix in _FILES:
            with contextlib.suppress(FileNotFoundError):
                self.path.with_name(self.path.name + suffix).rename(kept.with_name(kept.name + suffix))
        return str(kept)

    def _close(self) -> None:
        database, self._connection = self._connection, None
        if database is not None:
            database.close()


_VERSION_TABLE = (
    "CREATE TABLE alembic_version"
    " (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)

# The oldest open alert of each incident on this channel, so that "down" is never overtaken by its "recovered".
# Rows are numbered as they are committed; the order of wall-clock instants is not that of decisions.
_FIRST_IN_LINE = """
FROM alert_outbox o WHERE o.channel_id = :channel AND o.sent_at IS NULL AND o.dead_at IS NULL
  AND NOT EXISTS (
    SELECT 1 FROM alert_outbox e WHERE e.incident_id = o.incident_id AND e.channel_id = o.channel_id
      AND e.sent_at IS NULL AND e.dead_at IS NULL AND e.rowid < o.rowid)
"""
_CLAIMABLE = f"""
SELECT o.id, o.payload, o.attempts, o.expires_at {_FIRST_IN_LINE}
  AND o.next_try_at <= :now AND coalesce(o.lease_until, 0) <= :now ORDER BY o.rowid LIMIT :room
"""
_SOONEST = f"SELECT min(max(o.next_try_at, coalesce(o.lease_until, 0))) {_FIRST_IN_LINE}"


_PULSES = """
SELECT m.slug, h.since, h.started, h.began, h.heard_at, h.heard, h.exit_code, h.text
FROM heartbeat h JOIN monitor m ON m.id = h.monitor_id
"""


def _code(error: sqlite3.DatabaseError) -> int | None:
    """Return the primary result code; text that is no UTF-8 has none of its own and counts as damage."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return sqlite3.SQLITE_CORRUPT if isinstance(error, sqlite3.OperationalError) else None
    return int(code) & 0xFF


def _text(text: str) -> str:
    """Return the text without lone surrogates, which no encoding knows: one of them would stop the whole ledger."""
    return text.encode("utf-8", "replace").decode()


def _payload(alert: Alert) -> bytes:
    try:
        return msgspec.json.encode(alert)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(alert), ensure_ascii=False).encode("utf-8", "replace")


def _pass_by(_point: str, /) -> None:
    """Stand in for `fp` where a commit holds no round."""


def _ms(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)


def _at(ms: object) -> datetime | None:
    return from_ms(ms) if isinstance(ms, int) else None


def _pulse_row(pulse: Pulse) -> tuple[object, ...]:
    heard = pulse.heard
    said = (
        (None, None, None, "") if heard is None else (to_ms(heard.at), heard.kind, heard.exit_code, _text(heard.text))
    )
    return (to_ms(pulse.since), _ms(pulse.started), _ms(pulse.began), *said)


def _read_pulse(row: Sequence[object]) -> Pulse:
    since, started, began, heard_at, heard, exit_code, text = row
    assert isinstance(since, int)
    signal = None
    if isinstance(heard_at, int):
        code = exit_code if isinstance(exit_code, int) else None
        signal = Signal(kind=Kind(str(heard)), at=from_ms(heard_at), text=str(text), exit_code=code)
    return Pulse(since=from_ms(since), started=_at(started), began=_at(began), heard=signal)


def _read_incident(monitor_id: str, row: Sequence[object]) -> Incident:
    identity, severity, opened, down, confirmed, resolved, closed_by, failures, reminders, reason, detail, unseen = row
    assert isinstance(opened, int)
    assert isinstance(failures, int)
    assert isinstance(reminders, int)
    assert isinstance(unseen, int)
    return Incident(
        id=str(identity),
        monitor_id=monitor_id,
        severity=Severity(str(severity)),
        opened_at=from_ms(opened),
        down_at=_at(down),
        confirmed_at=_at(confirmed),
        resolved_at=_at(resolved),
        closed_by=Closing(str(closed_by)) if closed_by else None,
        failures=failures,
        reminders=reminders,
        reason=Reason(str(reason)) if reason else None,
        detail=str(detail),
        unseen=unseen * _MS,
    )
