"""Everything that a check was told in confidence, gathered from its options, so that a trace can hide it wherever it comes."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from urllib.parse import quote, unquote, unquote_plus

from laya_uptime.domain.payload import Payload
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.trace import Confidential
from laya_uptime.domain.urls import looks_secret

_SHORTEST = 4  # bytes of a word that is worth hiding; shorter ones are everywhere


def confidential_of(check: object) -> Confidential:
    """Return the words and header names that the options of a check, a msgspec Struct, hold as secrets.

    Of a URL only what `redact` hides is secret: its user, its password, and the values of keys that announce one.
    """
    words: set[bytes] = set()
    names: set[str] = set()
    for option in _options(check):
        if isinstance(option, Mapping):
            names.update(str(name).lower() for name, value in option.items() if isinstance(value, Secret))
        elif isinstance(option, Payload):
            words.update(option.confidential)
        elif isinstance(option, Secret):
            for text in _secrets(option.reveal()):
                words.update(_spellings(text))
    return Confidential(frozenset(word for word in words if len(word) >= _SHORTEST), frozenset(names))


def _options(value: object) -> Iterator[object]:
    """Yield this and everything in it."""
    yield value
    inside: list[object] = []
    if isinstance(value, Mapping):
        inside = list(value.values())
    elif isinstance(value, list | tuple):
        inside = list(value)
    elif fields := getattr(value, "__struct_fields__", ()):
        inside = [getattr(value, field) for field in fields]
    for each in inside:
        yield from _options(each)


def _secrets(text: str) -> Iterator[str]:
    """Yield what is secret of an option's text: all of it, or the parts of a URL that are."""
    scheme, mark, rest = text.partition("://")
    if not mark or not scheme.isalnum():
        yield text
        return
    rest = rest.partition("#")[0]
    before, _, query = rest.partition("?")
    userinfo = before.rpartition("@")[0]
    if userinfo:
        user, _, password = userinfo.partition(":")
        yield from (userinfo, user, password, f"{unquote(user)}:{unquote(password)}")
    for pair in query.replace(";", "&").split("&"):
        key, equals, value = pair.partition("=")
        if equals and looks_secret(key):
            yield from (value, unquote_plus(value))


def _spellings(text: str) -> Iterator[bytes]:
    """Yield a secret as it is, and as the usual encodings write it."""
    for form in {text, text.strip(), unquote(text)}:
        data = form.encode("utf-8", "replace")
        yield from (data, form.encode("latin-1", "replace"), b64encode(data), quote(form, safe="").encode("ascii"))
