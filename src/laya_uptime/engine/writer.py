"""Commit changes in groups, in order, and go on without the database when it fails.

Nothing in the check path waits here. A change that somebody waits for is committed at once, with everything that
came before it; the rest within a second. When a commit fails it is repeated until it is written, with the same
number, so that nothing is written twice. After five seconds of that the store is declared degraded: the alerts that
wait for it are handed over for delivery from memory, and laya-uptime itself raises one.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice

from laya_uptime.domain.change import Attempt, Change
from laya_uptime.domain.routing import DueAlert
from laya_uptime.errors import StoreError
from laya_uptime.ports import Clock, Listener, Store, Write

GATHER = 1.0  # seconds that a quiet result may wait for company
DEGRADED_AFTER = 5.0  # seconds of failing commits
MOST_WAITING = 200_000  # writes; beyond these the oldest plain results are dropped, and counted
MOST_AT_ONCE = 5_000
_RETRY_WAITS = (0.25, 0.5, 1.0, 2.0, 5.0)


class Writer:
    """The queue in front of the store."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        listener: Listener,
        committed: Callable[[Sequence[Write]], None],
        rescue: Callable[[DueAlert], None],
        degraded: Callable[[str | None], None],
    ) -> None:
        self.dropped = 0  # plain results that were never stored
        self.is_degraded = False
        self._store = store
        self._clock = clock
        self._listener = listener
        self._committed = committed
        self._rescue = rescue
        self._degraded = degraded
        self._waiting: dict[int, Write] = {}  # by their running number, the oldest first
        self._number = 0
        self._droppable: deque[int] = deque()  # the numbers of bare results that are not part of a commit yet
        self._in_doubt: int | None = None  # how many from the head a commit held whose end is not known; None: none is
        self._beats: list[asyncio.Future[None]] = []
        self._seq = 0
        self._something = asyncio.Event()
        self._urgent = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def start_at(self, seq: int) -> None:
        """Begin numbering commits after this one."""
        self._seq = seq

    def submit(self, write: Write) -> None:
        """Queue a write. It keeps its place behind all that were queued before."""
        if not self._waiting:
            self._idle.clear()
            self._something.set()
        self._number += 1
        if isinstance(write, Attempt) or write.is_news:
            self._urgent.set()
            if self.is_degraded:
                self._hand_over(write)
        elif write.health is None:
            self._droppable.append(self._number)
            if len(self._waiting) >= MOST_AT_ONCE:  # the store is slow or away, and what waits long must be small
                write = replace(write, results=tuple(result.measured() for result in write.results))
        self._waiting[self._number] = write
        if len(self._waiting) > MOST_WAITING and self._droppable:
            del self._waiting[self._droppable.popleft()]
            self.dropped += 1

    async def beat(self) -> None:
        """Return when a commit that began after this call is durable: the proof that work gets done."""
        done = asyncio.get_running_loop().create_future()
        self._beats.append(done)
        self._something.set()
        self._urgent.set()
        await done

    async def drained(self) -> None:
        """Return when everything that was submitted is durable."""
        self._urgent.set()
        await self._idle.wait()

    async def run(self) -> None:
        """Commit for ever. When this task is started again it goes on with what is waiting."""
        while True:
            await self._something.wait()
            await self._gather()
            self._something.clear()
            self._urgent.clear()
            if self._in_doubt is None:
                self._in_doubt = min(len(self._waiting), MOST_AT_ONCE)
            under_way = dict(islice(self._waiting.items(), self._in_doubt))
            while self._droppable and self._droppable[0] in under_way:
                self._droppable.popleft()
            batch = list(under_way.values())
            beats, self._beats = self._beats, []
            try:
                await self._commit(batch)
            except BaseException:
                # Nothing of this batch is lost: it is still at the head of the queue, and is repeated just as it was,
                # because what came later could hide behind a number that was written after all.
                self._beats = beats + self._beats
                self._something.set()
                raise
            self._in_doubt = None
            for number in under_way:
                del self._waiting[number]
            for beat in beats:
                if not beat.done():
                    beat.set_result(None)
            if self._waiting:
                self._something.set()
            else:
                self._idle.set()
            self._committed(batch)

    async def _gather(self) -> None:
        if self._urgent.is_set():
            return
        pause = asyncio.ensure_future(self._clock.sleep(GATHER))
        hurry = asyncio.ensure_future(self._urgent.wait())
        try:
            await asyncio.wait({pause, hurry}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            hurry.cancel()

    async def _commit(self, batch: list[Write]) -> None:
        number = self._seq + 1
        began = self._clock.monotonic()
        tries = 0
        while True:
            try:
                await self._ask(batch, number, began)
            except StoreError as error:
                wait = _RETRY_WAITS[min(tries, len(_RETRY_WAITS) - 1)]
                patience = began + DEGRADED_AFTER - self._clock.monotonic()
                if not self.is_degraded and patience > 0:
                    wait = min(wait, patience)
                elif not self.is_degraded:
                    self._declare_degraded(str(error))
                await self._clock.sleep(wait)
                tries += 1
            else:
                self._seq = number
                if self.is_degraded:
                    self._declare_sound()
                return

    async def _ask(self, batch: list[Write], number: int, began: float) -> None:
        """Commit once. A store that neither takes it nor refuses it is declared degraded just as well."""
        commit = asyncio.ensure_future(self._store.commit(batch, seq=number, at=self._clock.now()))
        pause = asyncio.ensure_future(self._clock.sleep(began + DEGRADED_AFTER - self._clock.monotonic()))
        try:
            await asyncio.wait({commit, pause}, return_when=asyncio.FIRST_COMPLETED)
            if not commit.done() and not self.is_degraded:
                self._declare_degraded("it does not answer")
            await commit
        finally:
            commit.cancel()
            pause.cancel()

    def _declare_degraded(self, cause: str) -> None:
        self.is_degraded = True
        self._listener.trouble(f"The database cannot be written: {cause}. Checks and alerts go on from memory")
        self._degraded(cause)
        for write in list(self._waiting.values()):
            self._hand_over(write)

    def _declare_sound(self) -> None:
        self.is_degraded = False
        lost = f"; {self.dropped} plain results were not kept" if self.dropped else ""
        self._listener.relief(f"The database can be written again{lost}")
        self._degraded(None)

    def _hand_over(self, write: Write) -> None:
        for alert in write.alerts if isinstance(write, Change) else write.also:
            self._rescue(alert)
