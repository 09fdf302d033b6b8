"""Hosts and URLs, read once and strictly, so that what is vetted is what is connected.

Every odd way to write an address (0x7f.1, 2130706433, full-width digits) becomes the one plain form before anybody looks
at it; every text that two parsers could read differently is refused. What is refused is never repeated in the message:
it may hold a password.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from urllib.parse import quote, unquote, urljoin

from laya_uptime.domain.egress import Address, plain
from laya_uptime.domain.secret import DOTS, Secret

DEFAULT_PORTS = {"http": 80, "https": 443}

_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.DOTALL)
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f\s]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")  # IDNA reads these as the dot, RFC 3490 section 3.1

_SECRET_WORD = re.compile(
    r"o?auth|authorization|code|credentials?|hmac|jwt|key|pass|passphrase|password|passwd|pin|pwd"
    r"|secret|session|sid|sig|sign|signature|token"
)
_SECRET_PARTS = ("token", "secret", "passw", "signature", "apikey", "accesskey", "credential")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


@dataclass(frozen=True, slots=True)
class Url:
    """One http or https URL, in parts that need no further reading. It shows no secret when printed."""

    scheme: str
    host: str  # an IP address in its plain form, or an ASCII (A-label) name in lower case
    port: int
    target: str = field(repr=False)  # path and query, as they go on the wire
    credentials: Secret | None = None  # "user:password", percent-decoded

    @property
    def origin(self) -> tuple[str, str, int]:
        """Return what must stay the same for credentials to be sent: scheme, host and port."""
        return self.scheme, self.host.removesuffix("."), self.port

    @property
    def authority(self) -> str:
        """Return host and port as the Host header wants them: brackets around IPv6, no zone, no default port."""
        host = self.host.partition("%")[0]
        host = f"[{host}]" if ":" in host else host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def redacted(self) -> str:
        """Return the URL as people may see it."""
        return redact(f"{self.scheme}://{self.authority}{self.target}")

    def join(self, location: str) -> "Url":
        """Return where a Location header leads from here (RFC 9110 section 10.2.2), without any credentials in it.

        Spaces and characters outside ASCII are percent-encoded, as browsers do. Raise ValueError where it leads to nothing
        that could be fetched.
        """
        location = location.strip(" \t")
        if _CONTROL.search(location) or "\\" in location:  # urljoin would drop or reread them
            raise ValueError("the URL contains a control character or a backslash")
        written = quote(location, safe="!#$%&'()*+,/:;=?@[]~")
        there = parse_url(urljoin(f"{self.scheme}://{self.authority}{self.target}", written))
        return Url(there.scheme, there.host, there.port, there.target)


def parse_url(text: str) -> Url:
    """Read a URL. Raise ValueError with a plain sentence where it is none, or one that could be read in two ways."""
    if not text:
        raise ValueError("the URL is empty")
    if _FORBIDDEN.search(text):
        raise ValueError("the URL contains white space or a control character")
    if "\\" in text:
        raise ValueError("the URL contains a backslash")
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise ValueError("the URL must begin with http:// or https://")
    scheme, authority, path, query = parts[1].lower(), parts[2], parts[3], parts[4] or ""
    if scheme not in DEFAULT_PORTS:
        raise ValueError("only http:// and https:// URLs can be used")
    userinfo, at, hostport = authority.rpartition("@")
    if "@" in userinfo:
        raise ValueError("the URL has more than one @ before its host; write an @ in a password as %40")
    if not (path + query).isascii():
        raise ValueError("the URL's path contains a character that must be percent-encoded")
    host, port = _split_port(hostport)
    return Url(
        scheme=scheme,
        host=canonical_host(host),
        port=_port(port, DEFAULT_PORTS[scheme]),
        target=(path or "/") + query,
        credentials=Secret(_credentials(userinfo)) if at and userinfo else None,
    )


def parse_endpoint(text: str, *, scheme: str, default_port: int | None = None) -> tuple[str, int]:
    """Return host, as `canonical_host` writes it, and port of "tcp://host:port".

    Without `default_port` the port must be written. Raise ValueError with a plain sentence where it is anything else:
    such an address has no user, path or query.
    """
    form = f"{scheme}://host:port"
    if _FORBIDDEN.search(text) or "\\" in text:
        raise ValueError("the URL contains white space, a control character or a backslash")
    parts = _PARTS.fullmatch(text)
    if parts is None or parts[1].lower() != scheme or "#" in text:
        raise ValueError(f"the URL must be of the form {form}")
    if "@" in parts[2]:
        raise ValueError(f"the URL has a user in it; it must be of the form {form}")
    if parts[3] not in {"", "/"} or parts[4]:
        raise ValueError(f"the URL has a path or a query; it must be of the form {form}")
    host, port = _split_port(parts[2])
    if not port and default_port is None:
        raise ValueError(f"the URL has no port; it must be of the form {form}")
    return canonical_host(host), _port(port, default_port or 0)


def endpoint(scheme: str, host: str, port: int) -> str:
    """Return "tcp://host:port", with brackets around an IPv6 address."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


