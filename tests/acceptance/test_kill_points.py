"""No alert is lost, wherever the process is killed; and the checker that says so sees every planted bug."""

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from laya_uptime.adapters.ledger import first
from laya_uptime.failpoints import POINTS
from laya_uptime.testing import kills
from laya_uptime.testing.invariants import Facts, Findings, Life, check
from laya_uptime.testing.ledger import Entry
from laya_uptime.testing.trial import CHANNELS, Outcome, Plan, run
from laya_uptime.testing.truth import SERVICES, Outage, State

SEED = 20261123


# --- the real thing: every point once, and one trial without a kill


# In one test, because the trials wait together and not one after the other.
@pytest.mark.timeout(300)
def test_an_outage_and_its_end_are_told_wherever_the_process_is_killed(tmp_path: Path) -> None:
    planned = kills.plans(seed=SEED, trials=1)

    outcomes = kills.carry_out(planned, tmp_path, jobs=7)

    assert [kills.say(outcome) for outcome in outcomes if not outcome.is_good] == []
    assert {outcome.plan.point for outcome in outcomes if outcome.hit} == set(POINTS)
    [control] = [outcome for outcome in outcomes if outcome.plan.point is None]
    assert control.findings == Findings()


@pytest.mark.parametrize("name", ["stamps before it sends", "writes alerts in a second transaction"])
def test_a_program_is_found_out_that(name: str, tmp_path: Path) -> None:
    bug, plan = BUGGED[name]
    (tmp_path / "bugged.py").write_text(bug, encoding="utf-8")

    outcome = run(plan, tmp_path / "trial", schema=first.HEAD, program=(sys.executable, str(tmp_path / "bugged.py")))

    assert outcome.hit
    assert not outcome.is_good
    assert outcome.findings.lost
    assert {breach.invariant for breach in outcome.findings.breaches} == {"I1"}


STAMPS_BEFORE_IT_SENDS = """
from laya_uptime.cli import main
from laya_uptime.domain.change import Attempt
from laya_uptime.engine.dispatcher import Dispatcher

attempt = Dispatcher._attempt

async def stamp_first(self, channel, claimed):
    stamp = Attempt(alert_id=claimed.alert.id, attempts=1, sent_at=self._clock.now())
    await self._store.commit([stamp], seq=1 << 40, at=self._clock.now())
    return await attempt(self, channel, claimed)

Dispatcher._attempt = stamp_first
raise SystemExit(main())
"""

WRITES_ALERTS_IN_A_SECOND_TRANSACTION = """
import os
import signal
from dataclasses import replace
from laya_uptime.adapters.stores.sqlite import SqliteStore
from laya_uptime.cli import main
from laya_uptime.domain.change import Change

commit = SqliteStore._commit

def commit_in_two(self, writes, seq, at):
    changes = [write for write in writes if isinstance(write, Change)]
    commit(self, [replace(write, alerts=()) if write in changes else write for write in writes], seq, at)
    if any(change.alerts for change in changes) and "LAYA_UPTIME_FAILPOINTS" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)  # the passage that tells, whichever it is by number
    with self._transaction():
        self._write_alerts([alert for change in changes for alert in change.alerts])

SqliteStore._commit = commit_in_two
raise SystemExit(main())
"""

BUGGED = {
    "stamps before it sends": (STAMPS_BEFORE_IT_SENDS, Plan(number=0, point="delivery.before_connect")),
    "writes alerts in a second transaction": (
        WRITES_ALERTS_IN_A_SECOND_TRANSACTION,
        Plan(number=1, point="check.after_commit", passage=1_000),
    ),
}


# --- the plan


def test_the_same_seed_plans_the_same_run() -> None:
    assert kills.plans(seed=7) == kills.plans(seed=7)
    assert kills.plans(seed=7) != kills.plans(seed=8)


def test_a_run_kills_every_point_as_often_as_asked_at_different_passages() -> None:
    planned = kills.plans(seed=SEED, trials=10)

    for point in POINTS:
        passages = [plan.passage for plan in planned if plan.point == point]
        assert len(passages) == 10
        assert len(set(passages)) >= (6 if point.startswith("check.") else 3)


def test_a_point_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        kills.main(["--points", "check.before_comit"])

    assert "no point is called check.before_comit" in capsys.readouterr().err


