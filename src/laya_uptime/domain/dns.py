"""Name servers as people write them, and what their answers mean in plain words."""

import re
from dataclasses import dataclass

from laya_uptime.domain.result import DnsFacts
from laya_uptime.domain.urls import canonical_host, literal

PORT = 53
_WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:]*):([0-9]{1,5})")
_FORM = "`resolver`: it must be an IP address, with its port where that is not 53: 192.0.2.53 or [2001:db8::53]:5353"


@dataclass(frozen=True, slots=True)
class NameServer:
    """Where questions about names go. The address is in its plain form."""

    address: str
    port: int = PORT

    @classmethod
    def parse(cls, text: str) -> "NameServer":
        """Read "192.0.2.53", "192.0.2.53:5353", "2001:db8::53" or "[2001:db8::53]:5353". Raise ValueError for all else.

        A name is none of these: somebody would have to look it up first.
        """
        match = _WITH_PORT.fullmatch(text)
        host, port = (match[1], int(match[2])) if match else (text, PORT)
        try:
            address = literal(canonical_host(host))
        except ValueError:
            address = None
        if address is None or not 1 <= port <= 65535:
            raise ValueError(_FORM)
        return cls(str(address), port)

    def __str__(self) -> str:
        """Return it as people write it, the port only where it is not 53."""
        if self.port == PORT:
            return self.address
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def queried_name(text: str, record: str) -> str:
    """Return the name to ask for in its plain form: ASCII, lower case, no final dot; "." is the root.

    An address stands for the name that its PTR record has (RFC 1035 section 3.5). Raise ValueError where it can be no
    name.
    """
    if text == ".":
        return text
    host = canonical_host(text)
    address = literal(host)
    if address is None:
        return host.removesuffix(".")
    if record != "PTR" or "%" in host:
        raise ValueError("an address has a PTR record and no other")
    return address.reverse_pointer


def cause(facts: DnsFacts) -> str | None:
    """Return why this is not what was asked for, with the exact code; None: it is."""
    name = facts.aliases[-1] if facts.aliases else facts.name
    through = f", an alias of {facts.name}" if facts.aliases else ""
    match facts.rcode:
        case "NOERROR" if facts.answers:
            return None
        case "NOERROR":
            what = "address" if facts.record == "A, AAAA" else f"{facts.record} record"
            text = f"no {what} for {name} (NODATA){through}"
        case "NXDOMAIN":
            text = f"no such name: {name} (NXDOMAIN){through}"
        case "SERVFAIL":
            text = f"name server {facts.server} failed for {name} (SERVFAIL){through}"
        case "REFUSED":
            text = f"name server {facts.server} refuses to answer for {name} (REFUSED){through}"
        case code:
            text = f"name server {facts.server} answers {code} for {name}{through}"
    return f"{text}: {facts.why}" if facts.why else text
