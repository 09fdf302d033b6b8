"""Any URL, method and header as a request: refused, or bytes that every server reads as this one request.

An input is a method, a URL and a Location header, then header names and values in turn, each on a line of its own that
ends with the byte FF.
"""

import re

import httptools

from laya_uptime.adapters.checks.http import _as_text
from laya_uptime.adapters.net import wire
from laya_uptime.domain.urls import Url, canonical_host, parse_url, redact

LONGEST = 384

_LINES = re.compile(rb"[^\r\n\0]+")


def run(data: bytes) -> None:
    """Write the request where it can be written, and read it again with another parser."""
    parts = [*data.split(b"\xff"), b"", b""]
    method, url, _, *rest = [part.decode("utf-8", "surrogateescape") for part in parts]
    _check_redacted(url)
    try:
        there = parse_url(url)
    except ValueError as error:
        _check_sentence(error)
        return
    _check_url(there)
    _check_join(there, parts[2])
    headers = dict(zip(rest[::2], rest[1::2], strict=False))
    try:
        head = wire.head(method, there, headers, size=0)
    except ValueError as error:
        _check_sentence(error)
        return
    _check_head(head, method, there, headers)


def _check_sentence(error: ValueError) -> None:
    assert not isinstance(error, UnicodeError), error
    assert str(error).isprintable(), repr(str(error))
    assert len(str(error)) <= 300 + 2 * LONGEST


def _check_redacted(url: str) -> None:
    shown = redact(url)
    assert shown.isprintable(), repr(shown)
    assert redact(shown) == shown, (shown, redact(shown))


def _check_url(url: Url) -> None:
    assert canonical_host(url.host) == url.host
    assert 1 <= url.port <= 65535
    again = parse_url(f"{url.scheme}://{url.authority}{url.target}")
    assert (again.scheme, again.host, again.port, again.target) == (
        url.scheme,
        url.host.partition("%")[0],
        url.port,
        url.target,
    )


def _check_join(url: Url, location: bytes) -> None:
    try:
        there = url.join(_as_text(location.decode("latin-1")))
    except ValueError as error:
        _check_sentence(error)
        return
    assert there.credentials is None
    _check_url(there)


def _check_head(head: bytes, method: str, url: Url, headers: dict[str, str]) -> None:
    assert head.endswith(b"\r\n\r\n")
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert all(_LINES.fullmatch(line) for line in lines), lines
    seen = _Seen()
    parser = httptools.HttpRequestParser(seen)
    parser.feed_data(b"GET" + head.removeprefix(method.encode("ascii")))  # it knows few methods by name
    assert seen.messages == 1
    assert seen.url == url.target.encode("ascii")
    assert lines[0] == f"{method} {url.target} HTTP/1.1".encode("ascii")
    names = [name.lower() for name, _ in seen.headers]
    assert len(names) == len(set(names)) == len(lines) - 1
    found = {name.lower().decode("ascii"): value for name, value in seen.headers}
    for name, value in headers.items():
        assert found[name.lower()] in {text.strip().encode("latin-1") for text in headers.values()}, (name, value)
    if "host" not in {name.lower() for name in headers}:
        assert found["host"] == url.authority.encode("ascii")


class _Seen:
    """What a server's parser reads."""

    def __init__(self) -> None:
        self.messages = 0
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_message_complete(self) -> None:
        self.messages += 1
