"""What an operand may hold: how it compares, and how it reads as evidence.

A value is a number, a text, a truth, null, a duration, a JSON list or object, the nodes of a query, or `Absent`.
Values of different sorts are unequal and have no order; a truth is no number. With an absent value every
comparison is false, `!=` too: nothing can be said about what was not there.

Documents come from strangers. Only exact built-in types are looked at, nothing here recurses deeper than two levels,
and nothing raises.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import NoneType
from typing import Any

from laya_uptime.domain.readable import escaped, in_words

LIMIT = 120  # characters of one value shown as evidence


@dataclass(frozen=True, slots=True)
class Absent:
    """The value was not there. `why` is empty where that says it all."""

    why: str = ""


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class Nodes:
    """What a query found that can find several values; never empty.

    `contains` looks among the nodes. Every other comparison needs exactly one.
    """

    found: tuple[object, ...]


Literal = bool | int | float | str | timedelta | None
Test = Callable[[object], bool]
Comparison = Callable[[Any, Any], bool]

COMPARISONS: dict[str, Comparison] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_SORTS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    timedelta: "a duration",
    NoneType: "null",
}
_ORDERED = frozenset({"a number", "text", "a duration"})


def sort_of(value: object) -> str | None:
    """Return what sort of value this is; None for lists, objects, nodes and what is absent."""
    return _SORTS.get(type(value))


def compare(symbol: str, left: object, right: object) -> bool:
    """Say whether two values compare so. Two lists or objects compare to nothing, so it is always false for them."""
    left, right = _only(left), _only(right)
    if type(left) is Absent or type(right) is Absent:
        return False
    sort = sort_of(left)
    if sort != sort_of(right):
        return symbol == "!="
    if sort is None or (sort not in _ORDERED and symbol not in {"==", "!="}):
        return False
    return COMPARISONS[symbol](left, right)


def compared_with(symbol: str, literal: Literal) -> Test:
    """Return the test `value SYMBOL literal`; the same as `compare`, quicker."""
    compares = COMPARISONS[symbol]
    sort = sort_of(literal)

    def test(value: object) -> bool:
        if _SORTS.get(type(value)) is sort:
            return compares(value, literal)
        return compare(symbol, value, literal)

    return test


def between(low: Literal, high: Literal) -> Test:
    """Return the test `low <= value <= high`."""
    at_least = compared_with(">=", low)
    at_most = compared_with("<=", high)
    return lambda value: at_least(value) and at_most(value)


def containing(literal: Literal) -> Test:
    """Return the test `value contains literal`: part of a text, an item of a list, a key of an object, one of the nodes."""
    same = compared_with("==", literal)

    def test(value: object) -> bool:
        if type(value) is str:
            return type(literal) is str and literal in value
        if type(value) is list:
            return any(same(item) for item in value)
        if type(value) is dict:
            return type(literal) is str and literal in value
        if type(value) is Nodes:
            return any(same(item) for item in value.found)
        return False

    return test


def matching(found: Callable[[str], bool]) -> Test:
    """Return the test `value matches pattern`, true for texts in which the pattern is found."""

    def test(value: object) -> bool:
        value = _only(value)
        return type(value) is str and found(value)

    return test


def is_true(value: object) -> bool:
    """Say whether the value is `true` itself; a number or a text never is."""
    return _only(value) is True


def _only(value: object) -> object:
    """Return the one value among nodes; several of them are nothing to compare."""
    if type(value) is Nodes:
        return value.found[0] if len(value.found) == 1 else ABSENT
    return value


def shown(value: object, limit: int = LIMIT) -> str:
    """Return the value as evidence: one line of at most `limit` characters, texts in quotes, "absent" where it was not there."""
    if type(value) is str:
        return f'"{escaped(value, limit - 2)}"'
    if type(value) is timedelta:
        return in_words(value)
    if type(value) is Absent:
        return escaped(f"absent ({value.why})" if value.why else "absent", limit)
    if type(value) is Nodes:
        return _one(value.found[0], limit) if len(value.found) == 1 else _items(value.found, limit)
    return _one(value, limit)


def _one(value: object, limit: int, depth: int = 0) -> str:
    if type(value) is bool:
        return "true" if value else "false"
    if value is None:
        return "null"
    if type(value) is int:
        # Thousands of digits are legal JSON, and Python refuses to print them.
        return str(value) if value.bit_length() <= 128 else f"an integer of {value.bit_length()} bits"
    if type(value) is float:
        return repr(value)
    if type(value) is str:
        return f'"{escaped(value, limit - 2)}"'
    if type(value) is list:
        return "[…]" if depth else _items(value, limit)
    if type(value) is dict:
        return "{…}" if depth else _members(value, limit)
    return escaped(f"a {type(value).__name__}", limit)


def _items(values: list[object] | tuple[object, ...], limit: int) -> str:
    # One item takes at least three characters, so no more than this many can be seen.
    parts = [_one(item, limit, depth=1) for item in values[: limit // 3 + 1]]
    return escaped(f"[{', '.join(parts)}]", limit)


def _members(values: dict[object, object], limit: int) -> str:
    parts = []
    for name, value in values.items():
        parts.append(f"{_one(name, limit, depth=1)}: {_one(value, limit, depth=1)}")
        if len(parts) > limit // 6:
            break
    return escaped(f"{{{', '.join(parts)}}}", limit)
