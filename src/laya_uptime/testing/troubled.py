"""A store that fails when a test says so, around one that works."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

from laya_uptime.domain.change import Memory
from laya_uptime.domain.monitor import Monitor
from laya_uptime.errors import StoreError
from laya_uptime.ports import Claimed, Store, Write


class TroubledStore:
    """`ports.Store` that hands everything on to `inner`, unless it is told to fail.

    `trouble` is raised by everything while it is set. `opening` is awaited by every `open` and `delay` by every commit
    before it ends either way; they may raise as well.
    `doubt` is raised by the next commit after the inner store has
    taken it, as when the answer of a database is lost. `commits` holds every commit that was tried: its number and
    its writes.
    """

    def __init__(self, inner: Store) -> None:
        """Work, to begin with."""
        self.inner = inner
        self.trouble: Exception | None = None
        self.opening: Callable[[], Awaitable[None]] | None = None
        self.delay: Callable[[], Awaitable[None]] | None = None
        self.doubt: Exception | None = None
        self.commits: list[tuple[int, tuple[Write, ...]]] = []

    def fail(self, cause: str = "no space left on device") -> None:
        """Raise StoreError from now on."""
        self.trouble = StoreError(cause)

    def heal(self) -> None:
        """Work again."""
        self.trouble = None

    async def open(self, monitors: Sequence[Monitor], channels: Sequence[str], *, at: datetime) -> Memory:
        """See `ports.Store.open`."""
        if self.opening is not None:
            await self.opening()
        self._stumble()
        return await self.inner.open(monitors, channels, at=at)

    async def commit(self, writes: Sequence[Write], *, seq: int, at: datetime) -> None:
        """See `ports.Store.commit`."""
        self.commits.append((seq, tuple(writes)))
        if self.delay is not None:
            await self.delay()
        self._stumble()
        await self.inner.commit(writes, seq=seq, at=at)
        if self.doubt is not None:
            doubt, self.doubt = self.doubt, None
            raise doubt

    async def claim(
        self, capacity: Mapping[str, int], *, owner: str, at: datetime, lease: timedelta
    ) -> Sequence[Claimed]:
        """See `ports.Store.claim`."""
        self._stumble()
        return await self.inner.claim(capacity, owner=owner, at=at, lease=lease)

    async def next_due(self, channels: Sequence[str]) -> datetime | None:
        """See `ports.Store.next_due`."""
        self._stumble()
        return await self.inner.next_due(channels)

    async def prune(self, *, before: datetime) -> int:
        """See `ports.Store.prune`."""
        self._stumble()
        return await self.inner.prune(before=before)

    async def set_aside(self, *, at: datetime) -> str:
        """See `ports.Store.set_aside`."""
        return await self.inner.set_aside(at=at)

    async def close(self) -> None:
        """See `ports.Store.close`."""
        await self.inner.close()

    def _stumble(self) -> None:
        if self.trouble is not None:
            raise self.trouble
