"""follow(): an incident keeps in step with the status, and each transition happens once."""

from datetime import datetime, timedelta

import pytest

from laya_uptime.domain.alert import Transition
from laya_uptime.domain.incident import Closing, Followed, Incident, Severity, close, follow, incident_id
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.status import fresh, step
from laya_uptime.testing import NOON, a_monitor, a_result, an_incident

MINUTE = timedelta(minutes=1)
_WORDS = {Transition.DOWN: "DOWN", Transition.REMINDER: "again", Transition.RECOVERED: "UP"}


def replay(signs: str, *, confirm: int = 1, recover: int = 1, remind_every: int = 5) -> list[Followed]:
    """Follow the rounds, one a minute from noon on; `?` is one that nobody saw."""
    monitor = a_monitor(confirm=confirm, recover=recover)
    health, incident, told = fresh(NOON), None, []
    for minute, sign in enumerate(signs):
        at = NOON + minute * MINUTE
        verdict = a_result(sign, monitor, at=at).verdict
        health = step(health, verdict.outcome, at=at, patience=monitor.patience)
        followed = Followed(current=incident)
        if sign != "?":
            followed = follow(incident, health, verdict, monitor_id="shop", at=at, remind_every=remind_every)
        incident = followed.current
        told.append(followed)
    return told


def story(signs: str, *, confirm: int = 1, recover: int = 1, remind_every: int = 5) -> str:
    """Return what was said at each round: `-` where nothing was."""
    told = replay(signs, confirm=confirm, recover=recover, remind_every=remind_every)
    return " ".join("-" if each.transition is None else _WORDS.get(each.transition, each.transition) for each in told)


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        pytest.param("..", "- -", id="all is well"),
        pytest.param(".x.", "- DOWN UP", id="an outage"),
        pytest.param("xxxxxx", "DOWN - - - again -", id="the fifth failure is a reminder"),
        pytest.param("x" * 15, "DOWN - - - again - - - - again - - - - again", id="the tenth and fifteenth too"),
        pytest.param("xxxx.xxxxx", "DOWN - - - UP DOWN - - - again", id="a new outage counts anew"),
        pytest.param("xx?xxx", "DOWN - - - - again", id="rounds that nobody saw are not counted"),
        pytest.param("u.", "DOWN UP", id="unhealthy by its own word is an outage"),
        pytest.param("xux", "DOWN - -", id="another cause is the same outage"),
        pytest.param(".d.", "- degraded healthy", id="a warning comes and goes"),
        pytest.param("d", "degraded", id="a first warning is told too"),
        pytest.param("ddd", "degraded - -", id="a warning is told once"),
        pytest.param("dxd.", "degraded DOWN UP healthy", id="degraded, down, degraded, up"),
        pytest.param("xd.", "DOWN UP healthy", id="leaving down is told once, even into degraded"),
        pytest.param("xdx", "DOWN UP DOWN", id="and down again from there is news"),
        pytest.param("?.?x?.?", "- - - DOWN - UP -", id="nobody's rounds say nothing"),
    ],
)
def test_each_transition_is_told_once(signs: str, expected: str) -> None:
    assert story(signs) == expected


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        pytest.param(".x.", "- - -", id="one failure of two is nothing"),
        pytest.param("xx", "- DOWN", id="two are an outage"),
        pytest.param("x" * 15, "- DOWN - - again - - - - again - - - - again", id="reminders at 5, 10 and 15"),
        pytest.param("xx.x..", "- DOWN - - - UP", id="a relapse is the same outage"),
        pytest.param("xx.xxxxx", "- DOWN - - - - - again", id="in which failures in a row count anew"),
        pytest.param("ddxd", "degraded - - -", id="a blip within a warning"),
        pytest.param("dxxdd.", "degraded - DOWN - UP healthy", id="degraded, down, degraded, up"),
    ],
)
def test_with_two_failures_and_two_passes_to_believe_it(signs: str, expected: str) -> None:
    assert story(signs, confirm=2, recover=2) == expected


def test_an_outage_confirmed_at_the_fifth_failure_is_no_reminder_as_well() -> None:
    assert story("x" * 10, confirm=5) == "- - - - DOWN - - - - again"