def test_the_page_of_a_red_run_says_what_was_broken() -> None:
    plan = kills.plans(seed=1, trials=1, points=["check.after_state"])[1]
    red = Outcome(plan=plan, hit=False, error="check.after_state=kill@9 was not reached")

    page = kills.markdown([red], "the command", seed=1)

    assert "| `check.after_state` | 1 | 0 | 0 | 0 | 1 not carried through |" in page
    assert "check.after_state=kill@9 was not reached" in page


# --- the checker, fed with made-up stories

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
SERVICE = SERVICES[0]
INCIDENT = "ai-service-20261125T120003200Z"
DOWN, RECOVERED = 3.2, 7.2  # seconds after noon at which the monitor saw the change
IDS = {(transition, channel): f"{transition}-{channel}" for transition in ("down", "recovered") for channel in CHANNELS}


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def message(transition: str, channel: str, seconds: float, *, service: str = SERVICE.name) -> Entry:
    id_ = IDS[transition, channel]
    return Entry(
        channel=channel,
        received_at=at(seconds),
        answer=250 if channel == "email" else 200,
        path="",
        recipients=(),
        headers=(),
        raw=b"",
        message_id=f"<{id_}@laya-uptime>" if channel == "email" else None,
        idempotency_key=id_ if channel == "webhook" else None,
        dedup_key=f"{INCIDENT}/{channel}",
        service=service,
        transition=transition,
        subject="Service recovered after 4 failures (downtime: 0:00:04)" if transition == "recovered" else "down",
    )


@dataclass
class Story:
    """A service goes down 3 s after noon and comes back 4 s later, and all is as it should be. Tests spoil it."""

    outages: list[Outage] = field(default_factory=lambda: [Outage(SERVICE.id, State.ERROR, at(2.7), at(6.7))])
    entries: list[Entry] = field(
        default_factory=lambda: [
            message(transition, channel, seconds + 0.1)
            for transition, seconds in (("down", DOWN), ("recovered", RECOVERED))
            for channel in CHANNELS
        ]
    )
    lives: list[Life] = field(default_factory=lambda: [Life(began=at(-1), spoke=at(-0.5), ended=at(20))])
    looks: list[datetime] = field(default_factory=lambda: [at(second + 0.2) for second in range(20)])
    spans: list[tuple[float, float | None, str]] = field(
        default_factory=lambda: [(0.2, DOWN, "up"), (DOWN, RECOVERED, "down"), (RECOVERED, None, "up")]
    )
    beside: list[tuple[float, float | None, str]] = field(default_factory=lambda: [(0.2, None, "up")])  # other services
    incident: tuple[float, float | None, float] = (DOWN, RECOVERED, 0.0)  # down, resolved, unseen
    stamps: dict[str, float | None] = field(
        default_factory=lambda: {IDS[key]: (DOWN if key[0] == "down" else RECOVERED) + 0.2 for key in IDS}
    )
    given_up: list[str] = field(default_factory=list)
    schema: str = first.HEAD
    is_torn: bool = False

    def killed(self, seconds: float, *, until: float) -> None:
        """Let the process be killed then, and another one look for the first time at `until`."""
        self.lives = [replace(self.lives[0], ended=at(seconds))]
        self.lives.append(Life(began=at(seconds), spoke=at(until - 0.1), ended=at(20)))
        self.looks = [look for look in self.looks if not at(seconds) <= look < at(until)]

    def without(self, transition: str, channel: str) -> None:
        self.entries = [e for e in self.entries if (e.transition, e.channel) != (transition, channel)]

    def again(self, seconds: float, *, id_: str | None = None) -> None:
        copy = message("down", "webhook", seconds)
        self.entries.append(msgspec.structs.replace(copy, idempotency_key=id_) if id_ else copy)

    def check(self, directory: Path) -> Findings:
        database = directory / "made-up.db"
        with closing(sqlite3.connect(database)) as connection, connection:
            self._write(connection)
        if self.is_torn:
            content = bytearray(database.read_bytes())
            content[8192:12288] = b"\xa5" * 4096
            database.write_bytes(content)
        return check(
            Facts(
                outages=self.outages,
                looks=self.looks,
                entries=self.entries,
                database=database,
                lives=self.lives,
                every=timedelta(seconds=1),
                channels=CHANNELS,
                schema=first.HEAD,
            )
        )

    def _write(self, connection: sqlite3.Connection) -> None:
        for statement in first.SCHEMA:
            connection.execute(statement)
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (self.schema,))
        for number, service in enumerate(SERVICES, 1):
            connection.execute("INSERT INTO monitor VALUES (?, ?, ?, '', 0, NULL)", (number, service.id, service.name))
            for began, ended, outcome in self.spans if service is SERVICE else self.beside:
                connection.execute(
                    "INSERT INTO span VALUES (?, 0, ?, ?, ?, NULL, '', ?)",
                    (number, ms(began), ms(ended), outcome, INCIDENT if outcome == "down" else None),
                )
        down, resolved, unseen = self.incident
        connection.execute(
            "INSERT INTO incident VALUES (?, 1, 'down', ?, ?, ?, ?, NULL, 4, 0, 'http_status', '', ?)",
            (INCIDENT, ms(down), ms(down), ms(down), ms(resolved), unseen * 1000),
        )
        for number, channel in enumerate(CHANNELS, 1):
            connection.execute("INSERT INTO channel VALUES (?, ?, 0, NULL)", (number, channel))
        for (transition, channel), id_ in IDS.items():
            connection.execute(
                "INSERT INTO alert_outbox (id, incident_id, transition, ordinal, channel_id, due_at, expires_at, attempts,"
                " next_try_at, sent_at, dead_at, payload, decision) VALUES (?, ?, ?, 0, ?, 0, 0, 1, 0, ?, ?, '', '')",
                (
                    id_,
                    INCIDENT,
                    transition,
                    CHANNELS.index(channel) + 1,
                    ms(self.stamps[id_]),
                    1 if id_ in self.given_up else None,
                ),
            )


def ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(at(seconds).timestamp() * 1000)


def test_a_story_in_which_all_is_well_is_green(tmp_path: Path) -> None:
    assert Story().check(tmp_path) == Findings()


@pytest.mark.parametrize("kill", [pytest.param(3.35, id="arrived"), pytest.param(3.25, id="on its way")])
def test_a_message_that_the_kill_kept_from_being_stamped_may_come_twice(kill: float, tmp_path: Path) -> None:
    story = Story()
    story.killed(kill, until=3.9)
    story.again(3.95)
    story.stamps["down-webhook"] = 3.96

    assert story.check(tmp_path) == Findings(duplicates=1)


def test_time_without_a_process_is_unknown(tmp_path: Path) -> None:
    story = Story()
    story.killed(4.5, until=6.0)
    story.spans[1:2] = [(DOWN, 4.2, "down"), (4.2, 6.0, "unknown"), (6.0, RECOVERED, "down")]
    story.beside = [(0.2, 4.2, "up"), (4.2, 6.0, "unknown"), (6.0, None, "up")]
    story.incident = (DOWN, RECOVERED, 1.8)

    assert story.check(tmp_path) == Findings()


def never_told_recovered(story: Story) -> None:
    story.without("recovered", "email")


def never_told_down(story: Story) -> None:
    story.without("down", "webhook")


def told_nothing(story: Story) -> None:
    story.entries.clear()


def told_backwards(story: Story) -> None:
    story.without("down", "webhook")
    story.entries.append(message("down", "webhook", 9.0))


def refused_and_stamped(story: Story) -> None:
    [position] = [n for n, e in enumerate(story.entries) if (e.transition, e.channel) == ("down", "email")]
    story.entries[position] = msgspec.structs.replace(story.entries[position], answer=451)


def came_twice_under_another_id(story: Story) -> None:
    story.killed(3.35, until=3.9)
    story.again(3.95, id_="another")


def came_twice_without_a_kill(story: Story) -> None:
    story.again(3.5)


def came_twice_from_the_next_process(story: Story) -> None:
    story.killed(3.35, until=3.9)
    story.without("down", "webhook")
    story.again(3.95)
    story.again(4.0)
    story.stamps["down-webhook"] = 4.1


def came_again_after_its_stamp(story: Story) -> None:
    story.killed(4.5, until=5.0)
    story.again(5.1)


def told_of_a_service_that_was_up(story: Story) -> None:
    story.entries.append(message("down", "email", 5.0, service=SERVICES[1].name))


