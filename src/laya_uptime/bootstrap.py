"""The one place that knows every part and wires them together. Faces call it; nothing else does."""

import asyncio
import contextlib
import gc
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from platformdirs import user_data_path

from laya_uptime.adapters import examination, journal
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.console import Console
from laya_uptime.adapters.directory import DataDirectory
from laya_uptime.adapters.examination import Finding
from laya_uptime.adapters.net.confidential import confidential_of
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.adapters.net.trace import Trace
from laya_uptime.adapters.net.tracing import TracingDialer
from laya_uptime.adapters.shards.process import ProcessProbing
from laya_uptime.adapters.stores.memory import MemoryStore
from laya_uptime.adapters.stores.sqlite import FILE as SQLITE_FILE
from laya_uptime.adapters.stores.sqlite import SqliteStore
from laya_uptime.adapters.systemd import SystemdWatchdog
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.heartbeat import Kind
from laya_uptime.domain.report import Line, report, status_word
from laya_uptime.domain.trace import TraceLine
from laya_uptime.engine.control import Control, Ping, Reply, ask
from laya_uptime.engine.once import Look, look_once
from laya_uptime.engine.rounds import Rounds
from laya_uptime.engine.service import Service, Settings
from laya_uptime.engine.sharding import Shards, parts_for
from laya_uptime.ports import Channel, Clock, Overseer, Probing, Round, Watched

DATA_VARIABLE = "LAYA_UPTIME_DATA"
REPORT_EVERY = 10  # rounds


