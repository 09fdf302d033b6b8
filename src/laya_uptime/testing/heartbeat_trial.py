"""One trial of a kill run on the path of a signal: a job reports, falls silent and reports again, and nothing is lost.

The monitor is `python -m laya_uptime serve` with one heartbeat, reached over HTTP, and the ledger sink for its mail server
and its webhook. The job reports twice a second, and tries again until it hears `OK`, as a job with `curl --retry` does.
When it has been heard a few times it is silent until everybody has been told, then it goes on. The process is killed at
the armed point and started again at once without it.

H1  What was answered with `OK` is in the database, whatever happened after.
I1  Silence is told as down, and the next report as recovered, on every channel and in this order.
I2  Nothing arrives twice, but for what arrived before the kill and was not stamped, under the same id.
I3  Nothing is told of a job that reports: neither before it fell silent, nor because the process was away.
I5  The database is whole, of the schema that was expected, and at rest.
"""

import contextlib
import os
import socket
import sqlite3
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from laya_uptime.testing.invariants import Breach, Findings
from laya_uptime.testing.ledger import Entry, LedgerSink
from laya_uptime.testing.record import read, waiting
from laya_uptime.testing.trial import CHANNELS, KEPT, PROGRAM, Outcome, Plan, Watched
from laya_uptime.testing.truth import now

PERIOD = timedelta(seconds=1)
GRACE = timedelta(seconds=3)  # longer than a process takes to begin
HEARD_BEFORE = 6  # reports before the silence
HEARD_AFTER = 6
_EVERY = 0.5  # seconds from one report to the next
_PATIENCE = 60.0
_TOKEN = "kill-run-heartbeat-0001"
_CONFIGURATION = """
monitors:
  job: {{ heartbeat: {period:g}s, grace: {grace:g}s, token: {token} }}
notify:
  email: {{ type: email, to: on-call@example.org, server: 127.0.0.1, port: {smtp}, tls: none }}
  webhook: {{ type: webhook, url: "{webhook}" }}
server: {{ listen: "127.0.0.1:{port}" }}
"""


@dataclass(slots=True)
class _Job:
    """The job, in a thread of its own. `heard` are the instants at which it was answered, by the number of the report."""

    url: str
    heard: list[datetime] = field(default_factory=list)
    silent: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    fell_silent: datetime | None = None

    def run(self) -> None:
        """Report until it is over; number the reports from 1."""
        while not self.over.is_set():
            if self.silent.is_set():
                time.sleep(0.02)
                continue
            self._report(len(self.heard) + 1)
            self.over.wait(_EVERY)

    def _report(self, number: int) -> None:
        while not self.over.is_set():
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(self.url, data=str(number).encode(), timeout=10) as answer,
            ):
                if answer.read() == b"OK":
                    self.heard.append(now())
                    return
            time.sleep(0.05)


def run(plan: Plan, directory: Path, *, schema: str, program: Sequence[str] = PROGRAM) -> Outcome:
    """Carry the trial out in `directory`, which is made, and return what came of it."""
    outcome = Outcome(plan=plan)
    began = time.monotonic()
    directory.mkdir(parents=True)
    database = directory / "data" / "laya-uptime.db"
    breaches: list[Breach] = []
    with LedgerSink(directory / "ledger") as sink, socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", 0))  # not listened on here: it only keeps the port from everybody else
        job = _Job(f"http://127.0.0.1:{place.getsockname()[1]}/ping/{_TOKEN}")
        configuration = directory / "laya-uptime.yaml"
        configuration.write_text(
            _CONFIGURATION.format(
                period=PERIOD.total_seconds(),
                grace=GRACE.total_seconds(),
                token=_TOKEN,
                smtp=sink.smtp_port,
                webhook=sink.url("/webhook"),
                port=place.getsockname()[1],
            ),
            encoding="utf-8",
        )
        variables = {name: os.environ[name] for name in KEPT if name in os.environ} | {
            "LAYA_UPTIME_DATA": str(directory / "data"),
            "PYTHONUTF8": "1",
        }
        thread = threading.Thread(target=job.run, name="job", daemon=True)
        with Watched(
            program,
            plan.failpoint,
            variables,
            directory / "console.log",
            words=("serve", "--config", str(configuration)),
            killed=lambda: breaches.extend(_check_kept(job, database)),
        ) as watched:
            thread.start()
            outcome.error = _tell_the_story(plan, watched, job, sink, database)
            job.over.set()
            outcome.exit_code = watched.end()
        thread.join()
        entries = sink.entries()
    outcome.hit = watched.killed_at is not None
    if outcome.exit_code != 0 and not outcome.error:
        outcome.error = f"SIGTERM ended it with {outcome.exit_code}, not with 0"
    if outcome.hit:
        outcome.landed = "up" if job.fell_silent is None or _before(watched, job) else _landed(watched, entries)
    outcome.findings = _check(job, entries, database, breaches, schema, killed_at=watched.killed_at)
    outcome.seconds = time.monotonic() - began
    return outcome


