"""Patterns that cannot hang: RE2, whose time grows with the text alone.

A backtracking engine needs exponential time for `(a+)+$`, and the text it is held against comes from strangers.
RE2 has no look-around and no back-references; such patterns are refused when they are written, not when they run.
"""

from collections.abc import Callable
from typing import Protocol

import re2

# Time is text times program at worst: 1,000 instructions over 1 MiB may take seconds, though only for patterns made to.
_MOST_INSTRUCTIONS = 1000


class PatternError(ValueError):
    """The pattern cannot be used. `at` is the index of the offending part in it, None where it is the whole."""

    def __init__(self, what: str, at: int | None = None) -> None:
        """Keep what is wrong and where."""
        self.what = what
        self.at = at
        super().__init__(what)


class _Found(Protocol):
    """What is used of a match."""

    def end(self) -> int: ...


class _Compiled(Protocol):
    """What is used of the binding's own class, which has no types."""

    programsize: int

    def search(self, text: bytes, pos: int = 0) -> _Found | None: ...

    def fullmatch(self, text: bytes) -> object | None: ...


def finder(pattern: str) -> Callable[[str], bool]:
    """Return a function that says whether the pattern occurs in a text. Raise PatternError for one that RE2 refuses."""
    search = _compiled(pattern).search
    # Half characters cannot be encoded, so they read as question marks; bytes spare counting characters back.
    return lambda text: search(text.encode("utf-8", "replace")) is not None


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a function that says whether the pattern fits the whole of a text. Raise PatternError likewise."""
    fullmatch = _compiled(pattern).fullmatch
    return lambda text: fullmatch(text.encode("utf-8", "replace")) is not None


def locator(pattern: str) -> Callable[[bytes, int], int | None]:
    r"""Return a function from bytes and a place in them to where the first match from there on ends; None: none does.

    `^` and `$` are the ends of each line. A character outside ASCII stands for its UTF-8 bytes, `\xHH` for that byte.
    Raise PatternError for a pattern that RE2 refuses.
    """
    _compiled(pattern)  # so that an error tells its place in the pattern as written
    search = _compiled(f"(?m:{pattern})", in_bytes=True).search

    def end(data: bytes, begin: int) -> int | None:
        found = search(data, begin)
        return None if found is None else found.end()

    return end


def _compiled(pattern: str, *, in_bytes: bool = False) -> _Compiled:
    options = re2.Options()
    options.log_errors = False  # it would write to standard error
    options.never_capture = True
    options.max_mem = 1 << 20  # the state cache of each pattern; the default of 8 MiB is too much for thousands of them
    if in_bytes:
        options.encoding = re2.Options.Encoding.LATIN1
    try:
        compiled: _Compiled = re2.compile(pattern.encode() if in_bytes else pattern, options)  # type: ignore[no-untyped-call]
    except UnicodeEncodeError as error:
        raise PatternError("the pattern holds half a character", error.start) from error
    except re2.error as error:
        raise _explained(pattern, error) from error
    if compiled.programsize > _MOST_INSTRUCTIONS:
        raise PatternError("the pattern is too large")
    return compiled


def _explained(pattern: str, error: Exception) -> PatternError:
    said = error.args[0] if error.args else ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    cause, _, part = text.partition(": ")
    at = pattern.find(part) if part and part != pattern else -1
    if part.startswith(("(?=", "(?!", "(?<")):
        cause = f"look-around {part} is not supported"
    elif part[1:].isdigit() and part.startswith("\\"):
        cause = f"back-reference {part} is not supported"
    elif part and part != pattern:
        cause = f"{cause} {part}"
    return PatternError(cause, at if at >= 0 else None)
