"""What a configuration says before anybody judges it: plain values, each with the place where it was written.

A file may hold a million of these. They are structs because those are quickly made and small; and as a tree has no
cycles, the collector need not know of them.
"""

import msgspec


class Position(msgspec.Struct, frozen=True, gc=False):
    """A place that a person can find: a line and column of a file (both from 1), or a variable or flag by its name."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        """Return "config.yaml:12:5", or the name alone where there are no lines."""
        if self.line is None:
            return self.source
        return f"{self.source}:{self.line}:{self.column}"


Plain = str | int | float | bool | None


class Scalar(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One value as written.

    `filled` says that `value` came from outside the file (a variable, a file, a credential): it is text and data,
    whatever it looks like, `brought` are the pieces that came in, and `pieces` is all of it in order, each with whether
    it came in. `shown` is what may be told of it: the value
    itself, the text that asked for it, or None where it may be a secret. `broken` says that a problem with it is
    already reported. `text_column` is the column of the value's first character where each further character of the
    value is one further column, else None.
    """

    value: Plain
    at: Position
    shown: str | None = None
    filled: bool = False
    brought: tuple[str, ...] = ()
    pieces: tuple[tuple[str, bool], ...] = ()
    broken: bool = False
    text_column: int | None = None


class Sequence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A list of values."""

    items: tuple["Node", ...]
    at: Position


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One value of a mapping, and where its key is written."""

    key_at: Position
    value: "Node"


class Mapping(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Keys and their values, in the order in which they are written."""

    at: Position
    entries: dict[str, Entry] = msgspec.field(default_factory=dict)

    def get(self, key: str) -> "Node | None":
        """Return the value under `key`; None where it is not written."""
        entry = self.entries.get(key)
        return None if entry is None else entry.value

    def where(self, key: str) -> Position:
        """Return where `key` is written; where it is not, the place of the mapping itself."""
        entry = self.entries.get(key)
        return self.at if entry is None else entry.key_at


Node = Scalar | Sequence | Mapping
