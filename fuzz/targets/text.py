"""Any text of strangers made fit for a line of a log, a terminal or a chat: one line, within its limit, and escaped.

An input is one byte and a text, in which half characters may occur; the byte is a limit.
"""

import json
import logging
import re
import unicodedata

from laya_uptime.adapters import journal
from laya_uptime.adapters.net.answer import shown_header
from laya_uptime.adapters.notifiers import discord, slack
from laya_uptime.domain.readable import escaped
from laya_uptime.domain.text import cut, cut_escaped, length, one_line

LONGEST = 96

_BREAKS = {"Cc", "Zl", "Zp", "Cs"}
_TURNS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TEXT_LINE, _JSON_LINE = journal._Formatter(journal.FORMAT, journal.DATES), journal._JsonFormatter()


def run(data: bytes) -> None:
    """Send the text through everything that makes it fit for people."""
    if not data:
        return
    limit, text = data[0], data[1:].decode("utf-8", "surrogatepass" if _has_halves(data[1:]) else "surrogateescape")
    line = one_line(text)
    _check_line(line)
    assert one_line(line) == line
    _check_cut(line, limit)
    _check_cut(text, limit)
    _check_escaped(text, limit + 1)
    _check_logged(text)
    shown = shown_header("location", text)
    assert len(shown) <= 1024


def _has_halves(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _check_line(line: str) -> None:
    assert line.isprintable() or not any(unicodedata.category(char) in _BREAKS for char in line), repr(line)
    assert not _TURNS.search(line), repr(line)
    assert line == line.strip()
    line.encode("utf-8")


def _check_cut(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert length(short) <= limit, (short, limit)
    assert short == text or not limit or (short.endswith("…") and text.startswith(short[:-1].rstrip())), (text, short)
    fitting = cut_escaped(text, limit, slack._escape if limit & 1 else discord._escape)
    assert length(fitting) <= limit, (fitting, limit)


def _check_escaped(text: str, limit: int) -> None:
    shown = escaped(text, limit)
    assert shown.isprintable(), repr(shown)
    assert len(shown) <= limit


def _check_logged(text: str) -> None:
    record = logging.LogRecord("laya_uptime", logging.INFO, "", 0, "%s", (text,), None)
    assert not {"\n", "\r"} & set(_TEXT_LINE.format(record))
    written = _JSON_LINE.format(record)
    assert written.isascii()
    assert written.isprintable()
    assert json.loads(written)["message"] == text or not _is_whole(text)


def _is_whole(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)
