"""The status table: what a monitor believes after the rounds it has seen."""

from datetime import timedelta
from itertools import pairwise

import pytest

from laya_uptime.domain.monitor import Patience
from laya_uptime.domain.result import Outcome
from laya_uptime.domain.status import Health, Status, fresh, lose_sight, step
from laya_uptime.testing import NOON

MINUTE = timedelta(minutes=1)
_OUTCOMES = {".": Outcome.UP, "x": Outcome.DOWN, "d": Outcome.DEGRADED, "?": Outcome.UNKNOWN}


def replay(probes: str, *, confirm: int = 3, recover: int = 2) -> list[Health]:
    """Step through the probes, one a minute from noon on; `-` is a stretch in which sight is lost."""
    health, told = fresh(NOON), []
    for minute, probe in enumerate(probes):
        at = NOON + minute * MINUTE
        if probe == "-":
            health = lose_sight(health, since=at)
        else:
            health = step(health, _OUTCOMES[probe], at=at, patience=Patience(failures=confirm, passes=recover))
        told.append(health)
    return told


def story(probes: str, *, confirm: int = 3, recover: int = 2) -> str:
    return " ".join(health.status for health in replay(probes, confirm=confirm, recover=recover))


def belief(probes: str, *, confirm: int = 3, recover: int = 2) -> str:
    return " ".join(health.believed for health in replay(probes, confirm=confirm, recover=recover))


@pytest.mark.parametrize(
    ("probes", "expected"),
    [
        pytest.param(".", "up", id="the first pass is believed at once"),
        pytest.param("d", "degraded", id="so is a first warning"),
        pytest.param(".x.", "up suspect up", id="one blip opens nothing"),
        pytest.param("xxx", "suspect suspect down", id="three failures in a row are an outage"),
        pytest.param("xx.xx", "suspect suspect up suspect suspect", id="failures that are not in a row are none"),
        pytest.param("xxx.x", "suspect suspect down recovering down", id="a relapse is the same outage"),
        pytest.param("xxx..", "suspect suspect down recovering up", id="two passes end it"),
        pytest.param("xxx.d", "suspect suspect down recovering degraded", id="also a second pass with a warning"),
        pytest.param("xxxdd", "suspect suspect down recovering degraded", id="a warning is passing"),
        pytest.param(".d.", "up degraded up", id="a warning comes and goes at once"),
        pytest.param("dxd", "degraded suspect degraded", id="a blip within a warning"),
        pytest.param("dxxx", "degraded suspect suspect down", id="from warning to outage"),
    ],
)
def test_a_monitor_believes_news_that_repeats(probes: str, expected: str) -> None:
    assert story(probes) == expected


def test_the_first_failure_is_believed_where_one_is_enough() -> None:
    assert story("x.x", confirm=1, recover=1) == "down up down"


@pytest.mark.parametrize("probes", ["", ".", "d", "x", "xxx", "xxx.", "xxx..", "-", "x-", "xxx-", "xxx.-"])
def test_a_round_that_nobody_saw_changes_nothing(probes: str) -> None:
    before = (replay(probes) or [fresh(NOON)])[-1]

    after = step(before, Outcome.UNKNOWN, at=NOON + 60 * MINUTE, patience=Patience())

    assert after == before


@pytest.mark.parametrize(
    ("probes", "expected"),
    [
        pytest.param("xx", "pending pending", id="nothing is believed before it is sure"),
        pytest.param(".xx.", "up up up up", id="people never see a suspicion"),
        pytest.param("dxx.", "degraded degraded degraded up", id="nor one within a warning"),
        pytest.param("xxx.x", "pending pending down down down", id="nor a recovery that was none"),
        pytest.param(".-x", "up unknown unknown", id="after a gap one failure proves nothing yet"),
        pytest.param(".-.", "up unknown up", id="after a gap one pass is enough"),
        pytest.param("xxx-x", "pending pending down unknown down", id="an outage goes on after a gap"),
        pytest.param("xxx-..", "pending pending down unknown unknown up", id="and ends after it when that is sure"),
    ],
)
def test_people_see_only_what_is_sure(probes: str, expected: str) -> None:
    assert belief(probes) == expected


@pytest.mark.parametrize(
    ("probes", "minute"),
    [
        pytest.param(".xxx", 1, id="down counts from the first failure"),
        pytest.param(".xxx..", 4, id="up counts from the first pass"),
        pytest.param(".xxx.x..", 6, id="of those that ended it"),
        pytest.param(".xx.", 0, id="a suspicion that came to nothing leaves the belief its age"),
        pytest.param(".x?xx", 1, id="a round that nobody saw does not move it"),
        pytest.param("..-.", 3, id="what is seen after a gap counts from then"),
        pytest.param("xxx-x", 4, id="an outage that goes on as well"),
        pytest.param(".x-xxx", 3, id="a failure before a gap proves nothing about the gap"),
        pytest.param("xxx.-..", 5, id="nor does a pass before it"),
    ],
)
def test_a_belief_counts_from_the_first_round_that_was_right(probes: str, minute: int) -> None:
    last = replay(probes)[-1]

    assert last.believed_since == NOON + minute * MINUTE


def test_unknown_counts_from_when_sight_was_lost_and_no_later() -> None:
    lost = lose_sight(replay(".")[-1], since=NOON + MINUTE)
    again = lose_sight(lost, since=NOON + 2 * MINUTE)

    assert (lost.believed, lost.believed_since) == (Status.UNKNOWN, NOON + MINUTE)
    assert again is lost


@pytest.mark.parametrize("probes", ["x-xx", "xx-x", "-x-xx", "xx-?x"])
def test_rounds_on_both_sides_of_a_gap_are_not_in_a_row(probes: str) -> None:
    assert replay(probes)[-1].status is Status.SUSPECT


def test_a_second_gap_in_a_waiting_room_is_a_new_one() -> None:
    told = replay("xxx-.-")

    assert told[4].status is Status.RECOVERING
    assert (told[5].status, told[5].believed) == (Status.DOWN, Status.UNKNOWN)
    assert told[5].believed_since == NOON + 5 * MINUTE


@pytest.mark.parametrize(
    ("probes", "failures"),
    [("", 0), ("x", 1), ("xx", 2), ("xxxxx", 5), ("xxx?x", 4), ("xxx.", 0), ("xxx.x", 1), ("xx-", 0), ("xxx-x", 4)],
)
def test_consecutive_failures_are_those_in_a_row(probes: str, failures: int) -> None:
    assert (replay(probes) or [fresh(NOON)])[-1].consecutive_failures == failures


def test_a_belief_never_begins_before_the_one_that_it_replaces() -> None:
    for probes in ("x-x-xxx", "xxx.-.x.-..", "d-x.x-xxx.-d", "-?-x-.-"):
        told = replay(probes)
        for before, after in pairwise(told):
            assert after.believed_since >= before.believed_since
