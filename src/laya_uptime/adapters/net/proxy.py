"""Through somebody else's door: HTTP proxies (CONNECT, RFC 9110 section 9.3.6) and SOCKS5 (RFC 1928, RFC 1929).

A tunnel is a small conversation at the beginning of a connection, and says nothing once it is open. The name of the
target is looked up by the proxy, because behind one a machine often has no names of its own. Only what the
configuration names is used: variables of the environment (http_proxy and the like) are not read.
"""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal, Protocol
from urllib.parse import unquote

import httptools

from laya_uptime.adapters.net.faults import fault
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Evidence
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.urls import Url, literal, parse_endpoint
from laya_uptime.ports import Fault

_LARGEST_REPLY = 16 << 10  # bytes of a proxy's answer to CONNECT

_SOCKS_ERRORS = {  # RFC 1928 section 6
    1: (Reason.UNREACHABLE, "general failure"),
    2: (Reason.BLOCKED_BY_POLICY, "its rules do not allow the connection"),
    3: (Reason.UNREACHABLE, "network is unreachable"),
    4: (Reason.UNREACHABLE, "host is unreachable"),
    5: (Reason.REFUSED, "connection refused"),
    6: (Reason.TIMEOUT, "TTL expired"),
    7: (Reason.INTERNAL, "it does not know the command"),
    8: (Reason.INTERNAL, "it does not know the kind of address"),
}


class Tunnel(Protocol):
    """The conversation that opens a way through a proxy."""

    is_open: bool

    def opening(self) -> bytes:
        """Return what is said first."""
        ...

    def feed(self, data: bytes, evidence: Callable[[], Evidence]) -> bytes:
        """Take what the proxy says and return what to answer. Raise `Fault` where it does not let us through."""
        ...

    def closed(self, evidence: Evidence) -> Fault:
        """Return the fault of a proxy that hung up."""
        ...


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy. `credentials` is "user:password"."""

    scheme: Literal["http", "socks5"]
    host: str
    port: int
    credentials: Secret | None = None

    @classmethod
    def parse(cls, text: str) -> "Proxy":
        """Read http://[user:password@]host:port or socks5://... Raise ValueError with a plain sentence, without secrets."""
        scheme, mark, rest = text.partition("://")
        scheme = scheme.lower()
        if not mark or scheme not in {"http", "socks5"}:
            raise ValueError("a proxy is written http://host:port or socks5://host:port")
        userinfo, at, place = rest.rpartition("@")
        host, port = parse_endpoint(f"{scheme}://{place}", scheme=scheme)
        user, _, password = userinfo.partition(":")
        user, password = unquote(user), unquote(password)
        if at and (not user or ":" in user or max(len(user.encode()), len(password.encode())) > 255):
            raise ValueError("a proxy's user name has 1 to 255 bytes and no colon, its password at most 255")
        return cls("http" if scheme == "http" else "socks5", host, port, Secret(f"{user}:{password}") if at else None)

    @property
    def authorization(self) -> str | None:
        """Return the value of the Proxy-Authorization header; None: there are no credentials."""
        if self.credentials is None:
            return None
        return f"Basic {b64encode(self.credentials.reveal().encode('utf-8')).decode('ascii')}"

    def asks_itself(self, url: Url) -> bool:
        """Say whether the request is made to the proxy in absolute form, as for plain HTTP through an HTTP proxy."""
        return self.scheme == "http" and url.scheme == "http"

    def tunnel(self, url: Url, place: tuple[str, int] | None = None) -> Tunnel | None:
        """Return the tunnel to the URL's server, or to `place` instead; None: none is needed."""
        host, port = place or (url.host, url.port)
        if self.asks_itself(url):
            return None
        if self.scheme == "http":
            return _Connect(host, port, self.authorization)
        return _Socks(host, port, self.credentials)


