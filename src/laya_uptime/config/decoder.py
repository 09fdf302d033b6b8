"""Turn a tree into the struct that describes it, and find everything that does not fit.

It reads any msgspec struct, so the options of a check or a notifier need nothing but their annotations: text, numbers,
booleans, `Literal`, enums, lists, mappings, other structs, `Secret`, durations (`timedelta`, with a `Span` beside it),
sizes (`int` with `Bytes` beside it), assertions, bytes to send (`Payload`), and unions of these. msgspec's own decoder would stop at the first
mistake and knows no positions. A field of type `... | UnsetType` may be left out but not written empty.
"""

import re
from collections.abc import Callable, Collection
from typing import TypeVar

import msgspec

from laya_uptime.config import explain, leaves
from laya_uptime.config.annotations import Annotation, arms, bare, entry_of, item_of, may_be_nothing, takes_text, wanted
from laya_uptime.config.findings import Findings
from laya_uptime.config.parts import fields_of, required_keys
from laya_uptime.config.quantities import Unfit
from laya_uptime.config.tree import Mapping, Node, Position, Scalar, Sequence
from laya_uptime.domain.payload import Payload
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.urls import looks_secret, redact

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")

# Most URLs and most headers may be read by everyone, so a literal one is no reason to warn.
_HARMLESS = ""
_CREDENTIALS = {"cookie", "proxy-authorization"}


class Refused(Exception):
    """The value cannot be used; the reason is already among the findings."""