def data_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where history is kept: LAYA_UPTIME_DATA, else the user's data directory."""
    chosen = environ.get(DATA_VARIABLE, "").strip()
    return Path(chosen).expanduser().absolute() if chosen else user_data_path("laya-uptime", appauthor=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a face wants to have run."""

    watched: Sequence[Watched]
    channels: Sequence[Channel]
    policy: EgressPolicy = field(default_factory=EgressPolicy)
    zone: tzinfo | None = None  # in which people read instants; None: the host's
    retention: timedelta = timedelta(days=90)
    reports: bool = False  # write the status report every ten rounds
    first_look: Callable[[Round], None] | None = None  # hears of the first round of each monitor
    every_check: bool = True  # has a log line; else only one that says something else than the one before
    shards: int = 1  # processes that look; 1: this one does so itself
    listen: tuple[str, int] | None = None  # where signals over HTTP come in, if any monitor takes them; None: nowhere


def run(plan: Plan, *, directory: Path, banner: Sequence[str], farewell: str) -> None:
    """Watch until SIGINT or SIGTERM, then finish what is under way and write the report.

    The journal is open and the directory held by the caller. A second SIGINT ends the process at once with 130.
    Raise StoreTooNew or DataDirectoryError where the directory cannot be used.
    """
    for line in banner:
        journal.say(line)
    asyncio.run(_run(plan, directory, farewell))


@contextlib.contextmanager
def hold(directory: Path) -> Iterator[Path]:
    """Hold the data directory. Raise DataDirectoryError where it cannot be had."""
    with DataDirectory(directory) as path:
        yield path


@contextlib.contextmanager
def log_to(
    file: Path | None, *, as_json: bool = False, max_size: int = journal.MAX_SIZE, keep: int = journal.KEEP
) -> Iterator[None]:
    """Send log lines to the console and to this file."""
    with journal.Journal(file=file, as_json=as_json, max_size=max_size, keep=keep):
        yield


def dry_run(watched: Sequence[Watched]) -> list[Look]:
    """Look once at each, write its log line and the report; store nothing, tell nobody."""
    console = Console()
    began = SystemClock().monotonic()
    looks = look(
        watched,
        seen=lambda each: console.looked(each.watched.monitor, each.result),
        trouble=console.trouble,
    )
    lines = [_line(each.watched, each) for each in looks]
    journal.write_block(report(lines, uptime=timedelta(seconds=SystemClock().monotonic() - began)))
    return looks


def look(
    watched: Sequence[Watched],
    *,
    policy: EgressPolicy | None = None,
    seen: Callable[[Look], None] = lambda _look: None,
    trouble: Callable[[str], None] = lambda _text: None,
) -> list[Look]:
    """Look once at each of these, all at the same time."""
    clock = SystemClock()
    via = GuardedDialer(clock=clock, policy=policy or EgressPolicy())
    return asyncio.run(look_once(watched, via=via, clock=clock, trouble=trouble, seen=seen))


def look_tracing(
    watched: Watched, *, policy: EgressPolicy, trouble: Callable[[str], None]
) -> tuple[Look, list[TraceLine]]:
    """Look once at this one, and return beside the look what went over the wire. Nobody else hears of that."""
    clock = SystemClock()
    trace = Trace(clock, confidential_of(watched.check))
    via = TracingDialer(clock=clock, policy=policy, trace=trace)
    (seen,) = asyncio.run(look_once((watched,), via=via, clock=clock, trouble=trouble))
    return seen, trace.lines


def _line(watched: Watched, look_: Look) -> Line:
    return Line(
        name=watched.monitor.name, status=status_word(look_.health, look_.result.verdict.reason), tally=look_.tally
    )


async def _run(plan: Plan, directory: Path, farewell: str) -> None:
    clock = SystemClock()
    began = clock.monotonic()
    rounds = Rounds(len(plan.watched)) if plan.reports else None

    def write_report() -> None:
        lines = [
            Line(name=each.monitor.name, status=status_word(state.health, state.reason), tally=state.tally)
            for each in plan.watched
            if (state := service.states.get(each.monitor.id)) is not None
        ]
        journal.write_block(report(lines, uptime=timedelta(seconds=clock.monotonic() - began)))

    def slot_over(due: datetime) -> None:
        if rounds is not None and rounds.slot_over(due) and rounds.over % REPORT_EVERY == 0:
            write_report()

    service = Service(
        plan.watched,
        plan.channels,
        store=SqliteStore(directory),
        fallback=MemoryStore(),
        via=GuardedDialer(clock=clock, policy=plan.policy),
        clock=clock,
        listener=Console(slot_over=slot_over, first_look=plan.first_look, every_check=plan.every_check),
        watchdog=SystemdWatchdog(),
        settings=Settings(
            owner=f"{os.getpid()}-{clock.now():%Y%m%dT%H%M%S}",
            retention=plan.retention,
            local=lambda at: at.astimezone(plan.zone),
            chance=random.SystemRandom().random,
            restored=_spare_collections,
            looked=_spare_collections,  # what every check keeps for its next look
        ),
        probing=_shards(plan, clock) if plan.shards > 1 else None,
    )
    if service.heartbeats.names:
        service.open("the control socket", Control(directory, service.heartbeats).run)
    stop = asyncio.Event()
    _stop_on_signals(stop)
    with _listening(plan, service):
        await service.run(stop)
    write_report()
    journal.say(farewell)


@contextlib.contextmanager
def _listening(plan: Plan, service: Service) -> Iterator[None]:
    """Let signals in over HTTP where a heartbeat has a token. Raise ConfigError where the address cannot be had."""
    if plan.listen is None or not service.heartbeats.tokens:
        yield
        return
    # Who has no such heartbeat need not load a web server.
    from laya_uptime.web.app import application  # noqa: PLC0415
    from laya_uptime.web.listener import Listener  # noqa: PLC0415

    with contextlib.closing(Listener(plan.listen)) as listener:
        app = application(service.heartbeats)
        service.open("the web listener", lambda: listener.run(app))
        journal.say(f"Signals of jobs: {listener.url}/ping/TOKEN")
        yield


def ping(name: str, kind: Kind, *, text: str, exit_code: int | None) -> Reply:
    """Tell the running service a signal of a job. Raise Unreachable where none runs."""
    return ask(data_directory(), Ping(monitor=name, kind=kind, text=text, exit_code=exit_code))


def _spare_collections() -> None:
    """Take what was loaded and restored out of all collections: it will be no garbage, and to walk it takes long."""
    gc.collect()
    gc.freeze()


def shards_for(watched: Sequence[Watched]) -> int:
    """Return how many processes should look at these on this machine."""
    return parts_for(watched, cores=len(os.sched_getaffinity(0)))


def _shards(plan: Plan, clock: Clock) -> Callable[[Overseer], Probing]:
    """Return how to make the probing of several processes. Their phases count from now on, whenever each is started."""
    anchor = clock.monotonic()

    def make(overseer: Overseer) -> Probing:
        return Shards(
            [each for each in plan.watched if each.is_probed],
            overseer,
            parts=plan.shards,
            make=lambda share: ProcessProbing(share, overseer, policy=plan.policy, clock=clock, anchor=anchor),
            clock=clock,
        )

    return make


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        if stop.is_set():
            os._exit(130)  # whoever presses it twice wants out now
        stop.set()

    loop.add_signal_handler(signal.SIGINT, interrupted)
    loop.add_signal_handler(signal.SIGTERM, stop.set)


def examine() -> list[Finding]:
    """Return what `doctor` finds."""
    return list(examination.examine(data_directory(), SystemClock()))


def examine_live() -> list[Finding]:
    """Return whether the service on the data directory is at work: of the drop-in's, where only that one exists."""
    directory = data_directory()
    own = directory / SQLITE_FILE
    database = own if own.exists() else directory / "watch" / SQLITE_FILE
    return [examination.heartbeat(database, SystemClock())]


def write_block(text: str) -> None:
    """Write to the log as it stands, in order with its lines."""
    journal.write_block(text)


def write(text: str) -> None:
    """Write to standard output, escaping what it cannot encode."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(f"{text}\n".encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
