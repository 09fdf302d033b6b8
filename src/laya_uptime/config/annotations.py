"""What a field's annotation takes: told to people, and asked by whoever reads it."""

import types
from collections.abc import Sequence
from datetime import timedelta
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from zoneinfo import ZoneInfo

import msgspec

from laya_uptime.config import explain
from laya_uptime.config.quantities import Bytes
from laya_uptime.domain.assertion import Assertion
from laya_uptime.domain.payload import Payload
from laya_uptime.domain.secret import Secret

# An annotation is any object: a class, a union, an alias with arguments.
Annotation = Any

_WORDS: dict[object, str] = {
    str: "text",
    Secret: "text",
    Payload: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    timedelta: "a duration such as 30s",
    Assertion: "an expression such as 'status == 200'",
    ZoneInfo: "a time zone such as Europe/Berlin",
}


def _origin(kind: Annotation) -> object:
    return get_origin(kind)


def bare(kind: Annotation) -> tuple[Annotation, tuple[object, ...]]:
    """Return an annotation without `Annotated`, and the marks that stood beside it."""
    if _origin(kind) is Annotated:
        inner, *marks = get_args(kind)
        return inner, tuple(marks)
    return kind, ()


def arms(kind: Annotation) -> list[Annotation]:
    """Return what a union is made of without None and UNSET, with its marks on each; else the annotation alone."""
    inner, marks = bare(kind)
    if _origin(inner) not in {Union, types.UnionType}:
        return [kind]
    kinds = [arm for arm in get_args(inner) if bare(arm)[0] not in {types.NoneType, msgspec.UnsetType}]
    return [Annotated[(arm, *marks)] if marks else arm for arm in kinds]


def may_be_nothing(kind: Annotation) -> bool:
    """Say whether `null` may be written."""
    inner, _ = bare(kind)
    return _origin(inner) in {Union, types.UnionType} and types.NoneType in {bare(arm)[0] for arm in get_args(inner)}


def item_of(kind: Annotation) -> Annotation | None:
    """Return what the entries of a list or tuple are, None where the annotation is no list."""
    inner, _ = bare(kind)
    if inner in {list, tuple}:
        return str
    return get_args(inner)[0] if _origin(inner) in {list, tuple, Sequence} else None


def entry_of(kind: Annotation) -> Annotation | None:
    """Return what the values of a mapping are, None where the annotation is no mapping of free keys."""
    inner, _ = bare(kind)
    if inner is dict:
        return str
    return get_args(inner)[1] if _origin(inner) is dict else None


def words_of(kind: Annotation) -> list[str | int | bool] | None:
    """Return the words of a `Literal` or an enum, None where the annotation is neither."""
    inner, _ = bare(kind)
    if _origin(inner) is Literal:
        return list(get_args(inner))
    if isinstance(inner, type) and issubclass(inner, Enum):
        return [member.value for member in inner]
    return None


def takes_text(kind: Annotation) -> bool:
    """Say whether text can be all of it, so that a single one may stand for a list of one."""
    return bare(kind)[0] in {str, Secret, Assertion} or words_of(kind) is not None


def wanted(kind: Annotation) -> str:
    """Return in words what an annotation takes, e.g. "a whole number from 1 to 65535"."""
    inner, marks = bare(kind)
    if len(choices := arms(kind)) > 1:
        return explain.one_of(dict.fromkeys(wanted(arm) for arm in choices))
    if choices[0] is not kind:
        return wanted(choices[0])
    if (words := words_of(kind)) is not None:
        return explain.one_of([str(word) for word in words])
    if (item := item_of(kind)) is not None:
        return "text or a list" if takes_text(item) else "a list"
    if any(isinstance(mark, Bytes) for mark in marks):
        return "a size such as 10MB"
    if inner in _WORDS:
        return _WORDS[inner] + (_bounds(marks) if inner in {int, float} else "")
    return "a mapping"


def metas(marks: tuple[object, ...]) -> list[msgspec.Meta]:
    """Return the marks that msgspec defines."""
    return [mark for mark in marks if isinstance(mark, msgspec.Meta)]


def _bounds(marks: tuple[object, ...]) -> str:
    for mark in metas(marks):
        if mark.ge is not None and mark.le is not None:
            return f" from {mark.ge} to {mark.le}"
        for bound, word in ((mark.ge, "of at least"), (mark.gt, "above"), (mark.le, "of at most"), (mark.lt, "below")):
            if bound is not None:
                return f" {word} {bound}"
    return ""
