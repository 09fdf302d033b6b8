"""Read the strict part of YAML 1.2 in which configuration files are written, with a position on every value.

What a reader could mistake is refused or stays text: only `true` and `false` are booleans (`no` is text), dates are text,
numbers are decimal, `0123` and `1_000` are errors, so are tags, merge keys, duplicate keys and second documents.
JSON is accepted as it is. A file cannot exhaust memory: its size, its nesting and what its aliases repeat are bounded.

PyYAML's parser (libyaml where it is built in) delivers the events. The tree is built here and not by its composer,
because the composer recurses without bound and keeps duplicate keys.
"""

import codecs
import json
import re
from typing import NoReturn, Protocol

import yaml

from laya_uptime.config import explain
from laya_uptime.config.findings import Findings
from laya_uptime.config.tree import Entry, Mapping, Node, Plain, Position, Scalar, Sequence
from laya_uptime.domain.readable import escaped

MAX_BYTES = 10 * 1024 * 1024
MAX_DEPTH = 32
MAX_REPEATED = 100_000  # values that aliases may add to those written out

LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

_EXAMPLE = "Write what to watch, for example: monitors: {my site: 'https://example.org/'}"

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
# What some readers take for a number and others for text, or for another number.
_DISPUTED = re.compile(
    r"[-+]?(?:0[0-9]+(?:\.[0-9]*)?|0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9]+(?:_+[0-9]+)+(?:\.[0-9]*)?)"
)
_MAX_DIGITS = 40

# YAML forbids these outright. U+0085, U+2028 and U+2029 are line breaks to YAML 1.1 and not to 1.2, so every
# position after one would be wrong in somebody's editor.
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")

# JSON writes characters beyond U+FFFF as two escapes, which YAML does not know.
_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_TABS = re.compile(r"^[ \t]*\t", re.MULTILINE)

# What the parser says, and what it means for whoever wrote the file. The first match counts.
_MEANINGS: tuple[tuple[str, str, str], ...] = (
    (
        r"mapping values are not allowed",
        "a ':' where no key can be",
        "Indent it like the keys around it; put a value that holds ': ' in quotes.",
    ),
    (r"could not find expected ':'", "a line without ':'", "Write key: value."),
    (r"cannot start any token", "this character cannot begin a value", "Put the value in quotes."),
    (r"unexpected end of stream", "a quote is opened and never closed", "Close the quote."),
    (r"unexpected document (indicator|separator)", "a quote is opened and never closed", "Close the quote."),
    (
        r"expected ',' or '[\]}]'",
        "a ',' or the closing bracket is missing",
        "Put a value that holds brackets in quotes.",
    ),
    (
        r"expected key|expected <block end>|expected '-'",
        "this does not belong to the lines above",
        "Check the indentation.",
    ),
    (r"unknown escape character", "an unknown escape after '\\'", "Write \\\\ for a backslash, or use single quotes."),
    (r"escape code|hexadecimal", "a broken escape after '\\'", "Write \\\\ for a backslash, or use single quotes."),
    (r"undefined tag handle", "tags (!...) are not supported", "Write the plain value without the tag."),
    (r"document start|directive|version", "a line that only YAML itself would use", "Remove it."),
    (
        r"node content|sequence entries",
        "a value is missing or in a wrong place",
        "Check the indentation and the brackets.",
    ),
)


class _Mark(Protocol):
    """Where the parser was, from zero."""

    @property
    def index(self) -> int: ...
    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class _Unreadable(Exception):
    """Reading cannot go on; the problem is reported."""


def parse(data: bytes | str, *, source: str, findings: Findings) -> Node | None:
    """Return the tree of a file's content, None where it cannot be read at all. What is wrong goes to `findings`.

    `source` is the name under which positions are given.
    """
    start = Position(source, 1, 1)
    try:
        text = _decode(data, start, findings)
        return _Builder(_as_yaml(text), source, findings).document()
    except _Unreadable:
        return None


def read_plain(text: str) -> Plain:
    """Return the value that unquoted text stands for: nothing, a boolean, a decimal number, or itself."""
    if text in {"", "~", "null"}:
        return None
    if text in {"true", "false"}:
        return text == "true"
    if len(text) <= _MAX_DIGITS:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _DECIMAL.fullmatch(text):
            return float(text)
    return text


def _decode(data: bytes | str, start: Position, findings: Findings) -> str:
    """Return the text without its byte order mark. Refuse what is too large, not UTF-8 or holds control characters."""
    try:
        raw = data.encode() if isinstance(data, str) else data
        if len(raw) > MAX_BYTES:
            findings.problem(start, "the file is larger than 10 MiB", "Is it a configuration at all?")
            raise _Unreadable
        text = raw.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeError as error:
        findings.problem(start, "the file is not UTF-8", "Save it in the encoding UTF-8.")
        raise _Unreadable from error
    if (bad := _FORBIDDEN.search(text)) is not None:
        before = text[: bad.start()]
        at = Position(start.source, before.count("\n") + 1, bad.start() - before.rfind("\n"))
        findings.problem(
            at,
            f"the character U+{ord(bad[0]):04X} may not be written as it is",
            f'Remove it, or write "\\u{ord(bad[0]):04x}" inside double quotes.',
        )
        raise _Unreadable
    return text