@lru_cache(maxsize=1024)  # the same few hosts come again and again, in one file and in every redirect
def canonical_host(text: str) -> str:
    """Return the one way to write this host: an IP address in its plain form, or an ASCII name in lower case.

    Names follow IDNA as browsers do (UTS 46, not transitional). A trailing dot is kept, since it tells the resolver
    to add no search domain. Raise ValueError where it cannot be a host.
    """
    bracketed = text.startswith("[") and text.endswith("]")
    inner = text[1:-1] if bracketed else text
    if bracketed or ":" in inner:
        return str(_ipv6(inner))
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", inner).lower()).translate(_DOTS)
    rooted = name.endswith(".")
    labels = name.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return str(_ipv4(labels))
    ascii_labels = [_a_label(label) for label in labels]
    name = ".".join(ascii_labels)
    if len(name) > 253:
        raise ValueError("the host name is longer than 253 characters")
    return f"{name}." if rooted else name


def literal(host: str) -> Address | None:
    """Return the address where a canonical host is one, else None."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def redact(url: str) -> str:
    """Return the URL as people may see it: no userinfo, no fragment, dots for values that look secret.

    Never raises; what is no URL is treated with more suspicion, not less.
    """
    text = url if url.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in url)
    parts = _PARTS.fullmatch(text)
    # "http://user:p/ss@host" ends its authority inside the password; cut at the last @ unless the host is sound.
    if parts is None or not _is_sound(parts[2]):
        head, slashes, rest = text.partition("//")
        if not slashes:
            head, rest = "", text
        rest = rest.rpartition("@")[2]
        before, mark, query = rest.partition("?")
        return head + slashes + before.partition("#")[0] + mark + _redact_query(query.partition("#")[0])
    query = parts[4] or ""
    return f"{parts[1]}://{parts[2].rpartition('@')[2]}{parts[3]}{query[:1]}{_redact_query(query[1:])}"


def looks_secret(name: str) -> bool:
    """Say whether a query key or a header name announces a secret: `token`, `api_key`, `X-Auth`, `accessToken`."""
    spelled = unquote(name)
    squeezed = re.sub(r"[^a-z]", "", spelled.lower())
    if any(part in squeezed for part in _SECRET_PARTS):
        return True
    return any(_SECRET_WORD.fullmatch(word.lower()) for word in _WORDS.findall(spelled))


def _is_sound(authority: str) -> bool:
    try:
        host, port = _split_port(authority.rpartition("@")[2])
        canonical_host(host)
        _port(port, 0)
    except ValueError:
        return False
    return True


def _redact_query(query: str) -> str:
    if "=" not in query:
        return query
    pieces = re.split(r"([&;])", query)
    return "".join(
        f"{piece.partition('=')[0]}={DOTS}" if "=" in piece and looks_secret(piece.partition("=")[0]) else piece
        for piece in pieces
    )


def _credentials(userinfo: str) -> str:
    if any("\ud800" <= char <= "\udfff" for char in userinfo):
        raise ValueError("the URL's user or password contains bytes that are not UTF-8")
    user, _, password = userinfo.partition(":")
    return f"{unquote(user)}:{unquote(password)}"


def _split_port(hostport: str) -> tuple[str, str]:
    if hostport.startswith("["):
        host, bracket, rest = hostport.partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("the URL's host has an unmatched bracket")
        return host + bracket, rest[1:]
    host, _, port = hostport.partition(":")
    if ":" in port:
        raise ValueError("an IPv6 address in a URL needs brackets, as in http://[::1]/")
    return host, port


def _port(text: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise ValueError("the URL's port is not a number from 1 to 65535")
    return int(text)


def _ipv6(text: str) -> Address:
    text = unicodedata.normalize("NFKC", text)
    number, percent, zone = text.partition("%")
    zone = zone.removeprefix("25")  # RFC 6874 writes the percent sign of a zone as %25
    try:
        address = IPv6Address(number)
    except AddressValueError:
        raise ValueError("the host is not an IPv6 address") from None
    if not percent:
        return plain(address)
    if not _ZONE.fullmatch(zone) or not address.is_link_local:
        raise ValueError("a zone belongs to a link-local IPv6 address, as in fe80::1%eth0")
    if zone.startswith("25"):  # read again, it would lose these two
        raise ValueError("a zone that begins with 25 could be read in two ways")
    return IPv6Address(f"{number}%{zone}")


def _ipv4(labels: list[str]) -> IPv4Address:
    """Read a.b.c.d, a.b.c, a.b or a, each decimal, octal (0...) or hexadecimal (0x...), as inet_aton(3) does."""
    wrong = ValueError("the host ends in a number but is not an IPv4 address")
    if len(labels) > 4 or not all(_NUMBER.fullmatch(label) and len(label) <= 16 for label in labels):
        raise wrong
    try:
        numbers = [_number(label) for label in labels]
    except ValueError:
        raise wrong from None
    *first, last = numbers
    if any(number > 255 for number in first) or last >= 256 ** (4 - len(first)):
        raise wrong
    return IPv4Address(sum(number << (24 - 8 * place) for place, number in enumerate(first)) + last)


def _number(label: str) -> int:
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    return int(label, 8 if label.startswith("0") else 10)


def _a_label(label: str) -> str:
    if not label:
        raise ValueError("the host name has an empty part")
    if not label.isascii():
        if unicodedata.category(label[0]).startswith("M") or any(not _is_nameable(char) for char in label):
            raise ValueError("the host name contains a character that no name can have")
        label = "xn--" + label.encode("punycode").decode("ascii")
    if not _LABEL.fullmatch(label):
        raise ValueError("the host is not a name: letters, digits, hyphens and dots, at most 63 between two dots")
    return label


def _is_nameable(char: str) -> bool:
    """Say whether a name may have this: letters, marks, digits and symbols, but nothing invisible or unassigned."""
    return char in "-_" or unicodedata.category(char)[0] in "LMN" or unicodedata.category(char) == "So"
