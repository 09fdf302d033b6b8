"""Mailbox: one address as it stands in the configuration, with or without a display name.

Only what can be said on an SMTP command line and in a header without quoting is accepted, so no address can smuggle
in a parameter, a command or another header.
"""

import re
from dataclasses import dataclass
from email.headerregistry import Address
from typing import Self

from laya_uptime.domain.text import cut, one_line
from laya_uptime.domain.urls import canonical_host, literal

_FORM = re.compile(r"(?:(?P<name>[^<>]*)<)?(?P<local>[^<>@\s]{1,64})@(?P<domain>[^<>@\s]{1,255})(?(name)>)")
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")  # RFC 5321: Dot-string
_DOMAIN = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*")
_LITERAL = re.compile(r"\[[0-9A-Za-z:.]+\]")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Somebody who sends or receives mail. The domain is in its ASCII form."""

    name: str
    local: str
    domain: str

    @classmethod
    def parse(cls, text: str, *, option: str) -> Self:
        """Read "ops@host" or "Name <ops@host>". Raise ValueError, with the option's name, where it is neither."""
        found = _FORM.fullmatch(text.strip())
        domain = _ascii(found["domain"]) if found else None
        if found is None or domain is None or not _LOCAL.fullmatch(found["local"]) or one_line(text) != text.strip():
            message = f"`{option}` holds {cut(one_line(text), 60)!r}, which is not an e-mail address"
            raise ValueError(message)
        return cls((found["name"] or "").strip().strip('"'), found["local"], domain)

    @property
    def address(self) -> str:
        """Return the bare address."""
        return f"{self.local}@{self.domain}"

    @property
    def path(self) -> bytes:
        """Return the address as MAIL and RCPT take it."""
        return f"<{self.address}>".encode("ascii")

    @property
    def header(self) -> Address:
        """Return the address as a header takes it, with its name."""
        return Address(display_name=cut(self.name, 80).replace("=?", "= ?"), username=self.local, domain=self.domain)


def _ascii(domain: str) -> str | None:
    if _LITERAL.fullmatch(domain):
        return domain
    try:
        name = canonical_host(domain)
    except ValueError:
        return None
    return name if _DOMAIN.fullmatch(name) and literal(name) is None else None
