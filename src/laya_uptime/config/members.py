"""The members of roll-ups: each is a monitor of the same file, and no group is part of itself."""

from collections.abc import Sequence
from functools import cached_property

from laya_uptime.config import explain
from laya_uptime.config.findings import Findings
from laya_uptime.config.names import slug
from laya_uptime.config.tree import Mapping, Node, Position
from laya_uptime.config.tree import Sequence as Items
from laya_uptime.domain.group import in_order
from laya_uptime.ports import Check, RollingUp


class Members:
    """Who is part of what. A group may name a monitor that is written below it."""

    def __init__(self, names: Sequence[str], findings: Findings) -> None:
        """Take the names of all monitors, of those with a mistake too: of these, that is all there is to say."""
        self._names = names
        self._findings = findings
        self._found: dict[str, dict[str, Position]] = {}
        self._paths: dict[str, str] = {}

    @cached_property
    def _ids(self) -> dict[str, str]:
        """The id of each monitor, by its name and by itself. Not before a group asks: a file may have many monitors."""
        ids = {name: slug(name) for name in self._names}
        return ids | {id_: id_ for id_ in ids.values()}

    def resolve(self, id_: str, check: RollingUp, node: Mapping, path: str) -> Check | None:
        """Return the group with the ids of its members; None, after reporting it, where one of them is not there."""
        places = _places(node.get("members"), len(check.members), node.where("members"))
        found: dict[str, Position] = {}
        is_whole = True
        for member, at in zip(check.members, places, strict=True):
            if member not in self._ids:
                is_whole = False
                what, remedy = explain.unknown_name("monitor", member, self._names)
                self._findings.problem(at, f"{path}.members: {what}", remedy)
            elif self._ids[member] in found:
                is_whole = False
                what = f"{path}.members: {explain.quoted(member)} is named twice"
                self._findings.problem(at, what, "Name it once.")
            else:
                found[self._ids[member]] = at
        self._found[id_], self._paths[id_] = found, path
        return check.resolved(self._ids) if is_whole else None

    def refuse_cycles(self) -> None:
        """Report one group of each circle that is part of itself, where it is named."""
        members = {group: dict(places) for group, places in self._found.items()}
        while True:
            try:
                in_order(members)
            except ValueError:
                group, inner = self._closing(members)
            else:
                return
            what = f"{self._paths[group]}.members: {explain.quoted(inner)} is part of a circle"
            self._findings.problem(
                members[group].pop(inner), what, "A group cannot contain itself, through others neither."
            )

    def _closing(self, members: dict[str, dict[str, Position]]) -> tuple[str, str]:
        """Return the first group, in the order of the file, and the member of it through which it contains itself."""
        for group, inner in [(group, inner) for group, found in members.items() for inner in found]:
            reached, waiting = set(), [inner]
            while waiting:
                each = waiting.pop()
                if each not in reached:
                    reached.add(each)
                    waiting.extend(members.get(each, ()))
            if group in reached:
                return group, inner
        raise AssertionError("there is a circle")


def _places(node: Node | None, count: int, otherwise: Position) -> list[Position]:
    if isinstance(node, Items) and len(node.items) == count:
        return [item.at for item in node.items]
    return [otherwise if node is None else node.at] * count
