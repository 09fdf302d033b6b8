"""The files that say how this machine looks names up: /etc/nsswitch.conf, /etc/hosts, /etc/resolv.conf.

Each is read again when it has changed, and only then. What glibc does not understand in them it ignores, and so do we.
"""

import errno
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

_LARGEST = 16 << 20  # bytes that are read of a file: lists of blocked names are kept in /etc/hosts, too
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM)
_MOST_SERVERS = 3  # glibc's MAXNS
_MOST_DOMAINS = 32
_MOST_HOSTS = 64  # addresses of one name


class Reread(Generic[T]):
    """What a file says, as of now."""

    def __init__(self, path: Path, parse: Callable[[bytes], T]) -> None:
        """Read nothing yet."""
        self._path = path
        self._parse = parse
        self._known: tuple[tuple[int, ...], T] | None = None

    def read(self) -> T:
        """Return what it says; one that is not there says nothing. Raise OSError where this machine is at its limits."""
        try:
            state = self._path.stat()
            mark: tuple[int, ...] = (state.st_mtime_ns, state.st_size, state.st_ino, state.st_dev)
            if self._known is None or self._known[0] != mark:
                with self._path.open("rb") as file:
                    self._known = mark, self._parse(file.read(_LARGEST))
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            if self._known is None or self._known[0]:
                self._known = (), self._parse(b"")
        return self._known[1]


class Hosts:
    """/etc/hosts: hosts(5)."""

    def __init__(self, text: bytes) -> None:
        """Keep the text itself; a dictionary of a long list would be many times as large."""
        self._text = text.lower().replace(b"\t", b" ")

    def addresses(self, name: str) -> tuple[str, ...]:
        """Return the addresses of a name in lower case, in the order of the file."""
        wanted = name.encode("ascii")
        after_space = b" " + wanted
        found: dict[str, None] = {}
        at = self._text.find(after_space)
        while at >= 0 and len(found) < _MOST_HOSTS:
            start = self._text.rfind(b"\n", 0, at) + 1
            end = self._text.find(b"\n", at)
            end = len(self._text) if end < 0 else end
            address, *names = self._text[start:end].partition(b"#")[0].split() or [b""]
            if wanted in names:
                with suppress(ValueError):
                    found[str(ip_address(address.decode("ascii")))] = None
            at = self._text.find(after_space, end)
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvConf:
    """/etc/resolv.conf: resolv.conf(5), as far as it says whom to ask for what. Durations are whole seconds."""

    servers: tuple[str, ...] = ("127.0.0.1",)
    search: tuple[str, ...] | None = None  # None: the domain of this machine's own name
    ndots: int = 1
    timeout: int = 5
    attempts: int = 2
    rotate: bool = False
    tcp: bool = False
    no_aaaa: bool = False

    @classmethod
    def parse(cls, data: bytes) -> "ResolvConf":
        """Read it. Never raises."""
        servers: list[str] = []
        search: tuple[str, ...] | None = None
        options: list[str] = []
        for line in data[: 1 << 20].decode("utf-8", "replace").splitlines():
            keyword, *values = line.partition("#")[0].partition(";")[0].split() or [""]
            if keyword == "nameserver" and values and _is_server(values[0]):
                servers.append(values[0])
            elif keyword == "search":
                search = tuple(value.lower().strip(".") for value in values[:_MOST_DOMAINS])
            elif keyword == "domain" and values:
                search = (values[0].lower().strip("."),)
            elif keyword == "options":
                options += values
        return cls(
            servers=tuple(dict.fromkeys(servers[:_MOST_SERVERS])) or ("127.0.0.1",),
            search=search,
            ndots=_number(options, "ndots", 1, least=0, most=15),
            timeout=_number(options, "timeout", 5, least=1, most=30),
            attempts=_number(options, "attempts", 2, least=1, most=5),
            rotate="rotate" in options,
            tcp="use-vc" in options,
            no_aaaa="no-aaaa" in options,
        )

    def candidates(self, name: str, hostname: str) -> list[str]:
        """Return the full names to try for a name, best first. One with a final dot is full already."""
        if name.endswith("."):
            return [name.removesuffix(".")]
        search = self.search
        if search is None:
            search = (hostname.lower().partition(".")[2],)
        longer = [f"{name}.{domain}" for domain in search if domain and len(name) + len(domain) < 253]
        as_is_first = name.count(".") >= self.ndots
        return list(dict.fromkeys([name, *longer] if as_is_first else [*longer, name]))


def is_ours(nsswitch: bytes) -> bool | None:
    """Say whether the sources of names on the `hosts` line are ones that we have ourselves; None: there is no such line.

    `mdns`, `resolve`, `ldap`, `mymachines` and their like know names that no name server knows. `files` must come before
    `dns`, since that is the order in which we look, and nothing in brackets may bend it.
    """
    for line in nsswitch[: 1 << 20].decode("utf-8", "replace").splitlines():
        database, colon, rest = line.partition("#")[0].partition(":")
        if colon and database.strip() == "hosts":
            return [word for word in rest.split() if word != "myhostname"] == ["files", "dns"]
    return None


def _is_server(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _number(options: list[str], name: str, usual: int, *, least: int, most: int) -> int:
    """Return the value of the last option `name:n`, brought into glibc's limits."""
    values = [value for option in options for word, _, value in [option.partition(":")] if word == name]
    good = [int(value) for value in values if value.isascii() and value.isdecimal() and len(value) < 10]
    return min(max(good[-1], least), most) if good else usual
