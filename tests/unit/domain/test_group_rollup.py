"""A group's verdict, from what is believed of its members."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laya_uptime.domain.group import Member, Rule, in_order, roll_up, rule_of
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Outcome
from laya_uptime.domain.status import Status

SIGNS = {"u": Status.UP, "d": Status.DEGRADED, "x": Status.DOWN, "?": Status.UNKNOWN, ".": Status.PENDING}
SHOWN = (Status.UP, Status.DEGRADED, Status.DOWN, Status.UNKNOWN, Status.PENDING)
BELIEFS = st.lists(st.sampled_from(SHOWN), min_size=1, max_size=12)
RULES = st.one_of(st.builds(Rule, count=st.integers(1, 12)), st.builds(Rule, share=st.integers(1, 100)))


def members(beliefs: Sequence[Status]) -> list[Member]:
    return [Member(name=f"m{place}", believed=each) for place, each in enumerate(beliefs)]


@pytest.mark.parametrize(
    ("signs", "rule", "outcome"),
    [
        ("uuu", "all", Outcome.UP), ("uux", "all", Outcome.DOWN), ("uud", "all", Outcome.DEGRADED),
        ("uxx", "any", Outcome.DEGRADED), ("xxx", "any", Outcome.DOWN), ("dxx", "any", Outcome.DEGRADED),
        ("uux", "at least 2", Outcome.DEGRADED), ("uxx", "at least 2", Outcome.DOWN), ("uuu", "at least 2", Outcome.UP),
        ("uxxx", "25%", Outcome.DEGRADED), ("uxxx", "26%", Outcome.DOWN), ("uuux", "75%", Outcome.DEGRADED),
        ("u??", "all", Outcome.UP), ("x??", "any", Outcome.DOWN), ("u?x", "50%", Outcome.DEGRADED),
        ("u??", "at least 2", Outcome.UP), ("u.", "all", Outcome.UP), ("???", "any", Outcome.UNKNOWN), ("..", "all", Outcome.UNKNOWN),
    ],
)  # fmt: skip
def test_the_rule_is_about_the_members_that_vote(signs: str, rule: str, outcome: Outcome) -> None:
    assert roll_up(members([SIGNS[sign] for sign in signs]), rule_of(rule)).outcome is outcome


def test_a_group_that_is_down_names_who_is() -> None:
    parts = [
        Member(name="Web", believed=Status.UP),
        Member(name="API", believed=Status.DOWN, detail="Connection refused"),
        Member(name="Search", believed=Status.DEGRADED),
    ]

    verdict = roll_up(parts, rule_of("all"))

    assert verdict.reason is Reason.REPORTED_UNHEALTHY
    assert verdict.detail == "2 of 3 pass, 3 must: down: API (Connection refused); degraded: Search"
    assert [(part.name, part.word, part.outcome) for part in verdict.components] == [
        ("Web", "up", Outcome.UP), ("API", "down", Outcome.DOWN), ("Search", "degraded", Outcome.DEGRADED)
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "some", "at least", "at least 0", "at least -1", "0%", "101%", "50", "2", "al"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"all, any|at least 0|1% to 100%"):
        rule_of(text)


@given(BELIEFS, RULES)
def test_a_member_that_gets_better_never_makes_a_group_worse(beliefs: list[Status], rule: Rule) -> None:
    order = [Outcome.DOWN, Outcome.DEGRADED, Outcome.UP]
    before = roll_up(members(beliefs), rule).outcome

    for place, belief in enumerate(beliefs):
        if belief in {Status.DOWN, Status.DEGRADED}:
            better = [*beliefs[:place], Status.UP, *beliefs[place + 1 :]]
            assert order.index(roll_up(members(better), rule).outcome) >= order.index(before)


@given(BELIEFS, RULES)
def test_members_that_abstain_change_nothing(beliefs: list[Status], rule: Rule) -> None:
    voting = [each for each in beliefs if each not in {Status.UNKNOWN, Status.PENDING}]
    verdict = roll_up(members(beliefs), rule)

    if voting:
        assert verdict.outcome is roll_up(members(voting), rule).outcome
    else:
        assert verdict.outcome is Outcome.UNKNOWN
    assert (verdict.reason is None) == (verdict.outcome is Outcome.UP)


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdefg"))))
def test_groups_come_after_what_they_contain_or_are_refused(contains: dict[str, set[str]]) -> None:
    try:
        order = in_order(contains)
    except ValueError:
        return

    assert sorted(order) == sorted(contains)
    for group, inner in contains.items():
        assert all(order.index(each) < order.index(group) for each in inner if each in contains)


def test_a_long_chain_of_groups_is_no_trouble() -> None:
    chain = {str(number): [str(number + 1)] for number in range(5000)}

    assert in_order(chain)[-1] == "0"


@pytest.mark.parametrize(
    "contains", [{"a": ["a"]}, {"a": ["b"], "b": ["a"]}, {"a": ["b"], "b": ["c"], "c": ["x", "b"]}]
)
def test_a_group_that_contains_itself_is_refused(contains: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="contains itself"):
        in_order(contains)
