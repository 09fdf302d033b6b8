"""Deliver every alert at least once, and wake nobody twice if it can be helped.

Alerts are committed with the incident that caused them. They are claimed under a lease, delivered, and the attempt is
recorded. If this process dies in between, the next one delivers the same alert again under the same id: one possible
duplicate is the price of never losing one. A channel that fails is tried again with growing waits for a day; then the
alert is dead and the other channels are told. Each channel has its own room, so a bad one holds up nobody else.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from laya_uptime.domain.alert import Alert, AlertStatus, Transition
from laya_uptime.domain.change import Attempt
from laya_uptime.domain.delivery import next_try
from laya_uptime.domain.routing import DueAlert, address
from laya_uptime.engine.reckoning import Reckoning
from laya_uptime.errors import DeliveryError, StoreError
from laya_uptime.failpoints import fp
from laya_uptime.ports import Channel, Claimed, Clock, Listener, Reach, Store, Write

AT_ONCE = 4  # deliveries per channel
ATTEMPT = timedelta(seconds=30)  # how long one attempt may take
LEASE = timedelta(seconds=90)  # longer than an attempt and its stamp
LONGEST_NAP = 60.0  # seconds between looks, were every wake-up lost
AFTER_TROUBLE = 1.0


class Dispatcher:
    """Takes alerts out of the ledger and to their channels."""

    def __init__(
        self,
        store: Store,
        channels: Sequence[Channel],
        *,
        via: Reach,
        clock: Clock,
        listener: Listener,
        submit: Callable[[Write], None],
        chance: Callable[[], float],
        owner: str,
    ) -> None:
        self._store = store
        self._channels = {channel.id: channel for channel in channels}
        self._via = via
        self._clock = clock
        self._listener = listener
        self._submit = submit
        self._chance = chance
        self._owner = owner
        self._now = Reckoning(clock)
        self._wake = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._busy: Counter[str] = Counter()
        self._in_hand: set[str] = set()  # alerts that this process is delivering right now
        self._room = {channel.id: asyncio.Semaphore(AT_ONCE) for channel in channels}
        # The latest delivery from memory of each incident on each channel: the next one waits for it.
        self._line: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._unstamped: set[str] = set()  # attempts made, their record not durable yet

    def committed(self, writes: Sequence[Write]) -> None:
        """Note what became durable: stamps that were waited for, and alerts that can be claimed now."""
        for write in writes:
            if isinstance(write, Attempt):
                self._unstamped.discard(write.alert_id)
                self._wake.set()
            elif write.alerts:
                self._wake.set()

    async def run(self) -> None:
        """Deliver for ever."""
        while True:
            self._wake.clear()
            try:
                wait = await self._take()
            except StoreError:
                wait = AFTER_TROUBLE  # the writer says so when it lasts
            await self._nap(wait)

    def rescue(self, due: DueAlert) -> None:
        """Deliver an alert from memory, because the ledger cannot take it now."""
        alert = due.alert
        if alert.id in self._in_hand or alert.channel_id not in self._channels:
            return
        place = (alert.incident_id, alert.channel_id)
        claimed = Claimed(alert=alert, attempts=0, expires_at=due.expires_at)
        channel = self._channels[alert.channel_id]
        task = self._begin(alert, self._see_through_from_memory(channel, claimed, self._line.get(place)))
        self._line[place] = task

        def over(_: asyncio.Task[None]) -> None:
            if self._line.get(place) is task:
                del self._line[place]

        task.add_done_callback(over)

    async def settle(self, seconds: float) -> None:
        """Give the deliveries under way this long to end, then cancel them; their alerts go out at the next start."""
        tasks = set(self._under_way)
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self) -> float:
        """Claim what there is room for and return how long nothing more is to be done."""
        if not self._channels:
            return LONGEST_NAP
        capacity = {channel: room for channel in self._channels if (room := AT_ONCE - self._busy[channel]) > 0}
        at = self._now.late()
        for claimed in await self._store.claim(capacity, owner=self._owner, at=at, lease=LEASE):
            # While the database failed, a lease may have run out before the stamp of its delivery could be written.
            if claimed.alert.id not in self._in_hand | self._unstamped:
                self._claimed(claimed)
        # A channel without room wakes us when it has some.
        free = [channel for channel in self._channels if self._busy[channel] < AT_ONCE]
        soonest = await self._store.next_due(free) if free else None
        if soonest is None:
            return LONGEST_NAP
        return min(max((soonest - self._now.late()).total_seconds(), 0.05), LONGEST_NAP)

    async def _nap(self, seconds: float) -> None:
        pause = asyncio.ensure_future(self._clock.sleep(seconds))
        call = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait({pause, call}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            call.cancel()

    def _claimed(self, claimed: Claimed) -> None:
        channel = self._channels[claimed.alert.channel_id]
        self._busy[channel.id] += 1

        def over(_: asyncio.Task[None]) -> None:
            self._busy[channel.id] -= 1
            self._wake.set()

        self._begin(claimed.alert, self._see_through(channel, claimed)).add_done_callback(over)

    def _begin(self, alert: Alert, delivery: Coroutine[object, object, None]) -> asyncio.Task[None]:
        self._in_hand.add(alert.id)
        task = asyncio.create_task(delivery)
        self._under_way.add(task)

        def over(done: asyncio.Task[None]) -> None:
            self._under_way.discard(done)
            self._in_hand.discard(alert.id)
            if not done.cancelled() and (error := done.exception()) is not None:
                self._listener.trouble(
                    f"delivering through {alert.channel_id} failed by itself ({type(error).__name__})"
                )

        task.add_done_callback(over)
        return task

    async def _see_through(self, channel: Channel, claimed: Claimed) -> None:
        """Make one attempt; the ledger knows when the next one is due."""
        self._stamp(await self._attempt(channel, claimed))

    async def _see_through_from_memory(
        self, channel: Channel, claimed: Claimed, before: asyncio.Task[None] | None
    ) -> None:
        """Make as many attempts as it takes, because nobody else will; but not before it is this one's turn."""
        if before is not None:
            await asyncio.wait({before})
        while True:
            async with self._room[channel.id]:
                attempt = await self._attempt(channel, claimed)
            self._stamp(attempt)
            if attempt.next_try_at is None:
                return
            await self._clock.sleep((attempt.next_try_at - self._now.late()).total_seconds())
            claimed = replace(claimed, attempts=attempt.attempts)

    def _stamp(self, attempt: Attempt) -> None:
        self._unstamped.add(attempt.alert_id)
        self._submit(attempt)

    async def _attempt(self, channel: Channel, claimed: Claimed) -> Attempt:
        alert, attempts = claimed.alert, claimed.attempts + 1
        try:
            fp("delivery.lease_taken")
            async with asyncio.timeout(ATTEMPT.total_seconds()) as deadline:
                await channel.notifier.deliver(alert, self._via)
        except DeliveryError as error:
            failure = error
        except Exception as error:  # noqa: BLE001  a faulty notifier must not lose the alert
            cause = f"the notifier itself failed ({type(error).__name__})"
            if isinstance(error, TimeoutError) and deadline.expired():
                cause = f"no answer within {ATTEMPT.total_seconds():g} s"
            failure = DeliveryError(cause, retry=True)
        else:
            self._listener.delivered(channel, alert)
            return Attempt(alert_id=alert.id, attempts=attempts, sent_at=self._clock.now())
        return self._failed(channel, claimed, attempts, failure)

    def _failed(self, channel: Channel, claimed: Claimed, attempts: int, failure: DeliveryError) -> Attempt:
        alert, now = claimed.alert, self._now.early()
        again = None
        if failure.retry:
            again = next_try(
                attempts=attempts,
                at=now,
                expires_at=claimed.expires_at,
                chance=self._chance(),
                asked=failure.after,
            )
        wait = None if again is None else again - now
        self._listener.delivery_failed(channel, alert, failure.cause, wait=wait)
        if wait is not None:
            due = self._now.late() + wait
            return Attempt(alert_id=alert.id, attempts=attempts, next_try_at=due, cause=failure.cause)
        return Attempt(
            alert_id=alert.id,
            attempts=attempts,
            dead_at=self._clock.now(),
            cause=failure.cause,
            also=self._tell_others(channel, claimed, failure.cause, self._clock.now()),
        )

    def _tell_others(self, channel: Channel, claimed: Claimed, cause: str, now: datetime) -> tuple[DueAlert, ...]:
        """Return the note to the other channels that this one could not be told; none about such a note itself."""
        alert = claimed.alert
        if alert.transition is Transition.UNDELIVERED:
            return ()
        facts = replace(
            alert.facts,
            status=AlertStatus.FAILURE if not alert.facts.status.is_good else alert.facts.status,
            message=f"{channel.title} could not be told: {alert.facts.message}",
            detail=f"{channel.title} ({channel.id}) did not take this alert: {cause}",
        )
        place = sorted(self._channels).index(channel.id) + 1  # tells the notes about two dead channels apart
        why = (f"{alert.transition} of incident {alert.incident_id} could not be delivered by {channel.id}: {cause}",)
        return tuple(
            address(alert.incident_id, Transition.UNDELIVERED, place, other, facts=facts, at=now, decision=why)
            for other in self._channels
            if other != channel.id
        )
