"""What it costs to know when 100,000 monitors are due, and how late they begin.

The scheduler alone, in a real asyncio loop, with checks that end at once: every monitor at 60 s on its own phase, so
1,667 starts a second. Beside it, in the same interleaved rounds and each in a process of its own, three ways in which
the same is usually done: a timer of the loop per monitor, a task that sleeps per monitor, and one heap of tuples. They
start with the phases spread and have no first looks, edits, limits or counts.

Lateness is the start of a check minus its due time. Bytes per monitor are those of the scheduling state alone, as
tracemalloc counts them. GC is one full collection, the least of three, before and after gc.freeze().

Last, a start: 20,000 monitors at 12 s whose checks each burn 100 us of CPU. All of them are owed a first look; the
lateness is that of the regular slots which come due meanwhile.
"""

import asyncio
import gc
import heapq
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from statistics import median
from typing import Protocol, TypeVar

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.schedule import first_phase
from laya_uptime.engine.scheduler import Scheduler, Slot
from laya_uptime.testing import FakeClock
from rows import Row, main, progress

MONITORS = 100_000
EVERY = timedelta(seconds=60)
SECOND = timedelta(seconds=1)
MS = timedelta(milliseconds=1)
Result = TypeVar("Result")


class Design(Protocol):
    """One way to be told when a monitor is due. `late` takes the lateness of each start, in milliseconds."""

    def __init__(self, monitors: list[Monitor], late: list[float]) -> None: ...

    async def run(self) -> None:
        """Start checks until cancelled."""
        ...

    @property
    def is_warm(self) -> bool:
        """Say whether the start is over."""
        ...


class Heap:
    """The scheduler of the product."""

    def __init__(self, monitors: list[Monitor], late: list[float]) -> None:
        self._late = late
        self.scheduler = Scheduler(monitors, clock=SystemClock(), start=self._start, passed_over=lambda _: None)

    def _start(self, slot: Slot) -> None:
        self._late.append((datetime.now(UTC) - slot.due) / MS)  # noqa: TID251  the benchmark is outside of the product
        self.scheduler.finished(slot.monitor, is_suspect=False)

    async def run(self) -> None:
        await self.scheduler.run()

    @property
    def is_warm(self) -> bool:
        return self.scheduler.load().owed == 0


class Tuples:
    """One heap of (due, order, id, regular) and one task that sleeps until the first of them."""

    is_warm = True

    def __init__(self, monitors: list[Monitor], late: list[float]) -> None:
        self._late = late
        self._began = time.monotonic()
        self._monitors = {monitor.id: monitor for monitor in monitors}
        self._entries = len(monitors)
        self._heap = [(first_phase(monitor), place, monitor.id, True) for place, monitor in enumerate(monitors)]
        heapq.heapify(self._heap)

    async def run(self) -> None:
        while True:
            now = timedelta(seconds=time.monotonic() - self._began)
            while self._heap[0][0] <= now:
                due, _, monitor_id, _ = heapq.heappop(self._heap)
                self._entries += 1
                following = due + self._monitors[monitor_id].every
                heapq.heappush(self._heap, (following, self._entries, monitor_id, True))
                self._late.append((time.monotonic() - self._began - due / SECOND) * 1000)
            await asyncio.sleep(max(self._heap[0][0] / SECOND - (time.monotonic() - self._began), 0.001))  # noqa: TID251


class Timers:
    """A `call_later` for each monitor."""

    is_warm = True

    def __init__(self, monitors: list[Monitor], late: list[float]) -> None:
        self._late = late
        self._loop = asyncio.get_running_loop()
        began = self._loop.time()
        for monitor in monitors:
            due = began + first_phase(monitor) / SECOND
            self._loop.call_at(due, self._due, monitor, due)

    def _due(self, monitor: Monitor, due: float) -> None:
        following = due + monitor.every / SECOND
        self._loop.call_at(following, self._due, monitor, following)
        self._late.append((self._loop.time() - due) * 1000)

    async def run(self) -> None:
        await asyncio.Event().wait()


