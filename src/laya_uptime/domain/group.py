"""Roll-ups: one verdict from what is believed of several monitors.

| members that vote | verdict |
|---|---|
| all pass | up |
| enough pass, but one is down or degraded | degraded `reported_degraded` |
| fewer pass than the rule asks for | down `reported_unhealthy` |
| nobody votes | unknown |

A degraded member passes. A member of which nothing is known abstains, and the rule is about those that are left.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Component, Outcome, Verdict
from laya_uptime.domain.status import Status
from laya_uptime.domain.text import cut

_RULE = re.compile(r"(?P<word>all|any)|at least (?P<count>[0-9]{1,6})|(?P<share>[0-9]{1,3})%")
_LONGEST_DETAIL = 600
_MOST_NAMED = 10
_OUTCOMES = {
    Status.UP: Outcome.UP,
    Status.DEGRADED: Outcome.DEGRADED,
    Status.DOWN: Outcome.DOWN,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """How many members must pass. Exactly one is set: a number, or a share of those that vote, in percent."""

    count: int | None = None
    share: int | None = None

    def needed(self, voters: int) -> int:
        """Return how many of so many must pass: at least one, at most all."""
        wanted = self.count if self.count is not None else -(-voters * (self.share or 0) // 100)
        return min(max(wanted, 1), voters)


def rule_of(text: str) -> Rule:
    """Return the rule: `all`, `any`, `at least 2` or `60%`. Raise ValueError with a plain sentence for anything else."""
    match = _RULE.fullmatch(" ".join(text.split()))
    if match is None:
        raise ValueError("it must be all, any, at least N or N%")
    if match["word"]:
        return Rule(share=100) if match["word"] == "all" else Rule(count=1)
    if match["count"]:
        if not int(match["count"]):
            raise ValueError("at least 0 is always so")
        return Rule(count=int(match["count"]))
    if not 1 <= int(match["share"]) <= 100:
        raise ValueError("a share is from 1% to 100%")
    return Rule(share=int(match["share"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member, as it is believed to be, and the cause where it is not well."""

    name: str
    believed: Status
    detail: str = ""


def roll_up(members: Sequence[Member], rule: Rule) -> Verdict:
    """Return what to make of these members."""
    votes = [(member, _OUTCOMES.get(member.believed, Outcome.UNKNOWN)) for member in members]
    voting = [(member, outcome) for member, outcome in votes if outcome is not Outcome.UNKNOWN]
    components = tuple(
        Component(name=member.name, word=str(member.believed), outcome=outcome, message=member.detail)
        for member, outcome in votes
    )
    if not voting:
        return Verdict(
            outcome=Outcome.UNKNOWN,
            label=str(Outcome.UNKNOWN),
            reason=Reason.INTERNAL,
            detail="nothing is known of any member",
            components=components,
        )
    passing = sum(outcome is not Outcome.DOWN for _, outcome in voting)
    needed = rule.needed(len(voting))
    if all(outcome is Outcome.UP for _, outcome in voting):
        return Verdict(outcome=Outcome.UP, label=str(Outcome.UP), components=components)
    counts = f"{passing} of {len(voting)} pass"
    if passing < needed:
        return Verdict(
            outcome=Outcome.DOWN,
            label="unhealthy",
            reason=Reason.REPORTED_UNHEALTHY,
            detail=cut(f"{counts}, {needed} must: {_named(voting)}", _LONGEST_DETAIL),
            components=components,
        )
    return Verdict(
        outcome=Outcome.DEGRADED,
        label=str(Outcome.DEGRADED),
        reason=Reason.REPORTED_DEGRADED,
        detail=cut(f"{counts}: {_named(voting)}", _LONGEST_DETAIL),
        components=components,
    )


def in_order(members: Mapping[str, Collection[str]]) -> list[str]:
    """Return the groups so that each comes after those that it contains. Raise ValueError where one contains itself."""
    found: list[str] = []
    under_way: set[str] = set()
    for first in members:
        if first in found:
            continue
        path: list[tuple[str, Iterator[str]]] = [(first, iter(members[first]))]
        under_way.add(first)
        while path:  # by hand: a chain may be longer than Python's stack
            group, rest = path[-1]
            inner = next((each for each in rest if each in members and each not in found), None)
            if inner is None:
                path.pop()
                under_way.discard(group)
                found.append(group)
            elif inner in under_way:
                raise ValueError(f"{inner} contains itself")
            else:
                under_way.add(inner)
                path.append((inner, iter(members[inner])))
    return found


def _named(voting: Sequence[tuple[Member, Outcome]]) -> str:
    """Return who is not well, those that are down first: "down: API (Connection refused); degraded: Shop"."""
    parts = []
    for wanted in (Outcome.DOWN, Outcome.DEGRADED):
        those = [member for member, outcome in voting if outcome is wanted]
        if those:
            names = [f"{each.name} ({each.detail})" if each.detail else each.name for each in those[:_MOST_NAMED]]
            more = [f"{len(those) - _MOST_NAMED} more"] if len(those) > _MOST_NAMED else []
            parts.append(f"{wanted}: {', '.join([*names, *more])}")
    return "; ".join(parts)
