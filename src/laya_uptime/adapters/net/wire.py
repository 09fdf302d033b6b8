"""A request as bytes, or not at all: nothing that could end a line early reaches the wire."""

import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from laya_uptime.domain.urls import Url

# RFC 9110 section 5.6.2: what a method and a header name are made of.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 9110 section 5.5: a value is visible characters, spaces and tabs; on the wire each is one byte.
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_TARGET = re.compile(r"[\x21-\x7e]+")

# Ours to say, since they decide where the request ends: whoever sets them could make two out of one.
_OURS = frozenset(
    ("connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)
_BODILESS = frozenset(("GET", "HEAD", "DELETE", "OPTIONS"))


def check_method(method: str) -> None:
    """Raise ValueError unless this can be a request's method."""
    if not _TOKEN.fullmatch(method):
        raise ValueError("the method contains a character that a method cannot have")


def check_header(name: str, value: str) -> None:
    """Raise ValueError unless this header can be sent. The sentence names the header where its name is sound, never the value."""
    if not _TOKEN.fullmatch(name):
        raise ValueError("a header's name contains a character that a header name cannot have")
    if name.lower() in _OURS - {"host"}:
        raise ValueError(f"the header {name} cannot be set")
    if not _VALUE.fullmatch(value):
        raise ValueError(
            f"the value of the header {name} contains a line break or a character that a header cannot have"
        )


def head(
    method: str, url: Url, headers: Mapping[str, str], *, size: int, keep_alive: bool = False, absolute: bool = False
) -> bytes:
    """Return the request line and headers, up to and with the empty line, for a body of `size` bytes.

    What the caller does not set itself is added: Host, User-Agent, Accept, Accept-Encoding, and Authorization from the
    URL's credentials. `keep_alive` asks for the connection to stay open; `absolute` writes the whole URL into the first
    line, as proxies want it (RFC 9112 section 3.2.2). Raise ValueError where a part cannot be sent.
    """
    check_method(method)
    if not _TARGET.fullmatch(url.target):
        raise ValueError("the URL's path contains a character that must be percent-encoded")
    lines = {
        "host": f"Host: {url.authority}",
        "user-agent": f"User-Agent: {user_agent()}",
        "accept": "Accept: */*",
        "accept-encoding": "Accept-Encoding: gzip, deflate, br, zstd",
    }
    if (credentials := authorization(url)) is not None:
        lines["authorization"] = f"Authorization: {credentials}"
    for name, value in headers.items():
        check_header(name, value)
        lines[name.lower()] = f"{name}: {value.strip()}"
    lines["connection"] = "Connection: keep-alive" if keep_alive else "Connection: close"
    if size or method not in _BODILESS:
        lines["content-length"] = f"Content-Length: {size}"
    target = f"{url.scheme}://{url.authority}{url.target}" if absolute else url.target
    return "\r\n".join((f"{method} {target} HTTP/1.1", *lines.values(), "", "")).encode("latin-1")


def authorization(url: Url) -> str | None:
    """Return the value of the Authorization header that the URL's credentials make; None: it has none."""
    if url.credentials is None:
        return None
    return f"Basic {b64encode(url.credentials.reveal().encode('utf-8')).decode('ascii')}"  # RFC 7617


@cache
def user_agent() -> str:
    """Return who we say we are."""
    try:
        return f"laya-uptime/{version('laya-uptime')}"
    except PackageNotFoundError:  # run from a checkout, without being installed
        return "laya-uptime"
