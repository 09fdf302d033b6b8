"""Read one single value as what its place takes: text, a number, a secret, a duration, an expression, a time zone.

Each reader returns the value or raises `Unfit` with what is wrong. None of them shows a value that may be a secret.
"""

import difflib
import re
import zoneinfo
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache

from laya_uptime.config import explain
from laya_uptime.config.annotations import Annotation, bare, metas, wanted, words_of
from laya_uptime.config.quantities import Bytes, Span, Unfit
from laya_uptime.config.tree import Plain, Scalar
from laya_uptime.config.yaml import read_plain
from laya_uptime.domain.assertion import Assertion, ExpressionError, parse
from laya_uptime.domain.payload import Payload, of_pieces
from laya_uptime.domain.secret import Secret

_ANY_SPAN = Span(timedelta(0), timedelta(days=36500))
_MEANT = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
_BREAKS_OUT = re.compile(r"[\"'\\\x00-\x1f\x7f]")


def read(scalar: Scalar, kind: Annotation) -> object:
    """Return the value that this annotation takes. Raise Unfit where it takes another, TypeError where nobody can tell."""
    inner, marks = bare(kind)
    if words_of(kind) is not None:
        return _word(scalar, kind)
    for mark in marks:
        if isinstance(mark, Bytes | Span):
            if scalar.value is None or isinstance(scalar.value, bool):
                raise mismatch(scalar, kind)
            return _quantity(mark, scalar.value, type(scalar.value).__name__, _shown(scalar))
    if inner in _READERS:
        return _READERS[inner](scalar)
    if inner not in {str, int, float, bool, object}:
        raise TypeError(f"a configuration cannot hold {inner!r}")
    value: Plain = scalar.value
    if scalar.filled and inner is not str and isinstance(value, str):
        value = read_plain(value)  # `port: ${PORT}` means the number that it looks like
    if inner is float and type(value) is int:
        value = float(value)
    if inner is not object and type(value) is not inner:
        raise mismatch(scalar, kind)
    _hold(value, scalar, kind)
    return value


def mismatch(scalar: Scalar, kind: Annotation) -> Unfit:
    """Return "expected a whole number, got text 'x'" with a hint, ready to be raised."""
    hidden = bare(kind)[0] in {Secret, Payload}
    expected = wanted(kind)
    remedy = ""
    if expected.startswith("text") and not isinstance(scalar.value, str):
        remedy = "Put it in quotes."
    elif expected == "true or false" and isinstance(scalar.value, str) and not scalar.filled:
        meant = _MEANT.get(scalar.value.casefold())
        remedy = f"Write {meant}, without quotes." if meant else ""
    return Unfit(explain.mismatch(expected, scalar, hidden=hidden), remedy)


def _word(scalar: Scalar, kind: Annotation) -> object:
    words = words_of(kind) or []
    values: list[Plain] = [scalar.value]
    if scalar.filled and isinstance(scalar.value, str):
        values.append(read_plain(scalar.value))
    elif isinstance(scalar.value, float):
        values.append(scalar.shown)  # `1.2` is the version that it looks like
    for word in words:
        if any(type(value) is type(word) and value == word for value in values):
            inner, _ = bare(kind)
            return inner(word) if isinstance(inner, type) else word
    close = None
    if isinstance(scalar.value, str) and not scalar.filled:
        close = explain.did_you_mean(scalar.value, [str(word) for word in words])
    unfit = mismatch(scalar, kind)
    raise Unfit(unfit.what, f"Did you mean {close!r}?" if close else unfit.remedy)


@lru_cache(maxsize=1024)
def _quantity(mark: Bytes | Span, value: Plain, _: str, shown: str) -> object:
    """Return the duration or the size; the same one where many monitors say the same. 1 and 1.0 are not the same."""
    return mark.read(value, shown)


def _duration(scalar: Scalar) -> timedelta:
    return _ANY_SPAN.read(scalar.value, _shown(scalar))


def _secret(scalar: Scalar) -> Secret:
    if not isinstance(scalar.value, str):
        raise mismatch(scalar, Secret)
    return Secret(scalar.value)


def _payload(scalar: Scalar) -> Payload:
    if not isinstance(scalar.value, str):
        raise mismatch(scalar, Payload)
    try:
        return of_pieces(scalar.pieces or [(scalar.value, False)])
    except ValueError as error:
        raise Unfit(str(error)) from error


def _assertion(scalar: Scalar) -> Assertion:
    if not isinstance(scalar.value, str):
        raise mismatch(scalar, Assertion)
    if scalar.shown != scalar.value and any(_BREAKS_OUT.search(piece) for piece in scalar.brought):
        raise Unfit(
            f"the value for {explain.quoted(scalar.shown or '')} holds a quote, a backslash or a control character",
            "It would change the expression around it; write such a value in the expression itself.",
        )
    try:
        return _parsed(scalar.value)
    except ExpressionError as error:
        if scalar.filled and scalar.shown != scalar.value:
            what = f"the expression from {explain.quoted(scalar.shown or '')} cannot be used"
            raise Unfit(what, "Write the expression without ${...} to see what is wrong with it.") from error
        raise Unfit(error.what, error.remedy, offset=error.column - 1) from error


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Assertion:
    """Return the assertion; the same one where many monitors expect the same."""
    return parse(text)


def _zone(scalar: Scalar) -> zoneinfo.ZoneInfo:
    if not isinstance(scalar.value, str):
        raise mismatch(scalar, zoneinfo.ZoneInfo)
    try:
        return zoneinfo.ZoneInfo(scalar.value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        known = {name.casefold(): name for name in zoneinfo.available_timezones()}
        close = difflib.get_close_matches(_shown(scalar).casefold(), known, n=1)
        hint = f"Did you mean {known[close[0]]!r}?" if close else "Write a name such as UTC or Europe/Berlin."
        raise Unfit(f"no time zone is called {explain.quoted(_shown(scalar))}", hint) from error


def _hold(value: object, scalar: Scalar, kind: Annotation) -> None:
    """Raise Unfit where a msgspec.Meta beside the annotation is not met."""
    for meta in metas(bare(kind)[1]):
        if isinstance(value, str):
            hold_length(len(value), kind, "characters")
            if meta.pattern is not None and not re.search(meta.pattern, value):
                raise Unfit(f"{explain.got(scalar)} is not in the form that is needed", meta.description or "")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            fits = (
                (meta.ge is None or value >= meta.ge)
                and (meta.gt is None or value > meta.gt)
                and (meta.le is None or value <= meta.le)
                and (meta.lt is None or value < meta.lt)
                and (meta.multiple_of is None or value % meta.multiple_of == 0)
            )
            if not fits:
                raise mismatch(scalar, kind)


def hold_length(length: int, kind: Annotation, unit: str) -> None:
    """Raise Unfit where a text or a list is shorter or longer than its msgspec.Meta says."""
    for meta in metas(bare(kind)[1]):
        if meta.min_length is not None and length < meta.min_length:
            raise Unfit(f"at least {meta.min_length} {unit} are needed, got {length}")
        if meta.max_length is not None and length > meta.max_length:
            raise Unfit(f"at most {meta.max_length} {unit} are allowed, got {length}")


def _shown(scalar: Scalar) -> str:
    """Return what may be told of a value, cut where it is long."""
    shown = scalar.shown if isinstance(scalar.value, str) else str(scalar.value)
    return (shown or "")[:60]


_READERS: dict[object, Callable[[Scalar], object]] = {
    timedelta: _duration,
    Secret: _secret,
    Payload: _payload,
    Assertion: _assertion,
    zoneinfo.ZoneInfo: _zone,
}