class _Connect:
    """CONNECT host:port. The parser's callbacks are public by its rules."""

    def __init__(self, host: str, port: int, authorization: str | None) -> None:
        self.is_open = False
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
        if authorization is not None:
            lines.append(f"Proxy-Authorization: {authorization}")
        self._opening = "\r\n".join((*lines, "", "")).encode("ascii")
        self._said = b""

    def opening(self) -> bytes:
        return self._opening

    def feed(self, data: bytes, evidence: Callable[[], Evidence]) -> bytes:
        self._said += data
        head, end, rest = self._said.partition(b"\r\n\r\n")
        if not end:
            if len(self._said) > _LARGEST_REPLY:
                raise fault(Reason.HTTP_PROTOCOL, "the proxy's answer is too large", evidence())
            return b""
        status = _status(head + end)
        if status is None:
            raise fault(Reason.HTTP_PROTOCOL, "the proxy's answer is not HTTP", evidence())
        if status == 407:
            raise fault(Reason.INTERNAL, "the proxy wants other credentials (407)", evidence())
        if not 200 <= status <= 299:
            raise fault(Reason.UNREACHABLE, f"the proxy cannot reach the server ({status})", evidence())
        if rest:
            raise fault(Reason.HTTP_PROTOCOL, "the proxy says more than it was asked", evidence())
        self.is_open = True
        return b""

    def closed(self, evidence: Evidence) -> Fault:
        return fault(Reason.RESET, "the proxy closed the connection", evidence)


def _status(head: bytes) -> int | None:
    """Return the status code of an answer's head; None: it is no HTTP."""
    parser = httptools.HttpResponseParser(None)
    try:
        parser.feed_data(head)
        return int(parser.get_status_code())
    except httptools.HttpParserError:
        return None


class _Socks:
    """SOCKS5, with user and password where the configuration has them."""

    def __init__(self, host: str, port: int, credentials: Secret | None) -> None:
        self.is_open = False
        self._credentials = None if credentials is None else credentials.reveal().encode("utf-8")
        address = literal(host)
        if address is None:
            name = host.removesuffix(".").encode("ascii")
            place = b"\x03" + bytes([len(name)]) + name
        else:
            place = (b"\x01" if isinstance(address, IPv4Address) else b"\x04") + address.packed
        self._request = b"\x05\x01\x00" + place + port.to_bytes(2, "big")
        self._said = b""
        self._next = self._method

    def opening(self) -> bytes:
        return b"\x05\x01\x00" if self._credentials is None else b"\x05\x02\x00\x02"

    def feed(self, data: bytes, evidence: Callable[[], Evidence]) -> bytes:
        self._said += data
        answer = b""
        while (more := self._next(evidence)) is not None:
            answer += more
            if self.is_open:
                break
        return answer

    def closed(self, evidence: Evidence) -> Fault:
        return fault(Reason.RESET, "the proxy closed the connection", evidence)

    def _method(self, evidence: Callable[[], Evidence]) -> bytes | None:
        said = self._take(2)
        if said is None:
            return None
        if said[0] != 5:
            raise fault(Reason.HTTP_PROTOCOL, "the proxy does not speak SOCKS5", evidence())
        if said[1] == 0:
            self._next = self._reply
            return self._request
        if said[1] == 2 and self._credentials is not None:
            user, _, password = self._credentials.partition(b":")
            self._next = self._login
            return b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password
        raise fault(Reason.INTERNAL, "the proxy wants credentials, or others than these", evidence())

    def _login(self, evidence: Callable[[], Evidence]) -> bytes | None:
        said = self._take(2)
        if said is None:
            return None
        if said[1] != 0:
            raise fault(Reason.INTERNAL, "the proxy does not accept our credentials", evidence())
        self._next = self._reply
        return self._request

    def _reply(self, evidence: Callable[[], Evidence]) -> bytes | None:
        if len(self._said) >= 2 and self._said[1] != 0:
            reason, cause = _SOCKS_ERRORS.get(self._said[1], (Reason.UNREACHABLE, f"error {self._said[1]}"))
            raise fault(reason, f"the proxy cannot reach the server: {cause}", evidence())
        if len(self._said) < 5:
            return None
        size = {1: 4, 3: 1 + self._said[4], 4: 16}.get(self._said[3])
        if size is None:
            raise fault(Reason.HTTP_PROTOCOL, "the proxy's answer is not SOCKS5", evidence())
        if self._take(4 + size + 2) is None:
            return None
        if self._said:
            raise fault(Reason.HTTP_PROTOCOL, "the proxy says more than it was asked", evidence())
        self.is_open = True
        return b""

    def _take(self, size: int) -> bytes | None:
        if len(self._said) < size:
            return None
        said, self._said = self._said[:size], self._said[size:]
        return said
