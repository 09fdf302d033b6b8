"""What one result costs on its way from the probe to the ledger, and what one monitor keeps in memory.

A configuration file is loaded by the product itself and its monitors are restored from an empty ledger. Then answers as
a healthy service gives them (200, 300 bytes of JSON), each an object of its own, are judged, absorbed, told to the
console and committed to a SQLite file in batches of what a second brings at 1,000 results a second. CPU is user plus
system time of the whole process, the store's and the log's threads included. Memory is measured after the first result
of every monitor, for each size in a fresh process.
"""

import asyncio
import gc
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.console import Console
from laya_uptime.adapters.journal import Journal
from laya_uptime.adapters.net.document import read_body
from laya_uptime.adapters.stores.sqlite import SqliteStore
from laya_uptime.config.load import load
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.result import Answer, Evidence, Observation, Phases, Result
from laya_uptime.engine.pipeline import Pipeline
from laya_uptime.engine.writer import Writer
from laya_uptime.ports import Watched
from laya_uptime.testing import RecordingListener
from rows import Row, main, progress

PER_SECOND = 1_000
BODY = json.dumps(
    {
        "status": "healthy",
        "service": "shop",
        "version": "4.11.2",
        "checks": {
            "database": {"status": "healthy", "message": "primary reachable, 3 ms"},
            "cache": {"status": "healthy", "message": "hit rate 98 %"},
            "disk_space": {"status": "healthy", "message": "41 % of 200 GB are in use"},
        },
        "uptime": 86_400,
    }
).encode()
SORTS = {  # what is asked of the answers, and where they come from
    "plain": ("", "shops"),
    "health": ("", "health"),  # AUTO reads the health document where the path names one
    "expect": ("expect: [status == 200, 'body.status == \"healthy\"'], ", "shops"),
}
START = datetime(2026, 11, 25, 12, tzinfo=UTC)
US = timedelta(microseconds=1)


def file_of(folder: str, monitors: int, sort: str = "plain") -> Path:
    """Write a configuration as somebody with that many services has it and return its path."""
    path = Path(folder, "laya-uptime.yaml")
    rules, route = SORTS[sort]
    with path.open("w", encoding="ascii") as file:
        file.write("defaults: { every: 60s, timeout: 9s }\nmonitors:\n")
        for number in range(monitors):
            file.write(f"  shop {number:06}: {{ {rules}url: http://s{number % 250}.example/{route}/{number:06} }}\n")
    return path