class Tasks:
    """A task for each monitor, which sleeps until it is due."""

    is_warm = True

    def __init__(self, monitors: list[Monitor], late: list[float]) -> None:
        self._late = late
        began = asyncio.get_running_loop().time()
        self._tasks = [asyncio.create_task(self._watch(monitor, began)) for monitor in monitors]

    async def _watch(self, monitor: Monitor, began: float) -> None:
        loop = asyncio.get_running_loop()
        due = began + first_phase(monitor) / SECOND
        while True:
            await asyncio.sleep(due - loop.time())  # noqa: TID251
            self._late.append((loop.time() - due) * 1000)
            due += monitor.every / SECOND

    async def run(self) -> None:
        await asyncio.Event().wait()


DESIGNS: dict[str, type[Design]] = {"product": Heap, "tuples": Tuples, "call_later": Timers, "tasks": Tasks}


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One run of one design."""

    core: float  # percent
    late: tuple[float, float, float, float]  # ms: p50, p99, p99.9, worst
    size: float  # bytes per monitor
    gc: float  # ms, with the monitors
    gc_monitors: float  # ms, the monitors alone
    gc_frozen: float  # ms


def fleet(count: int = MONITORS, every: timedelta = EVERY) -> list[Monitor]:
    """Return monitors as a configuration file would give them."""
    return [
        Monitor(
            id=f"service-{n:06d}", name=f"Service {n}", target=f"https://service-{n}.example.org/health", every=every
        )
        for n in range(count)
    ]


async def sized(design: type[Design], monitors: list[Monitor], late: list[float]) -> tuple[Design, float]:
    """Return the design with all that it needs until the first start, and the bytes of that per monitor."""
    gc.collect()
    tracemalloc.start()
    made = design(monitors, late)
    await asyncio.sleep(0)  # noqa: TID251  tasks first exist when they have gone to sleep
    gc.collect()
    size = tracemalloc.get_traced_memory()[0] / len(monitors)
    tracemalloc.stop()
    return made, size


async def watch(design: type[Design], seconds: float) -> Figures:
    """Run one design and return its figures."""
    monitors = fleet()
    late: list[float] = []
    gc_monitors = collection()
    made, size = await sized(design, monitors, late)
    running = asyncio.create_task(made.run())
    await asyncio.sleep(1)  # noqa: TID251
    while not made.is_warm:  # noqa: ASYNC110  looked at from outside, as doctor would
        await asyncio.sleep(0.2)  # noqa: TID251
    late.clear()
    gc.disable()  # its pauses are a figure of their own
    began, cpu = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)  # noqa: TID251
    core = (time.process_time() - cpu) / (time.monotonic() - began) * 100
    ordered = sorted(late)
    running.cancel()
    late.clear()
    whole = collection()
    gc.freeze()
    return Figures(
        core=core,
        late=(*(quantile(ordered, share) for share in (0.5, 0.99, 0.999)), ordered[-1]),  # type: ignore[arg-type]
        size=size,
        gc=whole,
        gc_monitors=gc_monitors,
        gc_frozen=collection(),
    )


def collection() -> float:
    """Return the milliseconds of a full collection."""
    took = []
    for _ in range(3):
        began = time.perf_counter()
        gc.collect()
        took.append((time.perf_counter() - began) * 1000)
    return min(took)


def quantile(ordered: list[float], share: float) -> float:
    """Return the value below which this share lies."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def round_of(name: str, seconds: float) -> Figures:
    """Run one design, in this process."""
    return asyncio.run(watch(DESIGNS[name], seconds))


def settled_size() -> tuple[float, float]:
    """Return the bytes per monitor of the monitors themselves and of the scheduler a minute after its start."""
    gc.collect()
    tracemalloc.start()
    monitors = fleet()
    records = tracemalloc.get_traced_memory()[0]
    clock = FakeClock()
    scheduler = Scheduler(
        monitors,
        clock=clock,
        start=lambda slot: scheduler.finished(slot.monitor, is_suspect=False),
        passed_over=lambda _: None,
    )
    for _ in range(61 * 50):
        scheduler.hand_out()
        clock.stall(0.02)
    assert not scheduler.load().owed
    gc.collect()
    schedule = tracemalloc.get_traced_memory()[0] - records
    tracemalloc.stop()
    return records / MONITORS, schedule / MONITORS


