"""Text of strangers, made fit for one line and cut where no character breaks.

Names, causes and component messages come from configurations and from the targets themselves. Before they go into
a subject, a chat or a page they lose line breaks, control characters and the invisible marks that turn the reading
direction, and become as short as the receiver allows.
"""

import unicodedata
from collections.abc import Callable

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_JOINER = "\N{ZERO WIDTH JOINER}"
_LONGEST_CLUSTER = 64  # code points; what is longer is no character but an attack, and is cut anywhere
_BREAKS = {"Cc", "Zl", "Zp"}
# Overrides, embeddings and isolates (Unicode 9, 2) can show "gpj.exe" as "exe.jpg" and may leak into what follows.
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def one_line(text: str) -> str:
    """Return the text on one line: breaks and control characters become one space, lone surrogates U+FFFD."""
    if text.isprintable():  # most are; then there is nothing but spaces to look at
        return " ".join(text.split())
    kept = (_inert(char) for char in text if char not in _TURNS)
    return " ".join("".join(kept).split())


def cut(text: str, limit: int) -> str:
    """Return the text in at most `limit` UTF-16 code units, ending in an ellipsis where something is missing.

    Receivers count code points or UTF-16 units and few say which; the latter is never fewer, so it fits both.
    """
    if limit <= 0:
        return ""
    if length(text) <= limit:
        return text
    room, end = limit - 1, 0
    for char in text:
        room -= 1 + (char > "\uffff")
        if room < 0:
            break
        end += 1
    return text[: _edge(text, end)].rstrip() + ELLIPSIS


def cut_escaped(text: str, limit: int, escape: Callable[[str], str]) -> str:
    """Return the text escaped and in at most `limit` UTF-16 units, cut before it is escaped, never inside an escape."""
    room = limit
    while length(escaped := escape(cut(text, room))) > limit:
        room = min(room - 1, room * limit // length(escaped))
    return escaped


def length(text: str) -> int:
    """Return the number of UTF-16 code units, as JavaScript and most chat services count."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _inert(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    return " " if category in _BREAKS else char


def _edge(text: str, end: int) -> int:
    """Return the last place at or before `end` where one character, as people see it, ends and the next begins."""
    for place in range(end, max(end - _LONGEST_CLUSTER, 0), -1):
        if not _joined(text, place):
            return place
    return end if end > _LONGEST_CLUSTER else 0


def _joined(text: str, place: int) -> bool:
    """Say whether the code points on both sides of `place` belong to one character (the main rules of UAX 29)."""
    before, after = text[place - 1], text[place]
    if _JOINER in {before, after} or unicodedata.category(after) in {"Mn", "Me", "Mc"}:
        return True
    if "\N{EMOJI MODIFIER FITZPATRICK TYPE-1-2}" <= after <= "\N{EMOJI MODIFIER FITZPATRICK TYPE-6}":
        return True
    if "\U000e0020" <= after <= "\U000e007f":  # tags, as in the flag of Scotland
        return True
    if _is_flag_half(before) and _is_flag_half(after):
        halves = 0
        while halves < place and _is_flag_half(text[place - 1 - halves]):
            halves += 1
        return halves % 2 == 1
    return _is_jamo(before) and "\u1160" <= after <= "\u11ff"


def _is_flag_half(char: str) -> bool:
    return "\N{REGIONAL INDICATOR SYMBOL LETTER A}" <= char <= "\N{REGIONAL INDICATOR SYMBOL LETTER Z}"


def _is_jamo(char: str) -> bool:
    return "\u1100" <= char <= "\u11ff" or "\uac00" <= char <= "\ud7a3"