def told_of_a_second_outage(story: Story) -> None:
    second = message("down", "email", 12.0)
    story.entries.append(
        msgspec.structs.replace(second, message_id="<x@laya-uptime>", dedup_key="ai-service-20261125T120012000Z/email")
    )


def told_of_an_outage_that_never_was(story: Story) -> None:
    story.outages.clear()


def told_recovered_too_early(story: Story) -> None:
    story.without("recovered", "webhook")
    story.entries.append(message("recovered", "webhook", 5.0))


def stored_down_too_long(story: Story) -> None:
    story.spans[1:] = [(DOWN, 9.2, "down"), (9.2, None, "up")]
    story.incident = (DOWN, 9.2, 0.0)


def stored_down_too_late(story: Story) -> None:
    story.spans[:2] = [(0.2, 5.2, "up"), (5.2, RECOVERED, "down")]


def stored_down_without_an_outage(story: Story) -> None:
    story.spans[2:] = [(RECOVERED, 10.0, "up"), (10.0, 10.4, "down"), (10.4, None, "up")]


def stored_up_while_no_process_ran(story: Story) -> None:
    story.killed(10.0, until=14.0)


def stored_down_while_no_process_ran(story: Story) -> None:
    story.killed(4.0, until=6.5)


def stored_unknown_while_a_process_ran(story: Story) -> None:
    story.spans[2:] = [(RECOVERED, 10.0, "up"), (10.0, 12.0, "unknown"), (12.0, None, "up")]


def told_another_downtime(story: Story) -> None:
    story.entries[-1] = msgspec.structs.replace(story.entries[-1], subject="Service recovered (downtime: 0:00:09)")


def incident_longer_than_its_spans(story: Story) -> None:
    story.incident = (DOWN, RECOVERED + 0.9, 0.0)


def torn_database(story: Story) -> None:
    story.is_torn = True


def another_schema(story: Story) -> None:
    story.schema = "another"


def two_open_spans(story: Story) -> None:
    story.spans.append((9.0, None, "up"))


def a_gap_between_spans(story: Story) -> None:
    story.spans[2] = (RECOVERED + 0.3, None, "up")


def an_open_incident(story: Story) -> None:
    story.incident = (DOWN, None, 0.0)


def an_unsent_row(story: Story) -> None:
    story.stamps["recovered-email"] = None


def a_row_given_up(story: Story) -> None:
    story.stamps["recovered-email"] = None
    story.given_up.append("recovered-email")


BUGS: list[tuple[Callable[[Story], None], set[str]]] = [
    (never_told_recovered, {"I1"}),
    (never_told_down, {"I1"}),
    (told_nothing, {"I1"}),
    (told_backwards, {"I1"}),
    (refused_and_stamped, {"I1"}),
    (came_twice_under_another_id, {"I2", "I3"}),
    (came_twice_without_a_kill, {"I2"}),
    (came_twice_from_the_next_process, {"I2"}),
    (came_again_after_its_stamp, {"I2"}),
    (told_of_a_service_that_was_up, {"I2", "I3"}),
    (told_of_a_second_outage, {"I3"}),
    (told_of_an_outage_that_never_was, {"I3", "I4"}),
    (told_recovered_too_early, {"I3"}),
    (stored_down_too_long, {"I4"}),
    (stored_down_too_late, {"I4"}),
    (stored_down_without_an_outage, {"I4"}),
    (stored_up_while_no_process_ran, {"I4"}),
    (stored_down_while_no_process_ran, {"I4"}),
    (stored_unknown_while_a_process_ran, {"I4"}),
    (told_another_downtime, {"I4"}),
    (incident_longer_than_its_spans, {"I4"}),
    (torn_database, {"I5"}),
    (another_schema, {"I5"}),
    (two_open_spans, {"I5"}),
    (a_gap_between_spans, {"I5"}),
    (an_open_incident, {"I5"}),
    (an_unsent_row, {"I5"}),
    (a_row_given_up, {"I5"}),
]


@pytest.mark.parametrize(("plant", "broken"), [pytest.param(*bug, id=bug[0].__name__) for bug in BUGS])
def test_the_checker_is_red_for(plant: Callable[[Story], None], broken: set[str], tmp_path: Path) -> None:
    story = Story()
    plant(story)

    findings = story.check(tmp_path)

    assert {breach.invariant for breach in findings.breaches} == broken