def _tell_the_story(plan: Plan, watched: Watched, job: _Job, sink: LedgerSink, database: Path) -> str:
    """Carry it through. Return why that was not possible, nothing where it was."""

    def told(transition: str) -> bool:
        return all(_accepted(sink.entries(channel), transition) for channel in CHANNELS)

    def heard(more: int) -> Callable[[], bool]:
        before = len(job.heard)
        return lambda: len(job.heard) >= before + more

    def at_rest() -> bool:
        return waiting(database) == 0 and (plan.point is None or watched.killed_at is not None)

    if not _wait(watched, heard(HEARD_BEFORE)):
        return watched.trouble or "the first reports were not answered"
    job.silent.set()
    job.fell_silent = now()
    if not _wait(watched, lambda: told("down")):
        return watched.trouble  # the checker says what is missing
    job.silent.clear()
    if not _wait(watched, heard(HEARD_AFTER)) or not _wait(watched, lambda: told("recovered")):
        return watched.trouble
    if not _wait(watched, at_rest):
        return watched.trouble or (f"{watched.failpoint} was not reached" if watched.is_armed else "")
    return ""


def _wait(watched: Watched, is_over: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + _PATIENCE
    while time.monotonic() < give_up and not watched.trouble:
        with contextlib.suppress(sqlite3.Error):
            if is_over():
                return True
        time.sleep(0.02)
    return False


def _check_kept(job: _Job, database: Path) -> list[Breach]:
    """Hold what was answered against what is in the database of a dead process."""
    answered = len(job.heard)
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        row = connection.execute("SELECT text FROM heartbeat").fetchone()
    kept = int(row[0] or 0) if row else 0
    return [] if kept >= answered else [Breach("H1", f"report {answered} was answered, report {kept} is the last kept")]


def _check(
    job: _Job, entries: list[Entry], database: Path, breaches: list[Breach], schema: str, *, killed_at: datetime | None
) -> Findings:
    findings = Findings(breaches=list(breaches))
    for channel in CHANNELS:
        told = [entry for entry in entries if entry.channel == channel and entry.accepted]
        _check_told(job, channel, told, findings, killed_at)
    findings.breaches.extend(_check_at_rest(database, schema))
    findings.breaches.extend(_check_kept(job, database))
    return findings


def _check_told(job: _Job, channel: str, told: list[Entry], findings: Findings, killed_at: datetime | None) -> None:
    changes = [str(each) for _, each in dict.fromkeys((entry.delivery_id, entry.transition) for entry in told)]
    for wanted in ("down", "recovered"):
        if wanted not in changes:
            findings.lost += 1
            findings.breaches.append(Breach("I1", f"{wanted} was never told on {channel}"))
    if len(set(changes)) < len(changes) or changes[:1] == ["recovered"]:
        findings.breaches.append(Breach("I3", f"{channel} was told {' '.join(changes)}"))
    if job.fell_silent is not None and any(entry.received_at < job.fell_silent for entry in told):
        findings.breaches.append(Breach("I3", f"{channel} was told of a job that reports"))
    times = Counter(entry.delivery_id for entry in told)
    duplicates = times.total() - len(times)
    findings.duplicates += duplicates
    if duplicates and (killed_at is None or max(times.values()) > 2):
        findings.breaches.append(Breach("I2", f"{duplicates} messages came again on {channel}"))


def _check_at_rest(database: Path, schema: str) -> list[Breach]:
    try:
        record = read(database)
    except sqlite3.Error as error:
        return [Breach("I5", str(error))]
    found = []
    if record.schema != schema:
        found.append(f"the schema is {record.schema}, not {schema}")
    if any(incident.is_open for incident in record.incidents.values()) or len(record.incidents) != 1:
        found.append(f"there is not one closed incident, but {len(record.incidents)}")
    if waiting(database) or any(row.dead_at is not None for row in record.rows):
        found.append("alerts wait or were given up")
    return [Breach("I5", text) for text in found]


def _before(watched: Watched, job: _Job) -> bool:
    return watched.killed_at is not None and job.fell_silent is not None and watched.killed_at < job.fell_silent


def _landed(watched: Watched, entries: list[Entry]) -> str:
    before = [entry for entry in entries if watched.killed_at is not None and entry.received_at <= watched.killed_at]
    if all(_accepted([each for each in before if each.channel == channel], "recovered") for channel in CHANNELS):
        return "up again, told"
    if all(_accepted([each for each in before if each.channel == channel], "down") for channel in CHANNELS):
        return "up again, not told"
    return "down, not told"


def _accepted(entries: list[Entry], transition: str) -> bool:
    return any(entry.accepted and entry.transition == transition for entry in entries)