def test_no_reminders_where_none_are_wanted() -> None:
    assert story("x" * 6, remind_every=0) == "DOWN - - - - -"


def test_reminders_are_numbered() -> None:
    reminders = [each.current for each in replay("x" * 15) if each.transition is Transition.REMINDER]

    assert [incident.reminders for incident in reminders if incident] == [1, 2, 3]


def test_an_outage_lasts_from_its_first_failure_to_its_first_pass() -> None:
    last = replay("..xxx..", confirm=2, recover=2)[-1]

    assert last.closed is not None
    assert last.closed.opened_at == last.closed.down_at == NOON + 2 * MINUTE
    assert last.closed.confirmed_at == NOON + 3 * MINUTE
    assert last.closed.resolved_at == NOON + 5 * MINUTE
    assert last.closed.downtime == 3 * MINUTE
    assert last.closed.failures == 3
    assert last.closed.closed_by is Closing.RECOVERED
    assert last.current is None


def test_the_failures_of_a_relapse_belong_to_the_outage() -> None:
    last = replay("xx.x..", confirm=2, recover=2)[-1]

    assert last.closed is not None
    assert last.closed.failures == 3
    assert last.closed.downtime == 4 * MINUTE


def test_a_warning_that_becomes_an_outage_is_one_incident() -> None:
    told = replay("ddxx")

    first, outage = told[0].current, told[-1].current
    assert first is not None
    assert outage is not None
    assert outage.id == first.id
    assert (first.severity, outage.severity) == (Severity.DEGRADED, Severity.DOWN)
    assert (outage.opened_at, outage.down_at) == (NOON, NOON + 2 * MINUTE)


def test_recovering_into_a_warning_begins_another_incident_without_an_alert_of_its_own() -> None:
    told = replay("xd.")

    assert told[1].closed is not None
    assert told[1].current is not None
    assert told[1].current.id != told[1].closed.id
    assert told[1].current.severity is Severity.DEGRADED
    assert told[1].about == told[1].closed
    assert told[2].about == told[2].closed
    assert told[2].closed is not None
    assert told[2].closed.id == told[1].current.id


def test_the_latest_cause_is_kept() -> None:
    told = replay("xu")

    assert told[0].current is not None
    assert told[1].current is not None
    assert told[0].current.reason is Reason.REFUSED
    assert told[1].current.reason is Reason.REPORTED_UNHEALTHY


def test_a_warning_has_no_downtime() -> None:
    last = replay("d.")[-1]

    assert last.closed is not None
    assert last.closed.downtime is None


def test_an_outage_that_is_not_over_has_no_downtime_yet() -> None:
    assert an_incident().downtime is None


def test_downtime_is_never_negative() -> None:
    assert close(an_incident(), at=NOON - MINUTE, why=Closing.MONITOR_REMOVED).downtime == timedelta(0)


def test_closing_from_outside_says_why() -> None:
    ended = close(an_incident(), at=NOON + MINUTE, why=Closing.TARGET_CHANGED)

    assert (ended.resolved_at, ended.closed_by) == (NOON + MINUTE, Closing.TARGET_CHANGED)


def test_at_most_one_incident_is_open_and_none_opens_twice() -> None:
    seen: dict[str, Incident] = {}
    for followed in replay("xx..dxx.d.xdxd..x.d", confirm=2, recover=1):
        for incident in (followed.closed, followed.current):
            if incident is not None:
                seen.setdefault(incident.id, incident)
                assert incident.opened_at == seen[incident.id].opened_at
        assert followed.closed is None or followed.closed.resolved_at is not None
        assert followed.current is None or followed.current.resolved_at is None


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (NOON, "shop-20261125T120000000Z"),
        (NOON + timedelta(milliseconds=7), "shop-20261125T120000007Z"),
        (NOON + timedelta(microseconds=7999), "shop-20261125T120000007Z"),
    ],
)
def test_an_incident_is_known_by_its_monitor_and_its_millisecond(at: datetime, expected: str) -> None:
    assert incident_id("shop", at) == expected
