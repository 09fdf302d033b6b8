"""Start, run, drain, stop: the one place that owns every task."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from laya_uptime.domain.alert import Transition
from laya_uptime.domain.change import Change, Memory
from laya_uptime.domain.facts import own_facts
from laya_uptime.domain.incident import SELF, Closing, Incident, Severity, close, incident_id
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Result
from laya_uptime.domain.routing import DueAlert, address
from laya_uptime.domain.status import Status
from laya_uptime.engine.dispatcher import Dispatcher
from laya_uptime.engine.groups import Groups
from laya_uptime.engine.heartbeats import Heartbeats, within
from laya_uptime.engine.housekeeper import Housekeeper
from laya_uptime.engine.pipeline import Pipeline
from laya_uptime.engine.probing import LocalProbing
from laya_uptime.engine.state import State
from laya_uptime.engine.supervisor import supervise
from laya_uptime.engine.writer import Writer
from laya_uptime.errors import StoreCorrupt, StoreError, StoreTooNew
from laya_uptime.ports import (
    Channel,
    Clock,
    Listener,
    Overseer,
    Probing,
    Reach,
    Store,
    Watchdog,
    Watched,
    Write,
)

DRAIN = 5.0  # seconds for what is under way when a stop is asked for
FIRST_LOOKS = 5.0  # seconds between two looks at whether there are any left
LAST_WORDS = 1.0  # seconds more for the database to close
OPENINGS = 3  # tries to open a database that somebody else holds for a moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a service is run with, beside its parts."""

    owner: str  # names this process in leases
    retention: timedelta = timedelta(days=90)
    local: Callable[[datetime], datetime]  # into the time zone that people read
    chance: Callable[[], float]  # 0 up to 1, for jitter
    restored: Callable[[], None] = lambda: None  # called once, when every monitor has been taken up
    looked: Callable[[], None] = lambda: None  # called once, when every monitor has been looked at


