"""What the service makes of a database that it cannot simply open: monitoring begins, and somebody is told."""

import asyncio
import contextlib
import errno
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.stores import sqlite
from laya_uptime.adapters.stores.memory import MemoryStore
from laya_uptime.adapters.stores.sqlite import SqliteStore
from laya_uptime.domain.alert import Transition
from laya_uptime.engine.service import Service, Settings
from laya_uptime.errors import StoreTooNew
from laya_uptime.ports import Store
from laya_uptime.testing.builders import a_channel, a_monitor, watched
from laya_uptime.testing.clock import NOON
from laya_uptime.testing.recording import RecordingListener, RecordingNotifier, RecordingWatchdog
from laya_uptime.testing.scripted import NoNetwork

Query = Callable[..., list[tuple[Any, ...]]]


class Run:
    """A service with one monitor that is up, and one channel."""

    def __init__(self, store: Store) -> None:
        self.notifier = RecordingNotifier()
        self.listener = RecordingListener()
        self.fallback = MemoryStore()
        self._stop = asyncio.Event()
        clock = SystemClock()
        self._service = Service(
            [watched(".", a_monitor(confirm=1))],
            [a_channel(self.notifier)],
            store=store,
            fallback=self.fallback,
            via=NoNetwork(clock),
            clock=clock,
            listener=self.listener,
            watchdog=RecordingWatchdog(),
            settings=Settings(owner="a test", local=lambda at: at.astimezone(UTC), chance=lambda: 0.5),
        )

    @contextlib.asynccontextmanager
    async def running(self, *, waits: bool = True) -> AsyncIterator[None]:
        """Run until a round is over and, where there is one to wait for, an alert is delivered; then stop."""
        task = asyncio.create_task(self._service.run(self._stop))
        try:
            async with asyncio.timeout(20):
                # The store works in a thread, on real time, and nothing tells of both.
                while not task.done() and not (self.listener.rounds and (self.notifier.delivered or not waits)):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)  # noqa: TID251
            yield
        finally:
            self._stop.set()
            await task

    def told(self) -> Sequence[str]:
        return [alert.facts.detail for alert in self.notifier.delivered]


async def test_d08_a_corrupt_database_is_set_aside_and_an_alarm_goes_through_the_new_one(
    store: SqliteStore, query: Query
) -> None:
    store.path.write_text("no database at all\n" * 300, encoding="utf-8")
    run = Run(store)

    async with run.running():
        pass

    [kept] = store.path.parent.glob("laya-uptime.db.corrupt-*")
    assert kept.read_text(encoding="utf-8") == "no database at all\n" * 300
    [alarm] = run.told()
    assert "damaged" in alarm
    assert str(kept) in alarm
    assert run.listener.troubles == [alarm]
    assert [(row[0], row[1]) for row in query(store, _OUTBOX)] == [("down", True)]
    assert query(
        store, "SELECT m.slug, i.resolved_at IS NOT NULL FROM incident i JOIN monitor m ON m.id = i.monitor_id"
    ) == [("@self", 1)]
    assert query(store, "SELECT count(*) > 0 FROM ingest_log") == [(1,)]
    assert run.fallback.results == []


_OUTBOX = "SELECT transition, sent_at IS NOT NULL FROM alert_outbox"


async def test_d08_the_alarm_is_told_once_and_not_again_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "laya-uptime.db").write_text("no database at all\n" * 300, encoding="utf-8")
    first = Run(SqliteStore(tmp_path))
    async with first.running():
        pass
    second = Run(SqliteStore(tmp_path))

    async with second.running(waits=False):
        pass

    assert len(first.told()) == 1
    assert second.told() == []
    assert second.listener.troubles == []


async def test_u02_a_newer_database_ends_the_start(store: SqliteStore) -> None:
    await store.open([], [], at=NOON)
    await store.close()
    with closing(sqlite3.connect(store.path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    run = Run(store)

    with pytest.raises(StoreTooNew, match="schema 9999"):
        async with run.running():
            pass

    assert run.listener.rounds == []


async def test_d06_a_disk_that_is_full_at_the_start_does_not_stop_the_monitoring(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "open", full)
    run = Run(store)

    async with run.running():
        pass

    [alarm] = run.told()
    assert "No space left on device" in alarm
    assert "goes on in memory" in alarm
    assert [alert.transition for alert in run.notifier.delivered] == [Transition.DOWN]
    assert len(run.fallback.results) >= 1


async def test_d07_a_database_that_is_locked_at_the_start_does_not_stop_the_monitoring(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    await store.open([], [], at=NOON)
    await store.close()
    run = Run(store)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN EXCLUSIVE")

        async with run.running():
            pass

    [alarm] = run.told()
    assert "locked" in alarm
    assert not list(store.path.parent.glob("*corrupt*"))


async def test_what_a_service_wrote_is_there_at_the_next_start(store: SqliteStore) -> None:
    run = Run(store)

    async with run.running(waits=False):  # nobody is told of a monitor that is up
        pass
    memory = await SqliteStore(store.path.parent).open([a_monitor()], ["chat"], at=NOON)

    assert list(memory.monitors) == ["shop"]
    assert memory.seen_at is not None
    assert memory.seen_at > NOON - timedelta(days=3650)
