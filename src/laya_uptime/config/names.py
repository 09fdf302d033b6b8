"""From the names that people give to the ids that never change."""

import re
import unicodedata

from laya_uptime.config import explain
from laya_uptime.config.findings import Findings
from laya_uptime.config.tree import Position

_LONGEST = 100


def slug(name: str) -> str:
    """Return the id of a name: lower case, runs of anything but letters and digits become one hyphen.

    Letters of every script are kept. The result is empty where the name has neither letter nor digit.
    """
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())
    return re.sub(r"[\W_]+", "-", text).strip("-")


class Names:
    """The names and ids given in one section, so that no two are the same."""

    def __init__(self, section: str, findings: Findings) -> None:
        """Begin with none. `section` names the place in messages."""
        self._section = section
        self._findings = findings
        self._ids: dict[str, tuple[str, Position]] = {}
        self._names: dict[str, Position] = {}

    def identify(self, key: str, at: Position) -> str | None:
        """Return the id of this key; None, after reporting it, where there is none or another key has it."""
        path = explain.path_to(self._section, key)
        id_ = slug(key)
        if not id_ or len(id_) > _LONGEST:
            what = f"{path}: a name needs a letter or a digit, and at most {_LONGEST} characters"
            self._findings.problem(at, what, "Choose another one.")
            return None
        if id_ in self._ids:
            other, first = self._ids[id_]
            self._findings.problem(
                at,
                f"{path}: {explain.quoted(other)} on line {first.line} has the same id {id_!r}",
                "Rename one of the two.",
            )
            return None
        self._ids[id_] = (key, at)
        return id_

    def name(self, key: str, given: str | None, at: Position) -> str | None:
        """Return what people read: the given name, else the key; None, after reporting it, where another has it."""
        path = explain.path_to(self._section, key)
        name = key if given is None else given
        if not name.isprintable() or len(name) > _LONGEST:
            self._findings.problem(
                at, f"{path}: this cannot be shown as a name", f"Use at most {_LONGEST} characters on one line."
            )
            return None
        if (first := self._names.get(name)) is not None:
            what = f"{path}: the name {explain.quoted(name)} is already taken on line {first.line}"
            self._findings.problem(at, what, "Give one of the two another name.")
            return None
        self._names[name] = at
        return name
