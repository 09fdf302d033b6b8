"""From the bytes of a body to the text and the document that `judge` reads. Nothing in them can raise.

A body that claims to be JSON and is not, or that is JSON which two readers could understand differently, gets a `fault` in
plain words. A body that merely looks like JSON claimed nothing, so bad syntax in it is no fault; other defects are.
Numbers become what JavaScript makes of them beyond 64 bits, so that everything kept can be written down again.
"""

import codecs
import json
import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Never

from laya_uptime.domain.result import Body

_DEEPEST = 100  # levels; readers further down recurse, and real documents have about five

# The charsets of the web (WHATWG Encoding), by the names Python has for them. Python's other codecs are no charsets, and
# some of them are slow on purpose-made input (idna, punycode, unicode_escape).
_CHARSETS = re.compile(
    r"utf[-_]?(8|16|16[-_]?le|16[-_]?be|32|32[-_]?le|32[-_]?be)|utf-8-sig|us-ascii|ascii|latin-?1|iso[-_]?8859-?(1|15)|"
    r"iso[-_]8859-([2-9]|1[0346])|(windows|cp)-?125[0-8]|windows-874|cp(437|850|866|874|932|936|949|950)|ibm866|"
    r"koi8-[ru]|shift[-_]jis|sjis|windows-31j|euc-(jp|kr)|iso-2022-jp|gb2312|gbk|gb18030|big5(-hkscs)?|tis-620|macintosh"
)
_ALIASES = {"windows-874": "cp874", "windows-31j": "cp932", "macintosh": "mac_roman"}
_JSON_TYPE = re.compile(r"(application|text)/json|[^/]+/[^/]+\+json")
_CHARSET_PARAMETER = re.compile(r";\s*charset\s*=\s*[\"']?([^\s;\"']+)", re.IGNORECASE)
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")


_OFTEN = 2048  # bytes of a body that is remembered for the next time


class _Unfit(ValueError):
    """Valid JSON that cannot be used. Its text is a fault for people."""


def read_body(data: bytes, content_type: str, *, whole: bool = True) -> Body:
    """Return the body behind these bytes. `content_type`: the header's value, "" where there was none.

    `whole` is False for the first part of a body that broke off: then it is text only, and nothing is a fault.
    """
    # Many services say the same thing for days; what was read once need not be read again.
    return _read_often(data, content_type, whole) if len(data) <= _OFTEN else _read(data, content_type, whole)


def _read(data: bytes, content_type: str, whole: bool) -> Body:  # noqa: FBT001  the cache takes no keywords as cheaply
    media_type, declared, claims = _media_type(content_type)
    text, charset_fault = _text(data, declared)
    body = Body(content_type=media_type, text=text, size=len(data))
    if not whole:
        return body
    if charset_fault is not None:
        return Body(content_type=media_type, text=text, size=len(data), fault=charset_fault, misdeclared=True)
    if not claims and text.lstrip(" \t\r\n\ufeff")[:1] not in {"{", "["}:
        return body
    try:
        if claims and declared is None:
            data.decode("utf-8")  # RFC 8259 section 8.1: JSON is UTF-8
        document = _parse(text)
    except _Unfit as error:
        return Body(content_type=media_type, text=text, size=len(data), fault=str(error))
    except UnicodeDecodeError as error:
        fault = f"not valid JSON: byte {error.start} is not UTF-8"
        return Body(content_type=media_type, text=text, size=len(data), fault=fault)
    except (ValueError, RecursionError) as error:
        cause = _syntax(error, text) if claims or isinstance(error, RecursionError) else None
        return Body(content_type=media_type, text=text, size=len(data), fault=cause)
    return Body(content_type=media_type, text=text, size=len(data), document=document, is_document=True)


_read_often = lru_cache(maxsize=512)(_read)


@lru_cache(maxsize=512)
def _media_type(content_type: str) -> tuple[str, str | None, bool]:
    """Return the media type in lower case, the declared charset, None where none is, and whether that claims JSON."""
    charset = _CHARSET_PARAMETER.search(content_type)
    media_type = content_type.partition(";")[0].strip().lower()[:100]
    return media_type, None if charset is None else charset[1].lower(), _JSON_TYPE.fullmatch(media_type) is not None


def _text(data: bytes, declared: str | None) -> tuple[str, str | None]:
    """Return the text, and why it is not what the declared charset says."""
    if declared is None:
        try:
            return data.decode("utf-8"), None
        except UnicodeDecodeError:
            return data.decode("latin-1"), None
    if not _CHARSETS.fullmatch(declared):
        return data.decode("utf-8", "replace"), "the charset it declares is not one we know"
    try:
        codec = codecs.lookup(_ALIASES.get(declared, declared))
    except LookupError:
        return data.decode("utf-8", "replace"), "the charset it declares is not one we know"
    try:
        return data.decode(codec.name), None
    except UnicodeError as error:
        where = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        return data.decode("utf-8", "replace"), f"the body declares {declared} but is not{where}"


def _parse(text: str) -> object:
    """Return the document. Raise ValueError or RecursionError where the text is no JSON, _Unfit where it is of no use."""
    if text.startswith("\ufeff"):
        raise _Unfit("the JSON begins with a byte order mark")
    if not text.strip(" \t\r\n"):
        raise _Unfit("not valid JSON: the body is empty")
    # As JSONDecoder.decode does it, but for the regular expressions that only look for white space; what does not end
    # at the end goes through that for its exact words.
    bare = text.strip(" \t\r\n")
    try:
        document, end = _scan(bare, 0)
    except (StopIteration, json.JSONDecodeError):
        end = -1
    if end != len(bare):
        document = _JSON.decode(text)
    # Only a text with that many brackets can be that deep.
    if text.count("[") + text.count("{") > _DEEPEST or ("\\u" in text and _ESCAPED_SURROGATE.search(text)):
        _inspect(document)
    return document


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Unfit(
            f'the JSON has the key "{twice[:40]}" twice' if twice.isprintable() else "the JSON has a key twice"
        )
    return found


def _constant(text: str) -> Never:
    raise _Unfit(f"not valid JSON: {text} is not a number")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _Unfit("the JSON has a number that is too large")
    return number


def _integer(text: str) -> int | float:
    if _INTEGER.fullmatch(text) and -(2**63) <= (number := int(text)) < 2**64:
        return number
    return _float(text)


_JSON = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_integer)
_scan: Callable[[str, int], tuple[object, int]] = _JSON.scan_once  # type: ignore[attr-defined]  # what decode() calls


def _inspect(document: object) -> None:
    """Raise _Unfit for a document that is too deep, or has a text that no encoding can carry."""
    level: list[object] = [document]
    depth = 0
    while level:
        depth += 1
        if depth > _DEEPEST:
            raise _Unfit(f"the JSON is nested more than {_DEEPEST} levels deep")
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                below += value.keys()
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
                raise _Unfit("the JSON has half a character (a lone surrogate)")
        level = below


def _syntax(error: ValueError | RecursionError, text: str) -> str:
    if isinstance(error, RecursionError):
        return f"the JSON is nested more than {_DEEPEST} levels deep"
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON at byte {len(text[: error.pos].encode('utf-8', 'replace'))}"
    return "not valid JSON"
