r"""An assertion cut into tokens, each with the column where a reader finds it.

Texts stand in double or single quotes. `\"`, `\'`, `\\`, `\n`, `\r`, `\t` and `\uXXXX` are escapes; before any other
character a backslash stays as written, so that patterns such as "\d+" need no doubling.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from math import isinf

from laya_uptime.domain.readable import escaped
from laya_uptime.domain.values import Literal

_LONGEST_SAID = 600  # characters of a message, and of a hint; both may quote the expression


class ExpressionError(ValueError):
    """An expression that cannot be used: what is wrong, where, and what to do.

    `column` is 1-based and points into the expression. `remedy` is empty where there is no good hint. Either is one line,
    also where it quotes a text with a line break in it.
    """

    def __init__(self, what: str, *, column: int, remedy: str = "") -> None:
        """Keep the parts; the exception's text joins them to one line."""
        self.what = escaped(what, _LONGEST_SAID)
        self.column = column
        self.remedy = escaped(remedy, _LONGEST_SAID)
        super().__init__(f"column {column}: {self.what}. {self.remedy}".rstrip())


class Kind(Enum):
    """What a token is."""

    OPERAND = auto()
    KEYWORD = auto()
    SYMBOL = auto()
    LITERAL = auto()
    END = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One word of the expression, from column `column` up to but not including `end`."""

    kind: Kind
    text: str  # as written
    column: int
    end: int
    value: Literal = None  # of a literal
    path: tuple[str | int, ...] = ()  # of an operand: what follows its name
    name: str = ""  # of an operand: its first word
    columns: tuple[int, ...] = ()  # of a text: where each of its characters was written


KEYWORDS = frozenset({"and", "or", "not", "in", "contains", "matches"})
SYMBOLS = frozenset({"==", "!=", "<", "<=", ">", ">=", "..", "(", ")", "[", "]", ","})
DURATIONS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
SIZES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}

_CONSTANTS: dict[str, Literal] = {"true": True, "false": False, "null": None}
_MEANT = {
    "=": "Did you mean '=='?",
    "===": "Did you mean '=='?",
    "!==": "Did you mean '!='?",
    "<>": "Did you mean '!='?",
    "=>": "Did you mean '>='?",
    "=<": "Did you mean '<='?",
    "=~": "Did you mean 'matches'?",
    "~": "Did you mean 'matches'?",
    "!": "Did you mean 'not'?",
    "!~": 'Write not (body.x matches "...").',
    "&&": "Did you mean 'and'?",
    "&": "Did you mean 'and'?",
    "||": "Did you mean 'or'?",
    "|": "Did you mean 'or'?",
}
_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"[^\W\d]\w*")
_KEY = re.compile(r"[^\W\d][\w-]*")  # there is no subtraction, so a key may hold a hyphen
_INDEX = re.compile(r"-?[0-9]{1,9}(?=\])")
_NUMBER = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)([^\W\d_]*)")
_RUN = re.compile(r"[=!<>&|~]+|\.\.|[()\[\],]")
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_LONGEST_ESCAPE = len(r"\U0010ffff")
_ESCAPES = {'"': '"', "'": "'", "\\": "\\", "n": "\n", "r": "\r", "t": "\t"}


def tokens(text: str) -> list[Token]:
    """Return the tokens, the last one being END. Raise ExpressionError at the first that is none."""
    found = []
    at = 0
    while at < len(text):
        if space := _SPACE.match(text, at):
            at = space.end()
            continue
        token = _token(text, at)
        found.append(token)
        at = token.end - 1
    found.append(Token(kind=Kind.END, text="", column=len(text) + 1, end=len(text) + 1))
    return found


def on_one_line(text: str, found: list[Token]) -> str:
    """Return an expression as people read it back: breaks between its tokens are spaces, those in its texts are escapes."""
    if text.isprintable():
        return text
    line, end = "", 1
    for token in found:
        gap = " " if token.column > end and line and token.kind is not Kind.END else ""
        line += gap + visible(token.text)
        end = token.end
    return line


def visible(text: str) -> str:
    """Return one token with everything unprintable written as an escape."""
    return escaped(text, _LONGEST_ESCAPE * len(text))


def _token(text: str, at: int) -> Token:
    if text[at] in "\"'":
        return _text(text, at)
    if number := _NUMBER.match(text, at):
        return _number(number)
    if word := _WORD.match(text, at):
        name = word.group()
        if name in KEYWORDS:
            return _plain(Kind.KEYWORD, text, at, word.end())
        if name in _CONSTANTS:
            return _plain(Kind.LITERAL, text, at, word.end(), _CONSTANTS[name])
        return _operand(text, at, word.end())
    if run := _RUN.match(text, at):
        if run.group() in SYMBOLS:
            return _plain(Kind.SYMBOL, text, at, run.end())
        raise ExpressionError(f"{run.group()} is no operator", column=at + 1, remedy=_MEANT.get(run.group(), ""))
    remedy = "Put texts, addresses and versions in quotes." if text[at] in "./:%@" else ""
    raise ExpressionError(f"unexpected {text[at]!r}", column=at + 1, remedy=remedy)


def _plain(kind: Kind, text: str, start: int, end: int, value: Literal = None) -> Token:
    return Token(kind=kind, text=text[start:end], column=start + 1, end=end + 1, value=value)


def _number(found: re.Match[str]) -> Token:
    digits, unit = found.groups()
    column = found.start() + 1
    value: Literal
    try:
        number = int(digits) if digits.lstrip("-").isdigit() else float(digits)
        if not unit:
            value = number
        elif unit in DURATIONS:
            value = DURATIONS[unit] * number
        elif unit.lower() in SIZES:
            value = SIZES[unit.lower()] * number
        else:
            raise ExpressionError(
                f"{unit} is no unit", column=found.start(2) + 1, remedy=_unit_meant(digits, unit.lower())
            )
        if isinstance(value, float) and isinf(value):
            raise ExpressionError("the number is too large", column=column)
    except OverflowError as error:
        raise ExpressionError("the duration is too long", column=column) from error
    return _plain(Kind.LITERAL, found.string, found.start(), found.end(), value)


def _unit_meant(digits: str, unit: str) -> str:
    meant = {
        **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
        **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
        **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
        **dict.fromkeys(("day", "days"), "d"),
        **dict.fromkeys(("k", "kbyte", "kbytes"), "KB"),
        **dict.fromkeys(("msec", "msecs", "millis"), "ms"),
    }.get(unit)
    known = "Durations: ms, s, m, h, d. Sizes: B, KB, MB, GB, KiB, MiB, GiB."
    return f"Did you mean {digits}{meant}? {known}" if meant else known


def _text(text: str, start: int) -> Token:
    quote = text[start]
    characters: list[str] = []
    columns: list[int] = []
    at = start + 1
    while at < len(text) and text[at] != quote:
        columns.append(at + 1)
        following = text[at + 1 : at + 2]
        if text[at] != "\\" or not following:
            characters.append(text[at])
            at += 1
        elif following in _ESCAPES:
            characters.append(_ESCAPES[following])
            at += 2
        elif following == "u":
            characters.append(_code_point(text, at))
            at += 6
        else:
            characters.append("\\")
            at += 1
    if at >= len(text):
        raise ExpressionError("the text has no closing quote", column=start + 1)
    columns.append(at + 1)
    return Token(
        kind=Kind.LITERAL,
        text=text[start : at + 1],
        column=start + 1,
        end=at + 2,
        value="".join(characters),
        columns=tuple(columns),
    )


def _code_point(text: str, at: int) -> str:
    digits = _HEX.match(text, at + 2)
    if digits is None:
        raise ExpressionError("\\u takes four hexadecimal digits", column=at + 1)
    code = int(digits.group(), 16)
    if 0xD800 <= code <= 0xDFFF:
        raise ExpressionError(
            f"\\u{digits.group()} is half a character", column=at + 1, remedy="Write the character itself."
        )
    return chr(code)


def _operand(text: str, start: int, end: int) -> Token:
    """Read a name and the keys after it: `.key`, `[0]`, `["any key"]`."""
    path: list[str | int] = []
    name = text[start:end]
    while end < len(text):
        if text[end] == "." and not text.startswith("..", end):
            key = _KEY.match(text, end + 1)
            if key is None:
                digit = text[end + 1 : end + 2].isdecimal()
                raise ExpressionError(
                    "a name is missing after the dot",
                    column=end + 2,
                    remedy=f'Write {name}[0] for an item, {name}["2xx"] for a key.' if digit else "",
                )
            path.append(key.group())
            end = key.end()
        elif text[end] == "[":
            step, end = _bracket(text, end)
            path.append(step)
        else:
            break
    return Token(kind=Kind.OPERAND, text=text[start:end], column=start + 1, end=end + 1, path=tuple(path), name=name)


def _bracket(text: str, at: int) -> tuple[str | int, int]:
    inside = at + 1
    step: str | int
    if index := _INDEX.match(text, inside):
        step, end = int(index.group()), index.end()
    elif text[inside : inside + 1] in {'"', "'"}:
        quoted = _text(text, inside)
        assert isinstance(quoted.value, str)
        step, end = quoted.value, quoted.end - 1
    else:
        raise ExpressionError(
            "expected an index or a key in quotes",
            column=inside + 1,
            remedy='For example body.items[0] or body["a b"].',
        )
    if text[end : end + 1] != "]":
        raise ExpressionError("expected ]", column=end + 1)
    return step, end + 1