class Decoder:
    """Reads trees into structs. Every mistake goes to `findings`, every secret that stands in the file to its warnings."""

    def __init__(self, findings: Findings) -> None:
        """Report to these findings."""
        self._findings = findings
        self.literal_secrets = 0

    def struct(self, node: Node, kind: type[S], path: str, *, also: Collection[str] = ()) -> S:
        """Return the struct that a mapping describes. Raise Refused where it does not fit, after reporting why.

        `path` names the mapping in messages. Keys in `also` are allowed and left alone: somebody else reads them.
        """
        mapping = self.mapping(node, path)
        fields = fields_of(kind)
        values: dict[str, object] = {}
        refused = False
        for key, entry in mapping.entries.items():
            if key in fields:
                try:
                    values[fields[key].name] = self.value(
                        entry.value, fields[key].type, explain.path_to(path, key), key
                    )
                except Refused:
                    refused = True
            elif key not in also:
                refused = True
                self._findings.problem(entry.key_at, *explain.unknown_key(key, path, [*fields, *also]))
        for key in required_keys(kind):
            if key not in mapping.entries:
                refused = True
                self._findings.problem(
                    mapping.at, f"{path or 'the file'} needs {key!r}", f"Write {key}: with {wanted(fields[key].type)}."
                )
        if refused:
            raise Refused
        return self.made(lambda: kind(**values), mapping, path)

    def made(self, make: Callable[[], T], mapping: Mapping, path: str) -> T:
        """Return what `make` makes of a mapping. Raise Refused where it raises ValueError, after reporting that."""
        try:
            return make()
        except ValueError as error:
            self._findings.problem(_blamed(str(error), mapping), explain.about(path, str(error)))
            raise Refused from error

    def mapping(self, node: Node, path: str) -> Mapping:
        """Return the node where it is a mapping. Raise Refused where it is something else, after reporting it."""
        if not isinstance(node, Mapping):
            raise self._refuse(node, path, Unfit(explain.mismatch("a mapping", node)))
        return node

    def value(self, node: Node, kind: Annotation, path: str, key: str) -> object:
        """Return the value of an annotation. Raise Refused where it does not fit, after reporting why.

        `key` is the last key of the path; it tells which values are secrets in plain sight.
        """
        if isinstance(node, Scalar):
            if node.broken:
                raise Refused
            if may_be_nothing(kind) and (node.value is None or (node.filled and node.value == "")):
                return None
        choices = arms(kind)
        if len(choices) > 1:
            return self._any_of(node, choices, path, key)
        kind = choices[0]
        if (item := item_of(kind)) is not None:
            return self._list(node, kind, item, path, key)
        if (entry := entry_of(kind)) is not None:
            return self._dict(self.mapping(node, path), entry, path)
        inner, _ = bare(kind)
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            return self.struct(node, inner, path)
        return self._leaf(node, kind, path, key)

    def _leaf(self, node: Node, kind: Annotation, path: str, key: str) -> object:
        if not isinstance(node, Scalar):
            raise self._refuse(node, path, Unfit(explain.mismatch(wanted(kind), node)))
        try:
            value = leaves.read(node, kind)
        except Unfit as unfit:
            raise self._refuse(node, path, unfit) from unfit
        if isinstance(value, Secret) and not node.filled and _tells(key, value.reveal()):
            self._warn_of_literal(node.at, path)
        if isinstance(value, Payload) and not node.filled and value.confidential:
            self._warn_of_literal(node.at, path)
        return value

    def _any_of(self, node: Node, choices: list[Annotation], path: str, key: str) -> object:
        for kind in choices:
            attempt = Decoder(Findings())
            try:
                value = attempt.value(node, kind, path, key)
            except Refused:
                continue
            if attempt.literal_secrets:
                self._warn_of_literal(node.at, path)
            return value
        expected = explain.one_of(dict.fromkeys(wanted(kind) for kind in choices))
        raise self._refuse(node, path, Unfit(explain.mismatch(expected, node)))

    def _list(self, node: Node, kind: Annotation, item: Annotation, path: str, key: str) -> object:
        """Return a list or a tuple. One text alone is a list of one."""
        nodes: tuple[Node, ...]
        if isinstance(node, Sequence):
            nodes = node.items
        elif isinstance(node, Scalar) and isinstance(node.value, str) and takes_text(item):
            nodes = (node,)
        else:
            raise self._refuse(node, path, Unfit(explain.mismatch(wanted(kind), node)))
        values: list[object] = []
        for index, inner in enumerate(nodes):
            place = path if inner is node else f"{path}[{index}]"
            try:
                values.append(self.value(inner, item, place, key))
            except Refused:
                continue
        if len(values) < len(nodes):
            raise Refused
        try:
            leaves.hold_length(len(values), kind, "entries")
        except Unfit as unfit:
            raise self._refuse(node, path, unfit) from unfit
        return tuple(values) if tuple in {bare(kind)[0], getattr(bare(kind)[0], "__origin__", None)} else values

    def _dict(self, mapping: Mapping, kind: Annotation, path: str) -> dict[str, object]:
        values: dict[str, object] = {}
        for name, entry in mapping.entries.items():
            key = name if looks_secret(name) or name.lower() in _CREDENTIALS else _HARMLESS
            try:
                values[name] = self.value(entry.value, kind, explain.path_to(path, name), key)
            except Refused:
                continue
        if len(values) < len(mapping.entries):
            raise Refused
        return values

    def _refuse(self, node: Node, path: str, unfit: Unfit) -> Refused:
        """Report why a value cannot be used. Return what is to be raised then."""
        at, remedy = node.at, unfit.remedy
        if isinstance(node, Scalar):
            if node.broken:
                return Refused()
            if node.value is None and not remedy:
                remedy = "Write the value, or remove the key."
            if unfit.offset is not None and node.text_column is not None:
                at = Position(at.source, at.line, node.text_column + unfit.offset)
        self._findings.problem(at, explain.about(path, unfit.what), remedy)
        return Refused()

    def _warn_of_literal(self, at: Position, path: str) -> None:
        self.literal_secrets += 1
        self._findings.warning(
            at,
            f"{path} is a secret in plain sight",
            "Write ${NAME}, ${file:/path} or ${cred:name} instead, and keep the secret there.",
        )


def _tells(key: str, text: str) -> bool:
    """Say whether a literal in a place for secrets gives something away."""
    if not text or key == _HARMLESS:
        return False
    if key == "url":
        return redact(text) != text.partition("#")[0]
    if key == "body":
        return any(looks_secret(word) for word in re.findall(r"[\w-]+", text))
    return True


def _blamed(said: str, mapping: Mapping) -> Position:
    """Return the place of the option that a message is about, else of the whole mapping.

    A message names its option in `backquotes` or as a plain word ("the header X-Id ..."); a host is part of a URL.
    """
    words = {word.lower() for word in re.findall(r"\w+", said)}
    if match := re.match(r"`([^`]+)`", said):
        words = {match[1]}
    elif "host" in words:
        words.add("url")
    for key, entry in mapping.entries.items():
        if key in words or key.removesuffix("s") in words:
            return entry.value.at
    only = list(mapping.entries.values())
    return only[0].value.at if len(only) == 1 else mapping.at