class Service:
    """Watches until it is told to stop. It is the `ports.Overseer` of whoever looks."""

    def __init__(
        self,
        watched: Sequence[Watched],
        channels: Sequence[Channel],
        *,
        store: Store,
        fallback: Store,
        via: Reach,
        clock: Clock,
        listener: Listener,
        watchdog: Watchdog,
        settings: Settings,
        probing: Callable[[Overseer], Probing] | None = None,
    ) -> None:
        """Watch through `probing`, made with the overseer that it hands everything to; None: in this process.

        Only monitors that are probed are for it.
        """
        self._monitors = [each.monitor for each in watched]
        probed = [each for each in watched if each.is_probed]
        unprobed = [each for each in watched if not each.is_probed]
        self._make_probing = probing or (lambda overseer: LocalProbing(probed, overseer, via=via, clock=clock))
        self._channels = tuple(channels)
        self._store = store
        self._fallback = fallback
        self._via = via
        self._clock = clock
        self._listener = listener
        self._watchdog = watchdog
        self._settings = settings
        self._own_incident: Incident | None = None
        self._anchor = clock.monotonic()
        self._pipeline = Pipeline(
            self._monitors,
            [channel.id for channel in channels],
            submit=self._submit,
            listener=listener,
            local=settings.local,
        )
        self.heartbeats = Heartbeats(
            unprobed, pipeline=self._pipeline, clock=clock, listener=listener, submit=self._submit
        )
        self._groups = Groups(unprobed, pipeline=self._pipeline, clock=clock, listener=listener)
        self._doors: dict[str, Callable[[], Awaitable[None]]] = {}

    def open(self, name: str, door: Callable[[], Awaitable[None]]) -> None:
        """Let this run beside the duties: a way in. It is the first thing to be cancelled at a stop. Before `run` only."""
        self._doors[name] = door

    @property
    def states(self) -> dict[str, State]:
        """Return the state of each monitor, by id; empty before `run`."""
        return self._pipeline.states

    @property
    def probing(self) -> Probing:
        """Return who looks, for its counts. Only while running."""
        return self._probing

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set, then finish what is under way within five seconds.

        Raise StoreTooNew or DataDirectoryError where the data directory cannot be used.
        """
        await self._take_up()
        self._settings.restored()
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(self._guard(name, run)) for name, run in self._duties().items()}
            self._watchdog.ready()
            await stop.wait()
            await self._drain(tasks)
        await self._close_store()

    async def _take_up(self) -> None:
        memory, alarm = await self._open_store()
        self._assemble()
        self._writer.start_at(memory.seq)
        self._pipeline.restore(memory, at=self._clock.now(), elapsed=self._elapsed())
        self.heartbeats.begin(memory, at=self._clock.now(), elapsed=self._elapsed, durable=self._is_durable)
        self._groups.begin(elapsed=self._elapsed)
        if alarm is not None:
            self._raise_own(alarm)

    async def _close_store(self) -> None:
        try:
            async with asyncio.timeout(LAST_WORDS):
                await self._store.close()
        except TimeoutError:
            self._listener.trouble("The database does not answer; the process ends without closing it")

    def seen(self, result: Result) -> None:
        """Follow what was seen to whatever it implies; where one look is not enough, ask for the next one sooner."""
        monitor_id, due = result.observation.monitor_id, result.observation.due
        monitor = self._pipeline.monitors[monitor_id]
        try:
            round_ = self._pipeline.absorb(monitor, [result], elapsed=self._elapsed())
            if round_.health.status is Status.SUSPECT:
                self._probing.sooner(monitor_id)
            self._listener.round_done(round_)
        except Exception as error:  # noqa: BLE001  one round that goes wrong is not the end of the service
            self._listener.trouble(f"a round of {monitor_id} failed ({type(error).__name__})")
        finally:
            self._listener.slot_over(monitor_id, due)

    def slot_over(self, monitor_id: str, due: datetime) -> None:
        """Tell that a slot ended and nothing was seen."""
        self._listener.slot_over(monitor_id, due)

    def trouble(self, text: str) -> None:
        """Tell that something of our own does not work."""
        self._listener.trouble(text)

    def relief(self, text: str) -> None:
        """Tell that it works again."""
        self._listener.relief(text)

    def _elapsed(self) -> timedelta:
        """Return the monotonic time since this service was made."""
        return timedelta(seconds=self._clock.monotonic() - self._anchor)

    def _submit(self, write: Write) -> None:
        self._writer.submit(write)

    def _assemble(self) -> None:
        settings = self._settings
        self._dispatcher = Dispatcher(
            self._store,
            self._channels,
            via=self._via,
            clock=self._clock,
            listener=self._listener,
            submit=self._submit,
            chance=settings.chance,
            owner=settings.owner,
        )
        self._writer = Writer(
            self._store,
            clock=self._clock,
            listener=self._listener,
            committed=self._dispatcher.committed,
            rescue=self._dispatcher.rescue,
            degraded=self._store_changed,
        )
        self._probing = self._make_probing(self)
        self._housekeeper = Housekeeper(
            clock=self._clock,
            store=self._store,
            writer=self._writer,
            probing=self._probing,
            elapsed=self._elapsed,
            pipeline=self._pipeline,
            watchdog=self._watchdog,
            listener=self._listener,
            retention=settings.retention,
        )

    def _duties(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "the scheduler": self._probing.run,
            "the writer": self._writer.run,
            "the dispatcher": self._dispatcher.run,
            "the heartbeat": self._housekeeper.beat,
            "the look-out": self._housekeeper.look_for_blindness,
            "the pruning": self._housekeeper.prune,
            "the heartbeats": self.heartbeats.run,
            "the groups": self._groups.run,
            "the first looks": self._wait_for_first_looks,
            **self._doors,
        }

    async def _wait_for_first_looks(self) -> None:
        """Tell once that every monitor has been looked at: what is kept for each is there from then on."""
        while (load := self._probing.load).owed or load.started < load.monitors:
            await self._clock.sleep(FIRST_LOOKS)
        self._settings.looked()

    async def _is_durable(self) -> bool:
        """Return, soon, whether all that was submitted will be there after a restart."""
        if self._writer.is_degraded:
            return False
        return await within(self._writer.beat()) and self._store is not self._fallback

    async def _guard(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        await supervise(name, run, clock=self._clock, listener=self._listener)

    async def _open_store(self) -> tuple[Memory, str | None]:
        """Return what is remembered, and an alarm where the database could not simply be opened."""
        names = [channel.id for channel in self._channels]
        at = self._clock.now()
        try:
            return await self._open_patiently(names, at), None
        except StoreTooNew:
            raise
        except StoreCorrupt as damage:
            alarm = f"The database was damaged ({damage})"
            try:
                kept = await self._store.set_aside(at=at)
                memory = await self._store.open(self._monitors, names, at=at)
            except StoreError as error:
                alarm = f"{alarm} and no new one could be made ({error})"
            else:
                alarm = f"{alarm}. It was set aside as {kept}; monitoring began with an empty one"
                self._listener.trouble(alarm)
                return memory, alarm
        except StoreError as error:
            alarm = f"The database cannot be opened ({error})"
        alarm += ". Monitoring goes on in memory: nothing is kept across a restart until that is mended"
        self._listener.trouble(alarm)
        self._store = self._fallback
        return await self._store.open(self._monitors, names, at=at), alarm

    async def _open_patiently(self, names: Sequence[str], at: datetime) -> Memory:
        """Open the store; where a backup or a curious person holds it, wait a little before doing without."""
        for left in reversed(range(OPENINGS)):
            try:
                return await self._store.open(self._monitors, names, at=at)
            except (StoreCorrupt, StoreTooNew):
                raise
            except StoreError as error:
                if not left:
                    raise
                self._listener.trouble(f"The database cannot be opened ({error}), trying again")
                await self._clock.sleep(1.0)
        raise AssertionError("the last try either returns or raises")

    async def _drain(self, tasks: dict[str, asyncio.Task[None]]) -> None:
        """End in order: no new checks, then checks, deliveries and commits that are under way."""
        self._watchdog.stopping()
        deadline = self._clock.monotonic() + DRAIN
        for name in (*self._doors, "the look-out", "the pruning", "the heartbeats", "the dispatcher"):
            tasks[name].cancel()
        await self._probing.settle(DRAIN)
        tasks["the scheduler"].cancel()
        await self._dispatcher.settle(max(deadline - self._clock.monotonic(), 0.0))
        try:
            async with asyncio.timeout(max(deadline - self._clock.monotonic(), 1.0)):
                await self._writer.drained()
        except TimeoutError:
            self._listener.trouble("The database did not take the last results; they are not kept")
        for task in tasks.values():
            task.cancel()

    def _store_changed(self, cause: str | None) -> None:
        """Raise the alert about our own database from memory, and end it through the ledger."""
        if cause is not None:
            self._raise_own(f"The database cannot be written: {cause}", through_ledger=False)
        else:
            self._end_own("The database can be written again")

    def _raise_own(self, detail: str, *, through_ledger: bool = True) -> None:
        at = self._clock.now()
        incident = Incident(
            id=incident_id("laya-uptime", at),
            monitor_id=SELF,
            severity=Severity.DOWN,
            opened_at=at,
            down_at=at,
            confirmed_at=at,
            reason=Reason.INTERNAL,
            detail=detail,
        )
        alerts = self._own_alerts(incident, Transition.DOWN, "laya-uptime itself is in trouble", detail, at=at)
        if through_ledger:
            ended = close(incident, at=at, why=Closing.RECOVERED)  # told once; there is nothing to wait for
            self._writer.submit(Change(monitor_id=SELF, incidents=(ended,), alerts=alerts))
        else:
            self._own_incident = incident
            for due in alerts:
                self._dispatcher.rescue(due)

    def _end_own(self, detail: str) -> None:
        incident, self._own_incident = self._own_incident, None
        if incident is None:
            return
        at = self._clock.now()
        ended = close(incident, at=max(at, incident.opened_at), why=Closing.RECOVERED)
        alerts = self._own_alerts(incident, Transition.RECOVERED, "laya-uptime itself is well again", detail, at=at)
        self._writer.submit(Change(monitor_id=SELF, incidents=(ended,), alerts=alerts))

    def _own_alerts(
        self, incident: Incident, transition: Transition, message: str, detail: str, *, at: datetime
    ) -> tuple[DueAlert, ...]:
        facts = own_facts(
            message, detail=detail, at=self._settings.local(at), is_good=transition is Transition.RECOVERED
        )
        why = (f"{transition} of {incident.id}: {detail}", "every channel hears of laya-uptime's own trouble")
        return tuple(
            address(incident.id, transition, 0, channel.id, facts=facts, at=at, decision=why)
            for channel in self._channels
        )