def observed(monitor: Monitor, at: datetime) -> Observation:
    """Return what a check of the monitor sees, nothing of it shared with another one."""
    return Observation(
        monitor_id=monitor.id,
        region="local",
        due=at - 900 * US,
        at=at.replace(microsecond=at.microsecond // 1000 * 1000),
        elapsed=1234 * US,
        seen=Answer(
            Evidence(
                addresses=("192.0.2.10",),
                address="192.0.2.10",
                phases=Phases(dns=101 * US, connect=99 * US, send=12 * US, wait=888 * US, read=31 * US),
                http_version="1.1",
                status=200,
                headers=(
                    ("content-type", "application/json"),
                    ("content-length", str(len(BODY))),
                    ("server", "nginx"),
                    ("date", "Wed, 25 Nov 2026 12:00:00 GMT"),
                ),
                body=read_body(BODY, "application/json", whole=True),
            )
        ),
    )


class Spent:
    """CPU seconds of this process, by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.process_time() - began


class Way:
    """The product between the prober and the disk."""

    def __init__(self, watched: Sequence[Watched], folder: str) -> None:
        clock = SystemClock()
        self.watched = watched
        self.checks = {each.monitor.id: each.check for each in watched}  # as the service holds them
        self.monitors = [each.monitor for each in watched]
        self.store = SqliteStore(Path(folder))
        self.writer = Writer(
            self.store,
            clock=clock,
            listener=RecordingListener(),
            committed=lambda _batch: None,
            rescue=lambda _due: None,
            degraded=lambda _cause: None,
        )
        self.pipeline = Pipeline(
            self.monitors, ["mail"], submit=self.writer.submit, listener=RecordingListener(), local=lambda at: at
        )
        self.every, self.changes = Console(), Console(every_check=False)
        self.elapsed = timedelta(0)
        self.second = 0

    async def start(self) -> None:
        memory = await self.store.open(self.monitors, ["mail"], at=START)
        self.writer.start_at(memory.seq)
        self.pipeline.restore(memory, at=START, elapsed=self.elapsed)
        self.committing = asyncio.create_task(self.writer.run())

    async def stop(self) -> None:
        self.committing.cancel()
        await self.store.close()

    def next_second(self) -> list[tuple[Monitor, Observation]]:
        """Return what the checks of the next second see."""
        begin = self.second * PER_SECOND % len(self.monitors)
        self.second += 1
        self.elapsed += timedelta(seconds=1)
        at = START + self.elapsed
        due = self.monitors[begin : begin + PER_SECOND]
        return [(monitor, observed(monitor, at + number * 1000 * US)) for number, monitor in enumerate(due)]

    async def pass_in_parts(self, seen: list[tuple[Monitor, Observation]], spent: Spent) -> None:
        with spent.on("judge"):
            results = [Result(observation=each, verdict=judge(each, monitor.rules)) for monitor, each in seen]
        due = [monitor for monitor, _ in seen]
        seen.clear()
        with spent.on("absorb"):
            rounds = [
                self.pipeline.absorb(monitor, [result], elapsed=self.elapsed)
                for monitor, result in zip(due, results, strict=True)
            ]
        with spent.on("log_changes"):
            for round_ in rounds:
                self.changes.round_done(round_)
        with spent.on("log_every"), Journal(file=None):  # it ends when its thread has written everything
            for round_ in rounds:
                self.every.round_done(round_)
        del rounds, results, round_
        with spent.on("commit"):
            await self.writer.drained()

    async def pass_whole(self, seen: list[tuple[Monitor, Observation]], spent: Spent) -> None:
        with spent.on("total"):
            while seen:
                monitor, observation = seen.pop()
                result = Result(observation=observation, verdict=judge(observation, monitor.rules))
                self.changes.round_done(self.pipeline.absorb(monitor, [result], elapsed=self.elapsed))
            del result, observation
            await self.writer.drained()


async def cost(folder: str, *, sort: str, seconds: int) -> dict[str, float]:
    """Return CPU microseconds per result in the steady state: of each part on its own, and of the whole way at a stretch."""
    way = Way(load(file_of(folder, 10_000, sort), environ={}).monitors, folder)
    await way.start()
    parts = Spent()
    for second in range(-10, 2 * seconds):
        if second == 0:  # every monitor has had its first result
            gc.collect()
            gc.freeze()
            parts = Spent()
        results = way.next_second()
        if second < seconds:
            await way.pass_in_parts(results, parts)
        else:
            await way.pass_whole(results, parts)
    await way.stop()
    return {part: took / seconds / PER_SECOND * 1e6 for part, took in parts.seconds.items()}


async def held(folder: str, *, monitors: int, traced: bool) -> dict[str, float]:
    """Return what it takes to load that many monitors, and what is held after the first result of each."""
    file = file_of(folder, monitors)
    if traced:
        tracemalloc.start()
    began = time.process_time()
    way = Way(load(file, environ={}).monitors, folder)
    load_s = time.process_time() - began
    load_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    await way.start()
    began = time.process_time()
    for _ in range(0, monitors, PER_SECOND):
        await way.pass_whole(way.next_second(), Spent())
    gc.collect()
    held_bytes = tracemalloc.get_traced_memory()[0] if traced else resident()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    await way.stop()
    return {"load_s": load_s, "load_peak": load_peak, "held": held_bytes, "peak": peak}


def resident() -> int:
    """Return the resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def apart(measure_: Callable[..., object], **options: object) -> dict[str, float]:
    """Return what a coroutine function measures in a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_apart, args=(theirs, measure_, options))
    process.start()
    theirs.close()
    figures: dict[str, float] = ours.recv()
    process.join()
    return figures


def _apart(answer: Connection, measure_: Callable[..., Any], options: dict[str, object]) -> None:
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  the log's lines go there to the end
    with tempfile.TemporaryDirectory() as folder:
        answer.send(asyncio.run(measure_(folder, **options)))


def measure(quick: bool) -> list[Row]:
    """Return all rows."""
    rows = []
    for sort in SORTS:
        progress(f"results, {sort} ...")
        parts = apart(cost, sort=sort, seconds=10 if quick else 60)
        for part, us in parts.items():
            gate = "<= 35" if part == "total" else None
            rows.append(Row(name=f"path.{sort}.{part}_us", value=us, unit="us", gate=gate))
    for traced in (True, False):
        few = apart(held, monitors=PER_SECOND, traced=traced)["held"]
        for monitors in (10_000, 100_000)[: 1 if quick or traced else 2]:
            progress(f"{monitors} monitors{', every allocation traced' if traced else ''} ...")
            name, figures = f"path.{monitors}", apart(held, monitors=monitors, traced=traced)
            each = (figures["held"] - few) / (monitors - PER_SECOND)
            if traced:
                rows.append(Row(name=f"{name}.objects_per_monitor", value=each, unit="B", gate="<= 1536"))
                continue
            rows += [
                Row(name=f"{name}.rss_per_monitor", value=each, unit="B"),
                Row(name=f"{name}.rss_mb", value=figures["held"] / 1e6, unit="MB", gate="<= 400"),
                Row(name=f"{name}.load_s", value=figures["load_s"], unit="s", gate="<= 10"),
                Row(
                    name=f"{name}.peak_over_held_mb",
                    value=(figures["peak"] - figures["held"]) / 1e6,
                    unit="MB",
                    gate="<= 150",
                ),
            ]
    return rows


if __name__ == "__main__":
    raise SystemExit(main(__doc__ or "", measure))
