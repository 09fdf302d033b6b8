"""The product as a process, with thousands of monitors on one core: CPU, lateness, memory, and what it does in a storm.

Everything is what a user runs: a configuration file with assertions, `laya-uptime serve`, SQLite, log lines to a pipe.
Lateness and totals are read from the stored results, whole milliseconds and tenths of one; CPU and memory from the kernel.
"""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.ledger.blob import Record, unpack
from laya_uptime.adapters.stores.sqlite import FILE
from laya_uptime.domain.result import Outcome
from peers.processes import Child, cpu_seconds, family, resident_bytes
from peers.targets import http_target
from rows import progress

MIB = 1024 * 1024
_START = 300.0  # seconds for the first result of every monitor
_SETTLED = 1.0  # seconds after the first turn of every monitor's own phase
_OFF_GRID = 0.05  # share of the interval; what is further from a monitor's phase is a second look at a suspect
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is watched: so many monitors, each every so many seconds; some of them black holes."""

    monitors: int
    every: int
    seconds: float  # how long is measured, after the first turn is over
    holes: float = 0.0  # the share of monitors that are accepted and never answered
    storm: float = 0.0  # the share of monitors whose targets end at once, after the time above
    storm_seconds: float = 0.0
    shards: int = 1


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured. Lateness in ms, sorted."""

    checks: int
    seconds: float
    cpu: float  # seconds, of all processes of the product
    busiest: float  # seconds, of the one that took most
    late: list[float]
    totals: list[float]  # ms from start to verdict of the checks that found their target up, sorted
    resident: int  # bytes, of all processes of the product
    processes: int
    missed: int
    double: int
    storm_late: list[float]  # of the checks of targets that stayed healthy, sorted

    @property
    def cpu_us(self) -> float:
        """Return CPU microseconds of one check."""
        return self.cpu / self.checks * 1e6

    @property
    def busiest_us(self) -> float:
        """Return the CPU microseconds that the busiest process took for one check of all."""
        return self.busiest / self.checks * 1e6


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the value below which this share lies; None of nothing."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


@contextmanager
def product(
    file: Path, data: Path, *, cores: Sequence[int], drain: int, options: Sequence[str] = ()
) -> Iterator[Child]:
    """Run `laya-uptime serve` on these cores, and something that reads its log lines on another."""
    command = [sys.executable, "-m", "laya_uptime", "serve", "--config", str(file), *options]
    with Child(command, core=cores, env={"LAYA_UPTIME_DATA": str(data)}, stdin=subprocess.DEVNULL) as child:
        assert child.process.stdout is not None
        reader = Child(["cat"], core=drain, stdin=child.process.stdout.fileno(), stdout=subprocess.DEVNULL)
        with reader:
            yield child


class Ledger:
    """Reads what the product has stored, while it runs and after."""

    def __init__(self, data: Path) -> None:
        self._file = data / FILE

    def results(self, after: int = 0) -> list[tuple[int, bytes]]:
        """Return the stored blobs with their numbers, those after `after`; nothing while there is no database."""
        with suppress(sqlite3.OperationalError):
            connection = sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)
            try:
                return list(
                    connection.execute("SELECT seq, data FROM ingest_log WHERE seq > ? ORDER BY seq", (after,)),
                )
            finally:
                connection.close()
        return []

    def records(self) -> Iterator[Record]:
        """Return every stored result."""
        for _, blob in self.results():
            yield from unpack(blob)

    def wait_for(self, monitors: int, child: Child) -> float:
        """Wait until so many monitors have a result; return how long that took. Raise SystemExit when it does not happen."""
        began, seen, last = time.monotonic(), set[int](), 0
        while time.monotonic() - began < _START:
            for seq, blob in self.results(last):
                last = seq
                seen.update(record.monitor_id for record in unpack(blob))
            if len(seen) >= monitors:
                return time.monotonic() - began
            if child.process.poll() is not None:
                raise SystemExit(f"the product ended by itself with {child.process.returncode}")
            time.sleep(0.25)
        raise SystemExit(f"after {_START:g} s only {len(seen)} of {monitors} monitors had a result")