def _as_yaml(text: str) -> str:
    """Return JSON with its paired escapes and its tabs as every YAML parser takes them, anything else unchanged."""
    if not text.lstrip().startswith(("{", "[")) or not (_PAIR.search(text) or _TABS.search(text)):
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text

    def joined(pair: re.Match[str]) -> str:
        code = 0x10000 + ((int(pair[2], 16) - 0xD800) << 10) + (int(pair[3], 16) - 0xDC00)
        return f"{pair[1]}\\U{code:08x}"

    return _TABS.sub(lambda tabs: " " * len(tabs[0]), _PAIR.sub(joined, text))


class _Anchor:
    """A value that may be repeated: None until it is complete, with its size and height when aliases are written out."""

    def __init__(self) -> None:
        self.node: Node | None = None
        self.size = 0
        self.height = 0


class _Builder:
    """Turns the events of one document into a tree. One call of `_node` reads one value and what is inside it."""

    def __init__(self, text: str, source: str, findings: Findings) -> None:
        self._text = text
        self._source = source
        self._findings = findings
        self._parser = LOADER(text)
        self._anchors: dict[str, _Anchor] = {}
        self._size = 0  # values so far, with aliases written out
        self._repeated = 0
        self._line = 1  # of the latest position

    def document(self) -> Node:
        """Return the one document of the text. Raise _Unreadable where there is none, or where it cannot be read."""
        try:
            self._next(yaml.StreamStartEvent)
            if isinstance(self._parser.peek_event(), yaml.StreamEndEvent):
                self._refuse(Position(self._source, 1, 1), "the file is empty", _EXAMPLE)
            self._next(yaml.DocumentStartEvent)
            root, _ = self._node(0)
            self._next(yaml.DocumentEndEvent)
            after = self._parser.peek_event()
            if isinstance(after, yaml.DocumentStartEvent):
                self._refuse(
                    self._at(after.start_mark), "a second document begins here", "Keep one document in a file."
                )
        except yaml.MarkedYAMLError as error:
            self._refuse_syntax(error)
        finally:
            self._parser.dispose()
        if isinstance(root, Scalar) and root.value is None and not root.broken:
            self._refuse(Position(self._source, 1, 1), "the file is empty", _EXAMPLE)
        return root

    def _next(self, kind: type[yaml.Event] = yaml.Event) -> yaml.Event:
        event = self._parser.get_event()
        if not isinstance(event, kind):
            message = f"the parser sent {event!r} where {kind.__name__} must come"
            raise TypeError(message)
        return event

    def _node(self, depth: int) -> tuple[Node, int]:
        """Return the next value and its height: how many levels lie below it, aliases written out."""
        event = self._next()
        at = self._at(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor or "", at, depth)
        self._size += 1
        if depth > MAX_DEPTH:
            self._refuse(
                at, f"more than {MAX_DEPTH} levels inside one another", "Check the brackets and the indentation."
            )
        if not isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            message = f"the parser sent {event!r} where a value must come"
            raise TypeError(message)
        anchor = _Anchor()  # a name may be given to another value later on, as YAML allows
        if event.anchor is not None:
            self._anchors[event.anchor] = anchor
        before = self._size
        node: Node
        height = 0
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, at)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._refuse_tag(event.tag, at)
            node, height = self._sequence(at, depth)
        else:
            self._refuse_tag(event.tag, at)
            node, height = self._mapping(at, depth)
        anchor.node, anchor.size, anchor.height = node, self._size - before + 1, height
        return node, height

    def _alias(self, name: str, at: Position, depth: int) -> tuple[Node, int]:
        anchor = self._anchors.get(name)
        shown = escaped(name, 40)
        if anchor is None:
            self._refuse(at, f"*{shown} refers to nothing", f"Write &{shown} before the value that it shall repeat.")
        if anchor.node is None:
            self._refuse(at, f"*{shown} stands inside what it repeats", "Write the value out.")
        self._size += anchor.size
        self._repeated += anchor.size
        if self._repeated > MAX_REPEATED:
            self._refuse(at, f"aliases repeat more than {MAX_REPEATED} values", "Write fewer of them.")
        if depth + anchor.height > MAX_DEPTH:
            self._refuse(at, f"more than {MAX_DEPTH} levels inside one another", "Write the value out.")
        return anchor.node, anchor.height

    def _sequence(self, at: Position, depth: int) -> tuple[Sequence, int]:
        items: list[Node] = []
        height = 0
        while not isinstance(self._parser.peek_event(), yaml.SequenceEndEvent):
            item, below = self._node(depth + 1)
            items.append(item)
            height = max(height, below + 1)
        self._next(yaml.SequenceEndEvent)
        return Sequence(items=tuple(items), at=at), height

    def _mapping(self, at: Position, depth: int) -> tuple[Mapping, int]:
        entries: dict[str, Entry] = {}
        height = 0
        while not isinstance(self._parser.peek_event(), yaml.MappingEndEvent):
            key, key_at = self._key()
            value, below = self._node(depth + 1)
            height = max(height, below + 1)
            if key is None:
                continue
            if (first := entries.get(key)) is not None:
                self._findings.problem(
                    key_at,
                    f"{explain.quoted(key)} is written twice; first on line {first.key_at.line}",
                    "Keep one of the two.",
                )
                continue
            entries[key] = Entry(key_at, value)
        self._next(yaml.MappingEndEvent)
        return Mapping(at=at, entries=entries), height

    def _key(self) -> tuple[str | None, Position]:
        """Return the next key, None where it cannot be one (which is then reported)."""
        event = self._next()
        at = self._at(event.start_mark)
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse(at, "a key must be a word", "Put a text that begins with a bracket, '*' or '&' in quotes.")
        self._size += 1
        if event.anchor is not None:
            self._findings.problem(at, "a key cannot be repeated by an alias", "Write the '&' before the value.")
        scalar = self._scalar(event, at)
        if scalar.broken:
            return None, at
        if not event.style and event.value == "<<":
            self._findings.problem(
                at, "merge keys (<<) are not supported", "Put what several monitors share under defaults: or groups:."
            )
            return None, at
        if not event.value:
            self._findings.problem(at, "a ':' without a key before it", "Write key: value.")
            return None, at
        return event.value, at

    def _scalar(self, event: yaml.ScalarEvent, at: Position) -> Scalar:
        if self._refuse_tag(event.tag, at):
            return Scalar(value=None, at=at, broken=True)
        text = event.value
        plain = not event.style  # libyaml says "" for plain text, Python's own parser None
        if plain and len(text) <= _MAX_DIGITS and _DISPUTED.fullmatch(text):
            self._findings.problem(
                at,
                "this number can be read in more than one way",
                "Put it in quotes where it is text; else write decimal digits, without a leading 0, 0x or _.",
            )
            return Scalar(value=None, at=at, broken=True)
        value = read_plain(text) if plain else text
        if isinstance(value, float) and not abs(value) < float("inf"):
            self._findings.problem(at, "this number is too large", "Put it in quotes where it is text.")
            return Scalar(value=None, at=at, broken=True)
        return Scalar(value=value, at=at, text_column=_text_column(event, at), shown=text)

    def _refuse_tag(self, tag: str | None, at: Position) -> bool:
        """Report a tag. Return whether there was one."""
        if tag is None:
            return False
        short = tag.replace("tag:yaml.org,2002:", "!!", 1)
        self._findings.problem(
            at,
            f"the tag {escaped(short, 40)} is not supported",
            "Write the plain value without the tag; put text in quotes.",
        )
        return True

    def _refuse_syntax(self, error: yaml.MarkedYAMLError) -> NoReturn:
        said = error.problem or "it is not YAML"
        mark = error.problem_mark or error.context_mark
        at = Position(self._source, 1, 1) if mark is None else self._at(mark)
        index = len(self._text) if mark is None else min(mark.index, len(self._text))
        here = self._text[index : index + 1]
        if here == "{" and self._text[index - 1 : index] == "$":
            begin = Position(at.source, at.line, max(1, (at.column or 1) - 1))
            self._refuse(begin, "${...} inside brackets must be quoted", 'Write "${NAME}", with the quotes.')
        if here == "\t" or "\t" in _indentation(self._text, index):
            self._refuse(at, "a tab is used for indentation", "Indent with spaces.")
        for pattern, what, remedy in _MEANINGS:
            if re.search(pattern, said):
                if "never closed" in what and error.context_mark is not None:
                    at = self._at(error.context_mark)
                self._refuse(at, what, remedy)
        self._refuse(at, f"this is not YAML: {escaped(said, 200)}", "Check the line and the one above it.")

    def _refuse(self, at: Position, what: str, remedy: str) -> NoReturn:
        self._findings.problem(at, what, remedy)
        raise _Unreadable

    def _at(self, mark: _Mark | None) -> Position:
        if mark is None:  # the types allow it, the parser never does it
            return Position(self._source, 1, 1)
        if mark.line + 1 != self._line:
            self._line = mark.line + 1  # many values stand on one line: they share its number
        return Position(self._source, self._line, mark.column + 1)


def _indentation(text: str, index: int) -> str:
    """Return the white space that begins the line of this index."""
    begin = max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1
    line = text[begin : index + 1]
    return line[: len(line) - len(line.lstrip())]


def _text_column(event: yaml.ScalarEvent, at: Position) -> int | None:
    """Return the column of the first character where the text stands on one line as it is, without escapes."""
    begin, end = event.start_mark, event.end_mark
    if begin is None or end is None or at.column is None or begin.line != end.line or event.anchor is not None:
        return None
    quotes = 1 if event.style else 0
    if end.column - begin.column != len(event.value) + 2 * quotes:
        return None
    return at.column + quotes
