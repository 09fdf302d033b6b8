r"""Bytes to send, written as text: `EHLO laya-uptime\r\n`, `\x00\x00\x00\x08`.

`\r`, `\n`, `\t`, `\0`, `\\` and `\xHH` are escapes, other text is UTF-8. What came from outside the file (a password
from a variable) is data: it is sent as it is, backslashes and all, and it is confidential, because a peer may repeat
what it was told.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from laya_uptime.domain.secret import DOTS
from laya_uptime.domain.urls import looks_secret

LARGEST = 64 * 1024  # bytes
_SHORTEST = 4  # bytes of a word that is worth hiding; shorter ones are everywhere

_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.?))", re.DOTALL)
_PLAIN = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
_LOGIN = re.compile(rb"login|plain", re.IGNORECASE)


@dataclass(frozen=True, slots=True, repr=False)
class Payload:
    """Bytes for a peer. `str()` and `repr()` print dots; `confidential` are the pieces that nobody may read later."""

    _data: bytes = field(repr=False)
    confidential: tuple[bytes, ...] = field(default=(), repr=False)

    def reveal(self) -> bytes:
        """Return the bytes themselves. Call it where the wire is written, nowhere else."""
        return self._data

    def __str__(self) -> str:
        return DOTS

    def __repr__(self) -> str:
        return f"Payload({DOTS})"


def written(text: str) -> Payload:
    """Return the payload of a text that stands in plain sight. Raise ValueError as `of_pieces` does."""
    return of_pieces([(text, False)])


def of_pieces(pieces: Sequence[tuple[str, bool]]) -> Payload:
    """Return the payload of pieces of text, each with whether it came from outside.

    Raise ValueError, without showing any of it, where the bytes that are meant cannot be told or there are none.
    """
    data, hidden = b"", list[bytes]()
    for text, is_brought in pieces:
        part = text.encode("utf-8", "replace") if is_brought else _unescaped(text)
        data += part
        if is_brought:
            hidden.append(part.strip())
    if not data:
        raise ValueError("there is nothing to send")
    if len(data) > LARGEST:
        raise ValueError("more than 64 KiB cannot be sent")
    hidden += _told(data)
    return Payload(data, tuple(dict.fromkeys(word for word in hidden if len(word) >= _SHORTEST)))


def hide(data: bytes, confidential: Iterable[bytes]) -> bytes:
    """Return the bytes with dots for every confidential piece, also for one that is cut off at either end."""
    dots = DOTS.encode()
    for word in sorted(confidential, key=len, reverse=True):
        data = data.replace(word, dots)
        sizes = range(min(len(word) - 1, len(data)), _SHORTEST - 1, -1)
        ending = next((size for size in sizes if data.endswith(word[:size])), 0)
        if ending:
            data = data[:-ending] + dots
        beginning = next((size for size in sizes if data.startswith(word[-size:])), 0)
        if beginning:
            data = dots + data[beginning:]
    return data


def check_bytes_are_clear(text: str) -> None:
    r"""Raise ValueError where YAML has made characters of what was meant as bytes: `"\xd2"` in double quotes is Ò."""
    has_controls = any(char < " " and char not in "\t\r\n" for char in text)
    if any("\x80" <= char <= "\x9f" or (has_controls and "\xa0" <= char <= "\xff") for char in text):
        raise ValueError(r"bytes such as \xd2 must stand in single quotes: in double quotes YAML reads a character")


def _unescaped(text: str) -> bytes:
    check_bytes_are_clear(text)
    data, begin = b"", 0
    for found in _ESCAPE.finditer(text):
        data += text[begin : found.start()].encode("utf-8", "replace")
        begin = found.end()
        if found[1] is not None:
            data += bytes([int(found[1], 16)])
        elif found[2] in _PLAIN:
            data += _PLAIN[found[2]]
        else:
            raise ValueError(r"a backslash must begin \r, \n, \t, \0, \xHH or \\")
    return data + text[begin:].encode("utf-8", "replace")


def _told(data: bytes) -> list[bytes]:
    """Return the words that follow one which announces a secret: of `AUTH hunter2`, the second."""
    words = data.split()
    for place, word in enumerate(words):
        if looks_secret(word.decode("utf-8", "replace")) or _LOGIN.fullmatch(word):
            return words[place + 1 :]
    return []