def configuration(load: Load, steady: Sequence[str], doomed: Sequence[str], hole: str | None) -> str:
    """Return the file. Black holes and doomed targets are spread evenly over the monitors."""
    lines = [
        f"defaults: {{ every: {load.every}s, expect: [status == 200, 'body.status == \"healthy\"'] }}",
        "monitors:",
    ]
    holes, storms = _Spread(load.holes), _Spread(load.storm)
    for number in range(load.monitors):
        if hole is not None and holes.takes():
            url = hole
        elif doomed and storms.takes():
            url = doomed[number % len(doomed)]
        else:
            url = steady[number % len(steady)]
        lines.append(f"  m{number}: {url}?{number}")
    return "\n".join(lines) + "\n"


class _Spread:
    """Takes a share of what it is asked about, evenly."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._owed = 0.0

    def takes(self) -> bool:
        self._owed += self._share
        if self._owed >= 1:
            self._owed -= 1
            return True
        return False


def run(load: Load, nginx: Path, folder: Path, *, target: int, prober: int) -> Figures:
    """Run the product under this load and return what it cost and how late it was.

    It has the prober's core; with shards it has both, and shares them with the targets.
    """
    clock = SystemClock()
    folder.mkdir()
    data = folder / "data"
    with ExitStack() as stack:
        steady = stack.enter_context(http_target(nginx, folder / "steady", core=target))
        fated = stack.enter_context(ExitStack())
        doomed = fated.enter_context(http_target(nginx, folder / "doomed", core=target)).urls if load.storm else ()
        hole = None
        if load.holes:
            here = Path(__file__).parent / "peers/hole.py"
            hole = f"http://127.0.0.1:{stack.enter_context(Child([sys.executable, here], core=target)).line()}/"
        file = folder / "laya-uptime.yaml"
        file.write_text(configuration(load, steady.urls, doomed, hole), encoding="utf-8")
        cores = (prober,) if load.shards == 1 else (target, prober)
        options = [] if load.shards == 1 else ["--shards", str(load.shards)]
        with product(file, data, cores=cores, drain=target, options=options) as child:
            ledger = Ledger(data)
            ready = ledger.wait_for(load.monitors, child)
            progress(f"{load.monitors} monitors every {load.every} s: every one has a result after {ready:.1f} s")
            time.sleep(load.every + _SETTLED)
            members = family(child.pid)
            before = list(map(cpu_seconds, members))
            began, since = time.monotonic(), clock.now()
            time.sleep(load.seconds)
            until, seconds = clock.now(), time.monotonic() - began
            cpu = [now - then for now, then in zip(map(cpu_seconds, members), before, strict=True)]
            resident = sum(map(resident_bytes, members))
            fated.close()
            time.sleep(load.storm_seconds)
            ended = clock.now()
        seen = list(ledger.records())
    window = [record for record in seen if since <= record.at < until]
    storm = [record for record in seen if until <= record.at < ended and record.outcome is Outcome.UP]
    missed, double = slots(window, timedelta(seconds=load.every))
    if not window:
        raise SystemExit("the product stored no result in the time that is measured")
    return Figures(
        checks=len(window),
        seconds=seconds,
        cpu=sum(cpu),
        busiest=max(cpu),
        late=_late(window),
        totals=sorted(record.latency / _MS for record in window if record.outcome is Outcome.UP),
        resident=resident,
        processes=len(members),
        missed=missed,
        double=double,
        storm_late=_late(storm) if load.storm else [],
    )


def _late(records: Sequence[Record]) -> list[float]:
    return sorted((record.at - record.due) / _MS for record in records)


def slots(records: Sequence[Record], every: timedelta) -> tuple[int, int]:
    """Return how many slots between a monitor's first and last record have none, and how many have more than one.

    A monitor's slots are whole intervals apart. Second looks at a suspect lie between them and do not count.
    """
    of: dict[int, list[datetime]] = {}
    for record in records:
        of.setdefault(record.monitor_id, []).append(record.due)
    missed = double = 0
    for dues in of.values():
        dues.sort()
        places = set[int]()
        for due in dues:
            exact = (due - dues[0]) / every
            place = round(exact)
            if abs(exact - place) > _OFF_GRID:
                continue
            double += place in places
            places.add(place)
        missed += max(places) + 1 - len(places)
    return missed, double


def supports_shards() -> bool:
    """Say whether `serve` can be run on more than one core."""
    asked = subprocess.run(
        [sys.executable, "-m", "laya_uptime", "serve", "--help"], capture_output=True, text=True, check=False
    )
    return "--shards" in asked.stdout


def descriptors() -> None:
    """Allow as many open files as this user may have: every check in flight is one."""
    import resource  # noqa: PLC0415  not on every system, and this is Linux's part alone

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
