"""Run checks under one total deadline each. An outage is an observation, not an error; so is our own trouble.

A check that offers the callback form (`ports.Preparable`) is made ready once per monitor and then looks without a task;
any other check gets a task. Either way `done` hears of it exactly once, in the loop, unless the look was cancelled.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Failure, Observation, Seen
from laya_uptime.ports import Check, Clock, Looking, Preparable, Prepared, Reach

IN_FLIGHT = 2_000  # checks at once; more wait, and their lateness shows it
GRACE = timedelta(seconds=1)  # a check keeps its own deadline; one that overstays by this is cancelled
_SWEEP = 1.0  # seconds

Done = Callable[[Observation], None]


class Prober:
    """Looks at monitors from one region."""

    def __init__(self, *, via: Reach, clock: Clock, trouble: Callable[[str], None], region: str = "local") -> None:
        self.via = via
        self.clock = clock
        self.trouble = trouble
        self.region = region
        self._under_way: set[_Look] = set()
        self._waiting: deque[_Look] = deque()
        self._limit = IN_FLIGHT
        self._prepared: dict[str, tuple[Check, Prepared | None]] = {}
        self._idle: asyncio.Future[None] | None = None

    @property
    def in_flight(self) -> int:
        """Return how many checks are under way."""
        return len(self._under_way)

    @property
    def waiting(self) -> int:
        """Return how many checks wait for room."""
        return len(self._waiting)

    def start(self, monitor: Monitor, check: Check, due: datetime, done: Done) -> None:
        """Look once, now or as soon as there is room, and call `done` with what was seen."""
        look = _Look(self, monitor, check, due, done)
        if len(self._under_way) < self._limit:
            self._under_way.add(look)
            look.begin()
        else:
            self._waiting.append(look)

    async def probe(self, monitor: Monitor, check: Check, due: datetime) -> Observation:
        """Look once and return what was seen. Raise only when cancelled."""
        over: asyncio.Future[Observation] = asyncio.get_running_loop().create_future()
        look = _Look(self, monitor, check, due, over.set_result)
        try:
            if len(self._under_way) < self._limit:
                self._under_way.add(look)
                look.begin()
            else:
                self._waiting.append(look)
            return await over
        except asyncio.CancelledError:
            look.cancel()
            raise

    def forget(self, monitor_id: str) -> None:
        """Drop what is kept for a monitor that is not watched any more."""
        self._prepared.pop(monitor_id, None)

    async def watch(self) -> None:
        """End for ever the looks that overstay their deadline, whatever keeps them."""
        while True:
            await self.clock.sleep(_SWEEP)
            now = self.clock.monotonic()
            for look in [look for look in self._under_way if look.overstays(now)]:
                look.expire()

    async def settle(self, seconds: float) -> None:
        """Wait this long for what is under way, then cancel the rest. What only waits is dropped at once."""
        self._waiting.clear()
        if self._under_way:
            self._idle = asyncio.get_running_loop().create_future()
            pause = asyncio.ensure_future(self.clock.sleep(seconds))
            try:
                await asyncio.wait({self._idle, pause}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                pause.cancel()
                self._idle = None
        for look in list(self._under_way):
            look.cancel()

    def prepared(self, monitor_id: str, check: Check) -> Prepared | None:
        """Return the check made ready, from the last time where it is still the same; None: it has no such form."""
        known = self._prepared.get(monitor_id)
        if known is None or known[0] is not check:
            ready = check.prepare(self.via) if isinstance(check, Preparable) else None
            known = self._prepared[monitor_id] = check, ready
        return known[1]

    def over(self, look: "_Look") -> None:
        """Make room for the next."""
        self._under_way.discard(look)
        while self._waiting and len(self._under_way) < self._limit:
            following = self._waiting.popleft()
            self._under_way.add(following)
            following.begin()
        if self._idle is not None and not self._under_way and not self._idle.done():
            self._idle.set_result(None)

    def drop(self, look: "_Look") -> None:
        """Forget one that waits."""
        if look in self._waiting:
            self._waiting.remove(look)


class _Look:
    """One look under way, or waiting for room."""

    __slots__ = ("_at", "_began", "_check", "_done", "_due", "_looking", "_monitor", "_prober")

    def __init__(self, prober: Prober, monitor: Monitor, check: Check, due: datetime, done: Done) -> None:
        self._prober = prober
        self._monitor = monitor
        self._check = check
        self._due = due
        self._done: Done | None = done
        self._began = 0.0
        self._at = due
        self._looking: Looking | asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Look."""
        prober, check = self._prober, self._check
        self._began = prober.clock.monotonic()
        now = prober.clock.now()
        self._at = now.replace(microsecond=now.microsecond // 1000 * 1000)  # what the store keeps
        try:
            ready = prober.prepared(self._monitor.id, check)
            if ready is None:
                self._looking = asyncio.get_running_loop().create_task(self._probe())
                return
            looking = ready.begin(self._monitor.timeout, self._seen)
            if self._done is not None:
                self._looking = looking
        except Exception as error:  # noqa: BLE001  a faulty check is our trouble and must not end the service
            self._failed(error)

    def overstays(self, now: float) -> bool:
        """Say whether it should have been over for a while."""
        return now - self._began > (self._monitor.timeout + GRACE).total_seconds()

    def expire(self) -> None:
        """End it from outside, as a time-out."""
        self._stop()
        self._seen(Failure(Reason.TIMEOUT, f"no answer within {self._monitor.timeout.total_seconds():g} s"))

    def cancel(self) -> None:
        """Drop it; nobody is told."""
        if self._done is None:
            return
        self._done = None
        self._stop()
        self._prober.drop(self)
        self._prober.over(self)

    def _stop(self) -> None:
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()

    async def _probe(self) -> None:
        check, timeout = self._check, self._monitor.timeout
        try:
            async with asyncio.timeout((timeout + GRACE).total_seconds()) as deadline:
                seen = await check.probe(self._prober.via, timeout=timeout)
        except Exception as error:  # noqa: BLE001  see `begin`
            if isinstance(error, TimeoutError) and deadline.expired():
                self.expire()
            else:
                self._failed(error)
        else:
            self._seen(seen)

    def _failed(self, error: Exception) -> None:
        name = type(error).__name__  # its text may hold what nobody shall see
        self._prober.trouble(f"the check of {self._monitor.id} failed by itself ({name})")
        self._seen(Failure(Reason.INTERNAL, f"the check itself failed ({name})"))

    def _seen(self, seen: Seen) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        self._looking = None
        prober, monitor = self._prober, self._monitor
        took = timedelta(seconds=prober.clock.monotonic() - self._began)
        observation = Observation(
            monitor_id=monitor.id,
            region=prober.region,
            due=self._due,
            at=self._at,
            elapsed=min(took, monitor.timeout + GRACE),  # not the night that a suspended machine slept through
            seen=seen,
        )
        prober.over(self)
        try:
            done(observation)
        except Exception as error:  # noqa: BLE001  whoever hears of it must not break the one who looks
            prober.trouble(f"a round of {monitor.id} failed ({type(error).__name__})")
