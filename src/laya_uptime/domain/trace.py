r"""The wire as people may see it: nothing said in confidence, nothing that a terminal could obey, and bounded.

What a peer says goes onto somebody's screen, and from there into a ticket. So every text here has dots where a secret
was, `\xHH` where a byte is not printable, and an end.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from laya_uptime.domain.payload import hide
from laya_uptime.domain.secret import DOTS
from laya_uptime.domain.text import ELLIPSIS
from laya_uptime.domain.urls import looks_secret

LONGEST_LINE: Final = 512  # characters
LARGEST_PIECE: Final = 1024  # bytes of a body, or of what is said in one go, that are shown
LARGEST: Final = 64 * 1024  # characters of a whole trace
_ROOM: Final = 4096  # bytes that are looked at beyond what is shown, so that a secret across the edge is seen whole
_LINE_COSTS: Final = 24  # characters that a line takes beside its text

# Possessive throughout: what a stranger wrote must not make a pattern go back.
_SCHEME = re.compile(r"\b(bearer|basic)(\s++)(?!\w{1,20}=\")[^\s,;\"'<>]++", re.IGNORECASE)
_USERINFO = re.compile(r"(//)[^\s/?#@\"'<>]*+@")
_KEY = re.compile(r"(?<![\w%.\-\[\]])([\w%.\-\[\]]++)=")
_VALUE = re.compile(r"[^\s&;,\"'<>]*+")
_MEMBER = re.compile(r'"([^"\\]{1,80})"(\s*+:\s*+)"((?:[^"\\]|\\.)*+)')


class Kind(StrEnum):
    """What a line of a trace is about."""

    LOOKUP = "lookup"
    CONNECT = "connect"
    PROXY = "proxy"
    TLS = "tls"
    SENT = "sent"
    RECEIVED = "received"
    NOTE = "note"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One line. `at_ms` counts from the beginning of the look."""

    at_ms: float
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True, repr=False)
class Confidential:
    """What nobody may read: these words, wherever they are, and the values of headers with these names, in lower case."""

    words: frozenset[bytes] = frozenset()
    names: frozenset[str] = frozenset()

    def hidden(self, data: bytes, *, whole: bool) -> bytes:
        """Return the bytes with dots for the words, and where they are not `whole`, for words that are cut off too."""
        if not whole:
            return hide(data, self.words)
        for word in sorted(self.words, key=len, reverse=True):
            data = data.replace(word, DOTS.encode())
        return data


def line(data: bytes, confidential: Confidential, *, whole: bool = True) -> str:
    """Return one line, such as a header, as people may see it, cut but generously. Not `whole`: it was cut before."""
    seen = data[:_ROOM]
    return inert(scrubbed(_text(confidential.hidden(seen, whole=whole and seen == data))))


def piece(data: bytes, confidential: Confidential, *, size: int) -> list[str]:
    """Return the beginning of a body or of a conversation of `size` bytes as lines that people may see."""
    seen = data[: LARGEST_PIECE + _ROOM]
    text = scrubbed(_text(confidential.hidden(seen, whole=False)))
    lines: list[str] = []
    for row in text[:LARGEST_PIECE].removesuffix("\n").split("\n"):
        shown = inert(row.removesuffix("\r"))
        lines += [shown[start : start + LONGEST_LINE] for start in range(0, len(shown), LONGEST_LINE)] or [""]
    if len(text) > LARGEST_PIECE or len(seen) < size:
        lines.append(f"{ELLIPSIS} {size} bytes in all")
    return lines


def shortened(text: str, *, size: int) -> str:
    """Return a line that is no longer than a line may be, and says of how many bytes it was made where some are missing."""
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]}{ELLIPSIS} of {size} bytes"


def inert(text: str) -> str:
    r"""Return the text with \xHH for every byte of what is not printable, line breaks and direction marks included."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def scrubbed(text: str) -> str:
    """Return the text with dots for what looks like a secret by its surroundings: tokens, userinfo, values by name."""
    text = _SCHEME.sub(rf"\1\2{DOTS}", text)
    text = _USERINFO.sub(rf"\1{DOTS}@", text)
    text = _without_values(text)
    return _MEMBER.sub(_without_member, text)


def bounded(lines: Iterable[TraceLine], *, left_out: int) -> list[TraceLine]:
    """Return the lines, and a last one that says how many are not there, where some are not."""
    kept = list(lines)
    if left_out and kept:
        noun = "line is" if left_out == 1 else "lines are"
        kept.append(TraceLine(kept[-1].at_ms, Kind.NOTE, f"{left_out} more {noun} left out: the trace is full"))
    return kept


def cost(text: str) -> int:
    """Return how much of a trace's room a line takes."""
    return len(text) + _LINE_COSTS


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _escaped(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def _without_values(text: str) -> str:
    """Return the text with dots behind every `key=` that announces a secret, also where that stands in another's value."""
    kept, done = "", 0
    for match in _KEY.finditer(text):
        if match.start() >= done and looks_secret(match[1]):
            value = _VALUE.match(text, match.end())
            kept += text[done : match.end()] + (DOTS if value and value[0] else "")
            done = value.end() if value else match.end()
    return kept + text[done:]


def _without_member(match: re.Match[str]) -> str:
    return f'"{match[1]}"{match[2]}"{DOTS}' if looks_secret(match[1]) else match[0]
