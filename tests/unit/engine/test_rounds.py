"""Rounds: one is over when each monitor in it has had its slot."""

from datetime import timedelta

from laya_uptime.engine.rounds import Rounds
from laya_uptime.testing import NOON

MINUTE = timedelta(minutes=1)


def test_a_round_is_over_when_each_monitor_has_had_its_slot() -> None:
    rounds = Rounds(3)

    assert [rounds.slot_over(NOON) for _ in range(3)] == [False, False, True]
    assert rounds.over == 1


def test_rounds_may_end_out_of_order_when_a_check_takes_long() -> None:
    rounds = Rounds(2)
    rounds.slot_over(NOON)

    assert not rounds.slot_over(NOON + MINUTE)
    assert rounds.slot_over(NOON + MINUTE)
    assert rounds.slot_over(NOON)
    assert rounds.over == 2


def test_rounds_that_never_end_are_forgotten_and_others_go_on() -> None:
    rounds = Rounds(2)
    for minute in range(5_000):
        assert not rounds.slot_over(NOON + minute * MINUTE)

    assert rounds.slot_over(NOON + 4_999 * MINUTE)
    assert rounds.over == 1
