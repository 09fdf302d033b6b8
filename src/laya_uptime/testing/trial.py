"""One trial of a kill run: a real outage, a real monitor that is killed at a named point, and what came of it.

The monitor is `python -m laya_uptime watch --interval 1` with an empty data directory, the truth target for its three
services, and the ledger sink for its mail server and its webhook. One service is up for three rounds, down for a few,
and up again. The process is killed at the armed point and started again at once without it. The trial ends when
"recovered" has arrived on both channels and nothing is waiting any more; then SIGTERM must end it with 0.

The trial goes by what the target sees, not by the watch: an outage lasts so many rounds of the two services beside
it, so a slow machine makes a trial longer and not another one.
"""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from laya_uptime.failpoints import VARIABLE
from laya_uptime.testing.invariants import Facts, Findings, Life, check
from laya_uptime.testing.ledger import Answer, Entry, LedgerSink
from laya_uptime.testing.record import read, waiting
from laya_uptime.testing.truth import SERVICES, Outage, State, TruthTarget, now

INTERVAL = timedelta(seconds=1)
PROGRAM = (sys.executable, "-m", "laya_uptime")
CHANNELS = ("email", "webhook")
UP_ROUNDS = 3  # before the outage
_LAST_ROUNDS = 2  # that the last process must see before it is asked to end
_PATIENCE = 60.0  # seconds for what must come: a round, the kill, the last alert
_END = 20.0  # seconds from SIGTERM to the end
_DATABASE = Path("watch", "laya-uptime.db")
KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "SYSTEMROOT", "TMPDIR", "TZ", "VIRTUAL_ENV")
_NAMES = {service.id: service.name for service in SERVICES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to happen. `point` None: nothing is killed, and nothing may come twice."""

    number: int
    point: str | None
    passage: int = 1  # at the how many-th time of passing the point
    service: str = "ai-service"
    state: State = State.REFUSED  # of the outage
    rounds: int = 4  # that the outage lasts
    edge: float = 0.5  # how long after a round the service changes, as a part of the interval
    refusals: int = 0  # so many times each channel answers 503 or 451 ...
    refuse: str = "down"  # ... when this is told
    delay: float = 0.0  # seconds that the webhook takes to answer

    @property
    def failpoint(self) -> str:
        """Return the value of the variable that arms the point."""
        return "" if self.point is None else f"{self.point}=kill@{self.passage}"


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of a trial. `error`: it could not be carried through, so it proves nothing."""

    plan: Plan
    hit: bool = False
    landed: str = ""  # where in the story the kill landed
    exit_code: int | None = None
    error: str = ""
    findings: Findings = field(default_factory=Findings)
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Say whether the point was hit and nothing is broken."""
        return not self.error and not self.findings.breaches and self.hit == (self.plan.point is not None)


class TrialError(Exception):
    """The trial could not be carried through: the point was not reached, or something did not come."""


def run(plan: Plan, directory: Path, *, schema: str, program: Sequence[str] = PROGRAM) -> Outcome:
    """Carry the trial out in `directory`, which is made, and return what came of it.

    `program` is what is run in place of laya-uptime: a test plants a bug in it and wants to see it found.
    """
    outcome = Outcome(plan=plan)
    began = time.monotonic()
    directory.mkdir(parents=True)
    with LedgerSink(directory / "ledger") as sink, TruthTarget(log=directory / "truth.jsonl") as target:
        environment = _environment(directory, sink, target)
        with Watched(program, plan.failpoint, environment, directory / "console.log") as watched:
            try:
                _tell_the_story(plan, watched, sink, target, directory / "data" / _DATABASE)
            except (TrialError, TimeoutError) as error:
                outcome.error = str(error)
            outcome.exit_code = watched.end()
        outcome.hit = watched.killed_at is not None
        if outcome.exit_code != 0 and not outcome.error:
            outcome.error = f"SIGTERM ended it with {outcome.exit_code}, not with 0"
        entries, outages = sink.entries(), target.outages()
        outcome.landed = _where(watched.killed_at, outages, entries)
        facts = Facts(
            outages=outages,
            looks=[look.at for look in target.looks],
            entries=entries,
            database=directory / "data" / _DATABASE,
            lives=watched.lives,
            every=INTERVAL,
            channels=CHANNELS,
            schema=schema,
        )
    outcome.findings = check(facts)
    outcome.seconds = time.monotonic() - began
    return outcome


def schema_of_a_new_database(directory: Path) -> str:
    """Return the schema revision that the monitor gives a new database: what it must still be after every kill."""
    directory.mkdir(parents=True)
    with LedgerSink(directory / "ledger") as sink, TruthTarget() as target:
        with Watched(PROGRAM, "", _environment(directory, sink, target), directory / "console.log") as watched:
            target.wait_for_rounds(1, seconds=_PATIENCE)
            watched.end()
        return read(directory / "data" / _DATABASE).schema


def _tell_the_story(plan: Plan, watched: "Watched", sink: LedgerSink, target: TruthTarget, database: Path) -> None:
    def change(state: State, transition: str) -> None:
        time.sleep(plan.edge * INTERVAL.total_seconds())
        if plan.refusals and plan.refuse == transition:
            sink.answer("email", *[Answer(status=451)] * plan.refusals)
            sink.answer("http", *[Answer(status=503)] * plan.refusals)
        target.put(plan.service, state)

    if plan.delay:
        sink.answer_always("http", Answer(delay=plan.delay))
    target.wait_for_rounds(UP_ROUNDS, seconds=_PATIENCE)
    change(plan.state, "down")
    target.wait_for_rounds(plan.rounds, apart_from=plan.service, seconds=_PATIENCE)
    change(State.UP, "recovered")
    up_since = now()

    def is_over() -> bool:
        if plan.point is not None and watched.killed_at is None:
            return False
        since = max(up_since, watched.lives[-1].began)
        return (
            target.rounds(since=since) >= _LAST_ROUNDS
            and all(_told("recovered", sink.entries(channel)) for channel in CHANNELS)
            and waiting(database) == 0
        )

    _wait(is_over, watched)


def _wait(is_over: Callable[[], bool], watched: "Watched") -> None:
    give_up = time.monotonic() + _PATIENCE
    while True:
        with contextlib.suppress(sqlite3.Error):  # not there yet, or just being opened
            if is_over():
                return
        if watched.trouble:
            raise TrialError(watched.trouble)
        if time.monotonic() > give_up:
            if watched.is_armed:
                raise TrialError(f"{watched.failpoint} was not reached")
            return  # the checker says what is missing
        time.sleep(0.05)


def _told(transition: str, entries: list[Entry]) -> bool:
    return any(entry.accepted and entry.transition == transition for entry in entries)


def _where(killed_at: datetime | None, outages: list[Outage], entries: list[Entry]) -> str:
    """Return in which part of the story the kill landed, as the target and the sink saw it."""
    if killed_at is None or not outages:
        return ""
    [outage] = outages
    before = [entry for entry in entries if entry.received_at <= killed_at]
    told = [
        transition
        for transition in ("down", "recovered")
        if all(_told(transition, [e for e in before if e.channel == channel]) for channel in CHANNELS)
    ]
    if killed_at < outage.began:
        return "up"
    if outage.ended is None or killed_at < outage.ended:
        return "down, told" if told else "down, not told"
    return "up again, told" if "recovered" in told else "up again, not told"


def _environment(directory: Path, sink: LedgerSink, target: TruthTarget) -> dict[str, str]:
    ours = {
        "LAYA_UPTIME_DATA": str(directory / "data"),
        "LOG_FILE": str(directory / "watch.log"),
        "ALERT_EMAIL": "on-call@example.org",
        "SMTP_SERVER": "127.0.0.1",
        "SMTP_PORT": str(sink.smtp_port),
        "ALERT_WEBHOOK": sink.url("/webhook"),
        "PYTHONUTF8": "1",
    }
    return {name: os.environ[name] for name in KEPT if name in os.environ} | ours | target.environment()


class Watched:
    """The monitor's process, and the next one when it is killed."""

    def __init__(
        self,
        program: Sequence[str],
        failpoint: str,
        environment: dict[str, str],
        console: Path,
        *,
        words: Sequence[str] = ("watch", "--interval", f"{INTERVAL.total_seconds():g}"),
        killed: Callable[[], None] = lambda: None,
    ) -> None:
        """Start it. `killed` is called when it is dead and before the next one is started."""
        self.failpoint = failpoint
        self.lives: list[Life] = []
        self.killed_at: datetime | None = None
        self.trouble = ""  # why it ended although nobody asked it to
        self._killed = killed
        self._command = [*program, *words]
        self._environment = environment
        self._console = console
        self._ending = False
        self._spoke: datetime | None = None
        self._exit_code: int | None = None
        self._process = self._start(failpoint)
        self._thread = threading.Thread(target=self._keep_running, name="watched", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending = True
        self._process.kill()
        self._thread.join()

    @property
    def is_armed(self) -> bool:
        """Say whether the point is still ahead."""
        return bool(self.failpoint) and self.killed_at is None

    def end(self) -> int | None:
        """Ask the process to end and return its exit code, None where it had to be killed."""
        self._ending = True
        self._process.terminate()
        self._thread.join(_END)
        if self._thread.is_alive():
            self._process.kill()
            self._thread.join()
            return None
        return self._exit_code

    def _start(self, failpoint: str) -> subprocess.Popen[bytes]:
        armed = {VARIABLE: failpoint} if failpoint else {}
        self._spoke = None
        self.lives.append(Life(began=now(), spoke=None, ended=datetime.max.replace(tzinfo=now().tzinfo)))
        return subprocess.Popen(
            self._command,
            env=self._environment | armed,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def _keep_running(self) -> None:
        while True:
            self._listen()
            code = self._process.wait()
            ended = now()
            self.lives[-1] = Life(began=self.lives[-1].began, spoke=self._spoke, ended=ended)
            if self._ending or code != -signal.SIGKILL or self.killed_at is not None or not self.failpoint:
                self._exit_code = code
                if not self._ending:
                    self.trouble = f"the monitor ended by itself with {code}"
                return
            self.killed_at = ended
            self._killed()
            self._process = self._start("")

    def _listen(self) -> None:
        """Keep what the process says, and when it first said something. Return when it is gone."""
        assert self._process.stdout is not None
        with self._process.stdout as pipe, self._console.open("ab") as console:
            for line in pipe:
                self._spoke = self._spoke or now()
                console.write(line)
                console.flush()
