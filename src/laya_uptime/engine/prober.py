"""Run a check under one total deadline. An outage is an observation, not an error; so is our own trouble."""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Failure, Observation, Seen
from laya_uptime.ports import Check, Clock, Reach

IN_FLIGHT = 2_000  # checks at once; more wait, and their lateness shows it
GRACE = timedelta(seconds=1)  # a check keeps its own deadline; one that overstays by this is cancelled


class Prober:
    """Looks at monitors from one region."""

    def __init__(self, *, via: Reach, clock: Clock, trouble: Callable[[str], None], region: str = "local") -> None:
        self._via = via
        self._clock = clock
        self._trouble = trouble
        self._region = region
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._under_way: set[asyncio.Task[Observation]] = set()
        self._queue: deque[tuple[Monitor, Check, datetime, Callable[[Observation], None]]] = deque()

    @property
    def in_flight(self) -> int:
        """Return how many checks are under way."""
        return len(self._under_way)

    @property
    def waiting(self) -> int:
        """Return how many checks wait for room."""
        return len(self._queue)

    def start(self, monitor: Monitor, check: Check, due: datetime, done: Callable[[Observation], None]) -> None:
        """Begin a check, as soon as there is room. `done` is called once, in the loop; never where it is cancelled."""
        if self.in_flight >= IN_FLIGHT:
            self._queue.append((monitor, check, due, done))
            return
        task = asyncio.ensure_future(self.probe(monitor, check, due))
        self._under_way.add(task)
        task.add_done_callback(lambda task: self._ended(task, done))

    async def settle(self, seconds: float) -> None:
        """Wait so long for the checks under way, then cancel the rest. Those that wait for room are not begun."""
        self._queue.clear()
        if not self._under_way:
            return
        rest = set(self._under_way)
        await asyncio.wait(rest, timeout=seconds)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Observation], done: Callable[[Observation], None]) -> None:
        self._under_way.discard(task)
        if self._queue:
            self.start(*self._queue.popleft())
        if not task.cancelled():
            done(task.result())

    async def probe(self, monitor: Monitor, check: Check, due: datetime) -> Observation:
        """Look once and return what was seen. Raise only when cancelled."""
        async with self._room:
            began = self._clock.monotonic()
            now = self._clock.now()
            at = now.replace(microsecond=now.microsecond // 1000 * 1000)  # what the store keeps
            seen = await self._look(monitor, check)
            took = timedelta(seconds=self._clock.monotonic() - began)
            return Observation(
                monitor_id=monitor.id,
                region=self._region,
                due=due,
                at=at,
                elapsed=min(took, monitor.timeout + GRACE),  # not the night that a suspended machine slept through
                seen=seen,
            )

    async def _look(self, monitor: Monitor, check: Check) -> Seen:
        try:
            async with asyncio.timeout((monitor.timeout + GRACE).total_seconds()) as deadline:
                return await check.probe(self._via, timeout=monitor.timeout)
        except Exception as error:  # noqa: BLE001  a faulty check is our trouble and must not end the service
            if isinstance(error, TimeoutError) and deadline.expired():
                return Failure(Reason.TIMEOUT, f"no answer within {monitor.timeout.total_seconds():g} s")
            self._trouble(f"the check of {monitor.id} failed by itself ({type(error).__name__})")
            return Failure(Reason.INTERNAL, f"the check itself failed ({type(error).__name__})")
