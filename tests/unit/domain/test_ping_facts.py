"""Losses and round trips as figures, and what else assertions can name of pings and programs."""

from datetime import UTC, datetime, timedelta

import pytest

from laya_uptime.domain.assertion import ExpressionError, parse
from laya_uptime.domain.result import Answer, Evidence, Observation, Outcome, PingFacts, ProgramReport

MS = timedelta(milliseconds=1)


def observation(evidence: Evidence) -> Observation:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    return Observation(monitor_id="a", region="local", due=at, at=at, elapsed=MS, seen=Answer(evidence))


@pytest.mark.parametrize(
    ("sent", "rtts", "loss", "median"),
    [
        pytest.param(0, [], 0.0, None, id="nothing was sent"),
        pytest.param(3, [], 100.0, None, id="all are lost"),
        pytest.param(3, [5], 66.7, 5, id="one came back"),
        pytest.param(2, [9, 1], 0.0, 5, id="the middle of two lies between them"),
        pytest.param(3, [9, 1, 2], 0.0, 2, id="the middle of three is one of them"),
        pytest.param(100, [1] * 99, 1.0, 1, id="one of a hundred is lost"),
    ],
)
def test_loss_is_percent_and_the_round_trip_is_the_median(
    sent: int, rtts: list[int], loss: float, median: int | None
) -> None:
    facts = PingFacts(sent=sent, rtts=tuple(rtt * MS for rtt in rtts))

    assert (facts.loss, facts.rtt) == (loss, None if median is None else median * MS)


@pytest.mark.parametrize("text", ["ping.loss < 1", "ping.rtt < 1s", 'perf["load1"] < 1', "ping.loss != 1"])
def test_what_no_ping_and_no_program_said_makes_every_comparison_false(text: str) -> None:
    assert not parse(text).test(observation(Evidence())).holds


def test_a_round_trip_is_absent_where_nobody_answered() -> None:
    evidence = Evidence(ping=PingFacts(sent=3))

    assert parse("ping.loss == 100").test(observation(evidence)).holds
    assert not parse("ping.rtt < 1h").test(observation(evidence)).holds


def test_figures_are_found_by_their_whole_name() -> None:
    report = ProgramReport(outcome=Outcome.UP, figures=(("free space", 12.5), ("/", 3.0)))

    assert parse('perf["free space"] == 12.5 and perf["/"] > 2').test(observation(Evidence(report=report))).holds
    assert not parse('perf["free"] > 0').test(observation(Evidence(report=report))).holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("perf > 1", "perf needs one name in brackets"),
        ("perf.load1 > 1", "perf needs one name in brackets"),
        ("loss < 1", "Did you mean 'ping.loss'?"),
        ("ping.los < 1", "Did you mean 'ping.loss'?"),
    ],
)
def test_a_name_that_is_almost_right_is_put_right(text: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)

    assert said in f"{caught.value}"