def begin(count: int, every: timedelta, burn: float) -> tuple[float, float, list[float]]:
    """Start a fleet whose checks burn so many seconds of CPU, and watch it until nothing is owed any more.

    Return the seconds that took, the milliseconds after which half of the fleet had been looked at, and the lateness
    of the regular slots meanwhile.
    """
    monitors = fleet(count, every)
    wall = datetime.now(UTC)  # noqa: TID251
    due_at = {monitor.id: wall + first_phase(monitor) for monitor in monitors}
    seen: dict[str, float] = {}
    late: list[float] = []

    def start(slot: Slot) -> None:
        now = datetime.now(UTC)  # noqa: TID251
        seen.setdefault(slot.monitor.id, (now - wall) / SECOND)
        if abs(slot.due - due_at[slot.monitor.id]) < 3 * MS:  # its first regular slot
            late.append((now - slot.due) / MS)
        until = time.perf_counter() + burn
        while time.perf_counter() < until:
            pass
        asyncio.get_running_loop().call_soon(lambda: scheduler.finished(slot.monitor, is_suspect=False))

    scheduler = Scheduler(monitors, clock=SystemClock(), start=start, passed_over=lambda _: None)
    offset = datetime.now(UTC) - wall - scheduler.elapsed  # noqa: TID251
    due_at = {monitor_id: due + offset for monitor_id, due in due_at.items()}

    async def run() -> None:
        gc.freeze()  # the pauses for collections are a figure of their own
        running = asyncio.create_task(scheduler.run())
        while scheduler.load().owed:  # noqa: ASYNC110  likewise
            await asyncio.sleep(0.05)  # noqa: TID251
        running.cancel()

    asyncio.run(run())
    return max(seen.values()), sorted(seen.values())[count // 2] * 1000, sorted(late)


def alone(work: Callable[..., Result], *arguments: object) -> Result:
    """Do it in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def measure(quick: bool) -> list[Row]:
    """Return all rows."""
    rounds, seconds = (1, 4.0) if quick else (3, 15.0)
    found: dict[str, list[Figures]] = {name: [] for name in DESIGNS}
    for turn in range(rounds):
        for name in DESIGNS:
            progress(f"round {turn + 1} of {rounds}: {name} ...")
            found[name].append(alone(round_of, name, seconds))
    progress("bytes after a minute ...")
    records, schedule = alone(settled_size)
    progress("a start ...")
    took, half, late = alone(begin, 20_000, timedelta(seconds=12), 100e-6)

    rows = []
    for name, each in found.items():
        gates = ("<= 15", "<= 40", "<= 180") if name == "product" else (None, None, None)
        p50, p99, p999, worst = (median(one.late[place] for one in each) for place in range(4))
        rows += [
            Row(name=f"schedule.{name}.core_percent", value=median(one.core for one in each), unit="%"),
            Row(name=f"schedule.{name}.lateness_p50_ms", value=p50, unit="ms"),
            Row(name=f"schedule.{name}.lateness_p99_ms", value=p99, unit="ms", gate=gates[0]),
            Row(name=f"schedule.{name}.lateness_p999_ms", value=p999, unit="ms", gate=gates[1]),
            Row(name=f"schedule.{name}.lateness_worst_ms", value=worst, unit="ms"),
            Row(
                name=f"schedule.{name}.bytes_per_monitor",
                value=median(one.size for one in each),
                unit="B",
                gate=gates[2],
            ),
            Row(name=f"schedule.{name}.gc_ms", value=median(one.gc for one in each), unit="ms"),
            Row(name=f"schedule.{name}.gc_frozen_ms", value=median(one.gc_frozen for one in each), unit="ms"),
        ]
    return [
        *rows,
        Row(
            name="schedule.monitors_alone.gc_ms", value=median(each.gc_monitors for each in found["product"]), unit="ms"
        ),
        Row(name="schedule.settled_bytes_per_monitor", value=schedule, unit="B", gate="<= 120"),
        Row(name="schedule.monitor_and_schedule_bytes", value=records + schedule, unit="B", gate="<= 1536"),
        Row(name="schedule.start.all_seen_s", value=took, unit="s"),
        Row(name="schedule.start.half_seen_ms", value=half, unit="ms"),
        Row(name="schedule.start.regular_slots", value=len(late), unit=""),
        Row(name="schedule.start.regular_p50_ms", value=quantile(late, 0.5), unit="ms"),
        Row(name="schedule.start.regular_p99_ms", value=quantile(late, 0.99), unit="ms", gate="<= 40"),
        Row(name="schedule.start.regular_p999_ms", value=quantile(late, 0.999), unit="ms"),
    ]


if __name__ == "__main__":
    raise SystemExit(main(__doc__ or "", measure))
