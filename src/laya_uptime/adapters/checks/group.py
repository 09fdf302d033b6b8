"""Roll several monitors up into one: it is up while enough of them are.

The options of a roll-up, and nothing else: the engine knows what is believed of the members. It stands among the checks
because it is configured, named and documented as one of them.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

import msgspec

from laya_uptime.domain.group import Rule, rule_of
from laya_uptime.domain.monitor import Monitor, Patience
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Failure, Seen
from laya_uptime.ports import Check, Reach


class GroupCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: group`."""

    members: Annotated[
        list[str], msgspec.Meta(min_length=1, max_length=10_000, description="Monitors of this file, by name or id.")
    ]
    up_when: Annotated[str, msgspec.Meta(description="How many members must pass: all, any, at least N, or N%.")] = (
        "all"
    )

    def __post_init__(self) -> None:
        """Raise ValueError with a plain sentence where this is no rule, or one that can never hold."""
        try:
            rule = self.rule
        except ValueError as error:
            raise ValueError(f"`up_when`: {error}") from None
        if len(set(self.members)) < len(self.members):
            raise ValueError("`members` names one of them twice")
        if rule.count is not None and rule.count > len(self.members):
            raise ValueError(f"`up_when`: there are only {len(self.members)} members")

    @property
    def target(self) -> str:
        """Return what people read in place of an address. It stays the same when a member is added."""
        return "group"

    @property
    def rule(self) -> Rule:
        """Return how many members must pass."""
        return rule_of(self.up_when)

    @property
    def usual(self) -> Monitor:
        """Return how a roll-up is watched: its members are believed already, so it needs no confirmation of its own."""
        return Monitor(id="", name="", target="", patience=Patience(failures=1, passes=1))

    @property
    def unused(self) -> dict[str, str]:
        """Return the settings that mean nothing here, each with what to write instead."""
        return {
            "timeout": "A group looks at nothing; write it at its members.",
            "expect": "Write it at the members, and how many must pass as up_when.",
            "prefer": "Write it at the members.",
            "health": "Write it at the members.",
            "cert_warning": "Write it at the members.",
        }

    def resolved(self, ids: Mapping[str, str]) -> Check:
        """Return this group with the ids of its members in place of their names. Raise KeyError for one that is not there."""
        return msgspec.structs.replace(self, members=[ids[member] for member in self.members])

    async def probe(self, via: Reach, *, timeout: timedelta) -> Seen:  # noqa: ASYNC109  see `ports.Check`
        """Return that there is nothing to look at."""
        del via, timeout
        return Failure(Reason.INTERNAL, "a group is made of what the running service knows of its members")
