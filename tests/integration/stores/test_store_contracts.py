"""Both stores keep what every store promises."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from laya_uptime.adapters.stores.memory import MemoryStore
from laya_uptime.adapters.stores.sqlite import SqliteStore
from laya_uptime.ports import Store
from laya_uptime.testing.store_contract import Contents, Delivery, StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()

    async def reopened(self, store: Store) -> Store:
        await store.close()
        return store

    def contents(self, store: Store) -> Contents:
        assert isinstance(store, MemoryStore)
        return Contents(
            results=[(each.observation.monitor_id, each.observation.at) for each in store.results],
            spans={monitor: list(spans) for monitor, spans in store.spans.items()},
            incidents=dict(store.incidents),
            outbox={
                key: Delivery(attempts=row.attempts, sent_at=row.sent_at, dead_at=row.dead_at)
                for key, row in store.outbox.items()
            },
        )


class TestSqliteStore(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path, contents: Callable[[SqliteStore], Contents]) -> AsyncIterator[Store]:
        self._read = contents
        self._opened = [SqliteStore(tmp_path)]
        yield self._opened[0]
        for each in self._opened:
            await each.close()

    async def reopened(self, store: Store) -> Store:
        assert isinstance(store, SqliteStore)
        await store.close()
        self._opened.append(SqliteStore(store.path.parent))
        return self._opened[-1]

    def contents(self, store: Store) -> Contents:
        assert isinstance(store, SqliteStore)
        return self._read(store)
